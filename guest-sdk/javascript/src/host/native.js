/** The host's side under node, for unit tests; `endpointd-guest/testing` is how a test sets and reads it. */

class FakeHost {
  constructor() {
    this.reset();
  }

  /** Nothing set, stored, logged or sent, and nobody who answers. */
  reset() {
    this.settings = {};
    this.logged = [];
    this.sent = [];
    this.answer = undefined;
    this.call = { id: "test", delivery: "call", remainingMs: undefined, hostStartedMs: 0 };
    this.buckets = new Map();
    this.brokenBuckets = new Map();
  }
}

export const host = new FakeHost();

export const log = (level, message) => void host.logged.push({ level, message });

export const configGet = (name) => host.settings[name];
export const configAll = () => Object.entries(host.settings);

export const callId = () => host.call.id;
export const callDelivery = () => host.call.delivery;
export const callRemainingMs = () => host.call.remainingMs;
export const hostStartedMs = () => host.call.hostStartedMs;

export function send(kind, to, method, args, options) {
  const named = Object.entries(to).filter(([, value]) => value !== null);
  const target = Object.fromEntries(named);
  const context = options.context === null ? undefined : JSON.parse(options.context);
  host.sent.push({ kind, target, method, args: JSON.parse(args), timeoutMs: options.timeoutMs ?? undefined, context });
  if (kind !== "call") return undefined;
  if (!host.answer) throw refusal("unroutable");
  return JSON.stringify(host.answer(target, method, JSON.parse(args)) ?? null);
}

export function openBucket(name) {
  if (host.brokenBuckets.has(name)) throw refusal("other", host.brokenBuckets.get(name));
  if (!host.buckets.has(name)) host.buckets.set(name, new FakeBucket());
  return host.buckets.get(name);
}

class FakeBucket {
  #values = new Map();

  get(key) {
    return this.#values.get(key) ?? null;
  }

  set(key, value) {
    this.#values.set(key, Uint8Array.from(value));
  }

  delete(key) {
    this.#values.delete(key);
  }

  exists(key) {
    return this.#values.has(key);
  }

  listKeys() {
    const inBytes = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));
    return { keys: [...this.#values.keys()].sort(inBytes), cursor: null };
  }
}

export function increment(bucket, key, delta) {
  const total = Number(new TextDecoder().decode(bucket.get(key) ?? new Uint8Array([48]))) + delta;
  if (!Number.isInteger(total)) throw refusal("other", `the value of ${key} is not a decimal number`);
  bucket.set(key, new TextEncoder().encode(total));
  return total;
}

export function update(bucket, key, change) {
  const before = bucket.get(key) ?? undefined;
  bucket.set(key, change(before));
  return before;
}

/** As the contract's errors come out of an import. */
function refusal(tag, val) {
  return Object.assign(new Error(tag), { payload: { tag, val } });
}
