/** RPC to others, as the operator granted it: `client = ["call:TOPIC"]` under [grants] in plugin.toml. */

import * as host from "#host";
import { Failure } from "./failure.js";
import { toJson, wellFormed } from "./text.js";

const OSLO = "oslo_messaging.exceptions";
const LONGEST_MS = 2 ** 32 - 1;

/** Whom to send to. What is not said takes the host's defaults. */
export class Target {
  constructor(topic, { version, namespace, server, exchange } = {}) {
    Object.assign(this, { topic, version, namespace, server, exchange });
  }

  /** Has one server run a method, and gives its result. */
  call(method, args, options) {
    return JSON.parse(send("call", this, method, args, options));
  }

  /** Has one server run a method, without waiting for it. */
  cast(method, args, options) {
    send("cast", this, method, args, options);
  }

  /** Has every server of the topic run a method, without waiting for them. */
  fanout(method, args, options) {
    send("fanout", this, method, args, options);
  }
}

/** A message was not sent, or a call has no result; `kind` tells which. */
export class ClientError extends Failure {
  constructor(kind, message, options) {
    super(message, { class: "ClientError", module: "endpointd", ...options });
    this.kind = kind;
  }
}

function send(kind, to, method, args = {}, { timeoutMs, context } = {}) {
  const text = (value) => (value === undefined || value === null ? null : wellFormed(value));
  const destination = {
    exchange: text(to.exchange),
    topic: wellFormed(to.topic),
    server: text(to.server),
    namespace: text(to.namespace),
    version: text(to.version),
  };
  const options = {
    timeoutMs: timeoutMs === undefined ? null : Math.min(Math.max(Math.trunc(timeoutMs) || 0, 0), LONGEST_MS),
    context: context === undefined ? null : json(context),
  };
  const body = json(args);
  try {
    return host.send(kind, destination, wellFormed(method), body, options);
  } catch (error) {
    throw error?.payload?.tag ? asClientError(error.payload) : error;
  }
}

function json(value) {
  try {
    return toJson(value);
  } catch (error) {
    throw new ClientError("invalid", error.message);
  }
}

function asClientError({ tag, val }) {
  const oslo = (name, message) => new ClientError(tag, message, { class: name, module: OSLO });
  switch (tag) {
    case "not-granted":
      return new ClientError(tag, `not granted: ${val}`);
    case "timeout":
      return oslo("MessagingTimeout", "there was no reply in time");
    case "unroutable":
      return oslo("MessageUndeliverable", "no server listens there");
    case "unavailable":
      return oslo("MessageDeliveryFailure", val);
    case "remote":
      return new ClientError(tag, val.message, { ...val, kwargs: JSON.parse(val.kwargs ?? "{}") });
    default:
      return new ClientError(tag, val);
  }
}
