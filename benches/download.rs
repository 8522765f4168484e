//! Throughput of whole downloads over loopback, from the probe to the named file: `just bench`.
//!
//! The server is in the same process and shares its cores, so that the figures compare versions of haul with each
//! other; they say nothing about networks. `file` ends with the bytes on the disk, `nowhere` is without a file.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use haul::{Download, Existing};
use support::{Content, Resource, Server};
use tokio::runtime::{Builder, Runtime};

#[path = "../tests/support/mod.rs"]
mod support;

const OBJECT: Content = Content::new(1, 64 << 20);
const JOBS: [usize; 2] = [1, 8];

fn downloads(criterion: &mut Criterion) {
    let server = Server::start([("/object", Resource::new(OBJECT))]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("download");
    group.throughput(Throughput::Bytes(OBJECT.len)).sample_size(10).measurement_time(Duration::from_secs(8));
    for jobs in JOBS {
        let described = || Download::builder(server.url("/object")).jobs(jobs);
        // Replaced at the very end: each run writes a new file.
        let file = || described().output(folder.path().join("object")).existing(Existing::Replace);
        group.bench_function(BenchmarkId::new("file", jobs), |bencher| {
            bencher.iter(|| run(&runtime, file().build()));
        });
        group.bench_function(BenchmarkId::new("nowhere", jobs), |bencher| {
            bencher.iter(|| run(&runtime, described().discard().build()));
        });
    }
    group.finish();
}

fn run(runtime: &Runtime, download: haul::Result<Download>) {
    let report = runtime.block_on(download.expect("a sound request").run()).expect("the server serves");
    assert_eq!(report.length, OBJECT.len);
}

criterion_group!(benches, downloads);
criterion_main!(benches);
