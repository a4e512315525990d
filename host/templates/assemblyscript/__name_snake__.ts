// What the plugin answers.

import { Endpoint, Json, builtins, config, log, text } from "./endpointd";

// What the host calls.
export * from "./endpointd/exports";

// Callers use `greet(name="Ada")`.
new Endpoint("1.0").method("greet", [text("name")], (call) => {
  const name = call.text("name");
  if (name == "") return builtins.valueError("a name is needed");
  log.info(`greeting ${name}`);
  return Json.from(`${config.getOr("greeting", "Hello")}, ${name}`);
});
