#!/bin/sh
# Makes sure that Rust can build for wasm32-unknown-unknown. Does nothing where it can.
#
# First choice: rustup's own download. Where that cannot be reached: Debian's rustc-web, whose
# source makes the standard library once, into the cache, for all guests; then the cargo to build
# with is toolchains/rust/bin/cargo there.
# WASM_TARGET_FROM=debian goes the second way at once.
. "$(dirname "$0")/../common.sh"

target=wasm32-unknown-unknown
sysroot="$cache/wasm-sysroot"
bin="$cache/toolchains/rust/bin"

has_target() {
    ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

from_rustup() {
    command -v rustup >/dev/null || return 1
    say "Adding the target $target with rustup"
    rustup target add $target
}

from_debian() {
    if ! dpkg -s rustc-web cargo-web rust-web-src lld-22 >/dev/null 2>&1; then
        apt_install "a Rust compiler that comes with the source of its standard library" \
            rustc-web cargo-web rust-web-src lld-22
    fi
    # Kept apart by compiler: std and the guests must come from one and the same.
    made_by="$sysroot/made-by"
    version="$(/usr/bin/rustc --version)"
    if [ "$(cat "$made_by" 2>/dev/null)" != "$version" ]; then
        say "Building the standard library for $target, once (about half a minute)"
        work="$cache/wasm-std"
        rm -rf "$sysroot" "$work"
        mkdir -p "$work/src" "$sysroot/lib/rustlib/$target/lib"
        echo '#![no_std]' >"$work/src/lib.rs"
        cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "sysroot"
version = "0.0.0"
edition = "2021"

[profile.release]
opt-level = "s"
codegen-units = 1
panic = "abort"

[workspace]
TOML
        # -Z build-std is unstable, which RUSTC_BOOTSTRAP lets a stable compiler do. Embedded
        # bitcode lets one library serve builds with and without link-time optimisation.
        (cd "$work" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes \
            CARGO_BUILD_BUILD_DIR="$work/target" CARGO_TARGET_DIR="$work/target" \
            /usr/bin/cargo build --release --target $target -Zbuild-std=std,panic_abort)
        cp "$work"/target/$target/release/deps/*.rlib "$sysroot/lib/rustlib/$target/lib/"
        rm -f "$sysroot/lib/rustlib/$target/lib"/libsysroot-*
        rm -rf "$work"
        echo "$version" >"$made_by"
    fi
    rm -rf "$bin"
    mkdir -p "$bin"
    cat >"$bin/rustc" <<RUSTC
#!/bin/sh
# Debian's compiler, with the standard library for guests that was made of its source.
case " \$* " in
    *" $target "*) exec /usr/bin/rustc --sysroot="$sysroot" "\$@" ;;
    *) exec /usr/bin/rustc "\$@" ;;
esac
RUSTC
    cat >"$bin/cargo" <<CARGO
#!/bin/sh
export RUSTC="$bin/rustc"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22
exec "$(command -v cargo)" "\$@"
CARGO
    chmod +x "$bin/rustc" "$bin/cargo"
    say "Guests are built with $version"
}

is_made() {
    [ -x "$bin/cargo" ] && [ -x /usr/bin/rustc ] &&
        [ "$(cat "$sysroot/made-by" 2>/dev/null)" = "$(/usr/bin/rustc --version)" ]
}

if [ "${WASM_TARGET_FROM:-}" = debian ]; then
    is_made || from_debian
elif is_made && ! has_target; then
    :
elif has_target || { from_rustup && has_target; }; then
    rm -rf "$cache/toolchains/rust"
else
    say "rustup cannot add $target here; taking Debian's packages instead"
    from_debian
fi
