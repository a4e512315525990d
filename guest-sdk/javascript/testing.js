/** The host's side of a unit test: settings, buckets, the log, other services, and the call itself. */

export { host } from "./src/host/native.js";
