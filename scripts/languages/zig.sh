#!/bin/sh
# Makes sure that there is a Zig compiler. It comes from PyPI, whose package `ziglang` is the whole of it.
. "$(dirname "$0")/../common.sh"

version=0.17.1
toolchain="$cache/toolchains/zig"

if [ "$(cat "$toolchain/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
work="$cache/toolchains/zig.part"
rm -rf "$work"
mkdir -p "$work/bin"
python_environment "$work/venv"
say "Installing Zig $version from PyPI (100 MB)"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    --target "$work/package" "ziglang==$version"
rm -rf "$work/venv"
ln -s ../package/ziglang/zig "$work/bin/zig"
echo "$version" >"$work/version"
rm -rf "$toolchain"
# Last, so that an interrupted installation is done again.
mv "$work" "$toolchain"
