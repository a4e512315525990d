import assert from "node:assert/strict";
import { test } from "node:test";

import { greeter } from "./{{name_snake}}.ts";

test("whoever has a name is greeted", () => {
  assert.equal(greeter.greet({ name: "Ada" }), "Hello, Ada");
  assert.throws(() => greeter.greet({ name: "" }), { name: "ValueError", message: "a name is needed" });
});
