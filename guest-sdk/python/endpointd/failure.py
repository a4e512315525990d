"""The exception that a caller sees."""

import os
import traceback

# With the separator, as an author's `endpointd_greeter` may lie beside it.
_LIBRARY = os.path.join(os.path.dirname(__file__), "")


class Failure(Exception):
    """An exception with all that a caller can know of it.

    Without `class_` and `module` they are those of the Python class, as for any other exception. `kwargs` is what a
    caller rebuilds the exception with; `expected` says that it is part of the interface and not worth a log line.
    Derived classes may set any of them as attributes.
    """

    class_: str | None = None
    module: str | None = None
    kwargs: dict = {}
    expected = False
    lines: list[str] | None = None

    def __init__(self, message="", *, class_=None, module=None, kwargs=None, expected=None):
        super().__init__(message)
        self.class_ = class_ or self.class_
        self.module = module or self.module
        self.kwargs = dict(kwargs or self.kwargs)
        self.expected = self.expected if expected is None else expected


def describe(error: BaseException) -> dict:
    """Class, module, message, kwargs, traceback and expected of any exception, as the contract has them."""
    kwargs = getattr(error, "kwargs", None)
    is_failure = isinstance(error, Failure)
    return {
        "class_": (is_failure and error.class_) or type(error).__name__,
        "module": (is_failure and error.module) or type(error).__module__,
        "message": _message(error),
        "kwargs": kwargs if isinstance(kwargs, dict) else {},
        "traceback": error.lines if is_failure and error.lines is not None else _lines(error),
        "expected": bool(getattr(error, "expected", False)),
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as another:
        # That one went wrong is what the caller has to know, whatever is wrong with its text.
        return f"its text cannot be had: {type(another).__name__}"


def _lines(error: BaseException) -> list[str]:
    """The traceback from the author's code on."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename.startswith(_LIBRARY):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return text.splitlines()
