"""An unmodified oslo.messaging server, to compare with and to share a topic with.

Usage: server.py TRANSPORT_URL EXCHANGE TOPIC SERVER. Answers who() with "oslo", echo(value)
with the value and not_a_number() with NaN; says {"ready": true} when it consumes, and ends when its
standard input does.
"""

import json
import sys

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def who(self, context):
        return "oslo"

    def echo(self, context, value):
        return value

    def not_a_number(self, context):
        return float("nan")


def main():
    url, exchange, topic, name = sys.argv[1:5]
    cfg.CONF([])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
    target = oslo_messaging.Target(exchange=exchange, topic=topic, server=name)
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
    server.start()
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
    server.stop()
    server.wait()


if __name__ == "__main__":
    main()
