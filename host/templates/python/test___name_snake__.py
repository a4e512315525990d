import unittest

from {{name_snake}}_plugin import Greeter


class GreeterTest(unittest.TestCase):
    def test_whoever_has_a_name_is_greeted(self):
        self.assertEqual(Greeter().greet("Ada"), "Hello, Ada")
        with self.assertRaises(ValueError):
            Greeter().greet("")
