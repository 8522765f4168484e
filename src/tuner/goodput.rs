//! How fast bytes come, over any stretch of the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// Of what is longer ago nobody asks.
const MEMORY: Duration = Duration::from_secs(8);
/// Fewer bytes say nothing: they come in chunks.
const LEAST_BYTES: f64 = 128.0 * 1024.0;
const LONGEST_WINDOW: Duration = Duration::from_secs(1);

/// Body bytes, and when they were counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Goodput {
    samples: VecDeque<(Duration, u64)>,
    /// When the last byte came, as far as is known.
    last_byte: Duration,
}

impl Goodput {
    /// `received`: in all, never less than before.
    pub(super) fn record(&mut self, now: Duration, received: u64) {
        if self.samples.back().is_none_or(|(_, before)| *before < received) {
            self.last_byte = now;
        }
        self.samples.push_back((now, received));
        while self.samples.get(1).is_some_and(|(when, _)| *when + MEMORY < now) {
            self.samples.pop_front();
        }
    }

    /// What was before says nothing of what comes now.
    pub(super) fn forget(&mut self) {
        let newest = self.samples.pop_back();
        self.samples.clear();
        self.samples.extend(newest);
    }

    /// How long nothing has come.
    pub(super) fn quiet(&self) -> Duration {
        self.samples.back().map_or(Duration::ZERO, |(now, _)| now.saturating_sub(self.last_byte))
    }

    /// Bytes per second over the latest `span`, or what is known of it.
    pub(super) fn over(&self, span: Duration) -> f64 {
        self.before(Duration::ZERO, span)
    }

    /// Bytes per second over the `span` that ended some time ago.
    pub(super) fn before(&self, ago: Duration, span: Duration) -> f64 {
        let Some((now, _)) = self.samples.back() else { return 0.0 };
        let end = now.saturating_sub(ago);
        let bytes = self.received(end) - self.received(end.saturating_sub(span));
        bytes / span.as_secs_f64().max(f64::EPSILON)
    }

    /// The least multiple of `least` in which enough came to tell something.
    pub(super) fn window(&self, least: Duration) -> Duration {
        let mut window = least;
        while window < LONGEST_WINDOW && self.over(window) * window.as_secs_f64() < LEAST_BYTES {
            window *= 2;
        }
        window
    }

    /// The bytes that had come by then; between two counts, a share.
    fn received(&self, when: Duration) -> f64 {
        let next = self.samples.partition_point(|(counted, _)| *counted < when);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let count =
            |index: usize| self.samples.get(index).map(|(at, bytes)| (at.as_secs_f64(), *bytes as f64));
        match (next.checked_sub(1).and_then(count), count(next)) {
            (Some((from, before)), Some((to, after))) => {
                before + (after - before) * (when.as_secs_f64() - from) / (to - from)
            }
            (Some((_, bytes)), None) | (None, Some((_, bytes))) => bytes,
            (None, None) => 0.0,
        }
    }
}
