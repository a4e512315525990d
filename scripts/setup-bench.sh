#!/bin/sh
# Makes sure that there is a Python environment with FastStream, which endpointd is measured beside.
# Made once per version of bench/peers/requirements.txt.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

python_packages "$cache/bench-peers" bench/peers/requirements.txt FastStream
