"""Buckets: key-value spaces that outlive the instance and that plugins and hosts can share."""

import json

from . import host
from .endpoint import to_json
from .failure import Failure


class BucketError(Failure):
    """A bucket could not be used; the text says why."""

    class_, module = "BucketError", "endpointd"


class Bucket:
    """The bucket that the operator granted under this name. What is written is safe when the call returns."""

    def __init__(self, name: str):
        self._bucket = host.open_bucket(name)

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        return self._bucket.get(key)

    def set(self, key: str, value: bytes) -> None:
        """Sets the value of a key."""
        self._bucket.set(key, value)

    def get_json(self, key: str, default=None):
        """The value of a key, read as JSON."""
        value = self.get(key)
        return default if value is None else _read(value)

    def set_json(self, key: str, value) -> None:
        """Sets the value of a key, written as JSON."""
        self.set(key, _write(value))

    def delete(self, key: str) -> None:
        """Removes a key. Removing what is not there succeeds."""
        self._bucket.delete(key)

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        return self._bucket.exists(key)

    def keys(self) -> list[str]:
        """Every key, in order."""
        return self._bucket.keys()

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds to a decimal number, which starts at 0, and gives the sum. Atomic."""
        return self._bucket.increment(key, delta)

    def update_json(self, key: str, change):
        """Replaces a JSON value by `change(value)`, where None is no value, and gives the value before.

        Atomic: if somebody else wrote meanwhile, `change` is called again with the newer value, so it must do
        nothing else.
        """

        def rewrite(before):
            return _write(change(None if before is None else _read(before)))

        before = self._bucket.update(key, rewrite)
        return None if before is None else _read(before)


def _read(value: bytes):
    try:
        return json.loads(value)
    except ValueError as error:
        raise BucketError(f"a value of the bucket is not as expected: {error}") from None


def _write(value) -> bytes:
    return to_json(value, "the value is").encode()
