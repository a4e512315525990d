"""An unmodified oslo.messaging server, to compare with, to share a topic with, and to be called.

Usage: server.py TRANSPORT_URL EXCHANGE TOPIC SERVER. Says {"ready": true} when it consumes, and ends when
its standard input does.

Version 1.0: who() is "oslo", echo(value) the value, not_a_number() is NaN, context() the request context,
sleep(seconds) returns after so long, fail(kind) raises what is named there, count() is how many calls of
sleep and casts of note(value) came, relay(topic, method, args, keep) calls on and passes its context on if told to.
Namespace "named", version 1.10: which() is "named 1.10".
"""

import json
import sys
import threading
import time

import oslo_messaging
from oslo_config import cfg


class Odd(Exception):
    def __init__(self, text, **kwargs):
        super().__init__(text, 7)
        self.kwargs = kwargs


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def __init__(self, client):
        self.client = client
        self.notes = []
        self.lock = threading.Lock()

    def who(self, context):
        return "oslo"

    def echo(self, context, value):
        return value

    def not_a_number(self, context):
        return float("nan")

    def context(self, context):
        return context

    def sleep(self, context, seconds):
        self.note(context, seconds)
        time.sleep(seconds)
        return seconds

    def fail(self, context, kind):
        raise {
            "value": ValueError("bad value", 3),
            "odd": Odd("é \"odd\"", a=1),
            "empty": RuntimeError(),
        }[kind]

    def note(self, context, value):
        with self.lock:
            self.notes.append(value)

    def count(self, context):
        return len(self.notes)

    def relay(self, context, topic, method, args, keep):
        return self.client.prepare(topic=topic).call(context if keep else {}, method, **args)


class Named:
    target = oslo_messaging.Target(namespace="named", version="1.10")

    def which(self, context):
        return "named 1.10"


def main():
    url, exchange, topic, name = sys.argv[1:5]
    cfg.CONF([])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
    target = oslo_messaging.Target(exchange=exchange, topic=topic, server=name)
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(exchange=exchange))
    endpoints = [Endpoint(client), Named()]
    server = oslo_messaging.get_rpc_server(transport, target, endpoints, executor="threading")
    server.start()
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
    server.stop()
    server.wait()


if __name__ == "__main__":
    main()
