#!/bin/sh
# Compiles all .c files here, and the library only if something of it changed, so that a save is served at once.
set -eu
compile="clang --target=wasm32 -mbulk-memory -O2 -I. -Iendpointd -c"
mkdir -p build
objects=""
for source in endpointd/endpointd*.c; do
    object="build/$(basename "$source" .c).library.o"
    for part in "$source" endpointd/*.h build.sh; do
        [ "$object" -nt "$part" ] || rm -f "$object"
    done
    [ -f "$object" ] || $compile -o "$object" "$source"
    objects="$objects $object"
done
for source in *.c; do
    object="build/$(basename "$source" .c).o"
    $compile -o "$object" "$source"
    objects="$objects $object"
done
clang --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--strip-all -o {{name_snake}}.wasm $objects
