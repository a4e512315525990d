// What the host calls. The plugin's own file passes it on: `export * from "./endpointd/exports";`

import { AREA, begin, bytesOf, end, storeBytes, storeOptionalText, storeText, storeTexts } from "./abi";
import { answer, endpoints } from "./endpoint";
import { Failure, builtins } from "./failure";
import { Json, Reply } from "./json";
import { Document } from "./parse";
import { Writer } from "./write";

export { cabi_realloc } from "./abi";

export function targets(): usize {
  begin();
  const list = new ArrayBuffer(endpoints.length * 28);
  for (let i = 0; i < endpoints.length; i++) {
    const at = changetype<usize>(list) + i * 28;
    storeOptionalText(at, endpoints[i].namespace);
    storeText(at + 12, endpoints[i].version);
    storeTexts(at + 20, endpoints[i].methods);
  }
  storeBytes(AREA, changetype<usize>(list), endpoints.length);
  end();
  return AREA;
}

export function dispatch(
  hasNamespace: i32, namespace: usize, namespaceLength: i32,
  version: usize, versionLength: i32,
  method: usize, methodLength: i32,
  args: usize, argsLength: i32,
  context: usize, contextLength: i32,
): usize {
  begin();
  reply(answer(
    hasNamespace ? String.UTF8.decodeUnsafe(namespace, namespaceLength) : null,
    String.UTF8.decodeUnsafe(version, versionLength),
    String.UTF8.decodeUnsafe(method, methodLength),
    new Document(bytesOf(args, argsLength)),
    bytesOf(context, contextLength),
  ));
  end();
  return AREA;
}

/** Hands the result over. */
function reply(reply: Reply): void {
  if (reply instanceof Failure) return fail(reply as Failure);
  const writer = new Writer();
  writer.value(reply as Json);
  const problem = writer.problem;
  if (problem !== null) return fail(builtins.valueError(`the result is no JSON: ${problem}`));
  store<u8>(AREA, 0);
  storeBytes(AREA + 4, writer.start, writer.length);
}

function fail(failure: Failure): void {
  store<u8>(AREA, 1);
  storeText(AREA + 4, failure.className);
  storeText(AREA + 12, failure.module);
  storeText(AREA + 20, failure.message);
  const kwargs = failure.kwargs;
  const writer = new Writer();
  writer.value(kwargs);
  const isThere = kwargs.names.length > 0 && writer.problem === null;
  store<u32>(AREA, isThere ? 1 : 0, 28);
  storeBytes(AREA + 32, writer.start, writer.length);
  storeTexts(AREA + 40, failure.traceback);
  store<u8>(AREA, failure.isExpected ? 1 : 0, 48);
}

/** The host has read the result. */
export function cabi_post_targets(result: usize): void {
  __collect();
}

export function cabi_post_dispatch(result: usize): void {
  __collect();
}
