//! The checkpoint: its bytes, and how long a commit takes beside its sync.

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};

use crate::pure::ledger_of;
use crate::store::checkpoint::{Checkpoint, Commit, Identity, decode, encode};
use crate::store::commit::{CheckpointFile, Snapshot};
use crate::store::disk::SystemDisk;
use crate::store::medium::{Disk, Durability};
use crate::writing::folder;

/// Of 2 GiB, of 1 TiB, of 256 GiB in segments of 256 KiB, and the most there can be.
const SIZES: [usize; 4] = [8 << 10, 16 << 10, 1 << 20, 4 << 20];

pub(crate) fn all(criterion: &mut Criterion) {
    codec(criterion);
    commit(criterion);
}

fn checkpoint(count: usize, complete: usize) -> Checkpoint {
    let ledger = ledger_of(count, 0..complete);
    let length = ledger.segments().length();
    let identity = Identity {
        total: length,
        start: 0,
        end: length,
        validator: None,
        encoding: None,
        source: "https://example.org/disk.img".to_owned(),
        inode: 7,
    };
    Checkpoint { identity, ledger, saved_at: 0 }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(10);
    for count in SIZES {
        let full = checkpoint(count, count);
        let slot = encode(1, Commit::Hard, &full);
        group.throughput(Throughput::Bytes(slot.len() as u64));
        group.bench_function(BenchmarkId::new("encode", count), |b| {
            b.iter(|| encode(1, Commit::Hard, black_box(&full)));
        });
        group.bench_function(BenchmarkId::new("decode", count), |b| b.iter(|| decode(black_box(&slot))));
    }
    group.finish();
}

/// What happens at a soft commit, and at a hard one but for its two syncs: a snapshot, its bytes, one write.
fn commit(criterion: &mut Criterion) {
    let folder = folder();
    let disk = SystemDisk.folder(folder.path(), Durability::Kill).expect("the folder opens");
    let mut group = criterion.benchmark_group("commit");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(10);
    for count in SIZES {
        let name = count.to_string();
        let medium = disk.create(OsStr::new(&name)).expect("a file can be made");
        let mut file =
            CheckpointFile::start(Path::new(&name), medium, checkpoint(count, 0)).expect("it is written");
        let full = checkpoint(count, count);
        group.bench_function(BenchmarkId::new("soft", count), |b| {
            b.iter(|| file.soft(&Snapshot(Arc::new(black_box(&full).clone()))).expect("it is written"));
        });
    }
    group.finish();
}
