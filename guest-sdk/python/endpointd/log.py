"""Lines in the host's log."""

from . import host


def debug(message: str) -> None:
    host.log("debug", str(message))


def info(message: str) -> None:
    host.log("info", str(message))


def warning(message: str) -> None:
    host.log("warn", str(message))


def error(message: str) -> None:
    host.log("error", str(message))
