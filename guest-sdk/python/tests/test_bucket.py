"""Buckets: in a component, and as unit tests have them."""

import dataclasses
import unittest

import component
from endpointd import Bucket, BucketError, Failure, testing


@dataclasses.dataclass
class Item:
    name: str


class Buckets:
    """What is the same in both."""

    def test_a_bucket_keeps_bytes(self):
        bucket = Bucket("shop")
        self.assertIsNone(bucket.get("a"))
        bucket.set("a", b"\x00\xff")
        bucket.set("empty", b"")
        self.assertEqual(Bucket("shop").get("a"), b"\x00\xff")
        self.assertEqual(bucket.get("empty"), b"")
        self.assertEqual([bucket.exists("a"), bucket.exists("empty"), bucket.exists("b")], [True, True, False])

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self):
        bucket = Bucket("shop")
        bucket.set("a", b"1")
        bucket.delete("a")
        bucket.delete("a")
        self.assertEqual([bucket.get("a"), bucket.exists("a"), bucket.keys()], [None, False, []])

    def test_every_key_is_listed_in_order(self):
        bucket = Bucket("shop")
        for key in ("é", "b", "🦀", "a", "漢"):
            bucket.set(key, b"")
        self.assertEqual(bucket.keys(), ["a", "b", "é", "漢", "🦀"])

    def test_values_may_be_json(self):
        bucket = Bucket("shop")
        bucket.set_json("a", {"é": ["漢字🦀", None, 2**60]})
        self.assertEqual(bucket.get("a").decode(), '{"é": ["漢字🦀", null, 1152921504606846976]}')
        self.assertEqual(bucket.get_json("a"), {"é": ["漢字🦀", None, 2**60]})
        bucket.set_json("item", Item("nut"))
        self.assertEqual(bucket.get_json("item"), {"name": "nut"})
        bucket.set_json("half", "a\ud800")
        self.assertEqual([bucket.get("half"), bucket.get_json("half")], [b'"a\\ud800"', "a\ud800"])

    def test_a_default_is_for_what_is_not_there(self):
        bucket = Bucket("shop")
        bucket.set_json("null", None)
        self.assertEqual([bucket.get_json("a"), bucket.get_json("a", 5), bucket.get_json("null", 5)], [None, 5, None])

    def test_what_is_no_json_is_not_read(self):
        bucket = Bucket("shop")
        for value in (b"", b"{", b"\xff"):
            bucket.set("a", value)
            for read in (bucket.get_json, lambda key: bucket.update_json(key, lambda before: before)):
                with self.assertRaisesRegex(BucketError, "^a value of the bucket is not as expected: "):
                    read("a")
            self.assertEqual(bucket.get("a"), value)

    def test_what_is_no_json_is_not_written(self):
        bucket = Bucket("shop")
        for value in (float("nan"), {1}, b""):
            for write in (bucket.set_json, lambda key, value: bucket.update_json(key, lambda _: value)):
                with self.assertRaisesRegex(ValueError, "^the value is no JSON: "):
                    write("a", value)
        self.assertEqual(bucket.keys(), [])

    def test_a_counter_begins_at_0(self):
        bucket = Bucket("shop")
        self.assertEqual([bucket.increment("n"), bucket.increment("n", 5), bucket.increment("n", -4)], [1, 6, 2])
        self.assertEqual([bucket.get("n"), bucket.get_json("n")], [b"2", 2])

    def test_what_is_no_number_does_not_count(self):
        bucket = Bucket("shop")
        bucket.set("n", b"many")
        with self.assertRaisesRegex(BucketError, "^the bucket failed: "):
            bucket.increment("n")
        self.assertEqual(bucket.get("n"), b"many")

    def test_a_value_is_replaced_by_what_becomes_of_it(self):
        bucket = Bucket("shop")
        self.assertIsNone(bucket.update_json("a", lambda before: [before]))
        self.assertEqual(bucket.update_json("a", lambda before: [*before, "é"]), [None])
        self.assertEqual(bucket.get_json("a"), [None, "é"])

    def test_what_a_change_raises_is_the_callers(self):
        bucket = Bucket("shop")
        bucket.set_json("a", 1)
        with self.assertRaises(ZeroDivisionError):
            bucket.update_json("a", lambda before: before / 0)
        self.assertEqual(bucket.get_json("a"), 1)

    def test_a_lost_race_is_run_again_with_what_the_other_wrote(self):
        bucket = Bucket("shop")
        bucket.set_json("a", 1)
        given = []

        def change(before):
            given.append(before)
            self.write_meanwhile(bucket, len(given))
            return before + 1

        self.assertEqual(bucket.update_json("a", change), 20)
        self.assertEqual(given, [1, 10, 20])
        self.assertEqual(bucket.get_json("a"), 21)


class InAComponentTest(Buckets, component.ComponentTest):
    def write_meanwhile(self, bucket, tries):
        if tries == 1:
            self.host.written_meanwhile = [b"10", b"20"]

    def test_a_bucket_that_cannot_be_opened_says_why(self):
        self.host.buckets["secret"] = "denied"
        for name, message in {
            "secret": "the bucket `secret` is not granted to this plugin",
            "nowhere": "there is no bucket `nowhere`",
        }.items():
            with self.assertRaises(BucketError) as caught:
                Bucket(name)
            self.assertEqual(str(caught.exception), message)
            self.assertIsInstance(caught.exception, Failure)
            self.assertEqual((caught.exception.module, caught.exception.class_), ("endpointd", "BucketError"))

    def test_what_the_host_refuses_says_why(self):
        bucket = Bucket("shop")
        with self.assertRaisesRegex(BucketError, "^the bucket failed: a key is needed$"):
            bucket.set("", b"")
        with self.assertRaisesRegex(BucketError, "^the bucket failed: it is too large$"):
            bucket.update_json("a", lambda _: "x" * 100)
        self.assertEqual(bucket.keys(), [])


class UnderPlainPythonTest(Buckets, unittest.TestCase):
    def setUp(self):
        testing.reset()

    def write_meanwhile(self, bucket, tries):
        if tries <= 2:
            bucket.set_json("a", tries * 10)

    def test_a_reset_empties_every_bucket(self):
        Bucket("shop").set("a", b"1")
        self.assertEqual(Bucket("other").keys(), [])
        testing.reset()
        self.assertEqual(Bucket("shop").keys(), [])

    def test_what_is_no_bytes_is_refused(self):
        bucket = Bucket("shop")
        for value in (5, "text", None):
            with self.assertRaises(TypeError):
                bucket.set("a", value)
        self.assertFalse(bucket.exists("a"))

    def test_a_counter_has_64_bits(self):
        bucket = Bucket("shop")
        self.assertEqual(bucket.increment("n", 2**63 - 1), 2**63 - 1)
        with self.assertRaises(BucketError) as caught:
            bucket.increment("n")
        message = "the bucket failed: the value is not a decimal number of 64 bits, or would not be one"
        self.assertEqual(str(caught.exception), message)


if __name__ == "__main__":
    unittest.main()
