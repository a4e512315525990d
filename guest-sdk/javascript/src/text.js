/** Text as it can cross to the host: half of a surrogate pair cannot, and would trap. */
export function wellFormed(value) {
  return String(value).toWellFormed();
}

/** JSON text of a value; an error for what has none, such as a function, a BigInt or a circle. */
export function toJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${typeof value} has no form in JSON`);
  return text;
}
