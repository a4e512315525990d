/**
 * Lets node run TypeScript, for unit tests: `node --import endpointd-guest/typescript --test plugin.test.ts`. Types are
 * left out and not checked, as in the build.
 */

import { register } from "node:module";

register("./src/typescript-hooks.js", import.meta.url);
