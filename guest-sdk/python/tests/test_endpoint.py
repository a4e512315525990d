"""What is served, which endpoint answers, and what becomes of arguments and results."""

import dataclasses
import typing
import unittest

import component
from endpointd import Endpoint, testing

SHOP = "test_endpoint"


@dataclasses.dataclass
class Item:
    name: str
    labels: list[str]


class Shop(Endpoint, version="1.2", namespace=SHOP):
    made = 0

    def __init__(self):
        Shop.made += 1

    def put(self, name: str, quantity: int, note: str | None = None, *, size: float | bool = 1.5):
        return [name, quantity, note, size]

    def anything(self, first: dict, second=(), **rest):
        return {"first": first, "second": second, "rest": rest}

    def kinds(self, numbers: list[int] = [], nothing: None = None, maybe: typing.Optional[str] = None, real: float = 0):
        return [numbers, nothing, maybe, real]

    def quoted(self, number: "int", unknown: "Nowhere" = None):  # noqa: F821
        return [number, unknown]

    def who(self, context, name=""):
        return [context, name]

    def list(self, prefix: str = "") -> list[str]:
        return [prefix]

    @staticmethod
    def double(number: int):
        return 2 * number

    def version(self):
        return "of the shop"

    def methods(self, namespace: str, instance: int):
        return f"{namespace} {instance}"

    def give(self, what):
        return RESULTS[what]()

    def _hidden(self):
        return "hidden"

    attribute = 5


class Newer(Endpoint, version="1.10", namespace=SHOP):
    def which(self):
        return "1.10"


class Older(Endpoint, version="1.9.7", namespace=SHOP):
    def which(self):
        return "1.9"

    def only_older(self):
        return "1.9"


class Major(Endpoint, version="2.0", namespace=SHOP):
    def which(self):
        return "2.0"


class Derived(Major, version="3.1", namespace=SHOP):
    def more(self):
        return "3.1"


class Nameless(Endpoint, version="1.0"):
    def which_test_endpoint(self):
        return "without a namespace"


class Empty(Endpoint, version="1.0", namespace=""):
    def which_test_endpoint(self):
        return "with an empty one"


def circle():
    around = []
    around.append(around)
    return around


RESULTS = {
    "nothing": lambda: None,
    "tuple": lambda: (1, 2.0, True),
    "item": lambda: [Item("nut", ["é"])],
    "large": lambda: 2**70,
    "half": lambda: {"\ud800": "é"},
    "bytes": lambda: b"a",
    "set": lambda: {1},
    "nan": lambda: [float("nan")],
    "infinity": lambda: float("inf"),
    "class": lambda: Item,
    "circle": circle,
    "key": lambda: {(1, 2): 3},
}


class EndpointTest(component.ComponentTest):
    def shop(self, method, **asked):
        return self.ask(method, **{"namespace": SHOP} | asked)

    def check_type_error(self, message, method, **asked):
        failure = self.failure(method, namespace=SHOP, **asked)
        self.assertEqual((failure.module, failure.class_), ("builtins", "TypeError"))
        self.assertEqual(failure.message, message)
        self.assertFalse(failure.expected)
        return failure


class ServingTest(EndpointTest):
    def test_public_methods_are_served_for_a_namespace_and_a_version(self):
        targets = [
            (one.namespace, one.version, one.methods)
            for one in self.world.targets()
            if one.namespace == SHOP or "which_test_endpoint" in one.methods
        ]
        of_shop = ["anything", "double", "give", "kinds", "list", "methods", "put", "quoted", "version", "who"]
        self.assertEqual(
            targets,
            [
                (SHOP, "1.2", of_shop),
                (SHOP, "1.10", ["which"]),
                (SHOP, "1.9.7", ["only_older", "which"]),
                (SHOP, "2.0", ["which"]),
                (SHOP, "3.1", ["more", "which"]),
                (None, "1.0", ["which_test_endpoint"]),
                ("", "1.0", ["which_test_endpoint"]),
            ],
        )

    def test_the_highest_version_that_fits_and_has_the_method_answers(self):
        for asked, answered in {"1.0": "1.10", "1": "1.10", "1.9": "1.10", "2.0": "2.0", "3.0": "2.0"}.items():
            self.assertEqual(self.shop("which", version=asked), f'"{answered}"', asked)
        self.assertEqual(self.shop("only_older", version="1.8"), '"1.9"')

    def test_no_namespace_is_not_an_empty_one(self):
        self.assertEqual(self.ask("which_test_endpoint", namespace=None), '"without a namespace"')
        self.assertEqual(self.ask("which_test_endpoint", namespace=""), '"with an empty one"')

    def test_what_is_not_served_is_no_such_method(self):
        for asked in [
            {"method": "which", "version": "1.11"},
            {"method": "which", "version": "4.0"},
            {"method": "which", "namespace": "none"},
            {"method": "only_older", "version": "2.0"},
            {"method": "_hidden"},
            {"method": "__init__"},
            {"method": "attribute"},
        ]:
            failure = self.failure(**{"namespace": SHOP} | asked)
            self.assertEqual((failure.module, failure.class_), ("oslo_messaging.rpc.dispatcher", "NoSuchMethod"))
            self.assertEqual(failure.message, f"Endpoint does not support RPC method {asked['method']}")

    def test_a_method_may_have_any_name(self):
        self.assertEqual(self.shop("version"), '"of the shop"')
        self.assertEqual(self.shop("methods", namespace=SHOP, args='{"namespace": "a", "instance": 5}'), '"a 5"')
        self.assertEqual(self.shop("list", prefix="n"), '["n"]')

    def test_an_endpoint_is_made_once(self):
        self.shop("list")
        self.shop("list")
        self.assertEqual(Shop.made, 1)

    def test_a_class_that_cannot_be_served_is_refused_at_once(self):
        with self.assertRaisesRegex(TypeError, r"^say which version Bad is: class Bad\(Endpoint, version='1.0'\)$"):

            class Bad(Endpoint):
                pass

        with self.assertRaisesRegex(ValueError, "'one'"):

            class Worse(Endpoint, version="one"):
                pass

        for method in (lambda self, *names: None, lambda self, name, /: None):
            with self.assertRaisesRegex(TypeError, r"^get\(\) takes arguments without names, and callers name all"):
                type("Worst", (Endpoint,), {"get": method}, version="1.0")
        self.assertNotIn("get", [name for one in self.world.targets() for name in one.methods])


class ArgumentsTest(EndpointTest):
    def test_arguments_come_by_name_as_native_values(self):
        self.assertEqual(self.shop("put", name="nut", quantity=3), '["nut", 3, null, 1.5]')
        self.assertEqual(self.shop("put", name="", quantity=0, note="n", size=2), '["", 0, "n", 2]')
        self.assertEqual(self.shop("put", name="nut", quantity=-1, note=None, size=True), '["nut", -1, null, true]')
        self.assertEqual(self.shop("kinds", numbers=[1, "2"], maybe="m", real=2), '[[1, "2"], null, "m", 2]')
        self.assertEqual(self.shop("double", number=4), "8")

    def test_what_is_left_goes_to_the_rest(self):
        result = self.shop("anything", args='{"first": {"a": {}}, "third": [null, 1.0], "self_": 1}')
        self.assertEqual(result, '{"first": {"a": {}}, "second": [], "rest": {"third": [null, 1.0], "self_": 1}}')

    def test_integers_are_exact_within_64_bits(self):
        for number in (2**64 - 1, -(2**63)):
            self.assertEqual(self.shop("put", name="nut", quantity=number), f'["nut", {number}, null, 1.5]')
        for number in (2**64, -(2**63) - 1):
            message = "put() argument 'quantity': int beyond 64 bits is no int"
            self.check_type_error(message, "put", name="nut", quantity=number)

    def test_arguments_that_are_missing_or_too_many_are_type_errors(self):
        failure = self.check_type_error("put() missing a required argument: 'quantity'", "put", name="nut")
        # The author's code has nothing to do with it.
        self.assertEqual(failure.traceback, ["TypeError: put() missing a required argument: 'quantity'"])
        message = "put() got an unexpected keyword argument 'sise'"
        self.check_type_error(message, "put", name="nut", quantity=1, sise=1)
        self.check_type_error("version() got an unexpected keyword argument 'self'", "version", args='{"self": 1}')

    def test_arguments_of_another_kind_are_type_errors(self):
        for argument, value, problem in [
            ("name", 5, "int is no str"),
            ("name", None, "NoneType is no str"),
            ("quantity", True, "bool is no int"),
            ("quantity", 1.0, "float is no int"),
            ("quantity", "1", "str is no int"),
            ("note", [], "list is no str or None"),
            ("size", "1", "str is no float or bool"),
        ]:
            asked = {"name": "nut", "quantity": 1, argument: value}
            self.check_type_error(f"put() argument '{argument}': {problem}", "put", **asked)
        self.check_type_error("anything() argument 'first': list is no dict", "anything", first=[])
        self.check_type_error("kinds() argument 'numbers': dict is no list", "kinds", numbers={})
        self.check_type_error("kinds() argument 'nothing': int is no None", "kinds", nothing=0)
        self.check_type_error("kinds() argument 'real': bool is no float", "kinds", real=True)
        self.check_type_error("kinds() argument 'maybe': float is no str or None", "kinds", maybe=0.5)

    def test_annotations_may_be_quoted_and_those_that_mean_nothing_take_anything(self):
        self.assertEqual(self.shop("quoted", number=1, unknown={}), "[1, {}]")
        self.check_type_error("quoted() argument 'number': str is no int", "quoted", number="1")

    def test_the_context_is_the_callers_and_no_argument(self):
        self.assertEqual(self.shop("who", name="n", context={"user": "Ada"}), '[{"user": "Ada"}, "n"]')
        message = "who() got an unexpected keyword argument 'context'"
        self.check_type_error(message, "who", args='{"context": {"user": "Eve"}}')
        message = "anything() got an unexpected keyword argument 'context'"
        self.check_type_error(message, "anything", args='{"first": {}, "context": {}}')


class ResultsTest(EndpointTest):
    def test_results_are_json(self):
        for what, expected in {
            "nothing": "null",
            "tuple": "[1, 2.0, true]",
            "item": '[{"name": "nut", "labels": ["é"]}]',
            "large": str(2**70),
        }.items():
            self.assertEqual(self.shop("give", what=what), expected)

    def test_text_of_any_script_goes_in_and_comes_out_as_it_is(self):
        first = '{"é": "漢字🦀\\u0001\\\\\\""}'
        result = self.shop("anything", args=f'{{"first": {first}}}')
        self.assertEqual(result, f'{{"first": {first}, "second": [], "rest": {{}}}}')

    def test_half_a_character_is_an_escape(self):
        # It would not cross as UTF-8.
        self.assertEqual(self.shop("give", what="half"), '{"\\ud800": "\\u00e9"}')
        self.assertEqual(self.shop("list", args='{"prefix": "a\\udfff"}'), '["a\\udfff"]')

    def test_results_that_are_no_json_are_value_errors(self):
        for what, problem in {
            "bytes": "bytes has no form in JSON",
            "set": "set has no form in JSON",
            "class": "type has no form in JSON",
            "nan": "Out of range float values are not JSON compliant",
            "infinity": "Out of range float values are not JSON compliant",
            "circle": "Circular reference detected",
            "key": "keys must be str, int, float, bool or None, not tuple",
        }.items():
            failure = self.failure("give", namespace=SHOP, what=what)
            self.assertEqual((failure.module, failure.class_), ("builtins", "ValueError"), what)
            # Newer Pythons add which value it was.
            self.assertTrue(failure.message.startswith(f"the result is no JSON: {problem}"), failure.message)


class UnderPlainPythonTest(unittest.TestCase):
    def test_methods_are_called_as_they_are(self):
        testing.reset()
        self.assertEqual(Shop().put("nut", 3, size=2.5), ["nut", 3, None, 2.5])
        self.assertEqual(Shop().who({"user": "Ada"}), [{"user": "Ada"}, ""])


if __name__ == "__main__":
    unittest.main()
