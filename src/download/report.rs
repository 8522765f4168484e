//! What a download came to.

use std::path::PathBuf;
use std::time::Duration;

use crate::checksum::Proof;
use crate::object::Validator;
use crate::plan::StreamReason;
use crate::store::part::Writing;

/// How the object was fetched.
///
/// ```
/// fn resumable(mode: &haul::Mode) -> bool {
///     *mode == haul::Mode::Ranges
/// }
/// assert!(!resumable(&haul::Mode::Stream(haul::StreamReason::NoLength)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In ranges, in parallel, resumable.
    Ranges,
    /// In one stream, for the reason given; not resumable.
    Stream(StreamReason),
}

/// How a download succeeded.
///
/// ```
/// fn fetched(report: &haul::Report) -> bool {
///     report.outcome == haul::Outcome::Downloaded
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target is whole and has its name now.
    Downloaded,
    /// All bytes were written to what was given for them.
    Piped,
    /// The target existed and was left alone.
    Existed,
    /// The target existed, and the server has nothing newer.
    NotModified,
}

/// The account of a download that succeeded.
///
/// ```
/// fn overhead(report: &haul::Report) -> u64 {
///     (report.received + report.resumed).saturating_sub(report.length)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    /// How it succeeded.
    pub outcome: Outcome,
    /// The target; `None` when everything was discarded, or piped.
    pub path: Option<PathBuf>,
    /// Bytes in the target.
    pub length: u64,
    /// Body bytes received in this run.
    pub received: u64,
    /// Bytes that earlier runs had left in place.
    pub resumed: u64,
    /// HTTP requests sent in this run, redirects included.
    pub requests: u64,
    /// Requests that failed and were repeated.
    pub retries: u64,
    /// How often the download started over because the object changed.
    pub restarts: u32,
    /// From the start to the named file.
    pub elapsed: Duration,
    /// How the object was fetched.
    pub mode: Mode,
    /// How bytes got into the file, most of them: which way is cheaper is tried on the first few.
    pub writing: Writing,
    /// What identified the version that was fetched.
    pub validator: Option<Validator>,
    /// What the file's bytes were compared with, if anything: what was given comes before what the server sent.
    pub proof: Option<Proof>,
}
