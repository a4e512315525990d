/** About the request being answered. */

import * as host from "#host";

/** The message's unique id, which the logs of both sides share; empty if the caller sent none. */
export function id() {
  return host.callId();
}

/** "call" where somebody waits for the result, or "cast". */
export function delivery() {
  return host.callDelivery();
}

/** Milliseconds that are left of the caller's time, where that is known. */
export function remainingMs() {
  return host.callRemainingMs() ?? undefined;
}

/** When the host started, a Date: what was sent before has waited while nobody served it. */
export function hostStarted() {
  return new Date(host.hostStartedMs());
}
