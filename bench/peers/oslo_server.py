"""An unmodified oslo.messaging server with the endpoint that is measured.

Its pool has 64 threads, which is its default.

Usage: oslo_server.py TRANSPORT-URL EXCHANGE TOPIC. Prints `ready` once it consumes, and ends with SIGTERM.
"""

import signal
import sys
import threading

import measured
import oslo_messaging
from oslo_config import cfg


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def report(self, context, **kwargs):
        return measured.report(**kwargs)

    def length(self, context, **kwargs):
        return measured.length(**kwargs)


def main():
    url, exchange, topic = sys.argv[1:4]
    cfg.CONF([], project="bench")
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
    target = oslo_messaging.Target(exchange=exchange, topic=topic, server="oslo")
    server = oslo_messaging.get_rpc_server(
        transport, target, [Endpoint()], executor="threading"
    )
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    print("ready", flush=True)
    ended.wait()
    server.stop()
    server.wait()


if __name__ == "__main__":
    main()
