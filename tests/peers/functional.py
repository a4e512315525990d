"""Upstream's own functional tests of RPC, with endpointd in place of their server.

Usage: functional.py TRANSPORT_URL ENDPOINTD GUEST_FOLDER. Runs CallTestCase and CastTestCase of the
installed oslo.messaging as they are; only the fixture that starts a server is another. Prints
{"test": NAME, "outcome": "ok" | "failed" | "skipped", "detail": TEXT} for each, then {"ran": NUMBER}.
"""

# First, because it makes everything after it eventlet's, as under upstream's own runner.
from oslo_messaging.tests.functional import utils

import json
import os
from pathlib import Path
import queue
import shutil
import subprocess
import sys
import time
import unittest

import fixtures
import oslo_messaging
from testtools import TestByTestResult, content

# Seconds. Only what hangs takes as long.
START_LIMIT = 30
STOP_LIMIT = 30
TEST_LIMIT = 120

OUTCOMES = {"success": "ok", "skip": "skipped"}


class Endpointd(fixtures.Fixture):
    """In place of `utils.RpcServerFixture`: a process with the guest that has its methods."""

    program = guest = None

    def __init__(self, conf, url, target, endpoint=None, ctrl_target=None, executor=None):
        # The guest has the methods of every `endpoint` that the tests bring; the rest concerns how
        # upstream runs and stops its own server.
        super().__init__()
        self.conf = conf
        self.url = url
        # Asks this server and no other, at the version of the methods that look inside.
        self.target = target(namespace=None, version=None, fanout=None)
        self.endpoint = State(self.ask)
        self.syncq = Syncs(self.ask)

    def _setUp(self):
        folder = Path(self.useFixture(fixtures.TempDir()).path)
        self.configure(folder)
        self.serve(folder)
        transport = self.useFixture(utils.RPCTransportFixture(self.conf, self.url)).transport
        self.client = oslo_messaging.get_rpc_client(transport, self.target, timeout=10)

    def configure(self, folder):
        plugin = folder / "plugins" / "functional"
        plugin.mkdir(parents=True)
        shutil.copy(self.guest / "functional.wasm", plugin)
        exchange = self.target.exchange or self.conf.control_exchange
        # A string of JSON is one of TOML too.
        (plugin / "plugin.toml").write_text(f"""
            component = "functional.wasm"
            topics = [{json.dumps(self.target.topic)}]
            [grants]
            keyvalue = ["functional"]
            clocks = true
            random = true
        """)
        (folder / "endpointd.toml").write_text(f"""
            transport_url = {json.dumps(self.url)}
            control_exchange = {json.dumps(exchange)}
            host = {json.dumps(self.target.server)}
            [admin]
            enabled = false
            [keyvalue.functional]
            backend = "memory"
        """)

    def serve(self, folder):
        log, output = folder / "log", folder / "output"
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("ENDPOINTD_")}
        with log.open("w") as errors, output.open("w") as lines:
            process = subprocess.Popen([self.program, "serve"], cwd=folder, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=lines, stderr=errors)
        self.addCleanup(self.stop, process)
        # Shown when a test fails.
        self.addDetail("endpointd's log", content.content_from_file(log))
        end = time.monotonic() + START_LIMIT
        while not output.read_text().startswith("ready:"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("endpointd did not become ready: see its log")
            time.sleep(0.02)

    def stop(self, process):
        process.terminate()
        try:
            code = process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"endpointd did not stop in {STOP_LIMIT} seconds") from None
        if code != 0:
            raise RuntimeError(f"endpointd stopped with exit code {code}")

    def ask(self, method, **arguments):
        return self.client.call({}, method, **arguments)


class State:
    """What tests read of `TestServerEndpoint`."""

    def __init__(self, ask):
        self.ask = ask

    @property
    def ival(self):
        return self.ask("add", increment=0)

    @property
    def sval(self):
        return self.ask("append", text="")


class Syncs:
    """What tests read of the queue that `sync` puts into."""

    def __init__(self, ask):
        self.ask = ask
        self.taken = 0

    def get(self, timeout):
        end = time.monotonic() + timeout
        while self.ask("sync_count") == self.taken:
            if time.monotonic() > end:
                raise queue.Empty
            time.sleep(0.05)
        self.taken += 1


def report(test, status, details, **_):
    texts = [f"{name}: {detail.as_text()}" for name, detail in (details or {}).items()]
    print(json.dumps({
        "test": ".".join(test.id().split(".")[-2:]),
        "outcome": OUTCOMES.get(status, "failed"),
        "detail": "\n".join(text for text in texts if status != "success"),
    }), flush=True)


def main():
    url, program, guest = sys.argv[1:4]
    os.environ["RPC_TRANSPORT_URL"] = url
    os.environ["OS_TEST_TIMEOUT"] = str(TEST_LIMIT)
    # What upstream logs is part of a failed test's detail then, and nobody else's.
    os.environ["OS_LOG_CAPTURE"] = "1"
    Endpointd.program = Path(program).resolve()
    Endpointd.guest = Path(guest).resolve()
    utils.RpcServerFixture = Endpointd
    from oslo_messaging.tests.functional import test_functional

    loader = unittest.TestLoader()
    result = TestByTestResult(report)
    for case in [test_functional.CallTestCase, test_functional.CastTestCase]:
        for test in loader.loadTestsFromTestCase(case):
            test.run(result)
    print(json.dumps({"ran": result.testsRun}))


if __name__ == "__main__":
    main()
