//! Rates: a token bucket kept as the one instant at which it is empty.

use std::time::{Duration, Instant};

/// No more than this at once at ordinary rates.
const BURST: u64 = 64 * 1024;

/// A bucket that fills from its creation on.
#[derive(Debug)]
pub struct Pace {
    due: Instant,
}

impl Pace {
    /// An empty bucket.
    pub fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// When these bytes may be sent at this rate. Time that passed unused counts only up to a short
    /// while, so that there is no burst after it.
    pub fn reserve(&mut self, now: Instant, rate: u64, bytes: u64) -> Instant {
        let earliest = now.checked_sub(burst(rate)).unwrap_or(now);
        let start = self.due.max(earliest);
        self.due = start + time(bytes, rate);
        start
    }
}

/// How much to send at once to look smooth: 10 ms worth, a byte at least.
pub fn slice(rate: u64) -> u64 {
    (rate / 100).clamp(1, BURST)
}

/// At high rates a timer is too coarse for 64 KiB: what 2 ms are worth is allowed there.
fn burst(rate: u64) -> Duration {
    time(BURST, rate).clamp(Duration::from_millis(2), Duration::from_millis(50))
}

fn time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}
