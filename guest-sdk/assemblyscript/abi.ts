// The canonical ABI: how values cross to the host and back.
//
// All memory that crosses is made of objects of the garbage collector. The runtime `minimal` collects only when it is told
// to, which happens when a call is over: until then every address is good, and nothing is to be freed.

/** Where functions of the host put their results; each is read before the next one is called. */
export const AREA: usize = memory.data(64, 8);

/** Whether functions of the host may be called: not while it makes room in this memory, nor when a call is over. */
let isAnswering = true;

/** What runs with an instance begins and ends with these. */
export function begin(): void {
  isAnswering = true;
}

export function end(): void {
  isAnswering = false;
}

export function mayCallHost(): bool {
  return isAnswering;
}

/** The host asks for memory with this. */
export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  const wasAnswering = isAnswering;
  isAnswering = false;
  const made = __new(size, idof<ArrayBuffer>());
  if (oldSize > 0) memory.copy(made, old, min(oldSize, size));
  isAnswering = wasAnswering;
  return made;
}

/** A text of the host. */
export function textAt(at: usize): string {
  return String.UTF8.decodeUnsafe(load<u32>(at), load<u32>(at, 4));
}

/** An optional text of the host: a byte that says whether it is there, and the text. */
export function optionalTextAt(at: usize): string | null {
  return load<u8>(at) == 0 ? null : textAt(at + 4);
}

/** A list of texts. */
export function textsAt(at: usize): string[] {
  const start: usize = load<u32>(at);
  const texts = new Array<string>(load<i32>(at, 4));
  for (let i = 0; i < texts.length; i++) texts[i] = textAt(start + i * 8);
  return texts;
}

/** Bytes of the host. They are not copied: what `cabi_realloc` made is a buffer already. */
export function bytesOf(start: usize, length: i32): Uint8Array {
  return length == 0 ? new Uint8Array(0) : Uint8Array.wrap(changetype<ArrayBuffer>(start));
}

export function bytesAt(at: usize): Uint8Array {
  return bytesOf(load<u32>(at), load<i32>(at, 4));
}

/** UTF-8 for the host, which takes no lone surrogates. */
export function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

/** For the host, at `at`: where bytes are, and how many. */
export function storeBytes(at: usize, start: usize, length: i32): void {
  store<u32>(at, <u32>start);
  store<i32>(at, length, 4);
}

export function storeText(at: usize, text: string): void {
  const bytes = utf8(text);
  storeBytes(at, changetype<usize>(bytes), bytes.byteLength);
}

export function storeOptionalText(at: usize, text: string | null): void {
  store<u32>(at, text !== null ? 1 : 0);
  if (text !== null) storeText(at + 4, text);
}

export function storeTexts(at: usize, texts: string[]): void {
  const list = new ArrayBuffer(texts.length * 8);
  for (let i = 0; i < texts.length; i++) storeText(changetype<usize>(list) + i * 8, texts[i]);
  storeBytes(at, changetype<usize>(list), texts.length);
}
