//! The allocator of a static client: musl's, with what is free kept for a while.
//!
//! musl gives back to the system what is needed again at once: 48,000 page faults for 100 MB of a
//! first sync, a quarter of the time that it took. A general allocator (dlmalloc) is as fast, but
//! what it has between two blocks in use it cannot give back: an idle daemon had 3 MB more.
//! Blocks that are kept here are blocks of musl's, and whole.
//!
//! Deliberately absent: what C code allocates, and blocks of many megabytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};

/// Blocks of more than 2 to this power bytes are kept.
const BITS_MIN: u32 = 5;
/// And of at most 2 to this power.
const BITS_MAX: u32 = 22;
/// Sizes of blocks between one power of 2 and the next.
const STEPS: u32 = 4;
const SIZES: usize = ((BITS_MAX - BITS_MIN) * STEPS) as usize;
/// Bytes that are kept in all.
const KEPT_BYTES_MAX: usize = 12 << 20;
/// Alignment of what is kept; what wants more is left to musl.
const ALIGNMENT: usize = 16;

#[cfg_attr(not(test), global_allocator)]
static ALLOCATOR: Allocator = Allocator { kept: Mutex::new(Kept { first: [0; SIZES], bytes: 0 }) };

/// Gives back what is kept.
pub fn release() {
    let mut kept = ALLOCATOR.kept();
    for index in 0..SIZES {
        while let Some(block) = kept.take(index) {
            // SAFETY: the block came from `System` with this layout, and nobody has it any more.
            unsafe { System.dealloc(block, layout_of(index)) };
        }
    }
}

struct Allocator {
    kept: Mutex<Kept>,
}

/// Free blocks. The first bytes of each hold the address of the next one of its size, or 0.
struct Kept {
    first: [usize; SIZES],
    bytes: usize,
}

/// Which of the kept sizes a block has.
fn index_of(layout: Layout) -> Option<usize> {
    let is_kept = layout.size() > 1 << BITS_MIN && layout.size() <= 1 << BITS_MAX;
    if !is_kept || layout.align() > ALIGNMENT {
        return None;
    }
    let bits = (layout.size() - 1).ilog2();
    let step = ((layout.size() - 1) >> (bits - STEPS.ilog2())) as u32 - STEPS;
    Some(((bits - BITS_MIN) * STEPS + step) as usize)
}

/// The layout of the blocks of a size.
fn layout_of(index: usize) -> Layout {
    let (bits, step) = (BITS_MIN + index as u32 / STEPS, index as u32 % STEPS);
    let size = ((STEPS + step + 1) as usize) << (bits - STEPS.ilog2());
    Layout::from_size_align(size, ALIGNMENT).expect("a few megabytes")
}

impl Kept {
    fn take(&mut self, index: usize) -> Option<*mut u8> {
        let block = self.first[index] as *mut usize;
        if block.is_null() {
            return None;
        }
        // SAFETY: `put` has written there, and nobody else has the block.
        self.first[index] = unsafe { block.read() };
        self.bytes -= layout_of(index).size();
        Some(block.cast())
    }

    /// Keeps a block; false when there are enough.
    ///
    /// # Safety
    /// The block is one of `System` with the layout of this size, and nobody uses it.
    unsafe fn put(&mut self, block: *mut u8, index: usize) -> bool {
        let bytes = self.bytes + layout_of(index).size();
        if bytes > KEPT_BYTES_MAX {
            return false;
        }
        let block: *mut usize = block.cast();
        // SAFETY: the block is larger than an address, aligned for one, and nobody uses it.
        unsafe { block.write(self.first[index]) };
        (self.first[index], self.bytes) = (block as usize, bytes);
        true
    }
}

impl Allocator {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics with it in hand, and nobody could be told.
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

// SAFETY: a block is handed out once until it is given back: `Kept` forgets what it hands out, and
// the lock lets in one thread at a time. A block of a kept size always has the layout of that size,
// which is at least as large as what was asked for. Taking the lock allocates nothing.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(index) = index_of(layout) else {
            // SAFETY: as the caller.
            return unsafe { System.alloc(layout) };
        };
        let block = self.kept().take(index);
        // SAFETY: the layout has a size.
        block.unwrap_or_else(|| unsafe { System.alloc(layout_of(index)) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(index) = index_of(layout) else {
            // SAFETY: as the caller.
            return unsafe { System.alloc_zeroed(layout) };
        };
        let block = self.kept().take(index);
        if let Some(block) = block {
            // SAFETY: the block is at least as large.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        // SAFETY: the layout has a size.
        block.unwrap_or_else(|| unsafe { System.alloc_zeroed(layout_of(index)) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(index) = index_of(layout) else {
            // SAFETY: as the caller; the block came from `System` with this layout.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: blocks of this size have this layout, and the caller has no use for it any more.
        let is_kept = unsafe { self.kept().put(block, index) };
        if !is_kept {
            // SAFETY: as above.
            unsafe { System.dealloc(block, layout_of(index)) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size is a valid one.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (old, new) = (index_of(layout), index_of(new_layout));
        if old.is_none() && new.is_none() {
            // SAFETY: as the caller; the block came from `System` with this layout.
            return unsafe { System.realloc(block, layout, size) };
        }
        if old == new {
            return block;
        }
        // SAFETY: as the caller.
        let new_block = unsafe { self.alloc(new_layout) };
        if new_block.is_null() {
            return null_mut();
        }
        // SAFETY: both blocks are that large, and they are two.
        unsafe { new_block.copy_from_nonoverlapping(block, layout.size().min(size)) };
        // SAFETY: as the caller.
        unsafe { self.dealloc(block, layout) };
        new_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_size_have_room_and_waste_a_quarter_at_most() {
        let index = |size| index_of(Layout::from_size_align(size, 1).unwrap());
        let (smallest, largest) = ((1 << BITS_MIN) + 1, 1 << BITS_MAX);
        for size in (smallest..10_000).chain((smallest..=largest).step_by(997)).chain([largest]) {
            let room = layout_of(index(size).unwrap()).size();
            assert!(size <= room && room * 4 <= size * 5 + 4, "{size}: {room}");
            assert_eq!(index(room), index(size));
        }
        assert_eq!((index(smallest), index(largest)), (Some(0), Some(SIZES - 1)));
        assert_eq!((index(smallest - 1), index(largest + 1)), (None, None));
    }

    /// Whatever is asked for, each block holds what was written to it until it is given back, and
    /// in the end nothing is kept.
    #[test]
    fn blocks_keep_what_they_hold() {
        let mut random = fastrand::Rng::with_seed(42);
        let mut blocks: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let fill = |block: *mut u8, size: usize, byte: u8| {
            // SAFETY: the block is that large.
            unsafe { block.write_bytes(byte, size) };
        };
        let check = |block: *mut u8, size: usize, byte: u8| {
            // SAFETY: the block is that large and was written to.
            let bytes = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(bytes.iter().all(|held| *held == byte));
        };
        for round in 0..20_000 {
            let byte = round as u8;
            let bits = if round % 1000 == 9 { 23 } else { random.usize(1..18) };
            let size = random.usize(1..1 << bits);
            match random.u8(..4) {
                0 | 1 if blocks.len() < 200 => {
                    let layout = Layout::from_size_align(size, 1 << random.usize(..6)).unwrap();
                    let is_zeroed = random.bool();
                    let allocate =
                        if is_zeroed { Allocator::alloc_zeroed } else { Allocator::alloc };
                    // SAFETY: the layout has a size.
                    let block = unsafe { allocate(&ALLOCATOR, layout) };
                    assert_eq!(block as usize % layout.align(), 0);
                    if is_zeroed {
                        check(block, size, 0);
                    }
                    fill(block, size, byte);
                    blocks.push((block, layout, byte));
                }
                2 if !blocks.is_empty() => {
                    let (block, layout, byte) = blocks.swap_remove(random.usize(..blocks.len()));
                    // SAFETY: the block has this layout; it is not used afterwards.
                    let block = unsafe { ALLOCATOR.realloc(block, layout, size) };
                    check(block, size.min(layout.size()), byte);
                    fill(block, size, byte);
                    let layout = Layout::from_size_align(size, layout.align()).unwrap();
                    blocks.push((block, layout, byte));
                }
                _ if !blocks.is_empty() => {
                    let (block, layout, byte) = blocks.swap_remove(random.usize(..blocks.len()));
                    check(block, layout.size(), byte);
                    // SAFETY: the block has this layout; it is not used afterwards.
                    unsafe { ALLOCATOR.dealloc(block, layout) };
                }
                _ => {}
            }
            assert!(ALLOCATOR.kept().bytes <= KEPT_BYTES_MAX);
        }
        for (block, layout, byte) in blocks {
            check(block, layout.size(), byte);
            // SAFETY: as above.
            unsafe { ALLOCATOR.dealloc(block, layout) };
        }
        assert!(ALLOCATOR.kept().bytes > 0);
        release();
        assert_eq!(ALLOCATOR.kept().bytes, 0);
    }
}
