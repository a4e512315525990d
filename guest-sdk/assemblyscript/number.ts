// Decimal text to f64, correctly rounded: AssemblyScript's own parseFloat is off by a bit in one of a hundred numbers.

/** More digits than these only matter by being there at all. */
const MAX_DIGITS = 800;
const digits: usize = memory.data(MAX_DIGITS);

const MAX_WORDS = 224;
/** A long integer, the least significant word first, in place of memory that would have to be collected. */
const words: usize = memory.data(MAX_WORDS * 4, 4);
let length = 0;

const POWERS: StaticArray<f64> = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
  1e21, 1e22,
];

/** The number that the JSON text from `at` to `end` is; infinite where it is too large. */
export function readFloat(at: usize, end: usize): f64 {
  const isNegative = load<u8>(at) == 0x2d; // -
  if (isNegative) at++;
  let count = 0;
  let exponent = 0;
  let isFraction = false;
  let hasMore = false;
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == 0x2e) { // .
      isFraction = true;
      continue;
    }
    const digit: u8 = byte - 0x30;
    if (digit > 9) break; // e or E
    if (isFraction) exponent--;
    if (count == 0 && digit == 0) continue;
    if (count < MAX_DIGITS) {
      store<u8>(digits + count++, digit);
    } else {
      hasMore = hasMore || digit != 0;
      exponent++;
    }
  }
  if (at < end) exponent += readExponent(at + 1, end);
  const magnitude = scale(count, exponent, hasMore);
  return isNegative ? -magnitude : magnitude;
}

function readExponent(at: usize, end: usize): i32 {
  const sign = load<u8>(at);
  if (sign == 0x2b || sign == 0x2d) at++; // + -
  let exponent = 0;
  // Stops growing where any number is infinite or 0.
  for (; at < end; at++) if (exponent < 100_000_000) exponent = exponent * 10 + (load<u8>(at) - 0x30);
  return sign == 0x2d ? -exponent : exponent;
}

/** The first `count` digits times ten to the power of `exponent`, and a little more if `hasMore`. */
function scale(count: i32, exponent: i32, hasMore: bool): f64 {
  if (count == 0 || count + exponent < -330) return 0;
  if (count + exponent > 310) return Infinity;
  if (count <= 15 && abs(exponent) <= 22) {
    // Both are exact, so the one operation rounds correctly.
    let whole: f64 = 0;
    for (let i = 0; i < count; i++) whole = whole * 10 + <f64>load<u8>(digits + i);
    return exponent < 0 ? whole / POWERS[-exponent] : whole * POWERS[exponent];
  }
  length = 0;
  for (let i = 0; i < count; i++) multiply(10, load<u8>(digits + i));
  for (let left = exponent; left > 0; left -= 9) multiply(powerOfTen(left), 0);
  let shift = 0;
  if (exponent < 0) {
    // So far up that at least 64 bits are left after the division: 2 to the power of 10/3 is more than 10.
    shift = (-exponent * 10 / 3 + 64) / 32 + 1;
    memory.copy(words + shift * 4, words, length * 4);
    memory.fill(words, 0, shift * 4);
    length += shift;
    for (let left = -exponent; left > 0; left -= 9) if (divide(powerOfTen(left)) != 0) hasMore = true;
  }
  return round(shift * 32, hasMore);
}

function powerOfTen(exponent: i32): u32 {
  return <u32>POWERS[min(exponent, 9)];
}

function multiply(factor: u32, addend: u32): void {
  let carry: u64 = addend;
  for (let i = 0; i < length; i++) {
    carry += <u64>word(i) * factor;
    store<u32>(words + i * 4, <u32>carry);
    carry >>= 32;
  }
  if (carry != 0) store<u32>(words + length++ * 4, <u32>carry);
}

/** Gives the remainder. */
function divide(divisor: u32): u32 {
  let remainder: u64 = 0;
  for (let i = length - 1; i >= 0; i--) {
    remainder = (remainder << 32) | word(i);
    store<u32>(words + i * 4, <u32>(remainder / divisor));
    remainder %= divisor;
  }
  return <u32>remainder;
}

function word(index: i32): u32 {
  return load<u32>(words + index * 4);
}

function bit(index: i32): u64 {
  return index < 0 || index >= length * 32 ? 0 : (word(index >> 5) >> (index & 31)) & 1;
}

/** The long integer, divided by two to the power of `shift`: to the nearest f64, the even one if two are as near. */
function round(shift: i32, hasMore: bool): f64 {
  let top = length * 32 - 1;
  while (bit(top) == 0) top--;
  const exponent = top - shift;
  // Below this, numbers have fewer bits.
  const scaled = max(exponent, -1022);
  const lowest = top - 52 + (scaled - exponent);
  let mantissa: u64 = 0;
  for (let i = top; i >= lowest; i--) mantissa = (mantissa << 1) | bit(i);
  for (let i = 0; i < lowest - 1 && !hasMore; i++) hasMore = bit(i) != 0;
  if (bit(lowest - 1) != 0 && (hasMore || (mantissa & 1) != 0)) mantissa++;
  if (exponent > 1023) return Infinity;
  // Added and not joined: a mantissa that was rounded up to one bit more raises the exponent.
  return reinterpret<f64>((<u64>(scaled + 1022) << 52) + mantissa);
}
