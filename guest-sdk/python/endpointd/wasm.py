"""The host as a component reaches it, and what it calls."""

import json

import wit_world
from componentize_py_types import Err
from wit_world.imports import atomics, call_info, client, types
from wit_world.imports import logging as wasi_logging
from wit_world.imports import wasi_config_store as config
from wit_world.imports import wasi_keyvalue_store as store


def log(level, message):
    wasi_logging.log(wasi_logging.Level[level.upper()], "", _text(message))


def config_get(key):
    return _configured(config.get, key)


def config_all():
    return dict(_configured(config.get_all))


def _configured(function, *args):
    try:
        return function(*args)
    except Err as error:
        raise RuntimeError(f"the settings cannot be read: {error.value.value}") from None


def call_id():
    return call_info.id()


def call_delivery():
    return call_info.delivery().name.lower()


def call_remaining_ms():
    return call_info.remaining_ms()


def host_started_ms():
    return call_info.host_started_ms()


def open_bucket(name):
    return _Bucket(name)


class _Bucket:
    def __init__(self, name):
        self.name = name
        self.bucket = self._try(store.open, name)

    def _try(self, function, *args):
        try:
            return function(*args)
        except Err as error:
            raise self._error(error.value) from None

    def _error(self, error):
        from .bucket import BucketError

        match error:
            case store.Error_AccessDenied():
                return BucketError(f"the bucket `{self.name}` is not granted to this plugin")
            case store.Error_NoSuchStore():
                return BucketError(f"there is no bucket `{self.name}`")
            case _:
                return BucketError(f"the bucket failed: {error.value}")

    def get(self, key):
        return self._try(self.bucket.get, key)

    def set(self, key, value):
        self._try(self.bucket.set, key, value)

    def delete(self, key):
        self._try(self.bucket.delete, key)

    def exists(self, key):
        return self._try(self.bucket.exists, key)

    def keys(self):
        keys, cursor = [], None
        while True:
            page = self._try(self.bucket.list_keys, cursor)
            keys += page.keys
            cursor = page.cursor
            if cursor is None:
                return sorted(keys)

    def increment(self, key, delta):
        return self._try(atomics.increment, self.bucket, key, delta)

    def update(self, key, change):
        cas, before = self._try(atomics.Cas.new_with_read, self.bucket, key)
        while True:
            try:
                atomics.swap(cas, change(before))
                return before
            except Err as error:
                if not isinstance(error.value, atomics.CasError_CasFailed):
                    raise self._error(error.value.value) from None
                cas, before = error.value.value


def send(kind, target, method, args, timeout_ms, context):
    to = client.Destination(target.exchange, target.topic, target.server, target.namespace, target.version)
    options = client.Options(timeout_ms, context)
    try:
        return getattr(client, kind)(to, method, args, options)
    except Err as error:
        raise _client_error(error.value) from None


def _client_error(error):
    from . import client as ours

    match error:
        case client.Error_NotGranted():
            return ours.NotGranted(f"not granted: {error.value}")
        case client.Error_Invalid():
            return ours.Invalid(error.value)
        case client.Error_Timeout():
            return ours.Timeout("there was no reply in time")
        case client.Error_Unroutable():
            return ours.Unroutable("no server listens there")
        case client.Error_Unavailable():
            return ours.Unavailable(error.value)
        case _:
            failure = error.value
            kwargs = json.loads(failure.kwargs) if failure.kwargs else {}
            given = (failure.class_, failure.module, failure.message, kwargs, failure.traceback, failure.expected)
            return ours.Remote(*given)


def _text(text):
    """As it can cross: a lone surrogate cannot."""
    return text.encode("utf-8", "replace").decode()


def _kwargs(kwargs):
    try:
        return json.dumps(kwargs, allow_nan=False, default=str) if kwargs else None
    except Exception:
        # The failure says more without them than a trap would.
        return None


class WitWorld(wit_world.WitWorld):
    """What the host calls."""

    def targets(self):
        from .endpoint import served

        return [types.Target(one.namespace, one.version, sorted(one.methods)) for one in served()]

    def dispatch(self, request):
        from .endpoint import dispatch
        from .failure import describe

        try:
            return dispatch(request.namespace, request.version, request.method, request.args, request.context)
        except BaseException as error:
            told = describe(error)
        failure = types.Failure(
            _text(told["class_"]),
            _text(told["module"]),
            _text(told["message"]),
            _kwargs(told["kwargs"]),
            [_text(line) for line in told["traceback"]],
            told["expected"],
        )
        raise Err(failure)
