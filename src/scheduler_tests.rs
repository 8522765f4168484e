//! Whatever workers do, no segment is two workers', and none is lost.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const TERMS: StealTerms = StealTerms { least_seconds: 0.0, first_byte: 0.0, rate: 1.0, segment_size: 1 };

/// One job's share: everything.
const ALL: Pace = Pace { own: None, all: 0.0, jobs: 1, first_byte: 0.0, segment_size: 1 };

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
                self.scheduler.lease(worker, Pace::unknown(5)).is_some().then(|| self.busy.insert(worker));
            }
            Step::Steal(worker) if !self.busy.contains(&worker) => {
                self.scheduler.steal(worker, ALL, TERMS, |_| 1.0).is_some().then(|| self.busy.insert(worker));
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
    while let Some(span) = scheduler.lease(0, Pace::unknown(jobs)) {
        while scheduler.claim(0, usize::MAX).is_some() {}
        spans.push(span);
    }
    spans
}

#[test]
fn a_gibibyte_with_eight_jobs_takes_some_fifty_requests() {
    let spans = all_leases(Scheduler::new(std::iter::once(0..4096), 8), 8);
    assert!(spans.len() <= 50, "{}", spans.len());
    assert_eq!(spans[0].len(), 384);
    assert!(spans.windows(2).all(|pair| pair[0].len() >= pair[1].len()), "ever shorter");
}

#[test]
fn a_span_never_crosses_what_is_complete() {
    assert_eq!(all_leases(Scheduler::new([0..3, 10..12], 8), 2), [0..3, 10..12]);
}

/// Two leases of ten segments of a byte each, of which the second has claimed its first two.
fn two_leases() -> Scheduler {
    let mut scheduler = Scheduler::new(std::iter::once(0..20), 10);
    assert_eq!(scheduler.lease_up_to(0, 10), Some(0..10));
    assert_eq!(scheduler.lease_up_to(1, 10), Some(10..20));
    assert_eq!(scheduler.claim(1, 99).unwrap().segments, 10..12, "not all: nothing else is left to take");
    scheduler
}

#[test]
fn the_far_half_of_the_slowest_lease_is_taken() {
    let mut scheduler = two_leases();
    let rate = |worker| if worker == 1 { 1.0 } else { 100.0 };
    assert_eq!(scheduler.steal(2, ALL, TERMS, rate), Some(15..20), "eight and half of two");
    assert_eq!(scheduler.claim(1, 99), Some(Claim { segments: 12..13, lease_end: 15 }));
    while scheduler.claim(1, 99).is_some() {}
    assert_eq!(scheduler.leased(), 2, "the victim stops at the new end");
}

#[test]
fn who_is_faster_takes_more_and_who_needs_longer_to_begin_takes_less() {
    let terms = StealTerms { segment_size: 1000, rate: 1000.0, ..TERMS };
    let taken =
        |victim, terms| two_leases().steal(2, ALL, terms, |worker| [9e9, victim][worker]).unwrap().len();
    assert_eq!(taken(1000.0, StealTerms { rate: 4000.0, ..terms }), 7, "of nine seconds' work four fifths");
    assert_eq!(taken(1000.0, StealTerms { rate: 500.0, ..terms }), 3, "and a third");
    assert_eq!(taken(1000.0, StealTerms { first_byte: 5.0, ..terms }), 2, "five of them are done by then");
    assert_eq!(taken(1000.0, StealTerms { first_byte: 50.0, ..terms }), 1);
    assert_eq!(taken(0.0, StealTerms { rate: 1e6, ..terms }), 8, "all that is not claimed");
    assert_eq!(taken(0.0, StealTerms { rate: 0.0, ..terms }), 5, "nothing is known: half");
}

#[test]
fn nobody_takes_more_than_its_share_of_everything_that_is_left() {
    let standing = |worker| if worker == 1 { 0.0 } else { 9e9 };
    // Of eighteen segments a quarter, at four bytes a second and all sixteen.
    let pace = Pace { own: Some(4.0), all: 16.0, jobs: 4, ..ALL };
    let terms = StealTerms { rate: 4.0, ..TERMS };
    assert_eq!(two_leases().steal(2, pace, terms, standing), Some(15..20), "of all twenty");
    assert_eq!(two_leases().steal(2, Pace { all: 40.0, ..pace }, terms, standing), Some(18..20), "a tenth");
}

/// A worker's lease of a thousand segments of a kilobyte, of which it does so many a second.
fn leased(own: Option<f64>, all: f64, jobs: usize, first_byte: f64) -> usize {
    let mut scheduler = Scheduler::new(std::iter::once(0..1000), 2);
    let pace =
        Pace { own: own.map(|own| own * 1000.0), all: all * 1000.0, jobs, first_byte, segment_size: 1000 };
    scheduler.lease(0, pace).unwrap().len()
}

/// The same of one that is short.
fn leased_shortly(own: Option<f64>, first_byte: f64) -> usize {
    let mut scheduler = Scheduler::new(std::iter::once(0..1000), 2);
    let own = own.map(|own| own * 1000.0);
    let pace = Pace { own, all: 1e5, jobs: 4, first_byte, segment_size: 1000 };
    scheduler.lease_shortly(0, pace).unwrap().len()
}

#[test]
fn where_bytes_are_wanted_in_their_order_a_lease_is_short() {
    assert_eq!(leased_shortly(Some(20.0), 0.001), 5, "a quarter of a second");
    assert_eq!(leased_shortly(Some(20.0), 0.01), 10, "fifty times what a first byte takes");
    assert_eq!(leased_shortly(Some(1.0), 0.001), 2, "at least the least span");
    assert_eq!(leased_shortly(None, 0.1), 8, "nobody knows a rate");
    assert_eq!(leased_shortly(Some(100.0), 0.1), 375, "and never more than its share");
}

#[test]
fn a_lease_is_three_quarters_of_a_share_and_in_the_last_round_all_of_it() {
    assert_eq!(leased(None, 0.0, 4, 0.1), 188, "nobody knows a rate");
    assert_eq!(leased(Some(25.0), 100.0, 4, 0.1), 188, "ten seconds");
    assert_eq!(leased(Some(40.0), 100.0, 4, 0.1), 300, "at its own rate");
    assert_eq!(leased(Some(90.0), 100.0, 4, 0.1), 375, "which the others' beginnings exaggerate");
    assert_eq!(leased(Some(1.0), 100.0, 4, 0.1), 8);
    assert_eq!(leased(Some(250.0), 1000.0, 4, 0.1), 250, "one second");
    assert_eq!(leased(Some(25.0), 100.0, 4, 2.0), 250, "as short where a first byte takes long");
    assert_eq!(leased(Some(10.0), 1000.0, 4, 1.0), 20, "at least what comes in two round trips");
    assert_eq!(leased(Some(0.1), 100.0, 4, 0.1), 2, "at least the least span");
    assert_eq!(leased(Some(25.0), 100.0, 1, 0.1), 1000, "nobody to share with");
}

#[test]
fn what_is_claimed_or_nearly_done_is_not_worth_stealing() {
    let mut scheduler = Scheduler::new(std::iter::once(0..10), 10);
    scheduler.lease_up_to(0, 10);
    let terms = StealTerms { least_seconds: 1.0, segment_size: 100, ..TERMS };
    assert_eq!(scheduler.steal(1, ALL, terms, |_| 1000.0), None, "done in a second");
    assert_eq!(scheduler.clone().steal(1, ALL, terms, |_| 0.0), Some(5..10), "stands still");
    while scheduler.claim(0, 10).is_some_and(|claim| claim.segments.end < 10) {}
    assert_eq!(scheduler.steal(1, ALL, terms, |_| 0.0), None, "all claimed");
}

#[test]
fn a_lease_is_as_long_as_what_is_left_of_it_takes_at_its_holders_rate() {
    let mut scheduler = Scheduler::new([0..10, 20..21], 10);
    scheduler.lease_up_to(0, 10);
    assert_eq!(scheduler.claim(0, 4).unwrap().segments, 0..4, "there is something else to take");
    assert_eq!(scheduler.leased(), 1);
    // Six segments of 100 bytes at 100 bytes/s.
    let terms = |least_seconds| StealTerms { least_seconds, segment_size: 100, rate: 100.0, first_byte: 2.0 };
    assert_eq!(scheduler.clone().steal(1, ALL, terms(6.0), |_| 100.0), None);
    assert_eq!(scheduler.steal(1, ALL, terms(5.9), |_| 100.0), Some(7..10), "six and half of four, less two");
    assert_eq!(scheduler.leased(), 2);
    scheduler.release(0, |_| false);
    scheduler.release(1, |_| false);
    assert_eq!(scheduler.leased(), 0);
}

#[test]
fn what_is_left_of_a_lease_is_what_has_not_landed_for_certain() {
    let mut scheduler = two_leases();
    let left = |scheduler: &Scheduler| scheduler.left().collect::<Vec<_>>();
    assert_eq!(left(&scheduler), [(0, 10), (1, 10)], "what was claimed may not have been written");
    scheduler.claim(1, 1);
    assert_eq!(left(&scheduler), [(0, 10), (1, 8)]);
}

#[test]
fn what_is_put_back_joins_its_neighbours() {
    let mut scheduler = Scheduler::new([0..2, 3..5], 9);
    scheduler.put_back(2..3);
    assert_eq!(scheduler.lease_up_to(0, 9), Some(0..5));
}
