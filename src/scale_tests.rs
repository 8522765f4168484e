//! 1 TiB through plan, scheduler, ledger and checkpoint, without a byte of it: nothing is lost on the way, nothing is
//! anybody's twice, and every checkpoint in between says just what had landed.

use std::collections::BTreeMap;

use crate::ledger::Ledger;
use crate::plan;
use crate::range::Segments;
use crate::scheduler::{Pace, Scheduler, StealTerms};
use crate::store::checkpoint::{Checkpoint, Commit, Identity, Slot, decode, encode, slot_size};

const TIB: u64 = 1 << 40;
const JOBS: usize = 256;
const TERMS: StealTerms = StealTerms { least_seconds: 0.0, first_byte: 0.0, rate: 1.0, segment_size: 1 };

struct World {
    segments: Segments,
    scheduler: Scheduler,
    ledger: Ledger,
    /// What each worker claimed last, and has not landed yet.
    writing: BTreeMap<usize, std::ops::Range<usize>>,
    requests: usize,
    landed: usize,
}

impl World {
    fn new(segments: Segments) -> Self {
        let ledger = Ledger::new(segments);
        let scheduler = Scheduler::new(ledger.complete().clear_runs(), 1);
        Self { segments, scheduler, ledger, writing: BTreeMap::new(), requests: 0, landed: 0 }
    }

    fn checkpoint(&self) -> Checkpoint {
        let (total, source) = (self.segments.length(), "https://h/x".to_owned());
        let (validator, encoding) = (None, None);
        let identity = Identity { total, start: 0, end: total, validator, encoding, source, inode: 7 };
        Checkpoint { identity, ledger: self.ledger.clone(), saved_at: 0 }
    }

    /// One step of a worker: what it claimed has landed, and it claims more, or takes another span. Whether it works.
    fn step(&mut self, worker: usize) -> bool {
        for index in self.writing.remove(&worker).into_iter().flatten() {
            assert!(!self.ledger.complete().get(index), "segment {index} lands twice");
            self.ledger.land(index, crc(index));
            self.landed += 1;
        }
        if let Some(claim) = self.scheduler.claim(worker, 1 + worker % 8) {
            self.writing.insert(worker, claim.segments);
            return true;
        }
        let pace = Pace::unknown(JOBS);
        let span = self.scheduler.lease(worker, pace);
        // As the coordinator has it: nothing is taken from one that has not begun.
        let rate = |other: usize| if self.writing.contains_key(&other) { 1.0 } else { f64::INFINITY };
        let span = span.or_else(|| self.scheduler.steal(worker, pace, TERMS, rate));
        self.requests += usize::from(span.is_some());
        span.is_some()
    }

    /// What a run that begins here would believe.
    fn resumed(&self) -> Self {
        let now = self.checkpoint();
        let slot = encode(9, Commit::Hard, &now);
        assert!(slot.len() as u64 <= slot_size(&now));
        let Slot::Valid { checkpoint, .. } = decode(&slot) else { panic!("it can be read") };
        assert_eq!(checkpoint.identity, now.identity);
        assert_eq!(checkpoint.ledger.complete(), now.ledger.complete());
        assert!(checkpoint.ledger.complete().ones().all(|index| checkpoint.ledger.crc(index) == crc(index)));
        let mut ledger = checkpoint.ledger;
        ledger.claims().collect::<Vec<_>>().into_iter().for_each(|index| ledger.confirm(index));
        let scheduler = Scheduler::new(ledger.complete().clear_runs(), 1);
        let landed = ledger.complete().count();
        Self { segments: self.segments, scheduler, ledger, writing: BTreeMap::new(), requests: 0, landed }
    }
}

fn crc(index: usize) -> u32 {
    u32::try_from(index).expect("segments are counted in 32 bits").wrapping_mul(0x9e37_79b9)
}

/// Fetches everything, with an interruption after each quarter.
fn fetch(segments: Segments) -> usize {
    let mut world = World::new(segments);
    let mut requests = 0;
    for quarter in 1..=4 {
        while world.landed < segments.count() * quarter / 4 {
            let busy = (0..JOBS).filter(|worker| world.step(*worker)).count();
            assert!(busy > 0 || world.landed == segments.count(), "stuck at {}", world.landed);
        }
        requests += world.requests;
        world = world.resumed();
    }
    assert!(world.ledger.is_whole());
    assert_eq!(
        (world.ledger.bytes(), world.scheduler.lease(0, Pace::unknown(JOBS))),
        (segments.length(), None)
    );
    requests
}

#[test]
fn a_tebibyte_is_fetched_once_with_256_jobs_and_three_interruptions() {
    let segments = plan::segments(TIB, None).unwrap();
    assert_eq!((segments.size(), segments.count()), (64 << 20, 16 << 10));
    let requests = fetch(segments);
    assert!(requests < 4 * 4 * JOBS * 8, "{requests} requests");
}

#[test]
fn a_tebibyte_less_five_bytes_in_smaller_segments_is_too() {
    let segments = plan::segments(TIB - 5, Some(8 << 20)).unwrap();
    assert_eq!(segments.count(), 128 << 10);
    fetch(segments);
}
