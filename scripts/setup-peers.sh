#!/bin/sh
# Makes sure that there is a Python environment with the real oslo.messaging and neutron, which
# demo and tests call endpointd with. Made once per version of tests/peers/requirements.txt.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

python_packages "$cache/peers" tests/peers/requirements.txt "oslo.messaging and neutron (about a minute)"
