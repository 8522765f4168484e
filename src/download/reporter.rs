//! What a download says of itself: events, and progress to be watched.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::event::Event;
use super::map::Cell;
use super::progress::{Phase, Progress, Rate};
use crate::http::client::Traffic;

/// How long the past counts in the rate that people see.
const RATE_MEMORY: Duration = Duration::from_secs(3);
/// The least time between two samples of the rate.
const RATE_SAMPLE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Reporter {
    progress: watch::Sender<Progress>,
    map: watch::Sender<Vec<Cell>>,
    events: broadcast::Sender<Event>,
    retries: AtomicU64,
    rate: Mutex<(Instant, Rate)>,
}

impl Reporter {
    pub(crate) fn new(
        progress: watch::Sender<Progress>,
        map: watch::Sender<Vec<Cell>>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        Self {
            progress,
            map,
            events,
            retries: AtomicU64::new(0),
            rate: Mutex::new((Instant::now(), Rate::default())),
        }
    }

    /// One that nobody listens to.
    pub(crate) fn silent() -> Self {
        Self::new(watch::Sender::default(), watch::Sender::default(), broadcast::channel(1).0)
    }

    pub(crate) fn event(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    pub(crate) fn note(&self, message: impl Into<String>) {
        self.event(Event::Note { message: message.into() });
    }

    pub(crate) fn retry(&self, segment: Option<usize>, reason: String, wait: Duration) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.event(Event::Retry { segment, reason, wait });
    }

    /// Where everything is, if somebody looks.
    pub(crate) fn map(&self, cells: impl FnOnce() -> Vec<Cell>) {
        if self.map.receiver_count() > 0 {
            self.map.send_replace(cells());
        }
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self, phase: Phase, in_place: u64, total: Option<u64>, traffic: &Traffic) {
        let received = traffic.received();
        let rate = {
            let mut sampled = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            let elapsed = sampled.0.elapsed();
            if elapsed >= RATE_SAMPLE {
                sampled.1.update(received, elapsed, RATE_MEMORY);
                sampled.0 = Instant::now();
            }
            sampled.1.per_second().unwrap_or_default()
        };
        let (connections, throttled) = (traffic.open(), traffic.throttled());
        let now = Progress { phase, received, in_place, total, rate, connections, throttled };
        self.progress.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}
