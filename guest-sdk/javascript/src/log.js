/** Lines in the host's log. */

import * as host from "#host";
import { wellFormed } from "./text.js";

const at = (level) => (message) => host.log(level, wellFormed(message));

export const trace = at("trace");
export const debug = at("debug");
export const info = at("info");
export const warn = at("warn");
export const error = at("error");
export const critical = at("critical");
