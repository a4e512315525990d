/**
 * `TextEncoder` and `TextDecoder`, for UTF-8. The build puts them in where they are used.
 *
 * By way of escapes and base 64, which are native in QuickJS: ten times as fast as a loop over the characters. Escapes
 * are long, so it is done in parts.
 */

const PART = 32 * 1024;

/** Well-formed sequences, or a byte alone that belongs to none. */
const SEQUENCES =
  /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^]/g;

export class TextEncoder {
  encoding = "utf-8";

  encode(value = "") {
    const text = String(value).toWellFormed();
    const isSecondHalf = (at) => (text.charCodeAt(at) & 0xfc00) === 0xdc00;
    const encode = (begin, end) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.slice(begin, end)))));
    const parts = cut(text.length, isSecondHalf, encode);
    if (parts.length === 1) return parts[0];
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

export class TextDecoder {
  constructor(encoding = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(encoding)) throw new RangeError(`${encoding} is not decoded here, only utf-8`);
    Object.assign(this, { encoding: "utf-8", fatal, ignoreBOM });
  }

  decode(value = new Uint8Array()) {
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value);
    const isContinued = (at) => (bytes[at] & 0xc0) === 0x80;
    const decode = (begin, end) => this.#decode(atob(bytes.subarray(begin, end).toBase64()));
    const text = cut(bytes.length, isContinued, decode).join("");
    return text.startsWith("\ufeff") && !this.ignoreBOM ? text.slice(1) : text;
  }

  #decode(binary) {
    try {
      return decodeURIComponent(escape(binary));
    } catch {
      if (this.fatal) throw new TypeError("the bytes are not UTF-8");
      const isOdd = (sequence) => sequence.length === 1 && sequence > "\x7f";
      const replaced = (sequence) => (isOdd(sequence) ? "\ufffd" : decodeURIComponent(escape(sequence)));
      return binary.replace(SEQUENCES, replaced);
    }
  }
}

/** What `convert` makes of each part, none of which ends inside of a character. */
function cut(length, isInside, convert) {
  const parts = [];
  let begin = 0;
  do {
    let end = Math.min(begin + PART, length);
    // A character has at most 4 bytes; what goes on for longer is none.
    for (let back = 0; back < 4 && end < length && isInside(end); back++) end--;
    parts.push(convert(begin, end));
    begin = end;
  } while (begin < length);
  return parts;
}
