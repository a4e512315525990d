/** What the plugin answers. */

import { ValueError, config, endpoint, log, method } from "endpointd-guest";

export const greeter = endpoint({ version: "1.0" }, {
  /** Callers use `greet(name="Ada")`. */
  greet: method({ name: "string" }, ({ name }) => {
    if (!name) throw new ValueError("a name is needed");
    log.info(`greeting ${name}`);
    return `${config.get("greeting") ?? "Hello"}, ${name}`;
  }),
});
