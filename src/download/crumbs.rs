//! Requests that bring next to nothing, one after the other, for one lease. Pure: the times are handed in.

use std::time::Duration;

use crate::http::retry::{Fault, LEAST_PROGRESS};

/// How far a request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    LeaseEnd,
    BodyEnd,
    Pause,
    /// Another connection will do better.
    CalledOff,
}

/// What the requests for a lease have come to.
#[derive(Debug)]
pub(super) struct Crumbs {
    /// How long requests may bring nothing.
    patience: Duration,
    /// One has ended early, with a crumb.
    had_one: bool,
    /// How long requests that were called off had brought nothing: another connection is no excuse for silence.
    starved: Duration,
}

impl Crumbs {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, had_one: false, starved: Duration::ZERO }
    }

    /// What is wrong with a request that `took` so long, if anything; `full` if it filled what was claimed.
    pub(super) fn judge(
        &mut self,
        reached: Reached,
        brought: u64,
        took: Duration,
        full: bool,
    ) -> Option<Fault> {
        let meagre = brought < LEAST_PROGRESS;
        self.starved = if meagre { self.starved + took } else { Duration::ZERO };
        match reached {
            Reached::LeaseEnd | Reached::Pause => None,
            Reached::CalledOff if self.starved < self.patience => None,
            Reached::CalledOff => Some(Fault::Silent(self.patience)),
            Reached::BodyEnd if full || !meagre => None,
            // A server may send less than was asked for (H13), but not crumb after crumb.
            Reached::BodyEnd if brought > 0 && !std::mem::replace(&mut self.had_one, true) => None,
            Reached::BodyEnd => Some(Fault::Cut(format!("a whole answer of {brought} bytes"))),
        }
    }

    /// A fault was told: what led to it is settled.
    pub(super) fn settle(&mut self) {
        self.starved = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn crumbs() -> Crumbs {
        Crumbs::new(3 * SECOND)
    }

    #[test]
    fn h13_one_crumb_is_taken_and_no_more() {
        let mut crumbs = crumbs();
        let mut ends = |brought, full| crumbs.judge(Reached::BodyEnd, brought, SECOND, full);
        assert_eq!(ends(LEAST_PROGRESS, false), None, "less than was asked for");
        assert_eq!(ends(1, true), None, "all that was asked for");
        assert_eq!(ends(LEAST_PROGRESS - 1, false), None);
        assert!(matches!(ends(LEAST_PROGRESS - 1, false), Some(Fault::Cut(_))));
        assert_eq!(ends(LEAST_PROGRESS, false), None);
    }

    #[test]
    fn h13_nothing_at_all_is_never_taken() {
        assert!(matches!(crumbs().judge(Reached::BodyEnd, 0, SECOND, false), Some(Fault::Cut(_))));
    }

    #[test]
    fn silence_counts_over_requests_that_were_called_off() {
        let mut crumbs = crumbs();
        let mut called_off = |brought| crumbs.judge(Reached::CalledOff, brought, SECOND, false);
        assert_eq!((called_off(0), called_off(9)), (None, None));
        assert_eq!(called_off(LEAST_PROGRESS), None, "bytes came");
        assert_eq!((called_off(0), called_off(0)), (None, None));
        assert_eq!(called_off(0), Some(Fault::Silent(3 * SECOND)));
        crumbs.settle();
        assert_eq!(crumbs.judge(Reached::CalledOff, 0, SECOND, false), None);
    }
}
