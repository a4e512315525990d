/**
 * `Math.random` and `crypto`, from the host. The build puts them in where they are used: what QuickJS has of its own
 * begins in the same way in each instance.
 */

import { getRandomBytes } from "wasi:random/random@0.2.0";

function random() {
  // 53 bits, as many as a number has.
  return getRandomBytes(7).reduce((sum, byte, index) => sum * 256 + (index ? byte : byte & 31), 0) / 2 ** 53;
}

export { random as "Math.random" };

export const crypto = {
  getRandomValues(array) {
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(getRandomBytes(array.byteLength));
    return array;
  },

  /** A random UUID (RFC 9562, version 4). */
  randomUUID() {
    const bytes = getRandomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};
