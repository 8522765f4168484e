//! What decides, at the sizes of 2 GiB (8 Ki segments), 1 TiB (16 Ki) and of the largest objects (1 Mi and more).

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

use crate::bitmap::Bitmap;
use crate::digest::SegmentCrc;
use crate::ledger::Ledger;
use crate::range::Segments;
use crate::scheduler::{Pace, Scheduler, StealTerms};

const SIZES: [usize; 2] = [8 << 10, 1 << 20];

pub(crate) fn all(criterion: &mut Criterion) {
    bitmap(criterion);
    ledger(criterion);
    scheduler(criterion);
    crc(criterion);
}

/// Every segment complete but the last: where a search for what is missing is longest.
fn nearly_all(count: usize) -> Bitmap {
    let mut bitmap = Bitmap::new(count);
    (0..count - 1).for_each(|index| bitmap.set(index));
    bitmap
}

/// Every other segment complete: as many runs as there can be.
fn every_other(count: usize) -> Bitmap {
    let mut bitmap = Bitmap::new(count);
    (0..count).step_by(2).for_each(|index| bitmap.set(index));
    bitmap
}

fn bitmap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bitmap");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    for count in SIZES {
        let (nearly, other) = (nearly_all(count), every_other(count));
        group.bench_function(BenchmarkId::new("count", count), |b| b.iter(|| black_box(&nearly).count()));
        group.bench_function(BenchmarkId::new("all", count), |b| b.iter(|| black_box(&nearly).all()));
        group.bench_function(BenchmarkId::new("to_bytes", count), |b| {
            b.iter(|| black_box(&nearly).to_bytes());
        });
        group.bench_function(BenchmarkId::new("ones", count), |b| {
            b.iter(|| black_box(&nearly).ones().fold(0, |sum, index| sum ^ index));
        });
        group.bench_function(BenchmarkId::new("clear_runs/most", count), |b| {
            b.iter(|| black_box(&other).clear_runs().count());
        });
    }
    group.finish();
}

/// A ledger of that many segments of 256 KiB, with these complete.
pub(crate) fn ledger_of(count: usize, complete: impl Iterator<Item = usize>) -> Ledger {
    let size = 256 << 10;
    let mut ledger = Ledger::new(Segments::new(count as u64 * size, size).expect("a legal size"));
    complete.for_each(|index| ledger.land(index, 0x1234_5678));
    ledger
}

fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    for count in SIZES {
        let ledger = ledger_of(count, 0..count - 1);
        // After each message of a worker.
        group.bench_function(BenchmarkId::new("is_whole", count), |b| {
            b.iter(|| black_box(&ledger).is_whole());
        });
        // At each tick: progress, and the snapshot to be committed.
        group.bench_function(BenchmarkId::new("bytes", count), |b| b.iter(|| black_box(&ledger).bytes()));
        group.bench_function(BenchmarkId::new("clone", count), |b| b.iter(|| black_box(&ledger).clone()));
        group.bench_function(BenchmarkId::new("land", count), |b| {
            let mut ledger = ledger.clone();
            b.iter(|| ledger.land(black_box(count / 2), 7));
        });
    }
    group.finish();
}

/// Nobody has shown anything yet.
fn pace(jobs: usize) -> Pace {
    Pace { own: None, all: 0.0, jobs, first_byte: 0.0, segment_size: 1 << 18 }
}

const TERMS: StealTerms =
    StealTerms { least_seconds: 0.0, first_byte: 0.0, rate: 1.0, segment_size: 1 << 18 };

/// Works everything off: leases, claims of four segments, and steals at the end, from those that have begun.
fn work_off(mut scheduler: Scheduler, jobs: usize) -> usize {
    let mut begun = vec![false; jobs];
    let mut steps = 0;
    for worker in 0..jobs {
        scheduler.lease(worker, pace(jobs));
    }
    while scheduler.leased() > 0 {
        for worker in 0..jobs {
            steps += 1;
            begun[worker] = scheduler.claim(worker, 4).is_some();
            if !begun[worker] {
                let rate = |other: usize| if begun[other] { 1e6 } else { f64::INFINITY };
                let pace = pace(jobs);
                let span = scheduler.lease(worker, pace);
                black_box(span.or_else(|| scheduler.steal(worker, pace, TERMS, rate)));
            }
        }
    }
    steps
}

fn scheduler(criterion: &mut Criterion) {
    const COUNT: usize = 1 << 20;
    let mut group = criterion.benchmark_group("scheduler");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500)).sample_size(10);
    let whole = || Scheduler::new(std::iter::once(0..COUNT), 8);
    let torn = every_other(COUNT);
    group.throughput(Throughput::Elements(COUNT as u64));
    for jobs in [8, 256] {
        group.bench_function(BenchmarkId::new("work_off", jobs), |b| {
            b.iter_batched(whole, |scheduler| work_off(scheduler, jobs), BatchSize::LargeInput);
        });
    }
    group.bench_function("new/torn", |b| b.iter(|| Scheduler::new(black_box(&torn).clear_runs(), 8)));
    group.finish();

    let mut group = criterion.benchmark_group("scheduler/one");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    // A lease looks at how much is left: as long as there are runs.
    for (name, scheduler) in [("whole", whole()), ("torn", Scheduler::new(torn.clear_runs(), 8))] {
        let mut scheduler = scheduler;
        group.bench_function(BenchmarkId::new("lease_release", name), |b| {
            b.iter(|| {
                let span = scheduler.lease(0, pace(256));
                scheduler.release(0, |_| false);
                span
            });
        });
    }
    let mut scheduler = whole();
    for worker in 0..256 {
        scheduler.lease_up_to(worker, COUNT / 256);
    }
    group.bench_function(BenchmarkId::new("steal", 256), |b| {
        b.iter_batched_ref(
            || scheduler.clone(),
            |scheduler| {
                scheduler.steal(256, pace(256), TERMS, |worker| if worker == 200 { 1e5 } else { 1e6 })
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("claim", 256), |b| {
        b.iter_batched_ref(|| scheduler.clone(), |scheduler| scheduler.claim(77, 4), BatchSize::SmallInput);
    });
    group.finish();
}

fn crc(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crc");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    for kib in [16, 256, 8192] {
        let bytes = vec![0x5a; kib << 10];
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("segment", format!("{kib}K")), |b| {
            let mut crc = SegmentCrc::new();
            b.iter(|| {
                crc.update(black_box(&bytes));
                crc.take()
            });
        });
    }
    group.finish();
}
