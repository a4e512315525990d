// From values to JSON text.

import { Json, Kind } from "./json";
import { MAX_DEPTH } from "./parse";

const HEXADECIMAL = "0123456789abcdef";

/** UTF-8 text as it grows. */
export class Writer {
  /** Why the value is no JSON, if it is none. */
  problem: string | null = null;
  length: i32 = 0;
  private depth: i32 = 0;
  private buffer: ArrayBuffer = new ArrayBuffer(256);

  /** Where the text is. It stays there until more is written. */
  get start(): usize {
    return changetype<usize>(this.buffer);
  }

  /** A copy of the text. */
  get bytes(): Uint8Array {
    return Uint8Array.wrap(this.buffer.slice(0, this.length));
  }

  toString(): string {
    return String.UTF8.decodeUnsafe(this.start, this.length);
  }

  value(json: Json): void {
    switch (json.kind) {
      case Kind.Null: return this.ascii("null");
      case Kind.Bool: return this.ascii(json.boolOr(false) ? "true" : "false");
      case Kind.Integer: return this.ascii(json.integerOr(0).toString());
      case Kind.Float: return this.float(json.floatOr(0));
      case Kind.Text: return this.text(json.textOr(""));
    }
    if (++this.depth > MAX_DEPTH) {
      this.problem = `it is nested deeper than ${MAX_DEPTH}`;
    } else if (json.kind == Kind.List) {
      this.list(json.items);
    } else {
      this.object(json);
    }
    this.depth--;
  }

  private list(items: Json[]): void {
    this.byte(0x5b);
    for (let i = 0; i < items.length && this.problem === null; i++) {
      if (i > 0) this.byte(0x2c);
      this.value(items[i]);
    }
    this.byte(0x5d);
  }

  private object(json: Json): void {
    const names = json.names;
    this.byte(0x7b);
    for (let i = 0; i < names.length && this.problem === null; i++) {
      if (i > 0) this.byte(0x2c);
      this.text(names[i]);
      this.byte(0x3a);
      this.value(json.get(names[i]));
    }
    this.byte(0x7d);
  }

  private float(number: f64): void {
    if (!isFinite(number)) this.problem = `${number} cannot be written`;
    // `toString` forgets the sign of zero.
    this.ascii(number == 0 ? (reinterpret<i64>(number) < 0 ? "-0.0" : "0.0") : number.toString());
  }

  private text(text: string): void {
    this.byte(0x22);
    let clean = 0;
    let size = 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x20 && unit != 0x22 && unit != 0x5c) {
        size += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
        continue;
      }
      this.utf8(text, clean, i, size);
      this.escape(unit);
      clean = i + 1;
      size = 0;
    }
    this.utf8(text, clean, text.length, size);
    this.byte(0x22);
  }

  private escape(unit: i32): void {
    this.byte(0x5c);
    switch (unit) {
      case 0x22: case 0x5c: return this.byte(unit);
      case 0x08: return this.byte(0x62);
      case 0x0c: return this.byte(0x66);
      case 0x0a: return this.byte(0x6e);
      case 0x0d: return this.byte(0x72);
      case 0x09: return this.byte(0x74);
    }
    this.ascii("u00");
    this.byte(HEXADECIMAL.charCodeAt(unit >> 4));
    this.byte(HEXADECIMAL.charCodeAt(unit & 15));
  }

  /** A part of a text as it is, which takes at most `size` bytes. A lone surrogate has no UTF-8, and becomes U+FFFD. */
  private utf8(text: string, from: i32, to: i32, size: i32): void {
    this.reserve(size);
    const at = changetype<usize>(text) + (<usize>from << 1);
    const mode = String.UTF8.ErrorMode.REPLACE;
    this.length += <i32>String.UTF8.encodeUnsafe(at, to - from, this.start + this.length, false, mode);
  }

  private ascii(text: string): void {
    this.utf8(text, 0, text.length, text.length);
  }

  private byte(byte: i32): void {
    this.reserve(1);
    store<u8>(this.start + this.length++, byte);
  }

  private reserve(more: i32): void {
    const needed = this.length + more;
    const capacity = this.buffer.byteLength;
    if (needed > capacity) this.buffer = changetype<ArrayBuffer>(__renew(this.start, max(needed, capacity * 2)));
  }
}
