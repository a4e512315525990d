// RPC to others, as the operator granted it: `client = ["call:TOPIC", "cast:TOPIC", "fanout:TOPIC"]` under `[grants]`.

import { AREA, bytesAt, storeBytes, storeOptionalText, storeText, textAt, textsAt } from "./abi";
import { Cause, Failure, Outcome } from "./failure";
import { Json } from "./json";
import { Document } from "./parse";
import { Writer } from "./write";

// @ts-ignore: decorator
@external("endpointd:rpc/client@0.1.0", "call")
declare function host_call(parameters: usize, area: usize): void;

// @ts-ignore: decorator
@external("endpointd:rpc/client@0.1.0", "cast")
declare function host_cast(parameters: usize, area: usize): void;

// @ts-ignore: decorator
@external("endpointd:rpc/client@0.1.0", "fanout")
declare function host_fanout(parameters: usize, area: usize): void;

/** What the host's functions take: destination, method, arguments and options. */
const PARAMETERS: usize = memory.data(92, 4);

/**
 * Whom to send to: the servers of a topic, in the null namespace, at version 1.0 where nothing else is said. What says
 * more changes the target, and gives it back.
 */
export class Target {
  private targetServer: string | null = null;
  private targetExchange: string | null = null;
  private targetNamespace: string | null = null;
  private targetVersion: string | null = null;
  private timeoutMs: i64 = -1;
  private requestContext: Json | null = null;

  constructor(private topic: string) {}

  /** The version that the method needs. */
  version(version: string): this {
    this.targetVersion = version;
    return this;
  }

  /** A namespace of the topic. */
  namespace(namespace: string): this {
    this.targetNamespace = namespace;
    return this;
  }

  /** One server of the topic. */
  server(server: string): this {
    this.targetServer = server;
    return this;
  }

  /** Through this exchange. Only the host's own is allowed, which is also the default. */
  exchange(exchange: string): this {
    this.targetExchange = exchange;
    return this;
  }

  /** The longest that a call may take, in milliseconds; never longer than what is left of the call being answered. */
  timeout(ms: u32): this {
    this.timeoutMs = ms;
    return this;
  }

  /** Another request context, an object, than that of the call being answered. */
  context(context: Json): this {
    this.requestContext = context;
    return this;
  }

  /** Has one server run a method and gives its result. `args` is an object. */
  call(method: string, args: Json = Json.object()): Outcome<Json> {
    const invalid = this.prepare(method, args);
    if (invalid) return Outcome.failed<Json>(invalid);
    host_call(PARAMETERS, AREA);
    const failure = failureAt(AREA);
    if (failure) return Outcome.failed<Json>(failure);
    const parsed = new Document(bytesAt(AREA + 4));
    if (parsed.problem === null) return Outcome.of(parsed.json);
    return Outcome.failed<Json>(
      clientError(Cause.UnexpectedResult, `the result is not what was expected: ${parsed.problem!}`),
    );
  }

  /** Has one server run a method, without waiting for it. Gives why it was not sent, if it was not. */
  cast(method: string, args: Json = Json.object()): Failure | null {
    const invalid = this.prepare(method, args);
    if (invalid) return invalid;
    host_cast(PARAMETERS, AREA);
    return failureAt(AREA);
  }

  /** Has every server of the topic run a method, without waiting for them. Gives why it was not sent, if it was not. */
  fanout(method: string, args: Json = Json.object()): Failure | null {
    const invalid = this.prepare(method, args);
    if (invalid) return invalid;
    host_fanout(PARAMETERS, AREA);
    return failureAt(AREA);
  }

  private prepare(method: string, args: Json): Failure | null {
    storeOptionalText(PARAMETERS, this.targetExchange);
    storeText(PARAMETERS + 12, this.topic);
    storeOptionalText(PARAMETERS + 20, this.targetServer);
    storeOptionalText(PARAMETERS + 32, this.targetNamespace);
    storeOptionalText(PARAMETERS + 44, this.targetVersion);
    storeText(PARAMETERS + 56, method);
    const problem = storeJson(PARAMETERS + 64, args);
    if (problem !== null) return clientError(Cause.Invalid, `the arguments are no JSON: ${problem}`);
    store<u32>(PARAMETERS, this.timeoutMs < 0 ? 0 : 1, 72);
    store<u32>(PARAMETERS, <u32>this.timeoutMs, 76);
    const context = this.requestContext;
    store<u32>(PARAMETERS, context ? 1 : 0, 80);
    if (!context) return null;
    const wrong = storeJson(PARAMETERS + 84, context);
    return wrong === null ? null : clientError(Cause.Invalid, `the context is no JSON: ${wrong}`);
  }
}

/** Stores where the text of a value is. Gives why it has none, if it has none. */
function storeJson(at: usize, json: Json): string | null {
  const writer = new Writer();
  writer.value(json);
  storeBytes(at, writer.start, writer.length);
  return writer.problem;
}

/** What the host's functions say of an error. */
function failureAt(result: usize): Failure | null {
  if (load<u8>(result) == 0) return null;
  const payload = result + 8;
  switch (load<u8>(result, 4)) {
    case 0: return clientError(Cause.NotGranted, `not granted: ${textAt(payload)}`);
    case 1: return clientError(Cause.Invalid, textAt(payload));
    case 2: return oslo(Cause.Timeout, "MessagingTimeout", "there was no reply in time");
    case 3: return oslo(Cause.Unroutable, "MessageUndeliverable", "no server listens there");
    case 4: return oslo(Cause.Unavailable, "MessageDeliveryFailure", textAt(payload));
  }
  const failure = new Failure(textAt(payload + 8), textAt(payload), textAt(payload + 16));
  failure.cause = Cause.Remote;
  if (load<u8>(payload, 24) != 0) {
    const kwargs = new Document(bytesAt(payload + 28));
    if (kwargs.problem === null) failure.kwargs = kwargs.json;
  }
  failure.traceback = textsAt(payload + 36);
  failure.isExpected = load<u8>(payload, 44) != 0;
  return failure;
}

function clientError(cause: Cause, message: string): Failure {
  return caused(cause, new Failure("endpointd", "ClientError", message));
}

function oslo(cause: Cause, className: string, message: string): Failure {
  return caused(cause, new Failure("oslo_messaging.exceptions", className, message));
}

function caused(cause: Cause, failure: Failure): Failure {
  failure.cause = cause;
  return failure;
}
