"""Calls to others: in a component, and as unit tests have them."""

import json
import unittest

import component
from endpointd import Failure, Target, client, testing

OSLO = "oslo_messaging.exceptions"
NOWHERE = {"exchange": None, "topic": "suppliers", "server": None, "namespace": None, "version": None}
DEFAULTS = {"timeout_ms": None, "context": None}


class InAComponentTest(component.ComponentTest):
    def options(self):
        return [options for *_, options in self.host.sent]

    def error(self, name, *value):
        """What a call raises that the host answers with an error."""
        self.host.answer = getattr(self.host.bindings.client, f"Error_{name}")(*value)
        with self.assertRaises(client.Error) as caught:
            Target("suppliers").call("order")
        return caught.exception

    def test_a_call_is_sent_by_name_and_answered(self):
        self.host.answer = '{"é": ["漢字🦀", null, 1.0]}'
        self.assertEqual(Target("suppliers").call("order", name="nüt", quantity=2), {"é": ["漢字🦀", None, 1.0]})
        args = '{"name": "nüt", "quantity": 2}'
        self.assertEqual(self.host.sent, [("call", NOWHERE, "order", args, DEFAULTS)])

    def test_casts_and_fanouts_wait_for_nothing(self):
        self.assertIsNone(Target("suppliers").cast("forget"))
        self.assertIsNone(Target("suppliers").fanout("hear", all=True))
        self.assertEqual(
            self.host.sent,
            [("cast", NOWHERE, "forget", "{}", DEFAULTS), ("fanout", NOWHERE, "hear", '{"all": true}', DEFAULTS)],
        )

    def test_every_part_of_the_target_is_passed_on(self):
        parts = {"server": "one", "namespace": "", "version": "1.4", "exchange": "nova"}
        Target("suppliers", **parts).call("order")
        self.assertEqual(self.host.sent[0][1], {"topic": "suppliers"} | parts)

    def test_arguments_may_have_any_name(self):
        Target("suppliers").call("order", self=1, method="m", timeout=2)
        self.assertEqual(json.loads(self.host.sent[0][3]), {"self": 1, "method": "m", "timeout": 2})

    def test_time_and_context_are_said_beforehand(self):
        target = Target("suppliers", version="1.0")
        target.prepare(timeout=2.5, context={"user": "Éva"}).call("order")
        target.call("order")
        self.assertEqual(self.options(), [{"timeout_ms": 2500, "context": '{"user": "Éva"}'}, DEFAULTS])
        self.assertEqual(self.host.sent[0][1]["version"], "1.0")

    def test_what_was_said_stays_until_something_else_is(self):
        prepared = Target("suppliers").prepare(timeout=2).prepare(context={})
        prepared.call("order")
        prepared.prepare(timeout=1).call("order")
        self.assertEqual(self.options(), [{"timeout_ms": 2000, "context": "{}"}, {"timeout_ms": 1000, "context": "{}"}])

    def test_a_time_is_within_what_can_be_said(self):
        for timeout in (0, -1, 0.0019, 1e10, float("inf")):
            Target("suppliers").prepare(timeout=timeout).call("order")
        self.assertEqual([one["timeout_ms"] for one in self.options()], [0, 0, 1, 2**32 - 1, 2**32 - 1])

    def test_what_is_no_json_is_not_sent(self):
        for target, args, message in [
            (Target("suppliers"), {"name": b""}, "the arguments are no JSON: bytes has no form in JSON"),
            (Target("suppliers").prepare(context={"a": {1}}), {}, "the context is no JSON: set has no form in JSON"),
        ]:
            with self.assertRaises(client.Invalid) as caught:
                target.call("order", **args)
            self.assertEqual(str(caught.exception), message)
        self.assertEqual(self.host.sent, [])

    def test_each_error_can_be_told_and_is_what_an_oslo_caller_knows(self):
        for name, value, kind, module, class_, message in [
            ("NotGranted", ["add it"], client.NotGranted, "endpointd", "ClientError", "not granted: add it"),
            ("Invalid", ["no topic"], client.Invalid, "endpointd", "ClientError", "no topic"),
            ("Timeout", [], client.Timeout, OSLO, "MessagingTimeout", "there was no reply in time"),
            ("Unroutable", [], client.Unroutable, OSLO, "MessageUndeliverable", "no server listens there"),
            ("Unavailable", ["no broker"], client.Unavailable, OSLO, "MessageDeliveryFailure", "no broker"),
        ]:
            error = self.error(name, *value)
            self.assertIs(type(error), kind)
            self.assertEqual((error.module, error.class_, str(error)), (module, class_, message))
            self.assertEqual((error.kwargs, error.expected), ({}, False))

    def test_an_exception_of_the_other_side_keeps_its_class(self):
        remote = self.host.bindings.types.Failure
        error = self.error("Remote", remote("Full", "store.exceptions", "vollständig", '{"by": 2}', ["line"], True))
        self.assertIs(type(error), client.Remote)
        self.assertIsInstance(error, Failure)
        self.assertEqual((error.module, error.class_, str(error)), ("store.exceptions", "Full", "vollständig"))
        self.assertEqual((error.kwargs, error.lines, error.expected), ({"by": 2}, ["line"], True))
        error = self.error("Remote", remote("KeyError", "builtins", "'a'", None, [], False))
        self.assertEqual((error.module, error.class_, str(error)), ("builtins", "KeyError", "'a'"))
        self.assertEqual((error.kwargs, error.lines, error.expected), ({}, [], False))

    def test_a_cast_that_cannot_be_sent_is_an_error(self):
        self.host.answer = self.host.bindings.client.Error_Unavailable("no broker")
        for send in (Target("suppliers").cast, Target("suppliers").fanout):
            with self.assertRaisesRegex(client.Unavailable, "^no broker$"):
                send("forget")


class UnderPlainPythonTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_a_test_answers_and_reads_what_was_sent(self):
        testing.answer(lambda topic, method, args: [topic, method, args])
        self.assertEqual(Target("suppliers").call("order", name="nüt"), ["suppliers", "order", {"name": "nüt"}])
        self.assertIsNone(Target("suppliers").cast("forget"))
        self.assertIsNone(Target("others").fanout("hear", all=True))
        self.assertEqual(
            testing.sent,
            [
                ("call", "suppliers", "order", {"name": "nüt"}),
                ("cast", "suppliers", "forget", {}),
                ("fanout", "others", "hear", {"all": True}),
            ],
        )

    def test_what_an_answer_raises_is_raised(self):
        remote = client.Remote("Full", "store.exceptions", "it is full", {}, [])

        def refuse(topic, method, args):
            raise remote

        testing.answer(refuse)
        with self.assertRaises(client.Remote) as caught:
            Target("suppliers").call("order")
        self.assertIs(caught.exception, remote)

    def test_nobody_answers_at_first_and_after_a_reset(self):
        testing.answer(lambda topic, method, args: 1)
        Target("suppliers").call("order")
        testing.reset()
        self.assertEqual(testing.sent, [])
        with self.assertRaisesRegex(client.Unroutable, "^no server listens there$"):
            Target("suppliers").call("order")


if __name__ == "__main__":
    unittest.main()
