//! From a received chunk to the page cache: populated maps or positioned writes, by the size of the window.
//!
//! Each iteration writes a new file, since it is the first write to a page that costs; making the file, reserving its
//! blocks and removing it are not measured. Nothing is synced.

use std::env;
use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tempfile::TempDir;

use crate::range::ByteRange;
use crate::store::disk::SystemDisk;
use crate::store::medium::{Disk, Durability, Folder, Medium};
use crate::store::part::Writing;

const LENGTH: usize = 128 << 20;
/// What hyper brings at once on a fast link.
const CHUNK: usize = 256 << 10;
const WINDOWS: [usize; 6] = [256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20];
const WRITERS: [usize; 2] = [1, 2];

/// A folder on the file system to be measured.
pub(crate) fn folder() -> TempDir {
    let place = env::var_os("HAUL_BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(place).expect("a folder can be made; HAUL_BENCH_DIR says where")
}

pub(crate) fn all(criterion: &mut Criterion) {
    let folder = folder();
    let disk = SystemDisk.folder(folder.path(), Durability::Kill).expect("the folder opens");
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(10);
    group.measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200));
    for (name, writing) in [("mapped", Writing::Mapped), ("positioned", Writing::Positioned)] {
        for writers in WRITERS {
            for window in WINDOWS {
                let id = BenchmarkId::new(format!("{name}/{writers}"), format!("{}K", window >> 10));
                group.bench_function(id, |b| {
                    b.iter_custom(|times| {
                        (0..times).map(|_| one_file(&disk, writing, writers, window)).sum()
                    });
                });
            }
        }
    }
    group.finish();
}

/// How long it takes to fill a file, each writer a part of its own.
fn one_file(disk: &Arc<dyn Folder>, writing: Writing, writers: usize, window: usize) -> Duration {
    let name = OsStr::new("part");
    let medium = disk.create(name).expect("a file can be made");
    medium.allocate(LENGTH as u64).expect("there is room");
    let (share, chunk) = (LENGTH / writers, vec![0x5a; CHUNK]);
    let began = Instant::now();
    thread::scope(|scope| {
        for writer in 0..writers {
            let (medium, chunk) = (medium.as_ref(), &chunk);
            scope.spawn(move || {
                for start in (writer * share..(writer + 1) * share).step_by(window) {
                    fill(medium, writing, start..start + window, chunk);
                }
            });
        }
    });
    let took = began.elapsed();
    disk.remove(name).expect("it is there");
    took
}

fn fill(medium: &dyn Medium, writing: Writing, window: Range<usize>, chunk: &[u8]) {
    let mut map = match writing {
        Writing::Mapped => {
            let range = ByteRange::new(window.start as u64, window.end as u64);
            Some(medium.map(range).expect("it can be mapped"))
        }
        Writing::Positioned => None,
    };
    for at in window.clone().step_by(chunk.len()) {
        match &mut map {
            Some(map) => assert!(map.write(at - window.start, chunk), "a page is gone"),
            None => medium.write_all_at(chunk, at as u64).expect("it is written"),
        }
    }
}
