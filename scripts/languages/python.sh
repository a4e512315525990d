#!/bin/sh
# Makes sure that Python plugins can be built: a Python with componentize-py, from PyPI.
. "$(dirname "$0")/../common.sh"

version=0.25.1
toolchain="$cache/toolchains/python"

if [ "$(cat "$toolchain/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
rm -rf "$toolchain"
mkdir -p "$cache/toolchains"
python_environment "$toolchain"
say "Installing componentize-py $version from PyPI (72 MB)"
"$toolchain/bin/pip" install --quiet --disable-pip-version-check "componentize-py==$version"
# Last, so that an interrupted installation is done again.
echo "$version" >"$toolchain/version"
