"""What callers know by name."""

from endpointd import Failure


class InvalidQuantity(Failure):
    expected = True

    def __init__(self, name: str, quantity: int):
        kwargs = {"name": name, "quantity": quantity}
        super().__init__(f"the quantity of {name} cannot be {quantity}", kwargs=kwargs)


class ItemNotFound(Failure):
    expected = True

    def __init__(self, name: str):
        super().__init__(f"there is no item {name}", kwargs={"name": name})
