/** The host's side in a component: the imports that the operator grants. A wrong type there is a trap. */

import * as callInfo from "endpointd:rpc/call-info@0.1.0";
import * as rpc from "endpointd:rpc/client@0.1.0";
import * as settings from "wasi:config/store@0.2.0-rc.1";
import * as atomics from "wasi:keyvalue/atomics@0.2.0-draft2";
import * as store from "wasi:keyvalue/store@0.2.0-draft2";
import * as logging from "wasi:logging/logging@0.1.0-draft";

export const log = (level, message) => logging.log(level, "", message);

export const configGet = (name) => settings.get(name);
export const configAll = () => settings.getAll();

export const callId = () => callInfo.id();
export const callDelivery = () => callInfo.delivery();
export const callRemainingMs = () => callInfo.remainingMs();
export const hostStartedMs = () => callInfo.hostStartedMs();

export const send = (kind, to, method, args, options) => rpc[kind](to, method, args, options);

// Handles are freed late, and the host bounds how many there are: one for each bucket will do.
const opened = /* @__PURE__ */ new Map();

export function openBucket(name) {
  let bucket = opened.get(name);
  if (!bucket) opened.set(name, (bucket = store.open(name)));
  return bucket;
}

export const increment = (bucket, key, delta) => atomics.increment(bucket, key, delta);

/** Replaces a value by what `change` makes of it, again if somebody else wrote meanwhile. Gives what it was. */
export function update(bucket, key, change) {
  let [cas, before] = atomics.Cas.newWithRead(bucket, key);
  for (;;) {
    let value;
    try {
      value = change(before ?? undefined);
    } catch (error) {
      cas[Symbol.dispose]();
      throw error;
    }
    try {
      atomics.swap(cas, value);
      return before ?? undefined;
    } catch (error) {
      const { tag, val } = error.payload;
      if (tag === "store-error") throw Object.assign(error, { payload: val });
      [cas, before] = val;
    }
  }
}
