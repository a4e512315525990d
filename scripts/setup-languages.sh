#!/bin/sh
# setup-languages.sh LANGUAGE...: makes sure that each language's compiler is there. One that cannot be had is
# named in a list, which `scripts/test.sh` shows: its tests do not run, and do not count as passed.
. "$(dirname "$0")/common.sh"
cd "$(dirname "$0")/.."

mkdir -p "$cache/toolchains"
left_out="$cache/toolchains/left-out"
: >"$left_out"
for language in "$@"; do
    log="$cache/toolchains/$language.log"
    rm -f "$log.failed"
    # To be seen as it happens, and read again below.
    { scripts/languages/"$language".sh 2>&1 || echo failed >"$log.failed"; } | tee "$log"
    if [ -f "$log.failed" ]; then
        rm -f "$log.failed"
        reason="$(grep -v '^==>' "$log" | grep -v '^$' | head -n 1)"
        echo "$language: ${reason:-its set-up failed}" >>"$left_out"
    fi
done
