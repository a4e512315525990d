#!/bin/sh
# Makes sure that there is a Python environment with the real oslo.messaging and neutron, which
# demo and tests call endpointd with. Made once per version of tests/peers/requirements.txt.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

requirements=tests/peers/requirements.txt
peers="$cache/peers"

if cmp -s "$requirements" "$peers/requirements.txt"; then
    exit 0
fi
rm -rf "$peers"
python_environment "$peers"
say "Installing oslo.messaging and neutron from PyPI (about a minute)"
"$peers/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
# Last, so that an interrupted installation is done again.
cp "$requirements" "$peers/requirements.txt"
