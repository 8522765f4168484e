//! How far a download is: a state to watch, and the rate.

use std::time::Duration;

/// What a download is doing.
///
/// ```
/// assert_eq!(haul::Progress::default().phase, haul::Phase::Probing);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Asking what there is.
    #[default]
    Probing,
    /// Reading what there is of a file that is repaired, and copying what is good of it: `in_place` says how far.
    Checking,
    /// Fetching.
    Fetching,
    /// Paused by the caller.
    Paused,
    /// Checking what an earlier run left, making everything durable, giving the file its name.
    Finishing,
}

/// How far a download is.
///
/// ```
/// let halfway = haul::Progress { in_place: 50, total: Some(100), ..haul::Progress::default() };
/// assert_eq!(halfway.total.map(|total| 100 * halfway.in_place / total), Some(50));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Body bytes received in this run; bytes that had to be fetched twice count twice.
    pub received: u64,
    /// Bytes of the object in place, those of earlier runs included.
    pub in_place: u64,
    /// Bytes to be had in all; `None` where the server does not say.
    pub total: Option<u64>,
    /// Bytes received per second, smoothed over about three seconds.
    pub rate: f64,
    /// Answers being read right now.
    pub connections: usize,
    /// Answers 429 and 503 in this run: the server wants to be asked less.
    pub throttled: u64,
}

/// A rate in bytes per second, smoothed exponentially. Pure: the time is handed in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    /// A rate that begins with the counter at `bytes`.
    pub(crate) fn starting_at(bytes: u64) -> Self {
        Self { bytes, per_second: None }
    }

    /// Takes the counter's new value, `elapsed` after the one before. `memory` is how long the past counts.
    pub(crate) fn update(&mut self, bytes: u64, elapsed: Duration, memory: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people and for estimates")]
        let now = bytes.saturating_sub(self.bytes) as f64 / elapsed.as_secs_f64().max(1e-3);
        let keep = (-elapsed.as_secs_f64() / memory.as_secs_f64()).exp();
        self.per_second = Some(self.per_second.map_or(now, |before| before * keep + now * (1.0 - keep)));
        self.bytes = bytes;
    }

    /// `None` before the first update.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_begins_does_not_count_what_was_before() {
        let second = Duration::from_secs(1);
        let mut rate = Rate::starting_at(1000);
        assert_eq!(rate.per_second(), None);
        rate.update(3000, second, second);
        assert_eq!(rate.per_second(), Some(2000.0));
    }

    #[test]
    fn a_steady_stream_has_its_rate_and_silence_fades() {
        let (tick, memory) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        for step in 1..=50 {
            rate.update(step * 1000, tick, memory);
        }
        assert!((rate.per_second().unwrap() - 10_000.0).abs() < 1.0);
        for _ in 0..50 {
            rate.update(50_000, tick, memory);
        }
        let faded = 10_000.0 * (-5.0_f64 / 2.0).exp();
        assert!((rate.per_second().unwrap() - faded).abs() < 1.0, "five seconds later");
    }
}
