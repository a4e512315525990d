import unittest

from endpointd import testing
from inventory import Inventory
from inventory.exceptions import ItemNotFound


class InventoryTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_what_runs_out_is_ordered(self):
        testing.settings["reorder_below"] = "5"
        testing.answer(lambda topic, method, args: f"{topic} {method} {args}")
        put = lambda quantity: Inventory().put("nut", quantity, context={"user": "Ada"})
        self.assertIsNone(put(5)["order"])
        again = put(3)
        self.assertEqual(again["previous"], 5)
        self.assertEqual(again["order"], "suppliers order {'name': 'nut', 'quantity': 2}")
        with self.assertRaises(ItemNotFound):
            Inventory().get("bolt")
