//! What every fuzzer has in common: a check that it runs, and a limit to what that may allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is allocated, and the most that it was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A checkpoint's CRCs take 32 times the room of its bits, and a property looks at everything a few times.
const PER_BYTE: usize = 256;
/// serde makes room for 1 MiB of a vector whatever length it announces, and for no more than comes; a checkpoint has
/// two of them.
const ANYWAY: usize = 3 << 20;

/// Checks a property of an input, and that nobody allocates more than the input can account for (H64).
pub fn check(property: fn(&[u8]), input: &[u8]) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    property(input);
    let most = MOST.load(Relaxed) - before;
    assert!(most <= ANYWAY + PER_BYTE * input.len(), "{most} bytes allocated for {}", input.len());
}

/// The `main` of a fuzzer.
#[macro_export]
macro_rules! fuzz {
    ($property:path) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::check($property, input));
    };
}
