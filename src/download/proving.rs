//! What is computed of an object's bytes while they land, for its proof at the end.
//!
//! A CRC is taken of every segment and put together at the end, without reading a byte again. What needs the bytes in their
//! order follows those that are in place.

use std::sync::Arc;

use tokio::sync::watch;

use super::follow::Follower;
use super::pipe::Sink;
use crate::checksum::{Algorithm, Checksum};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::store::part::PartFile;

/// See the module; by default nothing is computed.
#[derive(Debug, Default)]
pub(crate) struct Proving {
    crc: Option<Algorithm>,
    /// Of each segment that is in place for certain.
    crcs: Vec<u64>,
    follower: Option<Follower>,
    /// Nothing is kept of what was followed.
    is_out: bool,
}

impl Proving {
    /// Of a file of so many segments, which land in any order; of a stream, where it is none. What follows the file
    /// writes it to the `sink`.
    pub(crate) fn by(
        mut ordered: Vec<Algorithm>,
        file: &Arc<PartFile>,
        segments: Option<usize>,
        sink: Option<Sink>,
    ) -> Self {
        let is_crc = |algorithm: &Algorithm| segments.is_some() && algorithm.crc().is_some();
        let crc = ordered.iter().position(is_crc).map(|index| ordered.remove(index));
        let is_out = sink.is_some();
        let follows = !ordered.is_empty() || is_out;
        let follower = follows.then(|| Follower::writing(Arc::clone(file), ordered, sink));
        Self { crc, crcs: vec![0; crc.and(segments).unwrap_or_default()], follower, is_out }
    }

    /// What every segment's CRC is wanted by.
    pub(crate) fn crc(&self) -> Option<Algorithm> {
        self.crc
    }

    /// Whether the bytes are wanted in their order.
    pub(crate) fn follows(&self) -> bool {
        self.follower.is_some()
    }

    /// How far what follows the file has come.
    pub(crate) fn done(&self) -> Option<watch::Receiver<u64>> {
        self.follower.as_ref().map(Follower::done)
    }

    /// Whether bytes may be out that nothing can take back.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.is_out && self.follower.as_ref().is_none_or(Follower::has_begun)
    }

    /// Why what follows the file has ended before the end.
    pub(crate) async fn failure(&mut self) -> Option<Error> {
        Some(self.follower.take()?.failure().await)
    }

    /// A segment is in place for certain, and has this CRC.
    pub(crate) fn land(&mut self, index: usize, crc: u64) {
        self.crcs.iter_mut().skip(index).take(1).for_each(|known| *known = crc);
    }

    /// Of the file's first bytes so many are in place for certain.
    pub(crate) fn reach(&self, bytes: u64) {
        self.follower.iter().for_each(|follower| follower.reach(bytes));
    }

    /// Bytes from here on are to be written again.
    pub(crate) fn take_back(&self, start: u64) {
        self.follower.iter().for_each(|follower| follower.take_back(start));
    }

    /// The checksums of a file that is whole: those that were computed while it came, and the others from the disk.
    pub(crate) async fn finish(
        mut self,
        wanted: &[Algorithm],
        file: &Arc<PartFile>,
        length: u64,
        ledger: &Ledger,
    ) -> Result<Vec<Checksum>> {
        let mut found: Vec<_> = self.combined(ledger).into_iter().collect();
        // What is out is not there to be read again.
        let out = self.is_out;
        if let Some(follower) = self.follower.take() {
            found.extend(follower.finish(length).await?);
        }
        let is_found = |algorithm: &Algorithm| found.iter().any(|known| known.algorithm() == *algorithm);
        let missing: Vec<_> = wanted.iter().copied().filter(|algorithm| !is_found(algorithm)).collect();
        if !missing.is_empty() && !out {
            found.extend(Follower::start(Arc::clone(file), missing).finish(length).await?);
        }
        Ok(found)
    }

    fn combined(&self, ledger: &Ledger) -> Option<Checksum> {
        let segments = ledger.segments();
        let last = segments.count().checked_sub(1).map_or(0, |last| segments.range(last).len());
        Checksum::of_pieces(self.crc?, &self.crcs, segments.size(), last)
    }
}
