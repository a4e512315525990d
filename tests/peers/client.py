"""A plain oslo.messaging client, told what to call.

Usage: client.py TRANSPORT_URL EXCHANGE [COLLECTOR]. With a collector's URL it sends its spans there.
Reads {"do": "call" | "cast", "topic": ..., "method": ..., "args": {...}, and optionally "version",
"namespace", "server", "fanout", "timeout", "call_monitor_timeout", "version_cap", "context"};
{"do": "can_send", "topic": ..., "version": ..., "version_cap": ...}; and {"do": "prepare", "version": ...}.
"""

import importlib
import sys

import oslo_messaging
from oslo_config import cfg

from peer import serve


def main():
    url, exchange = sys.argv[1:3]
    cfg.CONF([])
    for collector in sys.argv[3:]:
        # oslo.messaging takes for granted that somebody has loaded this part of the package.
        importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        tracing = "oslo_messaging_tracing"
        cfg.CONF.set_override("tracing_enabled", True, group=tracing)
        cfg.CONF.set_override("otel_exporter_otlp_endpoint", collector, group=tracing)
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)

    def prepared(topic=None, version=None, namespace=None, server=None, fanout=None, timeout=20,
                 call_monitor_timeout=None, version_cap=None):
        target = oslo_messaging.Target(exchange=exchange, topic=topic, version=version,
                                       namespace=namespace, server=server, fanout=fanout)
        client = oslo_messaging.get_rpc_client(transport, target, timeout=timeout)
        return client.prepare(call_monitor_timeout=call_monitor_timeout, version_cap=version_cap)

    def call(method, args=None, context=None, **target):
        return prepared(**target).call(context or {}, method, **(args or {}))

    def cast(method, args=None, context=None, **target):
        return prepared(**target).cast(context or {}, method, **(args or {}))

    def can_send(version=None, **target):
        return prepared(**target).can_send_version(version)

    def prepare(version):
        prepared().prepare(version=version)

    serve({"call": call, "cast": cast, "can_send": can_send, "prepare": prepare})


if __name__ == "__main__":
    main()
