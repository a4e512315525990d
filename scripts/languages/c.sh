#!/bin/sh
# Makes sure that there are clang and its linker for Wasm, which are Debian's.
. "$(dirname "$0")/../common.sh"

if command -v clang >/dev/null && command -v wasm-ld >/dev/null; then
    exit 0
fi
apt_install "a C compiler for Wasm" clang lld
