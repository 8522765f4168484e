//! A parallel, resumable, segmented HTTP downloader that never names a file before it is whole.
//!
//! An object is split into fixed `bytes=a-b` segments. A pool of workers fetches runs of them, each request
//! pinned to one version with `If-Match` and each answer checked before a byte of it is used. The bytes go
//! through memory-mapped windows, or by positioned writes where those are cheaper, into a preallocated `NAME.part`; `NAME.part.ckpt` records the complete
//! segments, so that a download that was interrupted fetches only what is missing. `NAME` appears when every
//! segment is in place and on the disk, and not before.
//!
//! ```no_run
//! # async fn example() -> haul::Result<()> {
//! use haul::Download;
//!
//! let mut handle = Download::builder("https://example.org/disk.img").jobs(8).build()?.start();
//! let mut progress = handle.progress();
//! tokio::spawn(async move {
//!     while progress.changed().await.is_ok() {
//!         let now = *progress.borrow_and_update();
//!         println!("{} of {:?} bytes, {:.0} bytes/s", now.in_place, now.total, now.rate);
//!     }
//! });
//! let report = handle.await?;
//! println!("{} bytes received for {} bytes", report.received, report.length);
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! ```text
//! cli ─► download ─► http, scheduler, plan, store ─► object, ledger ─► bitmap, digest, checksum ─► range, url ─► error
//! ```
//!
//! Dependencies point one way, and `http` and `store` never meet: one knows of answers, the other of files, and
//! only `download` of both. Everything that decides (ranges, scheduler, plan, verdicts, codec) is pure and takes
//! neither clock nor randomness nor I/O.
//!
//! # What holds
//!
//! * A worker writes only segments that it claimed, and each segment is claimed by one worker at a time.
//! * A bit is set after the segment's bytes are written, and is called durable after they are synced.
//! * What a checkpoint claims is read back and compared with its CRC before the file gets its name.
//! * Credentials and custom headers go to the origin of the URL that was given, and to no other.

mod bitmap;
mod checksum;
mod digest;
mod download;
mod edition;
mod error;
mod hosts;
mod http;
mod ledger;
mod object;
mod plan;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod properties;
mod range;
#[cfg(test)]
mod scale_tests;
mod scheduler;
mod sources;
mod store;
mod tuner;
mod url;

/// The test suite's server, for tests of what only this crate can see.
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use checksum::{Algorithm, Checksum, Proof, ProofSource};
pub use download::{
    Against, Cell, Comparison, Controller, Curve, CurveEnd, Download, DownloadBuilder, Event, Events,
    Existing, Handle, Mode, Offer, OnChange, Outcome, Partial, Phase, Point, Pool, Progress, Remains, Report,
    Tune, Verified, Verify,
};
pub use error::{Error, ErrorKind, Result};
pub use http::network::{Family, Network};
pub use object::{NoValidator, Validator};
pub use plan::StreamReason;
pub use range::{ByteRange, Part};
pub use store::medium::Durability;
pub use store::part::Writing;
pub use store::window::catch_bus_errors;
