"""What componentize-py gives a component, for the part of the library that is nowhere else, and a host behind it."""

import dataclasses
import enum
import importlib
import json
import sys
import types
import unittest
from unittest import mock

from endpointd import host as services


@dataclasses.dataclass(frozen=True)
class Err(Exception):
    value: object


def _variant(*fields):
    """A class of its own, as the bindings have one for each case of a variant."""
    return dataclasses.make_dataclass("Case", fields)


class Bindings:
    """The modules that componentize-py makes of the contract; they reach the host that is given."""

    def __init__(self, host):
        errors = {"NotGranted": ["value"], "Invalid": ["value"], "Timeout": [], "Unroutable": []}
        errors |= {"Unavailable": ["value"], "Remote": ["value"]}
        self.client = types.SimpleNamespace(
            Destination=_variant("exchange", "topic", "server", "namespace", "version"),
            Options=_variant("timeout_ms", "context"),
            **{f"Error_{name}": _variant(*fields) for name, fields in errors.items()},
            **{kind: self._sender(host, kind) for kind in ("call", "cast", "fanout")},
        )
        self.types = types.SimpleNamespace(
            Target=_variant("namespace", "version", "methods"),
            Request=_variant("namespace", "version", "method", "args", "context"),
            Failure=_variant("class_", "module", "message", "kwargs", "traceback", "expected"),
        )
        delivery = enum.Enum("DeliveryKind", ["CALL", "CAST"], start=0)
        self.call_info = types.SimpleNamespace(
            id=lambda: host.call["id"],
            delivery=lambda: delivery[host.call["delivery"]],
            remaining_ms=lambda: host.call["remaining_ms"],
            host_started_ms=lambda: host.call["host_started_ms"],
        )
        level = enum.Enum("Level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"], start=0)
        self.logging = types.SimpleNamespace(
            Level=level, log=lambda severity, context, message: host.logged.append((severity.name, context, message))
        )
        self.wasi_config_store = types.SimpleNamespace(
            Error_Upstream=_variant("value"),
            get=lambda key: host.read_settings().get(key),
            get_all=lambda: list(host.read_settings().items()),
        )
        self.wasi_keyvalue_store = types.SimpleNamespace(
            Error_NoSuchStore=_variant(),
            Error_AccessDenied=_variant(),
            Error_Other=_variant("value"),
            KeyResponse=_variant("keys", "cursor"),
            open=host.open,
        )
        self.atomics = types.SimpleNamespace(
            CasError_StoreError=_variant("value"),
            CasError_CasFailed=_variant("value"),
            Cas=types.SimpleNamespace(new_with_read=host.read_to_swap),
            increment=host.increment,
            swap=host.swap,
        )

    @staticmethod
    def _sender(host, kind):
        def send(to, method, args, options):
            host.sent.append((kind, dataclasses.asdict(to), method, args, dataclasses.asdict(options)))
            if isinstance(host.answer, str):
                return host.answer if kind == "call" else None
            raise Err(host.answer)

        return send

    def modules(self):
        world = types.SimpleNamespace(WitWorld=object, imports=self)
        return {
            "componentize_py_types": types.SimpleNamespace(Err=Err),
            "wit_world": world,
            "wit_world.imports": self,
        }


class Host:
    """The host that the bindings reach. A test sets and reads it."""

    def __init__(self):
        self.call = {"id": "abc", "delivery": "CALL", "remaining_ms": None, "host_started_ms": 0}
        self.settings, self.unreadable = {}, None
        self.logged, self.sent = [], []
        self.answer = "null"
        self.buckets = {"shop": {}}
        # What somebody else writes before each swap, one after another.
        self.written_meanwhile = []
        self.bindings = Bindings(self)

    def read_settings(self):
        if self.unreadable is not None:
            raise Err(self.bindings.wasi_config_store.Error_Upstream(self.unreadable))
        return self.settings

    def open(self, name):
        match self.buckets.get(name):
            case None:
                raise Err(self.bindings.wasi_keyvalue_store.Error_NoSuchStore())
            case "denied":
                raise Err(self.bindings.wasi_keyvalue_store.Error_AccessDenied())
            case values:
                return _Bucket(self, values)

    def other(self, text):
        return self.bindings.wasi_keyvalue_store.Error_Other(text)

    def increment(self, bucket, key, delta):
        if not bucket.get(key, b"0").isdigit():
            raise Err(self.other("it is not a number"))
        total = int(bucket.get(key, b"0")) + delta
        bucket.values[key] = str(total).encode()
        return total

    def read_to_swap(self, bucket, key):
        return (bucket, key, bucket.get(key)), bucket.get(key)

    def swap(self, cas, value):
        bucket, key, before = cas
        if self.written_meanwhile:
            bucket.values[key] = self.written_meanwhile.pop(0)
        if bucket.get(key) != before:
            raise Err(self.bindings.atomics.CasError_CasFailed(self.read_to_swap(bucket, key)))
        if len(value) > 100:
            raise Err(self.bindings.atomics.CasError_StoreError(self.other("it is too large")))
        bucket.values[key] = value


class _Bucket:
    def __init__(self, host, values):
        self.host, self.values = host, values
        self.delete = lambda key: values.pop(key, None)
        self.exists = values.__contains__
        self.get = values.get

    def set(self, key, value):
        if key == "":
            raise Err(self.host.other("a key is needed"))
        self.values[key] = value

    def list_keys(self, cursor):
        """Pages of two, the last ones first."""
        keys = sorted(self.values, reverse=True)
        begin = int(cursor or 0)
        after = str(begin + 2) if begin + 2 < len(keys) else None
        return self.host.bindings.wasi_keyvalue_store.KeyResponse(keys[begin : begin + 2], after)


class ComponentTest(unittest.TestCase):
    """A test in which the library finds itself in a component."""

    def setUp(self):
        self.host = Host()
        modules = mock.patch.dict(sys.modules, self.host.bindings.modules())
        # Last it is again what it is under plain Python.
        self.addCleanup(importlib.reload, services)
        modules.start()
        self.addCleanup(modules.stop)
        importlib.reload(services)
        self.world = services.WitWorld()

    def ask(self, method, *, namespace, version="1.0", context=None, args=None, **named):
        """The result of a method, as the JSON text that leaves the component; `args` is the text of what goes in."""
        given = json.dumps(named) if args is None else args
        request = self.host.bindings.types.Request(namespace, version, method, given, json.dumps(context or {}))
        return self.world.dispatch(request)

    def failure(self, method, **asked):
        """The failure of a method, as it leaves the component."""
        with self.assertRaises(Err) as caught:
            self.ask(method, **asked)
        return caught.exception.value
