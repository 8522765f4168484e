//! What haul is made of, piece by piece: `just bench`.
//!
//! The pieces are private, and stay so: their sources are included here, as `just mutants` does it. Folders are those
//! of `HAUL_BENCH_DIR`, or cargo's target folder.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "what else uses them is not here")]
#![allow(clippy::missing_panics_doc, missing_docs, reason = "they are documented where they are used")]

use criterion::{criterion_group, criterion_main};

#[path = "../../src/bitmap.rs"]
mod bitmap;
#[path = "../../src/checksum/mod.rs"]
mod checksum;
#[path = "../../src/digest.rs"]
mod digest;
#[path = "../../src/edition.rs"]
mod edition;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/ledger.rs"]
mod ledger;
#[path = "../../src/object.rs"]
mod object;
#[path = "../../src/plan.rs"]
mod plan;
#[path = "../../src/range.rs"]
mod range;
#[path = "../../src/scheduler.rs"]
mod scheduler;
#[path = "../../src/store/mod.rs"]
mod store;
#[path = "../../src/url.rs"]
mod url;

mod commits;
mod pure;
mod writing;

criterion_group!(benches, pure::all, commits::all, writing::all);
criterion_main!(benches);
