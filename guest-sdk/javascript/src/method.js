/** Methods, the parameters they declare, and the arguments that fit those. */

const KINDS = {
  string: (value) => typeof value === "string" && value.isWellFormed(),
  integer: (value) => Number.isSafeInteger(value),
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  array: (value) => Array.isArray(value),
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  any: () => true,
};

/** The parameter under this name takes all arguments that no other one does. */
const REST = "...";

/** A method: its parameters by name, and the function that gets the arguments and the request context. */
export function method(parameters, run) {
  const all = Object.entries(parameters).map(([name, parameter]) => [name, asParameter(parameter)]);
  return new Method(new Map(all), run);
}

/** A parameter that may be missing; then its argument is undefined. */
export function optional(...kinds) {
  return new Parameter(kinds, false);
}

class Method {
  constructor(parameters, run) {
    this.parameters = parameters;
    this.run = run;
    this.hasIntegers = [...parameters.values()].some(({ kinds }) => kinds.includes("integer"));
  }
}

class Parameter {
  constructor(kinds, isRequired) {
    this.kinds = kinds;
    this.isRequired = isRequired;
  }

  /** The argument as the method gets it; an error that says what is wrong with it. */
  read(value) {
    const [first] = this.kinds;
    if (typeof first === "function") return first(value);
    if (this.kinds.some((kind) => KINDS[kind](value))) return value;
    throw new TypeError(`expected ${this.kinds.join(" or ")}, got ${describe(value)}`);
  }
}

function asParameter(parameter) {
  if (parameter instanceof Parameter) return parameter;
  return new Parameter(Array.isArray(parameter) ? parameter : [parameter], true);
}

/** Refuses a declaration that would only show when somebody calls. */
export function checkMethod(name, found) {
  if (!(found instanceof Method) || typeof found.run !== "function") {
    throw new TypeError(`${name} is not a method: write ${name}: method({ ... }, (args, context) => ...)`);
  }
  for (const [parameter, { kinds }] of found.parameters) {
    const isKnown = (kind) => Object.hasOwn(KINDS, kind) || (typeof kind === "function" && kinds.length === 1);
    const wrong = kinds.find((kind) => !isKnown(kind));
    if (kinds.length === 0 || wrong !== undefined) {
      const known = Object.keys(KINDS).join(", ");
      throw new TypeError(`${name}(): '${parameter}' cannot be ${String(wrong)}: use ${known} or a function`);
    }
  }
}

/** Calls a method with arguments that were not checked yet. */
export function invoke(name, { parameters, run }, args, context) {
  const taken = [];
  for (const [parameter, declared] of parameters) {
    if (parameter === REST) continue;
    if (Object.hasOwn(args, parameter) && args[parameter] !== undefined) {
      taken.push([parameter, read(name, parameter, declared, args[parameter])]);
    } else if (declared.isRequired) {
      throw new TypeError(`${name}() missing a required argument: '${parameter}'`);
    }
  }
  for (const argument of Object.keys(args)) {
    if (parameters.has(argument) && argument !== REST) continue;
    if (!parameters.has(REST)) {
      throw new TypeError(`${name}() got an unexpected keyword argument '${argument}'`);
    }
    taken.push([argument, read(name, argument, parameters.get(REST), args[argument])]);
  }
  const result = run(Object.fromEntries(taken), context);
  if (typeof result?.then === "function") {
    throw new TypeError(`${name}() returned a promise: a method is not async, and a plugin does one thing at a time`);
  }
  return result;
}

function read(name, argument, parameter, value) {
  try {
    return parameter.read(value);
  } catch (error) {
    throw new TypeError(`${name}() argument '${argument}': ${error?.message ?? error}`);
  }
}

/**
 * The arguments of a method from their JSON text. Where it takes integers, one that was written as 3.0 or 1e2 is
 * none; afterwards that could no longer be told. (Node 20 does not tell; QuickJS and later ones do.)
 */
export function parseArguments(name, { parameters, hasIntegers }, text) {
  if (!hasIntegers) return JSON.parse(text);
  const fractions = [];
  const args = JSON.parse(text, function (key, value, context) {
    const isWhole = !context || !Number.isSafeInteger(value) || /^-?\d+$/.test(context.source);
    if (!isWhole) fractions.push([this, key, context.source]);
    return value;
  });
  for (const [holder, key, source] of fractions) {
    const parameter = holder === args && (parameters.get(key) ?? parameters.get(REST));
    if (parameter && parameter.kinds.includes("integer") && !parameter.kinds.includes("number")) {
      throw new TypeError(`${name}() argument '${key}': expected ${parameter.kinds.join(" or ")}, got ${source}`);
    }
  }
  return args;
}

function describe(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "string" && !value.isWellFormed()) return "a string with half a character";
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return "an integer beyond 2^53";
  return typeof value;
}
