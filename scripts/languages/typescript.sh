#!/bin/sh
# Makes sure that TypeScript plugins can be built: they take what JavaScript takes, and no compiler of their own.
. "$(dirname "$0")/../common.sh"

"$(dirname "$0")/javascript.sh"
ln -sfn javascript "$cache/toolchains/typescript"
