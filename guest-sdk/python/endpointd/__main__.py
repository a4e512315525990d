"""`python3 -m endpointd build MODULE -o FILE.wasm`: makes a component of a plugin's module or package."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

# What componentize-py makes a component of: the author's endpoints, and what the host calls.
_APP = """\
import {module}
from endpointd.wasm import WitWorld
"""


# Its command, wherever that is installed.
_COMPONENTIZE = "import sys, componentize_py; sys.exit(componentize_py.script())"


def build(module: str, output: str) -> int:
    """Runs componentize-py on the module, found from the working folder. Gives its exit code."""
    library = pathlib.Path(__file__).parent
    try:
        import componentize_py  # noqa: F401
    except ModuleNotFoundError:
        print(
            "componentize-py is missing: python3 -m pip install componentize-py==0.25.1",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "endpointd_app.py").write_text(_APP.format(module=module))
        paths = [".", folder, str(library.parent)]
        command = [sys.executable, "-c", _COMPONENTIZE, "-d", str(library / "wit"), "-w", "endpoint"]
        command += ["componentize", "endpointd_app", "-o", output]
        for path in paths:
            command += ["-p", path]
        # What is wrong is in the author's traceback, and not in that of the tool.
        environment = os.environ | {"RUST_BACKTRACE": "0"}
        return subprocess.run(command, stdout=subprocess.DEVNULL, env=environment).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m endpointd")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="make a component of a plugin")
    building.add_argument("module", help="the module or package with the endpoints, in this folder")
    building.add_argument("-o", "--output", required=True, help="the file to write, such as greeter.wasm")
    asked = parser.parse_args()
    return build(asked.module, asked.output)


if __name__ == "__main__":
    sys.exit(main())
