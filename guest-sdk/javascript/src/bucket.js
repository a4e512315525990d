/** Buckets: key-value spaces that outlive the instance and that plugins and hosts can share. */

import * as host from "#host";
import { Failure } from "./failure.js";
import { toJson, wellFormed } from "./text.js";

/** A bucket could not be used; the text says why. */
export class BucketError extends Failure {
  static module = "endpointd";
}

/** The bucket that the operator granted under this name. What is written is safe when the call returns. */
export class Bucket {
  #name;

  /** It is opened when it is first used, so a constant of the module will do. */
  constructor(name) {
    this.#name = wellFormed(name);
  }

  get(key) {
    return this.#use((bucket) => bucket.get(wellFormed(key)) ?? undefined);
  }

  set(key, value) {
    if (!(value instanceof Uint8Array)) throw new TypeError("the value of a key is a Uint8Array; see setJson");
    this.#use((bucket) => bucket.set(wellFormed(key), value));
  }

  getJson(key) {
    const value = this.get(key);
    return value && parse(value);
  }

  setJson(key, value) {
    this.set(key, serialize(value));
  }

  delete(key) {
    this.#use((bucket) => bucket.delete(wellFormed(key)));
  }

  exists(key) {
    return this.#use((bucket) => bucket.exists(wellFormed(key)));
  }

  keys() {
    return this.#use((bucket) => {
      let [keys, cursor] = [[], null];
      do {
        const page = bucket.listKeys(cursor);
        keys = keys.concat(page.keys);
        cursor = page.cursor;
      } while (cursor !== null);
      return keys;
    });
  }

  increment(key, delta = 1) {
    if (!Number.isSafeInteger(delta)) throw new TypeError(`a counter grows by an integer, not by ${String(delta)}`);
    return this.#use((bucket) => host.increment(bucket, wellFormed(key), delta));
  }

  updateJson(key, change) {
    const rewrite = (before) => serialize(change(before && parse(before)));
    const before = this.#use((bucket) => host.update(bucket, wellFormed(key), rewrite));
    return before && parse(before);
  }

  #use(act) {
    try {
      return act(host.openBucket(this.#name));
    } catch (error) {
      throw error?.payload?.tag ? new BucketError(this.#explain(error.payload)) : error;
    }
  }

  #explain({ tag, val }) {
    if (tag === "access-denied") return `the bucket \`${this.#name}\` is not granted to this plugin`;
    if (tag === "no-such-store") return `there is no bucket \`${this.#name}\``;
    return `the bucket failed: ${val}`;
  }
}

function parse(value) {
  return expecting(() => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(value)));
}

function serialize(value) {
  return expecting(() => new TextEncoder().encode(toJson(value)));
}

function expecting(convert) {
  try {
    return convert();
  } catch (error) {
    throw new BucketError(`a value of the bucket is not as expected: ${error.message}`);
  }
}
