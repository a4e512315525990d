//! The heap of a plugin: an arena for as much as it takes, which is what a small request needs, and an allocator for
//! all else. Both begin in memory that every instance starts with.
//!
//! The arena begins anew when nothing is left in it. What an endpoint is made with is kept elsewhere ([`lasting`]). Of
//! an instance that is used again and keeps what it allocated for a request, the arena is full after a while, and the
//! allocator has everything until that is given back.
//!
//! An allocator that asks for more at once has each new instance grow its memory for its first request, and the
//! host take that away again after it: two calls to the kernel, which interrupt the other processors as well. A
//! small request never comes to that.

mod arena;
#[cfg(target_family = "wasm")]
mod global;

#[cfg(target_family = "wasm")]
pub(crate) use self::global::lasting;
