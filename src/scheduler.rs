//! Who fetches what: leases on runs of missing segments, handed out by guided self-scheduling.
//!
//! An idle worker leases the next missing segments, about `unleased / (2 × jobs)` of them: long requests at
//! first, short ones towards the end, so that there are few requests and all workers finish together. When
//! nothing is unleased, an idle worker takes the far half of the lease with the most time left.
//!
//! A worker *claims* the segments of its lease a few at a time, just before it writes them. Claimed segments
//! are its own until it lets go; what is leased but not claimed can still be taken from it.

use std::collections::BTreeMap;
use std::ops::Range;

/// Names a worker for as long as a download runs.
pub(crate) type WorkerId = usize;

/// When a lease is worth dividing: asking costs a round trip and a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StealTerms {
    /// Seconds of work that the victim must have left, unclaimed.
    pub(crate) least_seconds: f64,
    pub(crate) segment_size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    /// What the worker holds and may be writing.
    claimed: Range<usize>,
    /// One past the last segment of the lease; `claimed.end..end` can be stolen.
    end: usize,
}

/// The state of all leases. Pure: no clock, no I/O.
#[derive(Clone, Debug)]
pub(crate) struct Scheduler {
    /// Missing segments that nobody has leased: disjoint runs, never adjacent, start → end.
    unleased: BTreeMap<usize, usize>,
    leases: BTreeMap<WorkerId, Lease>,
    least_span: usize,
}

impl Scheduler {
    /// `least_span`: the fewest segments worth a request of their own while there is a choice.
    pub(crate) fn new(missing: impl IntoIterator<Item = Range<usize>>, least_span: usize) -> Self {
        let mut scheduler =
            Self { unleased: BTreeMap::new(), leases: BTreeMap::new(), least_span: least_span.max(1) };
        missing.into_iter().for_each(|run| scheduler.put_back(run));
        scheduler
    }

    /// The next span for an idle worker, `None` when everything missing is leased.
    pub(crate) fn lease(&mut self, worker: WorkerId, jobs: usize) -> Option<Range<usize>> {
        let unleased: usize = self.unleased.iter().map(|(start, end)| end - start).sum();
        self.lease_up_to(worker, (unleased / (2 * jobs.max(1))).max(self.least_span))
    }

    /// The first missing run, at most `most` segments of it.
    pub(crate) fn lease_up_to(&mut self, worker: WorkerId, most: usize) -> Option<Range<usize>> {
        debug_assert!(!self.leases.contains_key(&worker), "a worker has one lease");
        let (start, run_end) = self.unleased.pop_first()?;
        let end = run_end.min(start.saturating_add(most.max(1)));
        if end < run_end {
            self.unleased.insert(end, run_end);
        }
        self.leases.insert(worker, Lease { claimed: start..start, end });
        Some(start..end)
    }

    /// The far half of the lease with the most time left at its holder's own rate, in bytes per second.
    pub(crate) fn steal(
        &mut self,
        thief: WorkerId,
        terms: StealTerms,
        rate: impl Fn(WorkerId) -> f64,
    ) -> Option<Range<usize>> {
        debug_assert!(!self.leases.contains_key(&thief), "a worker has one lease");
        let (_, lease) = self
            .leases
            .iter_mut()
            .filter(|(_, lease)| lease.claimed.end < lease.end)
            .map(|(worker, lease)| (lease.seconds_left(rate(*worker), terms.segment_size), lease))
            .filter(|(seconds, _)| *seconds > terms.least_seconds)
            .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let end = lease.end;
        lease.end -= (lease.end - lease.claimed.end).div_ceil(2);
        let taken = lease.end..end;
        self.leases.insert(thief, Lease { claimed: taken.start..taken.start, end });
        Some(taken)
    }

    /// Lets go of what the worker claimed before, which must have landed, and claims the next segments of its
    /// lease, at most `most`. `None` ends the lease.
    pub(crate) fn claim(&mut self, worker: WorkerId, most: usize) -> Option<Claim> {
        let lease = self.leases.get_mut(&worker)?;
        let start = lease.claimed.end;
        if start == lease.end {
            self.leases.remove(&worker);
            return None;
        }
        lease.claimed = start..lease.end.min(start.saturating_add(most.max(1)));
        Some(Claim { segments: lease.claimed.clone(), lease_end: lease.end })
    }

    /// The worker is gone: what it had not landed is missing again. Gives the first of that.
    pub(crate) fn release(&mut self, worker: WorkerId, landed: impl Fn(usize) -> bool) -> Option<usize> {
        let lease = self.leases.remove(&worker)?;
        let mut missing = (lease.claimed.start..lease.end).filter(|index| !landed(*index)).peekable();
        let first = missing.peek().copied();
        missing.for_each(|index| self.put_back(index..index + 1));
        first
    }

    /// These segments are missing again, and nobody's.
    pub(crate) fn put_back(&mut self, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        let before = self.unleased.range(..=run.start).next_back().map(|(start, end)| (*start, *end));
        let start = before.filter(|(_, end)| *end >= run.start).map_or(run.start, |(start, _)| start);
        let end = self.unleased.remove(&run.end).unwrap_or(run.end);
        self.unleased.insert(start, end);
    }

    /// How many workers hold a lease.
    pub(crate) fn leased(&self) -> usize {
        self.leases.len()
    }
}

/// Segments that a worker may write, and where its lease ends by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) segments: Range<usize>,
    pub(crate) lease_end: usize,
}

impl Lease {
    fn seconds_left(&self, rate: f64, segment_size: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = (self.end - self.claimed.end) as f64 * segment_size as f64;
        bytes / rate.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const TERMS: StealTerms = StealTerms { least_seconds: 0.0, segment_size: 1 };

    #[derive(Clone, Debug)]
    enum Step {
        Lease(WorkerId),
        Steal(WorkerId),
        Claim(WorkerId, usize),
        Fail(WorkerId),
        Lose(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let worker = 0..5_usize;
        let step = prop_oneof![
            worker.clone().prop_map(Step::Lease),
            worker.clone().prop_map(Step::Steal),
            (worker.clone(), 1..9_usize).prop_map(|(worker, most)| Step::Claim(worker, most)),
            (worker.clone(), 1..9_usize).prop_map(|(worker, most)| Step::Claim(worker, most)),
            worker.prop_map(Step::Fail),
            any::<usize>().prop_map(Step::Lose),
        ];
        prop::collection::vec(step, 1..400)
    }

    /// The model: a set of landed segments, and what each worker may write. Whatever happens, no segment is
    /// two workers', none is lost, and in the end all have landed.
    struct Model {
        scheduler: Scheduler,
        landed: BTreeSet<usize>,
        writing: BTreeMap<WorkerId, Range<usize>>,
        busy: BTreeSet<WorkerId>,
    }

    impl Model {
        fn land(&mut self, worker: WorkerId) {
            for index in self.writing.remove(&worker).into_iter().flatten() {
                assert!(self.landed.insert(index), "segment {index} landed twice");
            }
        }

        fn claim(&mut self, worker: WorkerId, most: usize) {
            self.land(worker);
            match self.scheduler.claim(worker, most) {
                Some(Claim { segments, lease_end }) => {
                    assert!(!segments.is_empty() && segments.len() <= most && segments.end <= lease_end);
                    let overlaps =
                        |other: &Range<usize>| segments.start < other.end && other.start < segments.end;
                    assert!(!self.writing.values().any(overlaps), "{segments:?} is being written");
                    assert!(segments.clone().all(|index| !self.landed.contains(&index)));
                    self.writing.insert(worker, segments);
                }
                None => {
                    self.busy.remove(&worker);
                }
            }
        }

        fn step(&mut self, step: &Step, count: usize) {
            match *step {
                Step::Lease(worker) if !self.busy.contains(&worker) => {
                    self.scheduler.lease(worker, 5).is_some().then(|| self.busy.insert(worker));
                }
                Step::Steal(worker) if !self.busy.contains(&worker) => {
                    self.scheduler.steal(worker, TERMS, |_| 1.0).is_some().then(|| self.busy.insert(worker));
                }
                Step::Claim(worker, most) if self.busy.contains(&worker) => self.claim(worker, most),
                Step::Fail(worker) if self.busy.remove(&worker) => {
                    // Half of what it was writing had landed.
                    let writing = self.writing.remove(&worker).unwrap_or(0..0);
                    self.landed.extend(writing.start..writing.start + writing.len() / 2);
                    self.scheduler.release(worker, |index| self.landed.contains(&index));
                }
                Step::Lose(index) if self.landed.remove(&(index % count)) => {
                    self.scheduler.put_back(index % count..index % count + 1);
                }
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn every_segment_is_fetched_and_none_is_two_workers(missing in prop::collection::vec(any::<bool>(), 1..200), steps in steps(), least in 1..4_usize) {
            let count = missing.len();
            let mut bitmap = crate::bitmap::Bitmap::new(count);
            (0..count).filter(|index| !missing[*index]).for_each(|index| bitmap.set(index));
            let mut model = Model {
                scheduler: Scheduler::new(bitmap.clear_runs(), least),
                landed: bitmap.ones().collect(),
                writing: BTreeMap::new(),
                busy: BTreeSet::new(),
            };
            steps.iter().for_each(|step| model.step(step, count));
            // Then everyone finishes what there is.
            while model.landed.len() < count {
                let before = (model.landed.len(), model.writing.len(), model.busy.len());
                for worker in 0..5 {
                    model.step(&Step::Lease(worker), count);
                    model.step(&Step::Claim(worker, 7), count);
                }
                prop_assert_ne!(before, (model.landed.len(), model.writing.len(), model.busy.len()), "stuck");
            }
        }
    }

    fn all_leases(mut scheduler: Scheduler, jobs: usize) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        while let Some(span) = scheduler.lease(0, jobs) {
            while scheduler.claim(0, usize::MAX).is_some() {}
            spans.push(span);
        }
        spans
    }

    #[test]
    fn a_gibibyte_with_eight_jobs_takes_under_a_hundred_requests() {
        let spans = all_leases(Scheduler::new(std::iter::once(0..4096), 8), 8);
        assert!(spans.len() < 90, "{}", spans.len());
        assert_eq!(spans[0].len(), 256);
        assert!(spans.windows(2).all(|pair| pair[0].len() >= pair[1].len()), "ever shorter");
    }

    #[test]
    fn a_span_never_crosses_what_is_complete() {
        assert_eq!(all_leases(Scheduler::new([0..3, 10..12], 8), 1), [0..3, 10..12]);
    }

    #[test]
    fn the_far_half_of_the_slowest_lease_is_taken() {
        let mut scheduler = Scheduler::new(std::iter::once(0..20), 10);
        assert_eq!(scheduler.lease(0, 1), Some(0..10));
        assert_eq!(scheduler.lease(1, 1), Some(10..20));
        assert_eq!(scheduler.claim(1, 1).unwrap().segments, 10..11);
        let rate = |worker| if worker == 1 { 1.0 } else { 100.0 };
        assert_eq!(scheduler.steal(2, TERMS, rate), Some(15..20));
        assert_eq!(scheduler.claim(1, 99), Some(Claim { segments: 11..15, lease_end: 15 }));
        assert_eq!(scheduler.claim(1, 1), None, "the victim stops at the new end");
    }

    #[test]
    fn what_is_claimed_or_nearly_done_is_not_worth_stealing() {
        let mut scheduler = Scheduler::new(std::iter::once(0..10), 10);
        scheduler.lease(0, 1);
        let terms = StealTerms { least_seconds: 1.0, segment_size: 100 };
        assert_eq!(scheduler.steal(1, terms, |_| 1000.0), None, "done in a second");
        assert_eq!(scheduler.clone().steal(1, terms, |_| 0.0), Some(5..10), "stands still");
        scheduler.claim(0, 10);
        assert_eq!(scheduler.steal(1, terms, |_| 0.0), None, "all claimed");
    }

    #[test]
    fn a_lease_is_as_long_as_what_is_left_of_it_takes_at_its_holders_rate() {
        let mut scheduler = Scheduler::new(std::iter::once(0..10), 10);
        scheduler.lease(0, 1);
        scheduler.claim(0, 4);
        assert_eq!(scheduler.leased(), 1);
        // Six segments of 100 bytes at 100 bytes/s.
        let terms = |least_seconds| StealTerms { least_seconds, segment_size: 100 };
        assert_eq!(scheduler.clone().steal(1, terms(6.0), |_| 100.0), None);
        assert_eq!(scheduler.steal(1, terms(5.9), |_| 100.0), Some(7..10));
        assert_eq!(scheduler.leased(), 2);
        scheduler.release(0, |_| false);
        scheduler.release(1, |_| false);
        assert_eq!(scheduler.leased(), 0);
    }

    #[test]
    fn what_is_put_back_joins_its_neighbours() {
        let mut scheduler = Scheduler::new([0..2, 3..5], 9);
        scheduler.put_back(2..3);
        assert_eq!(scheduler.lease(0, 1), Some(0..5));
    }
}
