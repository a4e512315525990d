"""A FastStream subscriber that answers the same request: its own consumer, router and publisher, with the
oslo envelope read and written by hand.

Usage: faststream_server.py AMQP-URL EXCHANGE TOPIC. Prints `ready` once it consumes, and ends with SIGTERM.
"""

import asyncio
import json
import signal
import sys
import uuid

import measured
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue


METHODS = {"report": measured.report, "length": measured.length}


async def main():
    url, exchange, topic = sys.argv[1:4]
    broker = RabbitBroker(url, logger=None)

    @broker.subscriber(
        RabbitQueue(topic, routing_key=topic, durable=False),
        RabbitExchange(exchange, type=ExchangeType.TOPIC, durable=False),
        channel=Channel(prefetch_count=64),
    )
    async def answer(body: dict):
        request = json.loads(body["oslo.message"])
        reply = {
            "result": METHODS[request["method"]](**request["args"]),
            "failure": None,
            "ending": True,
            "_msg_id": request["_msg_id"],
            "_unique_id": uuid.uuid4().hex,
        }
        await broker.publish(
            {"oslo.version": "2.0", "oslo.message": json.dumps(reply)},
            queue=request["_reply_q"],
            persist=True,
        )

    await broker.start()
    print("ready", flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await broker.stop()


if __name__ == "__main__":
    asyncio.run(main())
