"""The host's side under plain Python, for unit tests: settings, buckets, the log and other services.

`reset()` begins anew; `settings`, `logged` and `sent` are there to be set and read.
"""

import json

settings: dict[str, str] = {}
logged: list[tuple[str, str]] = []
sent: list[tuple[str, str, str, dict]] = []
"""What was sent: `call`, `cast` or `fanout`, the topic, the method, the arguments."""
_buckets: dict[str, dict[str, bytes]] = {}
_answer = None


def reset() -> None:
    """Nothing set, stored, logged or sent."""
    global _answer
    for one in (settings, logged, sent, _buckets):
        one.clear()
    _answer = None


def answer(answerer) -> None:
    """Has calls to others answered by `answerer(topic, method, args)`: what it returns, or raises."""
    global _answer
    _answer = answerer


def log(level, message):
    logged.append((level, message))


def config_get(key):
    return settings.get(key)


def config_all():
    return dict(settings)


def call_id():
    return "test"


def call_delivery():
    return "call"


def call_remaining_ms():
    return None


def host_started_ms():
    return 0


def open_bucket(name):
    return _Bucket(_buckets.setdefault(name, {}))


class _Bucket:
    def __init__(self, values):
        self.values = values

    def get(self, key):
        return self.values.get(key)

    def set(self, key, value):
        # Of an integer, bytes() would make so many zeros.
        self.values[key] = memoryview(value).tobytes()

    def delete(self, key):
        self.values.pop(key, None)

    def exists(self, key):
        return key in self.values

    def keys(self):
        return sorted(self.values)

    def increment(self, key, delta):
        from .bucket import BucketError

        try:
            total = int(self.values.get(key, b"0")) + delta
        except ValueError:
            total = None
        if total is None or not -(2**63) <= total < 2**63:
            raise BucketError("the bucket failed: the value is not a decimal number of 64 bits, or would not be one")
        self.values[key] = str(total).encode()
        return total

    def update(self, key, change):
        while True:
            before = self.values.get(key)
            after = change(before)
            # A test may play the other one that writes meanwhile.
            if self.values.get(key) == before:
                self.values[key] = after
                return before


def send(kind, target, method, args, timeout_ms, context):
    from .client import Unroutable

    arguments = json.loads(args)
    sent.append((kind, target.topic, method, arguments))
    if kind != "call":
        return None
    if _answer is None:
        raise Unroutable("no server listens there")
    return json.dumps(_answer(target.topic, method, arguments))
