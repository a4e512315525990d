#!/bin/sh
# Makes sure that there is cargo-fuzz, which builds and runs the fuzz targets.
. "$(dirname "$0")/common.sh"

version=0.13.2
if ! "$cache/cargo-fuzz/bin/cargo-fuzz" --version 2>/dev/null | grep -qF "$version"; then
    say "Installing cargo-fuzz $version into $cache (about a minute)"
    # From outside the checkout, whose build folder is not for this.
    (cd "$cache" && cargo install --quiet --locked --root "$cache/cargo-fuzz" \
        --version "$version" cargo-fuzz)
fi
# libFuzzer is C++.
command -v "${CXX:-c++}" >/dev/null || apt_install "a C++ compiler" g++
