//! The heap: it begins in memory that every instance starts with.
//!
//! An allocator that asks for more at once has each new instance grow its memory for its first request, and the
//! host take that away again after it: two calls to the kernel, which interrupt the other processors as well. A
//! small request never comes to that.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::{Cell, UnsafeCell};

use dlmalloc::{Allocator, Dlmalloc};

const BEGINNING_BYTES: usize = 192 * 1024;
/// WebAssembly's.
const PAGE_BYTES: usize = 64 * 1024;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages(
    Cell::new(false),
))));

static BEGINNING: Beginning = Beginning(UnsafeCell::new([0; BEGINNING_BYTES]));

#[repr(align(16))]
struct Beginning(UnsafeCell<[u8; BEGINNING_BYTES]>);

// SAFETY: a plugin has one thread, and only the allocator looks at it.
unsafe impl Sync for Beginning {}

/// Where the allocator gets memory: once from the beginning, then from the host.
struct Pages(Cell<bool>);

// SAFETY: the beginning is given out once, is as large as is said, zero, and never used otherwise; pages that were
// grown are new, and belong to who grew them.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= BEGINNING_BYTES && !self.0.replace(true) {
            return (BEGINNING.0.get().cast(), BEGINNING_BYTES, 0);
        }
        let pages = size.div_ceil(PAGE_BYTES);
        match memory_grow::<0>(pages) {
            usize::MAX => (std::ptr::null_mut(), 0, 0),
            before => {
                let start = (before * PAGE_BYTES) as *mut u8;
                (start, pages * PAGE_BYTES, 0)
            }
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        std::ptr::null_mut()
    }

    // Memory never shrinks.
    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE_BYTES
    }
}

struct Heap(UnsafeCell<Dlmalloc<Pages>>);

// SAFETY: a plugin has one thread.
unsafe impl Sync for Heap {}

// SAFETY: dlmalloc keeps the rules of an allocator, and nothing is allocated while it is at work.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(pointer, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(pointer, layout.size(), layout.align(), size) }
    }
}
