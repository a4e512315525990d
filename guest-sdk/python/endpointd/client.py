"""RPC to others, as the operator granted it: `client = ["call:TOPIC"]` under [grants] in plugin.toml."""

import copy
import json

from . import host
from .endpoint import to_json
from .failure import Failure

_OSLO = "oslo_messaging.exceptions"


class Error(Failure):
    """A message was not sent, or a call has no result."""

    class_, module = "ClientError", "endpointd"


class NotGranted(Error):
    """The operator did not grant it; the text has the line that would."""


class Invalid(Error):
    """The arguments or the target are not well formed."""


class Timeout(Error):
    """There was no result in time; the other side may still have done it."""

    class_, module = "MessagingTimeout", _OSLO


class Unroutable(Error):
    """No server listens there."""

    class_, module = "MessageUndeliverable", _OSLO


class Unavailable(Error):
    """It could not be sent now; the text says why."""

    class_, module = "MessageDeliveryFailure", _OSLO


class Remote(Error):
    """The other side answered with an exception, and this one is as that is."""

    def __init__(self, class_, module, message, kwargs, traceback, expected=False):
        super().__init__(message, class_=class_, module=module, kwargs=kwargs, expected=expected)
        self.lines = traceback


class Target:
    """Whom to send to. What is not said takes the host's defaults."""

    def __init__(self, topic, *, server=None, namespace=None, version=None, exchange=None):
        self.topic, self.server, self.namespace = topic, server, namespace
        self.version, self.exchange = version, exchange
        self.timeout, self.context = None, None

    def prepare(self, *, timeout: float | None = None, context: dict | None = None) -> "Target":
        """The same with a shorter time, in seconds, or another context than that of the call being answered."""
        prepared = copy.copy(self)
        if timeout is not None:
            prepared.timeout = timeout
        if context is not None:
            prepared.context = context
        return prepared

    def call(self, method: str, /, **args):
        """Has one server run a method, and gives its result."""
        return json.loads(self._send("call", method, args))

    def cast(self, method: str, /, **args) -> None:
        """Has one server run a method, without waiting for it."""
        self._send("cast", method, args)

    def fanout(self, method: str, /, **args) -> None:
        """Has every server of the topic run a method, without waiting for them."""
        self._send("fanout", method, args)

    def _send(self, kind, method, args):
        timeout_ms = None if self.timeout is None else int(min(max(self.timeout * 1000, 0), 2**32 - 1))
        try:
            context = None if self.context is None else to_json(self.context, "the context is")
            written = to_json(args, "the arguments are")
        except ValueError as error:
            raise Invalid(str(error)) from None
        return host.send(kind, self, method, written, timeout_ms, context)
