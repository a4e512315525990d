#!/usr/bin/env node
/** `endpointd-guest build ENTRY -o FILE.wasm`: makes a component of a plugin's module. */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const USAGE = `Usage: endpointd-guest build ENTRY -o FILE.wasm [--small]

Bundles the JavaScript or TypeScript module ENTRY, with all that it imports, and makes a component of it.

  -o, --output FILE    the file to write, such as greeter.wasm
      --small          a third smaller and quicker to load; computes more slowly`;

const options = { output: { type: "string", short: "o" }, small: { type: "boolean" }, help: { type: "boolean", short: "h" } };

try {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [command, entry, ...rest] = positionals;
  if (values.help) {
    console.log(USAGE);
  } else if (command !== "build" || !entry || rest.length > 0 || !values.output) {
    console.error(USAGE);
    process.exitCode = 2;
  } else {
    const { bundle, componentize } = await import("./bundle.js");
    writeFileSync(values.output, await componentize(await bundle(entry), values.small));
  }
} catch (error) {
  // What is wrong with the sources esbuild has told already.
  if (!error.errors) console.error(`endpointd-guest: ${error.message}`);
  process.exitCode = error.code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1;
}
