// Buckets: key-value spaces that outlive the instance, and that plugins and hosts can share.

import { AREA, bytesAt, optionalTextAt, textAt, textsAt, utf8 } from "./abi";
import { Cause, Failure, Outcome } from "./failure";
import { Json } from "./json";
import { Document } from "./parse";
import { Writer } from "./write";

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "open")
declare function host_open(name: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.get")
declare function host_get(bucket: i32, key: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.set")
declare function host_set(bucket: i32, key: usize, length: i32, value: usize, valueLength: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.delete")
declare function host_delete(bucket: i32, key: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.exists")
declare function host_exists(bucket: i32, key: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.list-keys")
declare function host_list_keys(bucket: i32, hasCursor: i32, cursor: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/atomics@0.2.0-draft2", "increment")
declare function host_increment(bucket: i32, key: usize, length: i32, delta: i64, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/atomics@0.2.0-draft2", "[static]cas.new-with-read")
declare function host_read_to_swap(bucket: i32, key: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/atomics@0.2.0-draft2", "swap")
declare function host_swap(cas: i32, value: usize, length: i32, area: usize): void;

// @ts-ignore: decorator
@external("wasi:keyvalue/atomics@0.2.0-draft2", "[resource-drop]cas")
declare function host_drop_cas(cas: i32): void;

/** Open buckets by name: each is opened once in an instance, and stays so. */
const handles = new Map<string, i32>();

/**
 * The bucket that the operator granted under this name. It is opened when it is first used, and what is written is safe
 * when the call returns. What fails is an `endpointd.BucketError`.
 */
export class Bucket {
  constructor(readonly name: string) {}

  /** The value of a key; null if there is none. */
  get(key: string): Outcome<Uint8Array | null> {
    const unopened = this.open();
    if (unopened) return Outcome.failed<Uint8Array | null>(unopened);
    const bytes = utf8(key);
    host_get(this.handle, changetype<usize>(bytes), bytes.byteLength, AREA);
    if (load<u8>(AREA) != 0) return Outcome.failed<Uint8Array | null>(failureAt(AREA + 4));
    return Outcome.of<Uint8Array | null>(load<u8>(AREA, 4) != 0 ? bytesAt(AREA + 8) : null);
  }

  /** The value of a key, read as JSON; null if there is none. */
  getJson(key: string): Outcome<Json> {
    const value = this.get(key);
    return value.failed ? Outcome.failed<Json>(value.failure) : read(value.value);
  }

  /** Sets the value of a key. Gives why it could not, if so. */
  set(key: string, value: Uint8Array): Failure | null {
    return this.write(key, value.dataStart, value.byteLength);
  }

  /** Sets the value of a key, written as JSON: a `Json`, or what `Json.from` takes. Gives why it could not, if so. */
  setJson<T>(key: string, value: T): Failure | null {
    const writer = new Writer();
    writer.value(Json.from(value));
    const problem = writer.problem;
    return problem !== null ? badValue(problem) : this.write(key, writer.start, writer.length);
  }

  /** Removes a key. Removing what is not there succeeds. Gives why it could not, if so. */
  delete(key: string): Failure | null {
    const unopened = this.open();
    if (unopened) return unopened;
    const bytes = utf8(key);
    host_delete(this.handle, changetype<usize>(bytes), bytes.byteLength, AREA);
    return load<u8>(AREA) != 0 ? failureAt(AREA + 4) : null;
  }

  /** Whether the key has a value. */
  exists(key: string): Outcome<bool> {
    const unopened = this.open();
    if (unopened) return Outcome.failed<bool>(unopened);
    const bytes = utf8(key);
    host_exists(this.handle, changetype<usize>(bytes), bytes.byteLength, AREA);
    return load<u8>(AREA) != 0 ? Outcome.failed<bool>(failureAt(AREA + 4)) : Outcome.of(load<u8>(AREA, 4) != 0);
  }

  /** Every key, in order. */
  keys(): Outcome<string[]> {
    const unopened = this.open();
    if (unopened) return Outcome.failed<string[]>(unopened);
    let keys: string[] = [];
    let cursor: string | null = null;
    do {
      const bytes = utf8(cursor !== null ? cursor : "");
      host_list_keys(this.handle, cursor !== null ? 1 : 0, changetype<usize>(bytes), bytes.byteLength, AREA);
      if (load<u8>(AREA) != 0) return Outcome.failed<string[]>(failureAt(AREA + 4));
      keys = keys.concat(textsAt(AREA + 4));
      cursor = optionalTextAt(AREA + 12);
    } while (cursor !== null);
    return Outcome.of(keys);
  }

  /** Adds to a decimal number, which starts at 0, and gives the sum. Atomic. */
  increment(key: string, delta: i64 = 1): Outcome<i64> {
    const unopened = this.open();
    if (unopened) return Outcome.failed<i64>(unopened);
    const bytes = utf8(key);
    host_increment(this.handle, changetype<usize>(bytes), bytes.byteLength, delta, AREA);
    return load<u8>(AREA) != 0 ? Outcome.failed<i64>(failureAt(AREA + 8)) : Outcome.of(load<i64>(AREA, 8));
  }

  /**
   * Replaces a JSON value by what `change` makes of it and of `state`, and gives what it was before; both are null where
   * there is none. Atomic: if somebody else wrote meanwhile, `change` is called again with the newer value, so it must do
   * nothing else.
   */
  updateJson<S>(key: string, change: (current: Json, state: S) => Json, state: S): Outcome<Json> {
    const unopened = this.open();
    if (unopened) return Outcome.failed<Json>(unopened);
    const bytes = utf8(key);
    host_read_to_swap(this.handle, changetype<usize>(bytes), bytes.byteLength, AREA);
    if (load<u8>(AREA) != 0) return Outcome.failed<Json>(failureAt(AREA + 4));
    // What was read, and what a failed swap gives back, is laid out alike.
    let found = AREA + 4;
    while (true) {
      const cas = load<i32>(found);
      const current = read(load<u8>(found, 4) != 0 ? bytesAt(found + 8) : null);
      const writer = new Writer();
      if (!current.failed) writer.value(change(current.value, state));
      const problem = writer.problem;
      if (current.failed || problem !== null) {
        host_drop_cas(cas);
        return problem !== null ? Outcome.failed<Json>(badValue(problem)) : current;
      }
      host_swap(cas, writer.start, writer.length, AREA);
      if (load<u8>(AREA) == 0) return current;
      if (load<u8>(AREA, 4) == 0) return Outcome.failed<Json>(failureAt(AREA + 8));
      found = AREA + 8;
    }
  }

  private get handle(): i32 {
    return handles.get(this.name);
  }

  private open(): Failure | null {
    const name = this.name;
    if (handles.has(name)) return null;
    const bytes = utf8(name);
    host_open(changetype<usize>(bytes), bytes.byteLength, AREA);
    if (load<u8>(AREA) == 0) {
      handles.set(name, load<i32>(AREA, 4));
      return null;
    }
    switch (load<u8>(AREA, 4)) {
      case 0: return failure(Cause.NoSuchBucket, `there is no bucket \`${name}\``);
      case 1: return failure(Cause.NotGranted, `the bucket \`${name}\` is not granted to this plugin`);
      default: return failureAt(AREA + 4);
    }
  }

  private write(key: string, start: usize, length: i32): Failure | null {
    const unopened = this.open();
    if (unopened) return unopened;
    const bytes = utf8(key);
    host_set(this.handle, changetype<usize>(bytes), bytes.byteLength, start, length, AREA);
    return load<u8>(AREA) != 0 ? failureAt(AREA + 4) : null;
  }
}

function read(value: Uint8Array | null): Outcome<Json> {
  if (!value) return Outcome.of(Json.NULL);
  const parsed = new Document(value);
  const problem = parsed.problem;
  return problem !== null ? Outcome.failed<Json>(badValue(problem)) : Outcome.of(parsed.json);
}

/** What the host says of an error. Once a bucket is open, its name can no longer be what is wrong. */
function failureAt(error: usize): Failure {
  switch (load<u8>(error)) {
    case 0: return backend("it is gone");
    case 1: return backend("it is no longer granted");
    default: return backend(textAt(error + 4));
  }
}

function backend(reason: string): Failure {
  return failure(Cause.Backend, `the bucket failed: ${reason}`);
}

function badValue(problem: string): Failure {
  return failure(Cause.BadValue, `a value of the bucket is not as expected: ${problem}`);
}

function failure(cause: Cause, message: string): Failure {
  const failure = new Failure("endpointd", "BucketError", message);
  failure.cause = cause;
  return failure;
}
