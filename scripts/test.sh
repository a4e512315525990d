#!/bin/sh
# Runs every test but those of languages whose compilers cannot be had, and says which those are.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

skipped=""
left_out="$cache/toolchains/left-out"
if [ -s "$left_out" ]; then
    while IFS=: read -r language _; do
        skipped="$skipped --skip languages::$language::"
    done <"$left_out"
fi
outcome=0
# shellcheck disable=SC2086
"${CARGO:-cargo}" test --workspace -- $skipped || outcome=$?
if [ -n "$skipped" ]; then
    printf '\nNot tested, as the compiler cannot be had here:\n'
    sed 's/^/  /' "$left_out"
fi
exit $outcome
