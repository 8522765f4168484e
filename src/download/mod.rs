//! One download, from a request to a named file.
//!
//! [`request`] says what is wanted, [`handle`] is the caller's end, [`session`] goes from probe to finish,
//! [`coordinator`] owns the state of a ranged transfer, [`worker`]s fetch, [`committer`] keeps the checkpoint.

mod admission;
mod arrive;
mod at_once;
mod audit;
mod blocking;
mod builder;
mod claimed;
mod claiming;
mod committer;
mod control;
mod coordinator;
mod crew;
mod crumbs;
mod curve;
mod desk;
mod event;
mod failures;
mod files;
mod finish;
mod follow;
mod fresh_url;
mod gate;
mod gauge;
mod handle;
mod hashes_file;
mod hosts_file;
mod inspect;
mod list;
mod look;
mod looks;
mod map;
mod mirrors;
pub(crate) mod name;
mod partial;
mod pipe;
mod pool;
mod progress;
mod proof;
mod proving;
mod redial;
mod refresh;
mod repair;
mod report;
mod reporter;
mod request;
mod resolution;
mod roster;
#[cfg(test)]
mod scenarios;
mod session;
mod stream;
mod target;
mod throttle;
mod tune;
mod tuning;
mod turn;
mod validate;
mod verification;
mod verify;
mod worker;

#[cfg(test)]
mod bit_flips;
#[cfg(test)]
mod disk_faults;
#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stopped;

pub use builder::DownloadBuilder;
pub use curve::{Curve, CurveEnd, Point};
pub use event::{Event, Events};
pub use handle::{Controller, Handle};
pub use inspect::Offer;
pub use map::Cell;
pub use partial::Partial;
pub use pool::Pool;
pub use progress::{Phase, Progress};
pub use report::{Mode, Outcome, Report};
pub use request::{Download, Existing, OnChange, Remains};
pub use tune::Tune;
pub use verification::{Against, Comparison, Verified, Verify};
