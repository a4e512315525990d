#!/bin/sh
# Builds the shipped plugins and the tests' guests, and puts each beside its plugin.toml, ready to
# be served: target/plugins/NAME/ and target/guests/NAME/.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

# Says which compiler to use, where it is not the usual one.
[ ! -f "$cache/guest-env" ] || . "$cache/guest-env"

packages=""
for manifest in plugins/*/Cargo.toml tests/guests/*/Cargo.toml; do
    [ ! -f "$manifest" ] || packages="$packages -p $(basename "$(dirname "$manifest")")"
done
say "Building guests:$(echo "$packages" | sed 's/ -p / /g')"
# shellcheck disable=SC2086
cargo build --quiet --profile guest --target wasm32-unknown-unknown $packages

for manifest in plugins/*/plugin.toml tests/guests/*/plugin.toml; do
    [ -f "$manifest" ] || continue
    folder="$(dirname "$manifest")"
    name="$(basename "$folder")"
    case "$folder" in
        plugins/*) place="target/plugins/$name" ;;
        *) place="target/guests/$name" ;;
    esac
    mkdir -p "$place"
    # By way of a rename, so that whoever reads it never sees half a file.
    for file in "target/wasm32-unknown-unknown/guest/$name.wasm" "$manifest"; do
        cp "$file" "$place/.new" && mv "$place/.new" "$place/$(basename "$file")"
    done
done
