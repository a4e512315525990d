// Endpoints, their methods, and the calls of these.

import { AREA, textAt } from "./abi";
import { Failure, builtins } from "./failure";
import { Json, Kind, Reply } from "./json";
import { Document } from "./parse";

// @ts-ignore: decorator
@external("endpointd:rpc/call-info@0.1.0", "id")
declare function host_id(area: usize): void;

// @ts-ignore: decorator
@external("endpointd:rpc/call-info@0.1.0", "delivery")
declare function host_delivery(): i32;

// @ts-ignore: decorator
@external("endpointd:rpc/call-info@0.1.0", "remaining-ms")
declare function host_remaining_ms(area: usize): void;

// @ts-ignore: decorator
@external("endpointd:rpc/call-info@0.1.0", "host-started-ms")
declare function host_started_ms(): i64;

/** A keyword argument that a method takes. */
export class Parameter {
  isOptional: bool = false;

  /** Of any kind where `kind` is null. */
  constructor(readonly name: string, private kind: Kind) {}

  /** What is wrong with an argument, if anything is. */
  problem(argument: Json): string | null {
    const kind = argument.kind;
    if (this.kind == kind || this.kind == Kind.Null || (this.isOptional && argument.isNull)) return null;
    if (this.kind == Kind.Float && kind == Kind.Integer) return null;
    return `${this.needed} is needed, not ${argument.description}`;
  }

  private get needed(): string {
    switch (this.kind) {
      case Kind.Bool: return "true or false";
      case Kind.Integer: return "an integer";
      case Kind.Float: return "a number";
      case Kind.Text: return "text";
      case Kind.List: return "a list";
      default: return "an object";
    }
  }
}

/** A parameter that takes text. */
export function text(name: string): Parameter {
  return new Parameter(name, Kind.Text);
}

/** A parameter that takes an integer within i64; 3.0 is none. */
export function integer(name: string): Parameter {
  return new Parameter(name, Kind.Integer);
}

/** A parameter that takes any number. */
export function float(name: string): Parameter {
  return new Parameter(name, Kind.Float);
}

/** A parameter that takes true or false. */
export function boolean(name: string): Parameter {
  return new Parameter(name, Kind.Bool);
}

/** A parameter that takes a list. */
export function list(name: string): Parameter {
  return new Parameter(name, Kind.List);
}

/** A parameter that takes an object. */
export function object(name: string): Parameter {
  return new Parameter(name, Kind.Object);
}

/** A parameter that takes any value. */
export function any(name: string): Parameter {
  return new Parameter(name, Kind.Null);
}

/** A parameter that may be missing or null. */
export function optional(parameter: Parameter): Parameter {
  parameter.isOptional = true;
  return parameter;
}

/** Whether anybody waits for the result. */
export enum Delivery {
  /** The caller waits for a reply. */
  Call,
  /** Nobody waits: the result is dropped. */
  Cast,
}

/** A call of a method: its arguments, who asks, and what the host knows of it. */
export class Call {
  private parsedContext: Json | null = null;

  constructor(readonly method: string, readonly args: Json, private contextBytes: Uint8Array) {}

  /** An argument; null if it is missing. */
  get(name: string): Json {
    return this.args.get(name);
  }

  /** An argument that `text` declares. Traps where it is missing, as one that is `optional` may be: `get` is for those. */
  text(name: string): string {
    const value = this.args.get(name).text;
    if (value === null) throw new Error(undeclared(name, "text"));
    return value;
  }

  /** An argument that `integer` declares. Traps where it is missing. */
  integer(name: string): i64 {
    const value = this.args.get(name);
    if (value.kind != Kind.Integer) throw new Error(undeclared(name, "integer"));
    return value.integerOr(0);
  }

  /** An argument that `float` declares. Traps where it is missing. */
  float(name: string): f64 {
    const value = this.args.get(name);
    if (value.kind != Kind.Float && value.kind != Kind.Integer) throw new Error(undeclared(name, "float"));
    return value.floatOr(0);
  }

  /** An argument that `boolean` declares. Traps where it is missing. */
  boolean(name: string): bool {
    const value = this.args.get(name);
    if (value.kind != Kind.Bool) throw new Error(undeclared(name, "boolean"));
    return value.boolOr(false);
  }

  /** The caller's request context, an object. */
  get context(): Json {
    let context = this.parsedContext;
    if (!context) {
      context = new Document(this.contextBytes).json;
      this.parsedContext = context;
    }
    return context;
  }

  /** Whether the caller is an administrator, as OpenStack's contexts say it. */
  get isAdmin(): bool {
    return this.context.get("is_admin").boolOr(false);
  }

  /** The message's unique id, which the logs of both sides share; empty if the caller sent none. */
  get id(): string {
    host_id(AREA);
    return textAt(AREA);
  }

  get delivery(): Delivery {
    return host_delivery();
  }

  /** What is left of the caller's time in milliseconds; -1 where that is not known. */
  get remainingMs(): i64 {
    host_remaining_ms(AREA);
    return load<u8>(AREA) == 0 ? -1 : load<i64>(AREA, 8);
  }

  /** When the host started, in milliseconds since 1970: what was sent before has waited while nobody served it. */
  get hostStartedMs(): i64 {
    return host_started_ms();
  }
}

function undeclared(name: string, kind: string): string {
  return `There is no argument '${name}': declare it with ${kind}(), or use call.get() if it may be missing`;
}

/** A method of an endpoint: it gives a `Json` or a `Failure`. */
export type Method = (call: Call) => Reply;

class Entry {
  constructor(readonly name: string, readonly parameters: Parameter[], readonly method: Method) {}
}

/** Every endpoint of the plugin. */
export const endpoints: Endpoint[] = [];

/** Methods for callers of one namespace, at one version and every lower minor one. It is served once it is made. */
export class Endpoint {
  private entries: Entry[] = [];

  /** The version is "major.minor"; no namespace is the null one. */
  constructor(readonly version: string, readonly namespace: string | null = null) {
    endpoints.push(this);
  }

  /** Adds a method. Its arguments are checked against the parameters before it runs. */
  method(name: string, parameters: Parameter[], method: Method): this {
    this.entries.push(new Entry(name, parameters, method));
    return this;
  }

  get methods(): string[] {
    const names = new Array<string>();
    for (let i = 0; i < this.entries.length; i++) names.push(this.entries[i].name);
    return names;
  }

  /** The method of this name. */
  find(name: string): Entry | null {
    for (let i = 0; i < this.entries.length; i++) if (this.entries[i].name == name) return this.entries[i];
    return null;
  }
}

/** Has the endpoint with the highest version that fits answer. The host has checked versions already. */
export function answer(namespace: string | null, version: string, method: string, args: Document, context: Uint8Array): Reply {
  const asked = Version.of(version);
  let best: Entry | null = null;
  let highest = asked;
  for (let i = 0; i < endpoints.length; i++) {
    const endpoint = endpoints[i];
    const served = Version.of(endpoint.version);
    if (endpoint.namespace != namespace || served.major != asked.major || served.minor < highest.minor) continue;
    const entry = endpoint.find(method);
    if (!entry) continue;
    best = entry;
    highest = served;
  }
  if (best) return run(best, args, context);
  const message = `Endpoint does not support RPC method ${method}`;
  return new Failure("oslo_messaging.rpc.dispatcher", "NoSuchMethod", message);
}

function run(entry: Entry, args: Document, context: Uint8Array): Reply {
  const problem = args.problem;
  if (problem !== null) return builtins.typeError(`${entry.name}() arguments: ${problem}`);
  const wrong = misfit(entry, args.json);
  if (wrong !== null) return builtins.typeError(`${entry.name}() ${wrong}`);
  return entry.method(new Call(entry.name, args.json, context));
}

/** What is wrong with the arguments. */
function misfit(entry: Entry, args: Json): string | null {
  const parameters = entry.parameters;
  let known = 0;
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i];
    if (!args.has(parameter.name)) {
      if (!parameter.isOptional) return `missing a required argument: '${parameter.name}'`;
      continue;
    }
    known++;
    const problem = parameter.problem(args.get(parameter.name));
    if (problem !== null) return `argument '${parameter.name}': ${problem}`;
  }
  const names = args.names;
  if (known == names.length) return null;
  for (let i = 0; i < names.length; i++) {
    if (!takes(parameters, names[i])) return `got an unexpected keyword argument '${names[i]}'`;
  }
  return null;
}

function takes(parameters: Parameter[], name: string): bool {
  for (let i = 0; i < parameters.length; i++) if (parameters[i].name == name) return true;
  return false;
}

/** The first two numbers of a version; what is none counts as 0. */
class Version {
  constructor(readonly major: i32, readonly minor: i32) {}

  static of(text: string): Version {
    const parts = text.split(".");
    return new Version(number(parts[0]), parts.length > 1 ? number(parts[1]) : 0);
  }
}

/** As Python's `int` reads it. */
function number(text: string): i32 {
  const value = I32.parseInt(text.trim().replaceAll("_", ""), 10);
  return value;
}
