"""Settings, the log and the request: in a component, and as unit tests have them."""

import unittest

import component
from endpointd import call_info, config, log, testing


class InAComponentTest(component.ComponentTest):
    def test_settings_are_text_or_their_default(self):
        self.host.settings = {"greeting": "Grüße", "empty": ""}
        found = [config.get("greeting"), config.get("empty", "default"), config.get("none"), config.get("none", "d")]
        self.assertEqual(found, ["Grüße", "", None, "d"])
        self.assertEqual(config.all(), {"greeting": "Grüße", "empty": ""})

    def test_settings_that_cannot_be_read_say_why(self):
        self.host.unreadable = "no such file"
        for read in (lambda: config.get("greeting"), config.all):
            with self.assertRaisesRegex(RuntimeError, "^the settings cannot be read: no such file$"):
                read()

    def test_each_level_of_the_log_is_the_hosts(self):
        log.debug("d")
        log.info("Grüße 🦀")
        log.warning(5)
        log.error("half \ud800")
        self.assertEqual(
            self.host.logged,
            [("DEBUG", "", "d"), ("INFO", "", "Grüße 🦀"), ("WARN", "", "5"), ("ERROR", "", "half ?")],
        )

    def test_a_request_is_known_by_its_id_and_its_time(self):
        self.host.call = {"id": "12f", "delivery": "CAST", "remaining_ms": 1500, "host_started_ms": 1_700_000_000_250}
        found = [call_info.id(), call_info.delivery(), call_info.remaining(), call_info.host_started()]
        self.assertEqual(found, ["12f", "cast", 1.5, 1_700_000_000.25])

    def test_a_time_that_is_up_is_not_one_that_is_unknown(self):
        self.host.call |= {"delivery": "CALL", "remaining_ms": 0}
        self.assertEqual([call_info.delivery(), call_info.remaining()], ["call", 0.0])
        self.host.call["remaining_ms"] = None
        self.assertIsNone(call_info.remaining())


class UnderPlainPythonTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_a_test_sets_the_settings(self):
        testing.settings["greeting"] = "Grüße"
        self.assertEqual([config.get("greeting"), config.get("none", "d")], ["Grüße", "d"])
        everything = config.all()
        everything["greeting"] = "changed"
        self.assertEqual(config.all(), {"greeting": "Grüße"})

    def test_a_test_reads_the_log(self):
        for write in (log.debug, log.info, log.warning, log.error):
            write("Grüße")
        self.assertEqual(testing.logged, [(level, "Grüße") for level in ("debug", "info", "warn", "error")])

    def test_a_reset_leaves_nothing(self):
        testing.settings["greeting"] = "Grüße"
        log.info("hello")
        testing.reset()
        self.assertEqual((config.all(), testing.logged), ({}, []))

    def test_a_request_is_a_call_without_a_limit(self):
        found = [call_info.id(), call_info.delivery(), call_info.remaining(), call_info.host_started()]
        self.assertEqual(found, ["test", "call", None, 0.0])


if __name__ == "__main__":
    unittest.main()
