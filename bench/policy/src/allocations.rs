//! Counting what is allocated.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use mimalloc::MiMalloc;
use serde::Serialize;

/// The program's own allocator, counting while it is told to.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static TIMES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

/// What was allocated while something was done. A block that grows counts as a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Allocations {
    /// How often.
    pub times: u64,
    /// How many bytes were asked for.
    pub bytes: u64,
    /// How many of them were not given back.
    pub kept: u64,
}

/// Does something and counts. The program has one thread, so nothing else is counted.
pub fn counted<T>(action: impl FnOnce() -> T) -> (T, Allocations) {
    for counter in [&TIMES, &BYTES, &FREED] {
        counter.store(0, Relaxed);
    }
    ON.store(true, Relaxed);
    let done = action();
    ON.store(false, Relaxed);
    let (times, bytes, freed) = (TIMES.load(Relaxed), BYTES.load(Relaxed), FREED.load(Relaxed));
    (done, Allocations { times, bytes, kept: bytes.saturating_sub(freed) })
}

fn took(bytes: usize) {
    if ON.load(Relaxed) {
        TIMES.fetch_add(1, Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

fn gave(bytes: usize) {
    if ON.load(Relaxed) {
        FREED.fetch_add(bytes as u64, Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call is handed on as it came, and counting touches no memory but the counters.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: what the caller promised holds for the one that is called, too.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}
