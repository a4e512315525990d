//! The host's side: imports in a Wasm guest, plain Rust in a native test. Both have the same
//! functions, so nothing above knows which one it runs on.

#[cfg(target_family = "wasm")]
pub mod bindings;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use self::native::*;
#[cfg(target_family = "wasm")]
pub(crate) use self::wasm::*;
