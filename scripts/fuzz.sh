#!/bin/sh
# fuzz.sh SECONDS [TARGET...]: fuzzes the parsers, each for that long; all targets by default. It
# starts from fuzz/corpus, and keeps what it learns in fuzz/target/corpus. A failure leaves its input
# in fuzz/artifacts.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

seconds="${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}"
shift
[ $# != 0 ] || set -- envelope transport_url

# A sanitizer is unstable, which RUSTC_BOOTSTRAP lets a stable compiler do. What it instruments is
# of no use to other builds.
export RUSTC_BOOTSTRAP=1 CARGO_BUILD_BUILD_DIR="$PWD/fuzz/target"
for target in "$@"; do
    say "Fuzzing $target for $seconds s"
    mkdir -p "fuzz/target/corpus/$target"
    "$cache/cargo-fuzz/bin/cargo-fuzz" fuzz run "$target" \
        "fuzz/target/corpus/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds"
done
