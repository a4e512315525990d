/** The host's side of a unit test: settings, buckets, the log, other services, and the call itself. */

import type { Json, JsonObject } from "./index.js";

/** A message that was sent. */
export interface Sent {
  kind: "call" | "cast" | "fanout";
  target: { topic: string; version?: string; namespace?: string; server?: string; exchange?: string };
  method: string;
  args: JsonObject;
  timeoutMs?: number;
  context?: JsonObject;
}

export const host: {
  /** Begins anew: nothing set, stored, logged or sent, and nobody who answers. */
  reset(): void;
  /** What `config` has. */
  settings: { [name: string]: string };
  /** The lines logged so far. */
  logged: { level: "trace" | "debug" | "info" | "warn" | "error" | "critical"; message: string }[];
  /** The messages sent so far. */
  sent: Sent[];
  /** Answers calls to others, with what it returns or throws. Without it nobody listens. */
  answer: ((target: Sent["target"], method: string, args: JsonObject) => Json | undefined) | undefined;
  /** What `callInfo` has. */
  call: { id: string; delivery: "call" | "cast"; remainingMs: number | undefined; hostStartedMs: number };
  /** Buckets that fail, by name, and why. */
  brokenBuckets: Map<string, string>;
};
