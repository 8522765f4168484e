//! The measures of the engine.

use std::time::Duration;

use crate::http::connections::Furnish;
use crate::http::retry::Backoff;

/// Sizes and times that were chosen for real links and disks. Tests of the engine run in a smaller world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// How many bytes the first request asks for: they count, and the length is not known yet.
    pub(crate) first_span: u64,
    /// Objects of fewer bytes may come at once, in memory, if they come within this time.
    pub(crate) at_once: u64,
    pub(crate) at_once_time: Duration,
    /// Fewer bytes are not worth a request of their own while there is a choice.
    pub(crate) least_span: u64,
    /// Nothing is taken from a lease that ends within this time, or is as young: a request costs round trips, and one
    /// that has just begun has shown nothing.
    pub(crate) least_steal: Duration,
    /// No byte on any connection for this long is taken for an outage.
    pub(crate) silence: Duration,
    /// How often the coordinator looks at rates and pauses.
    pub(crate) tick: Duration,
    /// After this long without a throttle one more request is tried.
    pub(crate) throttle_memory: Duration,
    pub(crate) backoff: Backoff,
    /// How long a Last-Modified that is too fresh to prove anything is left to age (H03).
    pub(crate) settle: Duration,
    /// An answer that is too slow for this long counts as stalled (H44).
    pub(crate) drip_time: Duration,
    /// The least time between two soft commits.
    pub(crate) soft_interval: Duration,
    /// The time between the end of a hard commit and the beginning of the next.
    pub(crate) hard_interval: Duration,
    /// What the HTTP client gets besides: tests bring names and certificates of their own.
    pub(crate) furnish: Furnish,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            first_span: 8 << 20,
            at_once: 1 << 20,
            at_once_time: Duration::from_secs(1),
            least_span: 2 << 20,
            least_steal: Duration::from_millis(120),
            silence: Duration::from_secs(1),
            tick: Duration::from_millis(50),
            throttle_memory: Duration::from_secs(10),
            backoff: Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(10) },
            // Strong after two seconds; a third, because Date has whole ones.
            settle: Duration::from_secs(3),
            drip_time: Duration::from_secs(30),
            soft_interval: Duration::from_millis(20),
            hard_interval: Duration::from_secs(1),
            furnish: std::convert::identity,
        }
    }
}
