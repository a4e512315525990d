/** The plugin's settings and secrets, which its operator gives in plugin.toml. */

import * as host from "#host";
import { RuntimeError } from "./builtins.js";
import { wellFormed } from "./text.js";

/** The setting or secret of this name, which is always text. */
export function get(name) {
  return read(() => host.configGet(wellFormed(name)) ?? undefined);
}

/** Every setting; secrets are read by name alone. */
export function all() {
  return read(() => Object.fromEntries(host.configAll()));
}

function read(ask) {
  try {
    return ask();
  } catch (error) {
    throw new RuntimeError(`the settings cannot be read: ${error.payload?.val ?? error.message}`);
  }
}
