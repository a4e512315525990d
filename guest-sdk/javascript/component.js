/** What the host calls: exported by every component that `endpointd-guest build` makes. */

import { ValueError } from "./src/builtins.js";
import { find, targets as served } from "./src/endpoint.js";
import { describe } from "./src/failure.js";
import { invoke, parseArguments } from "./src/method.js";
import { toJson } from "./src/text.js";

// While the component is made, so that a plugin which serves nothing is told so there.
const known = served();

export function targets() {
  return known;
}

export function dispatch(request) {
  try {
    const found = find(request);
    const args = parseArguments(request.method, found, request.args);
    return toResult(invoke(request.method, found, args, JSON.parse(request.context)));
  } catch (error) {
    throw describe(error);
  }
}

function toResult(value) {
  try {
    return toJson(value ?? null);
  } catch (error) {
    throw new ValueError(`the result is no JSON: ${error.message}`);
  }
}
