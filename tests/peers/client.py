"""A plain oslo.messaging client, told what to call.

Usage: client.py TRANSPORT_URL EXCHANGE. Reads {"do": "call" | "cast", "topic": ..., "method": ...,
"args": {...}, and optionally "version", "namespace", "server", "fanout", "timeout", "call_monitor_timeout",
"context"}.
"""

import sys

import oslo_messaging
from oslo_config import cfg

from peer import serve


def main():
    url, exchange = sys.argv[1:3]
    cfg.CONF([])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)

    def prepared(topic, version=None, namespace=None, server=None, fanout=None, timeout=20,
                 call_monitor_timeout=None):
        target = oslo_messaging.Target(exchange=exchange, topic=topic, version=version,
                                       namespace=namespace, server=server, fanout=fanout)
        client = oslo_messaging.get_rpc_client(transport, target, timeout=timeout)
        return client.prepare(call_monitor_timeout=call_monitor_timeout)

    def call(method, args=None, context=None, **target):
        return prepared(**target).call(context or {}, method, **(args or {}))

    def cast(method, args=None, context=None, **target):
        return prepared(**target).cast(context or {}, method, **(args or {}))

    serve({"call": call, "cast": cast})


if __name__ == "__main__":
    main()
