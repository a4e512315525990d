#!/usr/bin/env python3
"""Makes docs/conformance.md: each point of tests/conformance.toml, its tests, and how they ended.

Usage: conformance.py           runs the tests `conformance::` and writes the page
       conformance.py --check   runs none: fails unless the page's rows are those of today's tests

A test proves the points that its name begins with: `c23_c24_what_is_rejected` proves C23 and C24.
CARGO is the cargo to use.
"""

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
POINTS = TOP / "tests/conformance.toml"
PAGE = TOP / "docs/conformance.md"
MODULE = "conformance::"
TESTS = [*shlex.split(os.environ.get("CARGO") or "cargo"),
         "test", "--package", "endpointd", "--test", "it", "--", MODULE]

SIDES = ["server", "client", "both"]
RESULTS = ["passed", "failed", "not run", "no test"]
COLUMNS = ["point", "what is demanded", "tests", "result", "against"]
PREFACE = """# Conformance

What speaking oslo.messaging's wire demands, point by point, and the tests that prove it.
`make conformance` runs them and makes this page of their names and results, and of
`tests/conformance.toml`: change those, not the page. A point has passed if it has a test, and each
of its tests ran and passed.

Made with {versions}.
Where `against` names oslo.messaging or neutron, the point is about that program, and its tests have
the real one at the other end. Elsewhere it names the broker.

How far it is, by who must behave so: a server that answers, a client that calls, or both. What is
not there yet has no test.

"""


def fail(text):
    sys.exit(f"endpointd: {text}")


def read_points():
    """The groups as they are in the file, and the points by number."""
    groups = tomllib.loads(POINTS.read_text())["group"]
    points = {}
    for group in groups:
        for point in group["points"]:
            number = point.get("number")
            if point.get("side") not in SIDES or not point.get("text") or not number:
                fail(f"{POINTS.name}: not a number, a side and a text: {point}")
            if number in points:
                fail(f"{POINTS.name}: C{number} is there twice")
            point["upstream"] = group.get("upstream", "oslo.messaging")
            points[number] = point
    return groups, points


def list_tests(points):
    """The names of all conformance tests, and of those of each point."""
    listing = subprocess.run([*TESTS, "--list"], cwd=TOP, stdout=subprocess.PIPE, text=True)
    if listing.returncode:
        fail("the tests could not be built or listed; the reason is above")
    names = re.findall(r"^(\S+): test$", listing.stdout, re.MULTILINE)
    if not names:
        fail(f"there is no test `{MODULE}`: {shlex.join(listing.args)}")
    tests = {number: [] for number in points}
    for name in names:
        numbers = re.match(r"(c\d+(_|$))*", name.rsplit("::", 1)[-1])[0]
        if not numbers:
            print(f"endpointd: {name} names no point, so it is not on the page", file=sys.stderr)
        for number in dict.fromkeys(map(int, re.findall(r"\d+", numbers))):
            if number not in points:
                fail(f"{name} proves C{number}, which {POINTS.name} does not have")
            tests[number].append(name)
    return names, tests


def run_tests(names):
    """How each test ended: ok, FAILED or ignored."""
    outcomes = {}
    tests = subprocess.Popen(TESTS, cwd=TOP, stdout=subprocess.PIPE, text=True, errors="replace")
    for line in tests.stdout:
        print(line, end="", flush=True)
        if match := re.match(r"test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b", line):
            outcomes.setdefault(*match.groups())
        # A broker that a test left behind would keep the output from ever ending.
        if re.match(r"test result: \w+\. \d+ passed", line):
            break
    code = tests.wait()
    # Half a run would make half a page, which looks like a whole one.
    if lost := [name for name in names if name not in outcomes]:
        fail(f"the tests ended (exit code {code}) without a result of {', '.join(lost)}")
    if bool(code) != ("FAILED" in outcomes.values()):
        fail(f"the tests' exit code is {code}, which their results do not explain")
    return outcomes


def read_versions():
    """The releases that take part, from where the tests have them."""
    cargo = tomllib.loads((TOP / "Cargo.toml").read_text())
    versions = {"endpointd": cargo["workspace"]["package"]["version"]}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    peers = [str(path) for path in cache.glob("endpointd/peers/lib/python3*/site-packages")]
    for package in ["oslo.messaging", "neutron"]:
        for found in importlib.metadata.distributions(name=package, path=peers):
            versions[package] = found.version
    for folder in sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")):
        versions["RabbitMQ"] = folder.name.removeprefix("rabbitmq_server-")
    if len(versions) != 4:
        fail(f"there is only {', '.join(versions)}: run `make setup`")
    return versions


def result_of(ended):
    if "FAILED" in ended:
        return "failed"
    if "ignored" in ended:
        return "not run"
    return "passed" if ended else "no test"


def row_of(point, tests, result):
    """The cells of a point, the last one without the release."""
    names = [f"`{name.removeprefix(MODULE)}`" for name in tests]
    against = point["upstream"] if point.get("peer") else "RabbitMQ"
    # What did not run did not run against anything.
    return [f"C{point['number']}", point["text"].replace("|", "\\|"), "<br>".join(names), result,
            against if result in ("passed", "failed") else ""]


def heading(columns):
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"


def page_of(groups, points, tests, results, versions):
    text = PREFACE.format(versions=", ".join(map(" ".join, versions.items())))
    text += heading(["side", "points", *RESULTS])
    for label, sides in [*((side, [side]) for side in SIDES), ("all", SIDES)]:
        counted = [results[number] for number, point in points.items() if point["side"] in sides]
        cells = [label, len(counted), *map(counted.count, RESULTS)]
        text += f"| {' | '.join(map(str, cells))} |\n"
    for group in groups:
        text += f"\n## {group['title']}\n\n{heading(COLUMNS)}"
        for point in group["points"]:
            number = point["number"]
            *cells, against = row_of(point, tests[number], results[number])
            cells.append(f"{against} {versions[against]}" if against else "")
            text += f"| {' | '.join(cells)} |\n"
    return text


def check(points, tests):
    """The page must have what a run would write, but for results and releases."""
    page = PAGE.read_text() if PAGE.exists() else ""
    rows = [line[2:-2].split(" | ") for line in page.splitlines() if re.match(r"\| C\d", line)]
    wrong = [f"{row[0]} is no point" for row in rows if row[0] not in map("C{}".format, points)]
    for number, point in points.items():
        own = [row for row in rows if row[0] == f"C{number}"]
        if len(own) != 1 or len(own[0]) != len(COLUMNS):
            wrong.append(f"C{number} has no row, more than one, or an incomplete one")
            continue
        *cells, against = own[0]
        # A result that these tests can have is taken at its word, as none is run.
        possible = [kind for kind in RESULTS if (kind == "no test") != bool(tests[number])]
        result = cells[3] if cells[3] in possible else " or ".join(possible)
        is_now = [*cells, against.split(" ")[0]]
        for column, is_, should in zip(COLUMNS, is_now, row_of(point, tests[number], result)):
            if is_ != should:
                has, wants = is_ or "nothing", should or "nothing"
                wrong.append(f"C{number}, {column}: it has {has}, and should have {wants}")
    if wrong:
        listed = "\n  ".join(wrong)
        fail(f"docs/{PAGE.name} is not what the tests are now:\n  {listed}\n"
             "Run `make conformance`, and commit the page with your change.")


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        sys.exit(2)
    groups, points = read_points()
    if sys.argv[1:]:
        return check(points, list_tests(points)[1])
    versions = read_versions()
    names, tests = list_tests(points)
    outcomes = run_tests(names)
    results = {number: result_of([outcomes[name] for name in tests[number]]) for number in points}
    PAGE.write_text(page_of(groups, points, tests, results, versions))
    print(f"endpointd: wrote docs/{PAGE.name}")
    if "FAILED" in outcomes.values():
        fail("tests failed; the page says so")


if __name__ == "__main__":
    main()
