// From JSON text (RFC 8259) to values.

import { Json } from "./json";
import { readFloat } from "./number";

/** A document that is nested deeper is neither read nor written, which both happens by recursion. */
export const MAX_DEPTH = 256;

/**
 * A document. Its UTF-8 is changed on the way: escapes are resolved in place. A lone surrogate becomes U+FFFD, and of
 * equal names in an object the last counts.
 */
export class Document {
  /** What is wrong with it. */
  problem: string | null = null;
  json: Json = Json.NULL;
  private at: usize;
  private end: usize;
  private depth: i32 = 0;

  constructor(private bytes: Uint8Array) {
    this.at = bytes.dataStart;
    this.end = this.at + bytes.byteLength;
    this.json = this.value();
    if (this.next() >= 0) this.fail("there is more after it");
  }

  /** The next byte that is no space, without taking it; -1 at the end. */
  private next(): i32 {
    while (this.at < this.end) {
      const byte = load<u8>(this.at);
      if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return byte;
      this.at++;
    }
    return -1;
  }

  private take(byte: i32): bool {
    if (this.next() != byte) return false;
    this.at++;
    return true;
  }

  /** Nothing is read after the first problem. */
  private fail(problem: string): Json {
    if (this.problem === null) this.problem = `${problem}, at byte ${this.at - this.bytes.dataStart}`;
    this.end = this.at;
    return Json.NULL;
  }

  private value(): Json {
    switch (this.next()) {
      case 0x7b: return this.nested(true); // {
      case 0x5b: return this.nested(false); // [
      case 0x22: return Json.from(this.text()); // "
      case 0x74: return this.word("true", Json.from(true));
      case 0x66: return this.word("false", Json.from(false));
      case 0x6e: return this.word("null", Json.NULL);
      case -1: return this.fail("it ends too early");
      default: return this.number();
    }
  }

  private word(word: string, json: Json): Json {
    for (let i = 0; i < word.length; i++, this.at++) {
      if (this.at == this.end || load<u8>(this.at) != word.charCodeAt(i)) return this.fail("that is no value");
    }
    return json;
  }

  private nested(isObject: bool): Json {
    if (++this.depth > MAX_DEPTH) return this.fail(`it is nested deeper than ${MAX_DEPTH}`);
    this.at++;
    const close = isObject ? 0x7d : 0x5d;
    const json = isObject ? Json.object() : Json.list();
    if (!this.take(close)) {
      do {
        if (isObject) {
          if (this.next() != 0x22) return this.fail("a name in quotes is needed");
          const name = this.text();
          if (!this.take(0x3a)) return this.fail("a colon is needed");
          json.set(name, this.value());
        } else {
          json.push(this.value());
        }
      } while (this.take(0x2c));
      if (!this.take(close)) return this.fail("a comma or the end of it is needed");
    }
    this.depth--;
    return json;
  }

  private number(): Json {
    const start = this.at;
    const isNegative = this.take(0x2d);
    const digits = this.at;
    let isWhole = true;
    if (!this.digits() || (load<u8>(digits) == 0x30 && this.at > digits + 1)) return this.fail("that is no value");
    if (this.peek() == 0x2e) {
      isWhole = false;
      this.at++;
      if (!this.digits()) return this.fail("a digit is needed");
    }
    if ((this.peek() | 0x20) == 0x65) {
      isWhole = false;
      this.at++;
      if (this.peek() == 0x2b || this.peek() == 0x2d) this.at++;
      if (!this.digits()) return this.fail("a digit is needed");
    }
    if (isWhole && this.at - digits <= 19) {
      let magnitude: u64 = 0;
      for (let at = digits; at < this.at; at++) magnitude = magnitude * 10 + (load<u8>(at) - 0x30);
      // Nineteen digits are less than 2 to the power of 64.
      const integer = <i64>(isNegative ? 0 - magnitude : magnitude);
      if (integer == 0 || integer < 0 == isNegative) return Json.from(integer);
    }
    const float = readFloat(start, this.at);
    return isFinite(float) ? Json.from(float) : this.fail("that number is too large");
  }

  private peek(): i32 {
    return this.at < this.end ? load<u8>(this.at) : -1;
  }

  private digits(): bool {
    const start = this.at;
    while (this.at < this.end && <u32>load<u8>(this.at) - 0x30 <= 9) this.at++;
    return this.at > start;
  }

  private text(): string {
    const start = ++this.at;
    // Where what is resolved goes: never ahead of what is read.
    let to = start;
    while (this.at < this.end) {
      const byte = load<u8>(this.at++);
      if (byte == 0x22) return String.UTF8.decodeUnsafe(start, to - start);
      if (byte < 0x20) {
        this.fail("a control character must be escaped");
      } else if (byte == 0x5c) {
        to = this.escape(to);
      } else {
        store<u8>(to++, byte);
      }
    }
    this.fail("a text has no end");
    return "";
  }

  /** Resolves what follows a backslash, and gives where the next byte goes. */
  private escape(to: usize): usize {
    let byte = this.peek();
    this.at++;
    switch (byte) {
      case 0x22: case 0x5c: case 0x2f: break;
      case 0x62: byte = 0x08; break;
      case 0x66: byte = 0x0c; break;
      case 0x6e: byte = 0x0a; break;
      case 0x72: byte = 0x0d; break;
      case 0x74: byte = 0x09; break;
      case 0x75: return writeUtf8(to, this.codePoint());
      default:
        this.at--;
        this.fail("that is no escape");
    }
    store<u8>(to, byte);
    return to + 1;
  }

  /** What `\u` begins, with the second half of a pair. */
  private codePoint(): i32 {
    const unit = this.hexadecimal();
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit < 0xdc00 && this.at + 6 <= this.end && load<u16>(this.at) == 0x755c) { // \u
      this.at += 2;
      const low = this.hexadecimal();
      if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
      this.at -= 6;
    }
    return 0xfffd;
  }

  private hexadecimal(): i32 {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.peek();
      const letter = (byte | 0x20) - 0x61;
      let digit = byte - 0x30;
      if (<u32>letter < 6) digit = letter + 10;
      if (<u32>digit > 15 || (<u32>digit > 9 && <u32>letter >= 6)) {
        this.fail("four hexadecimal digits are needed");
        return 0;
      }
      this.at++;
      unit = (unit << 4) | digit;
    }
    return unit;
  }
}

function writeUtf8(to: usize, point: i32): usize {
  if (point < 0x80) {
    store<u8>(to, point);
    return to + 1;
  }
  if (point < 0x800) {
    store<u8>(to, 0xc0 | (point >> 6));
    store<u8>(to, 0x80 | (point & 0x3f), 1);
    return to + 2;
  }
  if (point < 0x10000) {
    store<u8>(to, 0xe0 | (point >> 12));
    store<u8>(to, 0x80 | ((point >> 6) & 0x3f), 1);
    store<u8>(to, 0x80 | (point & 0x3f), 2);
    return to + 3;
  }
  store<u8>(to, 0xf0 | (point >> 18));
  store<u8>(to, 0x80 | ((point >> 12) & 0x3f), 1);
  store<u8>(to, 0x80 | ((point >> 6) & 0x3f), 2);
  store<u8>(to, 0x80 | (point & 0x3f), 3);
  return to + 4;
}
