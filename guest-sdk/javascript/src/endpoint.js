/** The endpoints of a plugin, and which of them answers a request. */

import { Failure } from "./failure.js";
import { checkMethod, invoke } from "./method.js";

const served = [];

/**
 * Serves methods under a namespace and a version. Gives them back as functions of arguments and context,
 * which a unit test calls.
 */
export function endpoint({ version, namespace }, methods) {
  if (!/^\d+\.\d+(\.\d+)?$/.test(version)) {
    throw new TypeError(`"${version}" is not a version: write major.minor, such as "1.4"`);
  }
  const names = Object.keys(methods);
  for (const name of names) {
    checkMethod(name, methods[name]);
    // For tracebacks.
    if (!methods[name].run.name) Object.defineProperty(methods[name].run, "name", { value: name });
  }
  served.push({ namespace: namespace ?? null, version, methods });
  return Object.fromEntries(
    names.map((name) => [name, (args = {}, context = {}) => invoke(name, methods[name], args, context)]),
  );
}

/** What callers may use, as the contract has it. */
export function targets() {
  if (served.length === 0) {
    throw new Error("the plugin serves nothing: call endpoint(...) in the module that is built");
  }
  return served.map(({ namespace, version, methods }) => ({
    namespace,
    version,
    methods: Object.keys(methods),
  }));
}

/** The method that answers a request: that of the highest version which fits and has it. */
export function find(request) {
  const [major, minor] = numbers(request.version);
  let found;
  for (const one of served) {
    const [ownMajor, ownMinor] = numbers(one.version);
    const fits = one.namespace === request.namespace && ownMajor === major && ownMinor >= minor;
    const isHigher = !found || ownMinor > numbers(found.version)[1];
    if (fits && isHigher && Object.hasOwn(one.methods, request.method)) found = one;
  }
  if (found) return found.methods[request.method];
  throw new Failure(`Endpoint does not support RPC method ${request.method}`, {
    class: "NoSuchMethod",
    module: "oslo_messaging.rpc.dispatcher",
  });
}

/** Major and minor; what is no number counts as 0. */
function numbers(version) {
  const [major, minor] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return [major, minor ?? 0];
}
