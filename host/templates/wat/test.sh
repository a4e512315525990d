#!/bin/sh
# Calls the plugin once for each expectation, as `endpointd check` does it: without any server.
set -eu
cd "$(dirname "$0")"

# expect TEXT METHOD [KEY=VALUE]...: the text is in what comes back, be it a result or a failure.
expect() {
    expected="$1"
    shift
    answer="$(endpointd check {{name_snake}}.wat --call "$@" 2>&1)" || true
    case "$answer" in
    *"$expected"*) ;;
    *)
        printf '%s: expected %s and got:\n%s\n' "$*" "$expected" "$answer" >&2
        exit 1
        ;;
    esac
}

expect '"Hello, Ada"' greet name=Ada
expect 'builtins.ValueError: a name is needed' greet name=
expect "builtins.TypeError: greet() missing a required argument: 'name'" greet
echo "all is as expected"
