// The exception that a caller sees, and what may fail.

import { Json, Reply } from "./json";

/** Where a failure came from. */
export enum Cause {
  /** The plugin itself. */
  Plugin,
  /** The operator did not grant it; the text has the line that would. */
  NotGranted,
  /** The arguments or the target of a call are not well formed. */
  Invalid,
  /** There was no result in time; the other side may still have done it. */
  Timeout,
  /** No server listens there. */
  Unroutable,
  /** It could not be sent now; the text says why. */
  Unavailable,
  /** The other side answered with this exception. */
  Remote,
  /** The result of a call cannot be read. */
  UnexpectedResult,
  /** There is no bucket of this name. */
  NoSuchBucket,
  /** The bucket's backend failed. */
  Backend,
  /** A value of a bucket is no JSON. */
  BadValue,
}

/**
 * An exception on its way to the caller: Python's own (`builtins` makes them), or one that the caller rebuilds if it knows
 * the module. A method returns it like a result.
 */
export class Failure extends Reply {
  cause: Cause = Cause.Plugin;
  /** The keyword arguments that the caller rebuilds the exception with: an object. */
  kwargs: Json = Json.object();
  /** Lines for whoever looks for the cause. */
  traceback: string[] = [];
  isExpected: bool = false;

  /** By the Python module that defines the exception, its class, and the text that the caller reads. */
  constructor(readonly module: string, readonly className: string, readonly message: string) {
    super();
  }

  /** Adds a keyword argument. */
  with<T>(name: string, value: T): this {
    this.kwargs.set(name, value);
    return this;
  }

  /** Makes it a part of the interface, which is not worth a line in the host's log. */
  expected(): this {
    this.isExpected = true;
    return this;
  }

  toString(): string {
    return `${this.module}.${this.className}: ${this.message}`;
  }
}

/** A value, or the failure that there is instead: `if (outcome.failed) return outcome.failure;`. */
export class Outcome<T> {
  private constructor(private content: T, private problem: Failure | null) {}

  static of<T>(value: T): Outcome<T> {
    return new Outcome(value, null);
  }

  static failed<T>(failure: Failure): Outcome<T> {
    return new Outcome<T>(isReference<T>() ? changetype<T>(0) : <T>0, failure);
  }

  get failed(): bool {
    return this.problem != null;
  }

  /** The failure. Ask for it only where it failed: otherwise it traps. */
  get failure(): Failure {
    const problem = this.problem;
    if (!problem) throw new Error("There is no failure: ask whether it failed first");
    return problem;
  }

  /** The value. Ask for it only where it did not fail: otherwise it traps. */
  get value(): T {
    const problem = this.problem;
    if (problem) throw new Error(`There is no value, but ${problem.toString()}`);
    return this.content;
  }
}

/** Python's own exceptions, which every caller gets as themselves. */
export namespace builtins {
  function make(className: string, message: string): Failure {
    return new Failure("builtins", className, message);
  }

  export function assertionError(message: string): Failure {
    return make("AssertionError", message);
  }

  export function attributeError(message: string): Failure {
    return make("AttributeError", message);
  }

  export function indexError(message: string): Failure {
    return make("IndexError", message);
  }

  /** Its text is the missing key in quotes. */
  export function keyError(key: string): Failure {
    return make("KeyError", `'${key}'`);
  }

  export function lookupError(message: string): Failure {
    return make("LookupError", message);
  }

  export function notImplementedError(message: string): Failure {
    return make("NotImplementedError", message);
  }

  export function osError(message: string): Failure {
    return make("OSError", message);
  }

  export function overflowError(message: string): Failure {
    return make("OverflowError", message);
  }

  export function permissionError(message: string): Failure {
    return make("PermissionError", message);
  }

  export function runtimeError(message: string): Failure {
    return make("RuntimeError", message);
  }

  export function timeoutError(message: string): Failure {
    return make("TimeoutError", message);
  }

  export function typeError(message: string): Failure {
    return make("TypeError", message);
  }

  export function valueError(message: string): Failure {
    return make("ValueError", message);
  }
}
