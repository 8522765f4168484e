//! Failures in a row, by the segment they happened at. Pure.

use std::collections::BTreeMap;

/// What failed, and how often since it last brought a byte (H25).
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_segment: BTreeMap<usize, Streak>,
    /// Segments that have landed, ever.
    landed: u64,
}

#[derive(Debug)]
struct Streak {
    count: u32,
    /// How much had landed in all when it began.
    landed: u64,
}

/// One more failure, in its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Failures at that segment before this one, without a byte in between.
    pub(crate) before: u32,
    /// Segments have landed elsewhere since the first of them: the server is there for others.
    pub(crate) others_go_on: bool,
}

impl Failures {
    /// A request failed at `segment`; `progressed`: it had brought bytes before.
    pub(crate) fn note(&mut self, segment: usize, progressed: bool) -> Failure {
        if progressed {
            self.forget(segment);
        }
        let landed = self.landed;
        let streak = self.by_segment.entry(segment).or_insert(Streak { count: 0, landed });
        let failure = Failure { before: streak.count, others_go_on: landed > streak.landed };
        streak.count += 1;
        failure
    }

    /// The segment has landed.
    pub(crate) fn land(&mut self, segment: usize) {
        self.forget(segment);
        self.landed += 1;
    }

    pub(crate) fn forget(&mut self, segment: usize) {
        self.by_segment.remove(&segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h25_only_bytes_end_a_streak() {
        let mut failures = Failures::default();
        assert_eq!(failures.note(3, false).before, 0);
        assert_eq!(failures.note(3, false).before, 1);
        assert_eq!(failures.note(4, false).before, 0, "another segment's");
        assert_eq!(failures.note(3, true).before, 0);
        assert_eq!(failures.note(3, false).before, 1);
        failures.land(3);
        assert_eq!(failures.note(3, false).before, 0);
    }

    #[test]
    fn h47_others_go_on_when_something_landed_since_the_streak_began() {
        let mut failures = Failures::default();
        failures.land(1);
        assert!(!failures.note(3, false).others_go_on);
        assert!(!failures.note(3, false).others_go_on);
        failures.land(2);
        assert!(failures.note(3, false).others_go_on);
    }
}
