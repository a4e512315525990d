"""Classes whose methods answer RPC calls."""

import dataclasses
import inspect
import json
import sys
import types
import typing

from .failure import Failure


class Endpoint:
    """Derive from it: `class Greeter(Endpoint, version="1.0", namespace=None)`.

    Its public methods are what callers may use. It is made once an instance of the plugin, without arguments.
    """

    def __init_subclass__(cls, version: str | None = None, namespace: str | None = None, **rest):
        super().__init_subclass__(**rest)
        if version is None:
            raise TypeError(f"say which version {cls.__name__} is: class {cls.__name__}(Endpoint, version='1.0')")
        _numbers(version)
        found = inspect.getmembers(cls, inspect.isfunction)
        methods = {name: _Method(cls, name, function) for name, function in found if not name.startswith("_")}
        _served.append(Served(cls, version, namespace, methods))


@dataclasses.dataclass
class Served:
    """An endpoint and how it is asked for. It is apart, as the author's methods may have any name."""

    endpoint: type[Endpoint]
    version: str
    namespace: str | None
    methods: dict[str, "_Method"]
    instance: Endpoint | None = None


_served: list[Served] = []


class _Method:
    """A method, and what it takes."""

    def __init__(self, cls, name, function):
        self.name = name
        parameters = list(_signature(function).parameters.values())
        if not isinstance(inspect.getattr_static(cls, name), staticmethod):
            del parameters[:1]
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
                    wanted, found = _name(self.kinds[name]), _found(value)
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
        return isinstance(value, int) and not isinstance(value, bool) and not _is_large(value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (str, bool, list, dict):
        return isinstance(value, kind)
    return True


def _is_large(value: int) -> bool:
    """Whether it is beyond 64 bits, which no other language takes."""
    return not -(2**63) <= value < 2**64


def _found(value) -> str:
    is_large = isinstance(value, int) and _is_large(value)
    return "int beyond 64 bits" if is_large else type(value).__name__


def _name(kind) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_name(one) for one in typing.get_args(kind))
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = [*version.split("."), "0"]
    return int(major), int(minor)


def served() -> list[Served]:
    """Every endpoint that was defined."""
    return _served


def dispatch(namespace, version, method, args: str, context: str) -> str:
    """Has the endpoint with the highest version that fits answer: JSON in, JSON out."""
    major, minor = _numbers(version)

    def fits(one):
        has_major, has_minor = _numbers(one.version)
        is_compatible = has_major == major and has_minor >= minor
        return one.namespace == namespace and is_compatible and method in one.methods

    fitting = [one for one in _served if fits(one)]
    if not fitting:
        raise Failure(
            f"Endpoint does not support RPC method {method}",
            class_="NoSuchMethod",
            module="oslo_messaging.rpc.dispatcher",
        )
    answering = max(fitting, key=lambda one: _numbers(one.version))
    if answering.instance is None:
        answering.instance = answering.endpoint()
    arguments = json.loads(args)
    answering.methods[method].check(arguments)
    if answering.methods[method].takes_context:
        arguments["context"] = json.loads(context)
    return to_json(getattr(answering.instance, method)(**arguments), "the result is")


def to_json(value, what_is: str) -> str:
    """JSON text, of dataclasses too; a ValueError that begins with `what_is` if it is none."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
        text.encode()
        return text
    except UnicodeEncodeError:
        # A lone surrogate is only text as an escape.
        return json.dumps(value, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what_is} no JSON: {error}") from None


def _plain(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
