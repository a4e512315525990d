/** `console`, into the host's log. The build puts it in where it is used. */

import { linesOf } from "../src/failure.js";
import * as log from "../src/log.js";

const line = (write) => (...values) => write(values.map(shown).join(" "));

export const console = {
  debug: line(log.debug),
  log: line(log.info),
  info: line(log.info),
  warn: line(log.warn),
  error: line(log.error),
};

function shown(value) {
  if (value instanceof Error) return linesOf(value).join("\n");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
