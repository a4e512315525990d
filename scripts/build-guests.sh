#!/bin/sh
# build-guests.sh [FOLDER...]: builds guests and puts each beside its plugin.toml, ready to be served:
# plugins/NAME in target/plugins/NAME, examples/NAME in target/examples/NAME, those of the tests in
# target/guests/NAME, and what benchmarks measure in target/bench/NAME. Without folders it builds them
# all.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

# Is there where the usual compiler cannot build guests.
PATH="$cache/toolchains/rust/bin:$PATH"

[ $# != 0 ] || set -- plugins/* examples/greeter tests/guests/* bench/measured
packages=""
for folder in "$@"; do
    if ! [ -f "$folder/Cargo.toml" ] || ! [ -f "$folder/plugin.toml" ]; then
        echo "endpointd: no guest in $folder: it has no Cargo.toml or no plugin.toml" >&2
        echo "usage: scripts/build-guests.sh [FOLDER...], such as examples/greeter" >&2
        exit 2
    fi
    packages="$packages -p $(basename "$folder")"
done
say "Building guests:$(echo "$packages" | sed 's/ -p / /g')"
# shellcheck disable=SC2086
cargo build --quiet --profile guest --target wasm32-unknown-unknown $packages

for folder in "$@"; do
    name="$(basename "$folder")"
    place="target/$(basename "$(dirname "$folder")")/$name"
    mkdir -p "$place"
    # By way of a rename, so that whoever reads it never sees half a file.
    for file in "target/wasm32-unknown-unknown/guest/$name.wasm" "$folder/plugin.toml"; do
        cp "$file" "$place/.new" && mv "$place/.new" "$place/$(basename "$file")"
    done
done
