// A host for unit tests under Node.js: settings, buckets in memory, a log, and nobody to call until a test says who answers.
//
//     const plugin = await Plugin.load("greeter.wasm", { config: { greeting: "Hi" } });
//     assert.equal(plugin.call("greet", { name: "Ada" }), "Hi, Ada");

import { readFile } from "node:fs/promises";

const LEVELS = ["trace", "debug", "info", "warn", "error", "critical"];
const UNSENT = ["not-granted", "invalid", "timeout", "unroutable", "unavailable"];
const REMOTE = UNSENT.length;
const KEYS_PER_PAGE = 3;

/** The exception that a method failed with, or that an `answer` throws as that of another service. */
export class Failure extends Error {
  constructor(module, className, message, { kwargs = {}, traceback = [], expected = false } = {}) {
    super(message);
    Object.assign(this, { module, className, kwargs, traceback, expected });
  }
}

/** What an `answer` throws where there is no reply: `kind` is one of `UNSENT`. */
export class Unsent extends Error {
  constructor(kind, message = "") {
    super(message);
    this.kind = kind;
  }
}

export class Plugin {
  /** Lines that were logged: `{ level, message }`. */
  log = [];
  /** Messages that were sent: `{ kind, target, method, args, timeoutMs, context }`. */
  sent = [];
  /** Buckets by name, each a map from keys to bytes. */
  buckets = new Map();
  /** Names of buckets that fail, whatever is asked of them. */
  broken = new Set();
  /** Runs before each swap, as another writer would. */
  beforeSwap = () => {};
  /** Milliseconds since 1970. */
  now = Date.now();
  #exports;
  #handles = new Map([[0, null]]);
  #current = {};

  /**
   * Loads a Wasm file, for one instance that answers all calls. `config` has the settings; `answer` gets each message
   * that is sent, and gives the result of a call, or throws.
   */
  static async load(file, { config = {}, answer = () => { throw new Unsent("unroutable"); } } = {}) {
    const plugin = new Plugin();
    Object.assign(plugin, { config, answer });
    const module = await WebAssembly.compile(await readFile(file));
    plugin.#exports = (await WebAssembly.instantiate(module, plugin.#imports())).exports;
    plugin.#exports._initialize?.();
    return plugin;
  }

  /** What it serves: `{ namespace, version, methods }` for each endpoint. */
  get targets() {
    const area = this.#exports.targets();
    const targets = this.#list(area, 28, (at) => ({
      namespace: this.#optional(at),
      version: this.#text(at + 12),
      methods: this.#list(at + 20, 8, (at) => this.#text(at)),
    }));
    this.#exports.cabi_post_targets(area);
    return targets;
  }

  /** Bytes that the instance has. */
  get memorySize() {
    return this.#exports.memory.buffer.byteLength;
  }

  /** Calls a method, and gives its result or throws its `Failure`. `args` may be the text of an object as well. */
  call(method, args, options) {
    return JSON.parse(this.callText(method, args, options));
  }

  /** The same, and gives the result as the text that it is. */
  callText(method, args = {}, { namespace = null, version = "1.0", context = {}, id = "", cast = false, remainingMs } = {}) {
    this.#current = { id, cast, remainingMs };
    const texts = [version, method, typeof args === "string" ? args : JSON.stringify(args), JSON.stringify(context)];
    const parameters = texts.flatMap((text) => this.#give(text));
    const area = this.#exports.dispatch(namespace === null ? 0 : 1, ...this.#give(namespace ?? ""), ...parameters);
    const isFailure = this.#byte(area);
    const outcome = isFailure ? this.#failure(area + 4) : this.#text(area + 4);
    this.#exports.cabi_post_dispatch(area);
    if (isFailure) throw outcome;
    return outcome;
  }

  #imports() {
    const bucket = (handle) => this.#handles.get(handle);
    const handle = (value) => {
      const number = Math.max(...this.#handles.keys()) + 1;
      this.#handles.set(number, value);
      return number;
    };
    const drop = (handle) => this.#handles.delete(handle);
    // Gives what `use` does, or has the plugin see an error of the bucket.
    const using = (opened, area, error, use) => {
      const isBroken = this.broken.has(opened.name);
      this.#putByte(area, isBroken ? 1 : 0);
      if (!isBroken) return use(opened.entries);
      this.#putByte(error, 2);
      this.#put(error + 4, "it is broken");
    };
    const send = (kind) => (at, area) => this.#send(kind, at, area);
    return {
      "wasi:logging/logging@0.1.0-draft": {
        log: (level, _context, _length, at, length) => {
          this.log.push({ level: LEVELS[level], message: this.#textOf(at, length) });
        },
      },
      "wasi:config/store@0.2.0-rc.1": {
        get: (at, length, area) => {
          this.#putByte(area, 0);
          this.#putOptional(area + 4, this.config[this.#textOf(at, length)] ?? null);
        },
        "get-all": (area) => {
          this.#putByte(area, 0);
          this.#putList(area + 4, 16, Object.entries(this.config), (at, [name, value]) => {
            this.#put(at, name);
            this.#put(at + 8, value);
          });
        },
      },
      "wasi:clocks/wall-clock@0.2.0": {
        now: (area) => {
          this.#view.setBigUint64(area, BigInt(Math.floor(this.now / 1000)), true);
          this.#putWord(area + 8, (this.now % 1000) * 1e6);
        },
      },
      "wasi:random/random@0.2.0": {
        "get-random-bytes": (length, area) => this.#put(area, crypto.getRandomValues(new Uint8Array(Number(length)))),
        "get-random-u64": () => crypto.getRandomValues(new BigInt64Array(1))[0],
      },
      "endpointd:rpc/call-info@0.1.0": {
        id: (area) => this.#put(area, this.#current.id),
        delivery: () => (this.#current.cast ? 1 : 0),
        "remaining-ms": (area) => {
          this.#putByte(area, this.#current.remainingMs === undefined ? 0 : 1);
          this.#view.setBigUint64(area + 8, BigInt(this.#current.remainingMs ?? 0), true);
        },
        "host-started-ms": () => 0n,
      },
      "endpointd:rpc/client@0.1.0": { call: send("call"), cast: send("cast"), fanout: send("fanout") },
      "wasi:keyvalue/store@0.2.0-draft2": {
        open: (at, length, area) => {
          const name = this.#textOf(at, length);
          if (!this.buckets.has(name)) this.buckets.set(name, new Map());
          this.#putByte(area, 0);
          this.#putWord(area + 4, handle({ name, entries: this.buckets.get(name) }));
        },
        "[method]bucket.get": (self, at, length, area) => using(bucket(self), area, area + 4, (entries) => {
          this.#putOptional(area + 4, entries.get(this.#textOf(at, length)) ?? null);
        }),
        "[method]bucket.set": (self, at, length, value, size, area) => using(bucket(self), area, area + 4, (entries) => {
          entries.set(this.#textOf(at, length), this.#bytesOf(value, size));
        }),
        "[method]bucket.delete": (self, at, length, area) => using(bucket(self), area, area + 4, (entries) => {
          entries.delete(this.#textOf(at, length));
        }),
        "[method]bucket.exists": (self, at, length, area) => using(bucket(self), area, area + 4, (entries) => {
          this.#putByte(area + 4, entries.has(this.#textOf(at, length)) ? 1 : 0);
        }),
        "[method]bucket.list-keys": (self, hasCursor, at, length, area) => using(bucket(self), area, area + 4, (entries) => {
          const after = hasCursor ? this.#textOf(at, length) : "";
          const page = [...entries.keys()].sort().filter((key) => key > after).slice(0, KEYS_PER_PAGE);
          this.#putList(area + 4, 8, page, (at, key) => this.#put(at, key));
          this.#putOptional(area + 12, page.length === KEYS_PER_PAGE ? page.at(-1) : null);
        }),
        "[resource-drop]bucket": drop,
      },
      "wasi:keyvalue/atomics@0.2.0-draft2": {
        increment: (self, at, length, delta, area) => using(bucket(self), area, area + 8, (entries) => {
          const key = this.#textOf(at, length);
          const sum = BigInt(new TextDecoder().decode(entries.get(key)) || 0) + delta;
          entries.set(key, new TextEncoder().encode(sum));
          this.#view.setBigInt64(area + 8, sum, true);
        }),
        "[static]cas.new-with-read": (self, at, length, area) => using(bucket(self), area, area + 4, (entries) => {
          const key = this.#textOf(at, length);
          const read = entries.get(key) ?? null;
          this.#putWord(area + 4, handle({ ...bucket(self), key, read }));
          this.#putOptional(area + 8, read);
        }),
        swap: (cas, at, length, area) => {
          const { name, entries, key, read } = this.#handles.get(cas);
          drop(cas);
          using({ name, entries }, area, area + 8, () => {
            this.beforeSwap(entries, key);
            const now = entries.get(key) ?? null;
            if (now === read) return entries.set(key, this.#bytesOf(at, length));
            this.#putByte(area, 1);
            this.#putByte(area + 4, 1);
            this.#putWord(area + 8, handle({ name, entries, key, read: now }));
            this.#putOptional(area + 12, now);
          });
        },
        "[resource-drop]cas": drop,
      },
    };
  }

  #send(kind, at, area) {
    const message = {
      kind,
      target: {
        exchange: this.#optional(at),
        topic: this.#text(at + 12),
        server: this.#optional(at + 20),
        namespace: this.#optional(at + 32),
        version: this.#optional(at + 44),
      },
      method: this.#text(at + 56),
      args: JSON.parse(this.#text(at + 64)),
      timeoutMs: this.#word(at + 72) ? this.#word(at + 76) : null,
      context: this.#byte(at + 80) ? JSON.parse(this.#text(at + 84)) : null,
    };
    this.sent.push(message);
    try {
      const result = this.answer(message);
      this.#putByte(area, 0);
      if (kind === "call") this.#put(area + 4, JSON.stringify(result ?? null));
    } catch (error) {
      this.#putByte(area, 1);
      this.#putByte(area + 4, error instanceof Unsent ? UNSENT.indexOf(error.kind) : REMOTE);
      if (error instanceof Unsent) return this.#put(area + 8, error.message);
      if (!(error instanceof Failure)) throw error;
      this.#put(area + 8, error.className);
      this.#put(area + 16, error.module);
      this.#put(area + 24, error.message);
      this.#putOptional(area + 32, JSON.stringify(error.kwargs));
      this.#putList(area + 44, 8, error.traceback, (at, line) => this.#put(at, line));
      this.#putByte(area + 52, error.expected ? 1 : 0);
    }
  }

  #failure(at) {
    return new Failure(this.#text(at + 8), this.#text(at), this.#text(at + 16), {
      kwargs: this.#byte(at + 24) ? JSON.parse(this.#text(at + 28)) : {},
      traceback: this.#list(at + 36, 8, (at) => this.#text(at)),
      expected: this.#byte(at + 44) !== 0,
    });
  }

  get #view() {
    return new DataView(this.#exports.memory.buffer);
  }

  #byte(at) {
    return this.#view.getUint8(at);
  }

  #word(at) {
    return this.#view.getUint32(at, true);
  }

  #bytesOf(at, length) {
    return new Uint8Array(this.#exports.memory.buffer, at, length).slice();
  }

  #textOf(at, length) {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#bytesOf(at, length));
  }

  #text(at) {
    return this.#textOf(this.#word(at), this.#word(at + 4));
  }

  #optional(at) {
    return this.#byte(at) ? this.#text(at + 4) : null;
  }

  #list(at, size, read) {
    const start = this.#word(at);
    return Array.from({ length: this.#word(at + 4) }, (_, i) => read(start + i * size));
  }

  /** Puts text or bytes into the plugin's memory, and gives where they are and how many. */
  #give(content) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const at = this.#exports.cabi_realloc(0, 0, 1, bytes.length);
    new Uint8Array(this.#exports.memory.buffer, at, bytes.length).set(bytes);
    return [at, bytes.length];
  }

  #putByte(at, byte) {
    this.#view.setUint8(at, byte);
  }

  #putWord(at, word) {
    this.#view.setUint32(at, word, true);
  }

  #put(at, content) {
    const [start, length] = this.#give(content);
    this.#putWord(at, start);
    this.#putWord(at + 4, length);
  }

  #putOptional(at, content) {
    this.#putByte(at, content === null ? 0 : 1);
    if (content !== null) this.#put(at + 4, content);
  }

  #putList(at, size, items, put) {
    const start = this.#exports.cabi_realloc(0, 0, 4, items.length * size);
    items.forEach((item, i) => put(start + i * size, item));
    this.#putWord(at, start);
    this.#putWord(at + 4, items.length);
  }
}
