//! Pieces of one stretch of memory, given out one after the other, and all taken back at once.
//!
//! What a request needs is many small pieces that are gone when it is answered. To put each where it fits costs
//! more than what is done with it.

use std::alloc::Layout;

/// Which part of a stretch of `size` bytes is given out; no piece is empty. It knows addresses by their distance from
/// the start of the stretch, which is aligned to [`Arena::ALIGNMENT`].
#[derive(Debug)]
pub(super) struct Arena {
    size: usize,
    next: usize,
    /// Pieces that are given out.
    pieces: usize,
}

impl Arena {
    pub(super) const ALIGNMENT: usize = 16;

    pub(super) const fn new(size: usize) -> Self {
        Self {
            size,
            next: 0,
            pieces: 0,
        }
    }

    /// Where a new piece begins, if there is room for it.
    #[inline]
    pub(super) fn take(&mut self, layout: Layout) -> Option<usize> {
        if layout.align() > Self::ALIGNMENT {
            return None;
        }
        // Neither overflows: it is within the stretch, and an alignment beyond that.
        let start = (self.next + layout.align() - 1) & !(layout.align() - 1);
        if layout.size() > self.size.saturating_sub(start) {
            return None;
        }
        self.next = start + layout.size();
        self.pieces += 1;
        Some(start)
    }

    /// Makes a piece longer or shorter where it stands, if that can be.
    #[inline]
    pub(super) fn resize(&mut self, start: usize, before: usize, after: usize) -> bool {
        if start + before != self.next {
            return after <= before;
        }
        if after > self.size - start {
            return false;
        }
        self.next = start + after;
        true
    }

    /// Takes a piece back.
    #[inline]
    pub(super) fn give_back(&mut self, start: usize, size: usize) {
        self.pieces -= 1;
        if self.pieces == 0 {
            self.next = 0;
        } else if start + size == self.next {
            self.next = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1024;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn pieces_follow_each_other_and_all_begin_again_when_none_is_left() {
        let mut arena = Arena::new(SIZE);
        assert_eq!(arena.take(layout(10, 1)), Some(0));
        assert_eq!(arena.take(layout(8, 8)), Some(16));
        assert_eq!(arena.take(layout(SIZE, 1)), None);
        assert_eq!(arena.take(layout(1, 32)), None);
        // The first is not the last: its room is not given out before all are back.
        arena.give_back(0, 10);
        assert_eq!(arena.take(layout(4, 4)), Some(24));
        for (start, size) in [(24, 4), (16, 8)] {
            arena.give_back(start, size);
        }
        assert_eq!(arena.take(layout(SIZE, 1)), Some(0));
        assert_eq!(arena.take(layout(1, 1)), None);
    }

    #[test]
    fn the_last_piece_grows_and_the_others_only_shrink() {
        let mut arena = Arena::new(SIZE);
        arena.take(layout(10, 1));
        arena.take(layout(10, 1));
        assert!(!arena.resize(0, 10, 11));
        assert!(arena.resize(0, 10, 5));
        assert!(arena.resize(10, 10, SIZE - 10));
        assert!(!arena.resize(10, SIZE - 10, SIZE - 9));
        assert!(!arena.resize(10, SIZE - 10, usize::MAX));
        assert!(arena.resize(10, SIZE - 10, 1));
        assert_eq!(arena.take(layout(1, 1)), Some(11));
    }

    /// Whatever is asked for, in whatever order: no two pieces have a byte in common, and all are inside.
    #[test]
    fn pieces_never_overlap() {
        let mut arena = Arena::new(SIZE);
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut random = 1_u32;
        let mut below = |bound: usize| {
            // Knuth's constants.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % bound
        };
        let mut taken = 0;
        for _ in 0..100_000 {
            match below(5) {
                0 | 1 => {
                    let layout = layout(1 + below(100), 1 << below(5));
                    if let Some(start) = arena.take(layout) {
                        assert_eq!(start % layout.align(), 0);
                        pieces.push((start, layout.size()));
                        taken += 1;
                    }
                }
                2 if !pieces.is_empty() => {
                    let at = below(pieces.len());
                    let (start, before) = pieces[at];
                    let after = 1 + below(200);
                    if arena.resize(start, before, after) {
                        pieces[at].1 = after;
                    }
                }
                _ if !pieces.is_empty() => {
                    let (start, size) = pieces.swap_remove(below(pieces.len()));
                    arena.give_back(start, size);
                }
                _ => {}
            }
            let mut sorted = pieces.clone();
            sorted.sort_unstable();
            assert!(sorted.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
            assert!(sorted.last().is_none_or(|last| last.0 + last.1 <= SIZE));
        }
        assert!(taken > 10_000);
    }
}
