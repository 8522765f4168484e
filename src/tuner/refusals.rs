//! What a host's refusals say: a limit, or only that the moment is wrong.

use std::time::Duration;

/// No step up so soon after a refusal.
const CALM: Duration = Duration::from_secs(20);

/// Refusals of requests that were sent before the first of them was heard of.
#[derive(Clone, Copy, Debug)]
struct Burst {
    since: Duration,
    under_way: usize,
    refused: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Refusals {
    /// So many the host serves, as far as is known.
    served: Option<usize>,
    burst: Option<Burst>,
    calm: Duration,
}

impl Refusals {
    /// With what was known of the host before.
    pub(super) fn new(served: Option<usize>) -> Self {
        Self { served: served.filter(|served| *served > 0), burst: None, calm: Duration::ZERO }
    }

    pub(super) fn served(&self) -> Option<usize> {
        self.served
    }

    /// The most jobs that the host takes.
    pub(super) fn most(&self) -> usize {
        self.served.unwrap_or(usize::MAX)
    }

    /// Whether the last one is long enough ago.
    pub(super) fn is_calm(&self, now: Duration) -> bool {
        now >= self.calm
    }

    /// One of the requests `under_way` was refused while some were `delivering`. Those refused within the time
    /// `together` were sent together. Gives the most jobs from now on.
    pub(super) fn note(
        &mut self,
        now: Duration,
        together: Duration,
        under_way: usize,
        delivering: usize,
    ) -> usize {
        let burst = self.burst.filter(|burst| now < burst.since + together);
        let burst = burst.unwrap_or(Burst { since: now, under_way, refused: 0 });
        let burst = Burst { refused: burst.refused + 1, ..burst };
        self.burst = Some(burst);
        self.be_calm(now);
        let fewer = (burst.under_way * 13 / 20).max(1);
        // Where none is served it is the moment that is wrong, not the number.
        if delivering > 0 {
            let served = burst.under_way.saturating_sub(burst.refused).max(delivering.min(under_way)).max(1);
            self.served = Some(self.most().min(served));
        }
        fewer.min(self.most())
    }

    /// The host takes no more than these.
    pub(super) fn limit(&mut self, jobs: usize) {
        self.served = Some(jobs);
    }

    /// Nothing more for a while.
    pub(super) fn be_calm(&mut self, now: Duration) {
        self.calm = now + CALM;
    }
}
