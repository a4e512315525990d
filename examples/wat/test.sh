#!/bin/sh
# Calls the plugin once for each expectation, each time with an empty bucket and no way to order anything.
set -eu
cd "$(dirname "$0")"

# expect TEXT METHOD [KEY=VALUE]...: the text is in what comes back, be it a result or a failure.
expect() {
    expected="$1"
    shift
    answer="$(endpointd check inventory.wat --call "$@" 2>&1)" || true
    case "$answer" in
    *"$expected"*) ;;
    *)
        printf '%s: expected %s and got:\n%s\n' "$*" "$expected" "$answer" >&2
        exit 1
        ;;
    esac
}

expect '{"name":"nut","quantity":7,"note":null,"by":null,"previous":null,"order":null}' put name=nut quantity=7
expect '"name":"🦀 \"crab\"","quantity":9,"note":"a\tb",' put 'name="\ud83e\udd80 \"crab\""' quantity=9 'note="a\tb"'
expect 'oslo_messaging.exceptions.MessageDeliveryFailure: ' put name=nut quantity=4
expect 'builtins.ValueError: a name is needed' put name= quantity=1
expect 'inventory.exceptions.InvalidQuantity: the quantity of nut cannot be -1' put name=nut quantity=-1
expect 'inventory.exceptions.ItemNotFound: there is no item bolt' get 'name="b\u006flt"'
expect '[]' list prefix=n
expect '{"items":0,"quantity":0,"puts":0}' count
expect '2166136261' checksum rounds=2
expect "builtins.TypeError: put() missing a required argument: 'quantity'" put name=nut
expect "builtins.TypeError: put() got an unexpected keyword argument 'size'" put name=nut quantity=1 size=2
expect "builtins.TypeError: put() argument 'quantity': an integer is needed, not that text" put name=nut quantity=many
expect "builtins.TypeError: put() argument 'note': text is needed, not an array" put name=nut quantity=1 'note=[1]'
echo "all is as expected"
