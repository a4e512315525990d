"""A stock of items in a bucket, that orders more of what runs out."""

from endpointd import Bucket, Endpoint, Target, call_info, config, log

from .exceptions import InvalidQuantity, ItemNotFound

ITEM = "item/"


class Inventory(Endpoint, version="1.1"):
    def put(self, name: str, quantity: int, note: str | None = None, *, context) -> dict:
        """Sets how many there are of an item, and orders more where that is too few."""
        if not name:
            raise ValueError("a name is needed")
        if quantity < 0:
            raise InvalidQuantity(name, quantity)
        stock = Bucket("inventory")
        item = {"name": name, "quantity": quantity, "note": note, "by": context.get("user")}
        before = stock.update_json(ITEM + name, lambda _: item)
        stock.increment("puts")
        log.info(f"{name}: {quantity}, by request {call_info.id()}")
        previous = before and before["quantity"]
        return item | {"previous": previous, "order": order(name, quantity)}

    def get(self, name: str) -> dict:
        item = Bucket("inventory").get_json(ITEM + name)
        if item is None:
            raise ItemNotFound(name)
        return item

    def list(self, prefix: str = "") -> list[str]:
        """The names that begin with a prefix."""
        return [name for name in names(Bucket("inventory")) if name.startswith(prefix)]

    def count(self) -> dict:
        stock = Bucket("inventory")
        quantities = [stock.get_json(ITEM + name)["quantity"] for name in names(stock)]
        return {"items": len(quantities), "quantity": sum(quantities), "puts": stock.get_json("puts", 0)}

    def checksum(self, rounds: int = 1) -> int:
        """FNV-1a over every name, as often as one likes."""
        every = "".join(names(Bucket("inventory"))).encode()
        total = 2166136261
        for _ in range(rounds):
            for byte in every:
                total = (total ^ byte) * 16777619 & 0xFFFFFFFF
        return total


def names(stock: Bucket) -> list[str]:
    return [key.removeprefix(ITEM) for key in stock.keys() if key.startswith(ITEM)]


def order(name: str, quantity: int) -> str | None:
    """Orders what is missing, where the operator said how much there should be."""
    enough = config.get("reorder_below")
    if enough is None or quantity >= int(enough):
        return None
    return Target("suppliers", version="1.0").call("order", name=name, quantity=int(enough) - quantity)
