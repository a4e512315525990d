//! The arena and the allocator as what Rust allocates with.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::{Cell, UnsafeCell};
use std::ptr;

use dlmalloc::{Allocator, Dlmalloc};

use super::arena::Arena;

/// Room for a small request, its arguments and its reply.
const ARENA_BYTES: usize = 32 * 1024;
/// What the allocator begins with.
const BEGINNING_BYTES: usize = 192 * 1024;
/// WebAssembly's.
const PAGE_BYTES: usize = 64 * 1024;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Parts {
    arena: Arena::new(ARENA_BYTES),
    is_arena_open: true,
    rest: Dlmalloc::new_with_allocator(Pages(Cell::new(false))),
}));

static IN_ARENA: Memory<ARENA_BYTES> = Memory::new();
static BEGINNING: Memory<BEGINNING_BYTES> = Memory::new();

#[repr(align(16))]
struct Memory<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: a plugin has one thread, and only the heap looks at it.
unsafe impl<const BYTES: usize> Sync for Memory<BYTES> {}

impl<const BYTES: usize> Memory<BYTES> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }

    fn start(&self) -> *mut u8 {
        self.0.get().cast()
    }
}

const _: () = assert!(align_of::<Memory<ARENA_BYTES>>() == Arena::ALIGNMENT);

/// Where the allocator gets memory: once from the beginning, then from the host.
struct Pages(Cell<bool>);

// SAFETY: the beginning is given out once, is as large as is said, zero, and never used otherwise; pages that were
// grown are new, and belong to who grew them.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= BEGINNING_BYTES && !self.0.replace(true) {
            return (BEGINNING.start(), BEGINNING_BYTES, 0);
        }
        let pages = size.div_ceil(PAGE_BYTES);
        match memory_grow::<0>(pages) {
            usize::MAX => (ptr::null_mut(), 0, 0),
            before => {
                let start = (before * PAGE_BYTES) as *mut u8;
                (start, pages * PAGE_BYTES, 0)
            }
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
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

struct Heap(UnsafeCell<Parts>);

struct Parts {
    arena: Arena,
    is_arena_open: bool,
    rest: Dlmalloc<Pages>,
}

impl Parts {
    #[inline]
    fn take_of_arena(&mut self, layout: Layout) -> Option<*mut u8> {
        if !self.is_arena_open {
            return None;
        }
        let start = self.arena.take(layout)?;
        Some(IN_ARENA.start().wrapping_add(start))
    }
}

#[cfg(target_feature = "atomics")]
compile_error!("the heap is for one thread, which is what a plugin has");

// SAFETY: a plugin has one thread.
unsafe impl Sync for Heap {}

impl Heap {
    /// # Safety
    ///
    /// What was given before is not used any more.
    #[expect(clippy::mut_from_ref, reason = "it is where a heap becomes mutable")]
    unsafe fn parts(&self) -> &mut Parts {
        // SAFETY: there is one thread, and nothing is allocated while a part is at work.
        unsafe { &mut *self.0.get() }
    }
}

/// How far from the start of the arena it is, if it is in it.
#[inline]
fn in_arena(pointer: *mut u8) -> Option<usize> {
    let distance = (pointer as usize).wrapping_sub(IN_ARENA.start() as usize);
    (distance < ARENA_BYTES).then_some(distance)
}

/// Makes what stays for as long as the instance does: the arena is left to what does not.
pub(crate) fn lasting<T>(make: impl FnOnce() -> T) -> T {
    let open = |is_open| {
        // SAFETY: nothing of it is kept.
        unsafe { HEAP.parts().is_arena_open = is_open };
    };
    open(false);
    // A panic in it ends the instance.
    let made = make();
    open(true);
    made
}

// SAFETY: the arena gives out parts of its own memory that do not overlap, aligned as its memory is, and dlmalloc
// keeps the rules of an allocator. Each piece goes back to where it is from, and nothing is called while parts are
// used that uses them as well.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            let parts = self.parts();
            match parts.take_of_arena(layout) {
                Some(pointer) => pointer,
                None => parts.rest.malloc(layout.size(), layout.align()),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe {
            let parts = self.parts();
            match parts.take_of_arena(layout) {
                Some(pointer) => {
                    // An earlier piece may have been there.
                    pointer.write_bytes(0, layout.size());
                    pointer
                }
                None => parts.rest.calloc(layout.size(), layout.align()),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe {
            let parts = self.parts();
            match in_arena(pointer) {
                Some(start) => parts.arena.give_back(start, layout.size()),
                None => parts.rest.free(pointer, layout.size(), layout.align()),
            }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let parts = self.parts();
            let Some(start) = in_arena(pointer) else {
                let (before, align) = (layout.size(), layout.align());
                return parts.rest.realloc(pointer, before, align, size);
            };
            if parts.arena.resize(start, layout.size(), size) {
                return pointer;
            }
            // The caller has seen to it that the new size is possible, and a piece that did not fit where it was
            // is smaller than that.
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                pointer.copy_to_nonoverlapping(moved, layout.size());
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}
