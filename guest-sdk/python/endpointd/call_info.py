"""About the request being answered."""

from . import host


def id() -> str:
    """The message's unique id, which the logs of both sides share; empty if the caller sent none."""
    return host.call_id()


def delivery() -> str:
    """`call` where somebody waits for the result, or `cast`."""
    return host.call_delivery()


def remaining() -> float | None:
    """Seconds that are left of the caller's time, where it is known."""
    left = host.call_remaining_ms()
    return None if left is None else left / 1000


def host_started() -> float:
    """When the host started, in seconds since 1970: what was sent before has waited while nobody served it."""
    return host.host_started_ms() / 1000
