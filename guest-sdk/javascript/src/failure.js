/** The exception that a caller sees. */

import { wellFormed } from "./text.js";

/** Exceptions of Python's that others have by the same name: every caller gets them as themselves. */
const PYTHON = new Set(
  (
    "ArithmeticError AssertionError AttributeError BufferError ConnectionError EOFError Exception FileExistsError " +
    "FileNotFoundError FloatingPointError ImportError IndexError InterruptedError IsADirectoryError KeyError " +
    "LookupError MemoryError ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError " +
    "OverflowError PermissionError RecursionError ReferenceError RuntimeError StopIteration SyntaxError SystemError " +
    "TimeoutError TypeError UnicodeError ValueError ZeroDivisionError"
  ).split(" "),
);

/** An error with all that a caller can know of it. */
export class Failure extends Error {
  constructor(message = "", { class: name, module, kwargs, expected, traceback, ...options } = {}) {
    super(message, options);
    this.name = name ?? new.target.name;
    this.module = module ?? new.target.module ?? moduleOf(this.name);
    this.kwargs = kwargs ?? {};
    this.expected = expected ?? new.target.expected ?? false;
    this.traceback = traceback;
  }
}

function moduleOf(name) {
  return PYTHON.has(name) ? "builtins" : "javascript";
}

/** Whatever was thrown, as the contract has it. */
export function describe(thrown) {
  const failure = thrown instanceof Failure ? thrown : { module: moduleOf(nameOf(thrown)) };
  const [name, message] = [wellFormed(nameOf(thrown)), wellFormed(messageOf(thrown))];
  return {
    class: name,
    module: wellFormed(failure.module),
    message,
    kwargs: kwargsOf(failure.kwargs),
    traceback: (failure.traceback ?? linesOf(thrown)).map(wellFormed),
    expected: Boolean(failure.expected),
  };
}

/** What it is, and the lines of its stack that are the author's. */
export function linesOf(thrown) {
  return [`${nameOf(thrown)}: ${String(messageOf(thrown))}`, ...frames(thrown?.stack)];
}

function nameOf(thrown) {
  if (!(thrown instanceof Error)) return "Error";
  // A class that extends Error and says no name inherits that of Error.
  return thrown.name === "Error" ? thrown.constructor.name : thrown.name;
}

function messageOf(thrown) {
  if (typeof thrown !== "object" || thrown === null) return thrown;
  return thrown.message ?? textOf(thrown) ?? thrown;
}

function kwargsOf(kwargs) {
  const text = textOf(kwargs);
  return text === undefined || text === "{}" ? null : text;
}

/** JSON text, if there is one: a failure must not fail. */
function textOf(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/**
 * By file and line of the sources: `endpointd-guest build` leaves a table which has, for each line of the bundle, where
 * it comes from, or nothing where that is a library.
 */
function frames(stack) {
  const found = [];
  for (const frame of String(stack ?? "").split("\n")) {
    const [, name, line] = /^\s+at (?:(.*) \()?.*?:(\d+):\d+\)?$/.exec(frame) ?? [];
    const source = globalThis.endpointdSources?.[line - 1];
    if (source) found.push(`    at ${name || "<anonymous>"} (${source})`);
  }
  return found;
}
