"""Classes whose methods answer RPC calls."""

import dataclasses
import inspect
import json
import sys
import types
import typing

from .failure import Failure

_served: list[type["Endpoint"]] = []


class Endpoint:
    """Derive from it: `class Greeter(Endpoint, version="1.0", namespace=None)`.

    Its public methods are what callers may use. It is made once an instance of the plugin, without arguments.
    """

    version: str
    namespace: str | None = None

    def __init_subclass__(cls, version: str | None = None, namespace: str | None = None, **rest):
        super().__init_subclass__(**rest)
        if version is None:
            raise TypeError(f"say which version {cls.__name__} is: class {cls.__name__}(Endpoint, version='1.0')")
        _numbers(version)
        cls.version, cls.namespace = version, namespace
        found = inspect.getmembers(cls, inspect.isfunction)
        cls.methods = {name: _Method(name, function) for name, function in found if not name.startswith("_")}
        cls.instance = None
        _served.append(cls)


class _Method:
    """A method, and what it takes."""

    def __init__(self, name, function):
        self.name = name
        parameters = list(_signature(function).parameters.values())[1:]
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        if any(one.kind not in (*named, inspect.Parameter.VAR_KEYWORD) for one in parameters):
            raise TypeError(f"{name}() takes arguments without names, and callers name all of them")
        self.takes_rest = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
        self.takes_context = any(one.name == "context" for one in parameters)
        takes = [one for one in parameters if one.kind in named and one.name != "context"]
        self.kinds = {one.name: _kind(one.annotation, function) for one in takes}
        self.required = [one.name for one in takes if one.default is inspect.Parameter.empty]

    def check(self, args: dict):
        """Refuses arguments that do not fit, as Python itself would."""
        for name in self.required:
            if name not in args:
                raise TypeError(f"{self.name}() missing a required argument: '{name}'")
        for name, value in args.items():
            if name in self.kinds:
                if not _fits(value, self.kinds[name]):
                    wanted, found = _name(self.kinds[name]), type(value).__name__
                    raise TypeError(f"{self.name}() argument '{name}': {found} is no {wanted}")
            elif not self.takes_rest or name == "context":
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{name}'")


def _signature(function) -> inspect.Signature:
    # A method may be called `list`, so that in its class the annotation `list[str]` means nothing.
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def _kind(annotation, function):
    """What an annotation stands for; anything, where that cannot be known."""
    if annotation is inspect.Parameter.empty:
        return typing.Any
    if isinstance(annotation, str):
        try:
            return eval(annotation, function.__globals__)
        except Exception:
            return typing.Any
    return annotation


def _fits(value, kind) -> bool:
    """Whether a value out of JSON is what an annotation says, as far as that can be said."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    kind = origin or kind
    if kind in (None, type(None)):
        return value is None
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (str, bool, list, dict):
        return isinstance(value, kind)
    return True


def _name(kind) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_name(one) for one in typing.get_args(kind))
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = [*version.split("."), "0"]
    return int(major), int(minor)


def served() -> list[type[Endpoint]]:
    """Every endpoint that was defined."""
    return _served


def dispatch(namespace, version, method, args: str, context: str) -> str:
    """Has the endpoint with the highest version that fits answer: JSON in, JSON out."""
    major, minor = _numbers(version)

    def fits(endpoint):
        has_major, has_minor = _numbers(endpoint.version)
        is_compatible = has_major == major and has_minor >= minor
        return endpoint.namespace == namespace and is_compatible and method in endpoint.methods

    fitting = [endpoint for endpoint in _served if fits(endpoint)]
    if not fitting:
        raise Failure(
            f"Endpoint does not support RPC method {method}",
            class_="NoSuchMethod",
            module="oslo_messaging.rpc.dispatcher",
        )
    endpoint = max(fitting, key=lambda one: _numbers(one.version))
    if endpoint.instance is None:
        endpoint.instance = endpoint()
    arguments = json.loads(args)
    endpoint.methods[method].check(arguments)
    if endpoint.methods[method].takes_context:
        arguments["context"] = json.loads(context)
    return to_json(getattr(endpoint.instance, method)(**arguments))


def to_json(value) -> str:
    """JSON text, of dataclasses too; a ValueError if it is none."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
        text.encode()
        return text
    except UnicodeEncodeError:
        # A lone surrogate is only text as an escape.
        return json.dumps(value, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the result is no JSON: {error}") from None


def _plain(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
