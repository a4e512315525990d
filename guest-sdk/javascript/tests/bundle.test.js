import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { bundle, componentize } from "../bundle.js";

const begin = 'import { Bucket, Target, config, endpoint, log, method } from "endpointd-guest";\n';
const serve = (run) => `${begin}endpoint({ version: "1.0" }, { get: method({}, () => ${run}) });\n`;

async function bundled(source, act = (made) => [...made.interfaces].sort()) {
  const folder = mkdtempSync(fileURLToPath(new URL("made-", import.meta.url)));
  try {
    writeFileSync(join(folder, "plugin.ts"), source);
    return await act(await bundle(join(folder, "plugin.ts")));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a plugin imports what it uses", async () => {
  const [logging, random] = ["wasi:logging/logging@0.1.0-draft", "wasi:random/random@0.2.0"];
  const keyvalue = ["wasi:keyvalue/atomics@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2"];
  assert.deepEqual(await bundled(serve("1 as number")), []);
  assert.deepEqual(await bundled(serve('new Bucket("b").keys()')), keyvalue);
  assert.deepEqual(await bundled(serve('new Target("t").call("m")')), ["endpointd:rpc/client@0.1.0"]);
  assert.deepEqual(await bundled(serve('config.get("a")')), ["wasi:config/store@0.2.0-rc.1"]);
  assert.deepEqual(await bundled(serve('log.info("a")')), [logging]);
  assert.deepEqual(await bundled(serve('console.log("a")')), [logging]);
  assert.deepEqual(await bundled(serve("Math.random()")), [random]);
  assert.deepEqual(await bundled(serve("crypto.randomUUID()")), [random]);
  assert.deepEqual(await bundled(serve('new TextEncoder().encode("a").length')), []);
});

test("a plugin that serves nothing is told so, and what does not parse as well", async () => {
  const made = bundled(begin, componentize);
  await assert.rejects(made, /the plugin serves nothing: call endpoint\(\.\.\.\) in the module that is built/);
});
