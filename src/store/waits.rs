//! Whether the disk makes writers wait, as it does once the page cache holds more than it can write back in time.
//! Pure: times are handed in.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A write that took as long has waited: to copy what one read brings takes microseconds.
const LONG: Duration = Duration::from_millis(10);
/// After one that has, so many have to be quick before it is over.
const QUICK: u32 = 256;

/// What the last writes were like.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// Writes that have to be quick yet.
    left: AtomicU32,
}

impl Waits {
    /// A write took that time.
    pub(crate) fn note(&self, took: Duration) {
        if took >= LONG {
            self.left.store(QUICK, Ordering::Relaxed);
        } else {
            // Fails at 0, which is where it stays as long as nothing waits.
            let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        }
    }

    /// Whether the next write may have to wait, too.
    pub(crate) fn are_likely(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_that_waits_is_followed_by_others() {
        let waits = Waits::default();
        waits.note(LONG.mul_f64(0.99));
        assert!(!waits.are_likely());
        waits.note(LONG);
        for _ in 1..QUICK {
            waits.note(Duration::ZERO);
            assert!(waits.are_likely());
        }
        waits.note(Duration::ZERO);
        assert!(!waits.are_likely());
        waits.note(Duration::ZERO);
        assert!(!waits.are_likely());
    }
}
