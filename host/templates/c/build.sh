#!/bin/sh
# Compiles what changed, so that saving plugin.c does not compile the library again. After a change of a header:
# rm -r build.
set -eu
mkdir -p build
for source in plugin.c endpointd/endpointd*.c; do
    object="build/$(basename "$source" .c).o"
    [ "$object" -nt "$source" ] || clang --target=wasm32 -mbulk-memory -O2 -Iendpointd -c -o "$object" "$source"
done
clang --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--strip-all -o {{name_snake}}.wasm build/*.o
