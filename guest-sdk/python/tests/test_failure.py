"""What a caller gets of an exception."""

import json
import os
import sys
import unittest

import component
import endpointd
from endpointd import Endpoint, Failure, client

SHOP = "test_failure"


class ItemNotFound(Failure):
    expected = True

    def __init__(self, name):
        super().__init__(f"there is no item {name}", kwargs={"name": name})


class Elsewhere(Failure):
    class_, module, kwargs = "Gone", "shop.exceptions", {"code": 410}


class OfTheirOwn(Exception):
    kwargs = {"name": "nut"}
    expected = True


class Unspeakable(Exception):
    def __str__(self):
        return self.nothing


class Stubborn:
    def __str__(self):
        raise KeyError("no text")


def _chained():
    try:
        {}["nut"]
    except KeyError as error:
        raise LookupError("not in stock") from error


def _exit():
    sys.exit("that is it")


def _raiser(error):
    def throw():
        raise error

    return throw


WAYS = {
    "plain": _raiser(ValueError("a name is needed")),
    "key": _raiser(KeyError("nut")),
    "own": _raiser(OfTheirOwn("theirs")),
    "expected": _raiser(ItemNotFound("nüt")),
    "elsewhere": _raiser(Elsewhere("it is gone")),
    "overridden": _raiser(Elsewhere("moved", class_="Moved", module="m", kwargs={"to": "b"}, expected=True)),
    "bare": _raiser(Failure()),
    "half": _raiser(ValueError("a\ud800b")),
    "text": _raiser(Unspeakable()),
    "object": _raiser(Failure("kwargs", kwargs={"path": Failure, "é": "ü"})),
    "nan": _raiser(Failure("kwargs", kwargs={"number": float("nan")})),
    "tuple": _raiser(Failure("kwargs", kwargs={(1, 2): 3})),
    "stubborn": _raiser(Failure("kwargs", kwargs={"what": Stubborn()})),
    "chained": _chained,
    "exit": _exit,
    "remote": _raiser(client.Remote("Full", "store.exceptions", "it is full", {"by": 2}, ["over there"], True)),
}


# Where no file is: it is named in the traceback all the same.
BESIDE = os.path.dirname(endpointd.__file__) + "_shop.py"
_compiled = {}
exec(compile("def beside(self): raise ValueError('beside')", BESIDE, "exec"), _compiled)


class Shop(Endpoint, version="1.0", namespace=SHOP):
    def fail(self, how: str):
        WAYS[how]()

    beside = _compiled["beside"]


class FailureTest(component.ComponentTest):
    def failing(self, how):
        return self.failure("fail", namespace=SHOP, how=how)

    def check(self, how, module, class_, message, kwargs=None, expected=False):
        failure = self.failing(how)
        found = (failure.module, failure.class_, failure.message, failure.kwargs, failure.expected)
        written = None if kwargs is None else json.dumps(kwargs)
        self.assertEqual(found, (module, class_, message, written, expected))
        return failure

    def test_an_uncaught_exception_is_a_failure_of_its_class(self):
        self.check("plain", "builtins", "ValueError", "a name is needed")
        self.check("key", "builtins", "KeyError", "'nut'")
        self.check("exit", "builtins", "SystemExit", "that is it")
        self.check("own", __name__, "OfTheirOwn", "theirs", {"name": "nut"}, True)
        self.check("bare", "endpointd.failure", "Failure", "")

    def test_a_failure_says_what_a_caller_can_know(self):
        self.check("expected", __name__, "ItemNotFound", "there is no item nüt", {"name": "nüt"}, True)
        self.check("elsewhere", "shop.exceptions", "Gone", "it is gone", {"code": 410})
        self.check("overridden", "m", "Moved", "moved", {"to": "b"}, True)

    def test_the_kwargs_of_one_failure_are_not_those_of_the_next(self):
        Elsewhere("first").kwargs["code"] = 0
        self.assertEqual(Elsewhere("second").kwargs, {"code": 410})

    def test_what_another_service_raised_passes_through_as_it_was(self):
        failure = self.check("remote", "store.exceptions", "Full", "it is full", {"by": 2}, True)
        self.assertEqual(failure.traceback, ["over there"])

    def test_what_cannot_cross_is_replaced_or_left_out(self):
        self.check("half", "builtins", "ValueError", "a?b")
        self.check("text", __name__, "Unspeakable", "its text cannot be had: AttributeError")
        self.check("object", "endpointd.failure", "Failure", "kwargs", {"path": str(Failure), "é": "ü"})
        for how in ("nan", "tuple", "stubborn"):
            self.check(how, "endpointd.failure", "Failure", "kwargs")

    def test_a_traceback_is_that_of_the_authors_code(self):
        lines = self.failing("plain").traceback
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertRegex(lines[1], r'^  File ".*test_failure\.py", line \d+, in fail$')
        self.assertEqual(lines[2], "    WAYS[how]()")
        self.assertEqual(lines[-1], "ValueError: a name is needed")
        self.assertNotIn("endpoint.py", "".join(lines))

    def test_a_traceback_has_what_it_came_from(self):
        lines = self.failing("chained").traceback
        self.assertIn("KeyError: 'nut'", lines)
        self.assertIn("The above exception was the direct cause of the following exception:", lines)
        self.assertEqual(lines[-1], "LookupError: not in stock")

    def test_code_that_lies_beside_the_library_is_the_authors(self):
        lines = self.failure("beside", namespace=SHOP).traceback
        self.assertEqual(lines[1], f'  File "{BESIDE}", line 1, in beside')


if __name__ == "__main__":
    unittest.main()
