/** Write endpointd plugins in JavaScript or TypeScript: methods that answer RPC calls. */

/** What JSON can be. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [name: string]: Json };

/** The caller's request context: who asks, and on whose behalf. */
export type Context = { readonly [name: string]: Json | undefined };

/** What a parameter can be declared as, and the type that its argument then has. */
interface Kinds {
  string: string;
  /** Without a fraction or an exponent, from -(2^53 - 1) to 2^53 - 1. */
  integer: number;
  number: number;
  boolean: boolean;
  null: null;
  array: Json[];
  object: JsonObject;
  any: Json;
}

type Kind = keyof Kinds;
type Reader = (value: any) => unknown;
type Declared = Kind | Reader;
type Read<D> = D extends Kind ? Kinds[D] : D extends (value: any) => infer T ? T : never;

/** A parameter that may be missing. */
export interface Optional<D extends Declared> {
  readonly kinds: readonly D[];
  readonly isRequired: boolean;
}

/**
 * By name: a kind; several kinds, of which one must fit; a function, which gets the argument and returns what the
 * method gets, or throws what is wrong with it; or one of these in `optional(...)`. The name "..." stands for all
 * arguments that are not named; without it those are refused.
 */
type Parameters = { [name: string]: Declared | readonly Kind[] | Optional<any> };

type Argument<P> = P extends Optional<infer D> ? Read<D> : P extends readonly (infer K)[] ? Read<K> : Read<P>;
type OptionalNames<P> = { [N in keyof P]: P[N] extends Optional<any> ? N : never }[keyof P];
type Named<P> = { [N in Exclude<keyof P, OptionalNames<P> | "...">]: Argument<P[N]> } & {
  [N in Exclude<OptionalNames<P>, "...">]?: Argument<P[N]>;
};
type Rest<P> = P extends { "...": infer D } ? { [name: string]: Argument<D> } : unknown;

/** The arguments of a method with these parameters. */
export type Arguments<P> = { [N in keyof Named<P>]: Named<P>[N] } & Rest<P>;

/** Methods return what has a form in JSON, at once: undefined counts as null, a promise is refused. */
type Result<R> = R extends PromiseLike<unknown> ? never : R;

export interface Method<P, R> {
  readonly run: (args: Arguments<P>, context: Context) => R;
}

/** A method: its parameters by name, and the function that gets the arguments and the request context. */
export function method<const P extends Parameters, R>(
  parameters: P,
  run: (args: Arguments<P>, context: Context) => Result<R>,
): Method<P, R>;

/** A parameter that may be missing; then its argument is undefined. */
export function optional<D extends Declared>(...kinds: D[]): Optional<D>;

/**
 * Serves methods under a namespace (the null namespace if it is left out) and a version, "major.minor". Gives them
 * back as functions of arguments and context, which a unit test calls; arguments are checked there as well.
 *
 * A plugin may have several. Of those with the namespace and a version that fits the highest one answers which has
 * the method.
 */
export function endpoint<M extends { [name: string]: Method<any, any> }>(
  served: { version: string; namespace?: string },
  methods: M,
): {
  [N in keyof M]: M[N] extends Method<infer P, infer R> ? (args?: Arguments<P>, context?: Context) => R : never;
};

export interface FailureOptions {
  /** The name of the exception's class; that of the JavaScript class if it is left out. */
  class?: string;
  /** The Python module that defines it: "builtins" for Python's own, otherwise "javascript" if it is left out. */
  module?: string;
  /** The keyword arguments that a caller rebuilds the exception with. */
  kwargs?: JsonObject;
  /** Part of the interface, and so not worth a line in the host's log. */
  expected?: boolean;
  /** Lines for whoever looks for the cause; those of the stack if they are left out. */
  traceback?: string[];
  cause?: unknown;
}

/**
 * An error with all that a caller can know of it. Derived classes may have `static module` and `static expected`.
 *
 * Any other error is one for the caller as well: its class is its name, its module "builtins" where Python has one of
 * that name (TypeError, SyntaxError, ReferenceError), and "javascript" otherwise.
 */
export class Failure extends Error {
  constructor(message?: string, options?: FailureOptions);
  module: string;
  kwargs: JsonObject;
  expected: boolean;
  traceback?: string[];
}

export class AssertionError extends Failure {}
export class AttributeError extends Failure {}
export class IndexError extends Failure {}
export class LookupError extends Failure {}
export class NotImplementedError extends Failure {}
export class OSError extends Failure {}
export class OverflowError extends Failure {}
export class PermissionError extends Failure {}
export class RuntimeError extends Failure {}
export class TimeoutError extends Failure {}
export class ValueError extends Failure {}
export class KeyError extends Failure {
  /** Its text is the missing key in quotes. */
  constructor(key: string, options?: FailureOptions);
}

/** A bucket could not be used, or a value in it is not JSON: `endpointd.BucketError`. */
export class BucketError extends Failure {}

/**
 * The bucket that the operator granted under this name: `keyvalue = ["NAME"]`. What is written is safe when the call
 * returns. Each method throws a `BucketError` where it cannot be used.
 */
export class Bucket {
  /** It is opened when it is first used, so a constant of the module will do. */
  constructor(name: string);
  /** The value of a key. */
  get(key: string): Uint8Array | undefined;
  /** Sets the value of a key. */
  set(key: string, value: Uint8Array): void;
  /** The value of a key, read as JSON. */
  getJson<T = Json>(key: string): T | undefined;
  /** Sets the value of a key, written as JSON. */
  setJson(key: string, value: unknown): void;
  /** Removes a key. Removing what is not there succeeds. */
  delete(key: string): void;
  /** Whether the key has a value. */
  exists(key: string): boolean;
  /** Every key, in order. */
  keys(): string[];
  /** Adds to a decimal number, which starts at 0, and gives the sum. Atomic. `delta` is 1 if it is left out. */
  increment(key: string, delta?: number): number;
  /**
   * Replaces a JSON value by `change(value)`, and gives the value before; undefined is no value.
   *
   * Atomic: if somebody else wrote meanwhile, `change` is called again with the newer value, so it must do nothing
   * else.
   */
  updateJson<T = Json>(key: string, change: (value: T | undefined) => T): T | undefined;
}

export interface SendOptions {
  /** The longest that it may take; never longer than what is left of the call being answered. */
  timeoutMs?: number;
  /** Another request context than that of the call being answered. */
  context?: { [name: string]: unknown };
}

/**
 * Whom to send to, as the operator granted it: `client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"]`. What is not
 * said takes the host's defaults. Each method throws a `ClientError`.
 */
export class Target {
  constructor(topic: string, options?: { version?: string; namespace?: string; server?: string; exchange?: string });
  readonly topic: string;
  readonly version?: string;
  readonly namespace?: string;
  readonly server?: string;
  readonly exchange?: string;
  /** Has one server run a method, and gives its result. */
  call<T = Json>(method: string, args?: { [name: string]: unknown }, options?: SendOptions): T;
  /** Has one server run a method, without waiting for it. */
  cast(method: string, args?: { [name: string]: unknown }, options?: SendOptions): void;
  /** Has every server of the topic run a method, without waiting for them. */
  fanout(method: string, args?: { [name: string]: unknown }, options?: SendOptions): void;
}

/** A message was not sent, or a call has no result. Uncaught, it is what Python would raise. */
export class ClientError extends Failure {
  readonly kind: /** The operator did not grant it; the text has the line that would. */
    | "not-granted"
    /** The arguments or the target are not well formed. */
    | "invalid"
    /** There was no result in time; the other side may still have done it. */
    | "timeout"
    /** No server listens there. */
    | "unroutable"
    /** It could not be sent now; the text says why. */
    | "unavailable"
    /** The other side answered with an exception, whose name, module, kwargs and traceback this one has. */
    | "remote";
}

/** The plugin's settings and secrets, which its operator gives in plugin.toml. */
export namespace config {
  /** The setting or secret of this name, which is always text. A `RuntimeError` if it cannot be read now. */
  function get(name: string): string | undefined;
  /** Every setting; secrets are read by name alone. */
  function all(): { [name: string]: string };
}

/** Lines in the host's log. `console` writes there as well. */
export namespace log {
  function trace(message: unknown): void;
  function debug(message: unknown): void;
  function info(message: unknown): void;
  function warn(message: unknown): void;
  function error(message: unknown): void;
  function critical(message: unknown): void;
}

/** About the request being answered. */
export namespace callInfo {
  /** The message's unique id, which the logs of both sides share; empty if the caller sent none. */
  function id(): string;
  /** "call" where somebody waits for the result, or "cast". */
  function delivery(): "call" | "cast";
  /** Milliseconds that are left of the caller's time, where that is known. */
  function remainingMs(): number | undefined;
  /** When the host started: what was sent before has waited while nobody served it. */
  function hostStarted(): Date;
}
