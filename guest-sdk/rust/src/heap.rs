//! The heap of a plugin: an arena for what a request needs, and an allocator for what stays or is large. Both begin
//! in memory that every instance starts with.
//!
//! An allocator that asks for more at once has each new instance grow its memory for its first request, and the
//! host take that away again after it: two calls to the kernel, which interrupt the other processors as well. A
//! small request never comes to that.

mod arena;
#[cfg(target_family = "wasm")]
mod global;
