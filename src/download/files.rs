//! The files of a running download: part file, checkpoint, and the ledger of what is in them.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::blocking::blocking;
use super::claimed::Claimed;
use super::pipe::{Outflow, Piped};
use super::proving::Proving;
use super::request::{Output, Request};
use crate::bitmap::Bitmap;
use crate::checksum::Algorithm;
use crate::digest::Crcs;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::plan;
use crate::range::Segments;
use crate::sources::{GIVEN, MOST, SourceId, SourceSet};
use crate::store::checkpoint::{Checkpoint, Identity, NO_FILE};
use crate::store::commit::{CheckpointFile, Snapshot};
use crate::store::memory::Ring;
use crate::store::part::PartFile;

/// What is on the disk, and what is known of it.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) part: Arc<PartFile>,
    /// Lent to the committer while a transfer runs; `None` also where nothing is kept.
    pub(crate) checkpoint: Option<CheckpointFile>,
    pub(crate) identity: Identity,
    pub(crate) ledger: Ledger,
    /// Claims that turned out to be false: whatever a hard slot said of them.
    pub(crate) refuted: Bitmap,
    /// Bytes in the file when it is whole; a stream learns it at its end.
    pub(crate) length: u64,
    /// Bytes of earlier runs that are still believed.
    pub(crate) resumed: u64,
    /// Bytes that there was room for when the file was made; only where it grows, and where that is known.
    pub(crate) room: Option<u64>,
    /// Of a stream, at its end: what is in the file.
    pub(crate) streamed: Option<Ledger>,
    /// What is computed for the proof while bytes land.
    pub(crate) proving: Proving,
    /// Where the bytes go, if that is no file.
    piped: Option<Piped>,
    /// Whose bytes are in each segment; of one that an earlier run left nobody knows.
    pub(crate) origins: Vec<SourceSet>,
    /// The segments of earlier runs that are still believed.
    inherited: Bitmap,
}

impl Files {
    /// Makes new files for `identity` in place of whatever is there, with `reserve` bytes reserved. Nothing the
    /// old checkpoint said survives the first new byte.
    pub(crate) fn fresh(
        request: &Request,
        claimed: Option<&mut Claimed>,
        identity: Identity,
        reserve: u64,
    ) -> Result<Self> {
        let ledger = Ledger::new(segments(request, identity.extent().len())?);
        let Some(claimed) = claimed else { return Ok(Self::in_memory(request, identity, ledger)) };
        // The checkpoint first: it is the lock.
        let medium = claimed.medium()?;
        let target = &claimed.target;
        let path = target.part_path();
        CheckpointFile::erase(&target.checkpoint_path(), medium.as_ref())?;
        if target.entry(&target.part_name())?.is_some() {
            let removed = target.folder().remove(&target.part_name());
            removed.map_err(|error| Error::io(&path, "replace the part file", error))?;
        }
        let part = target.folder().create(&target.part_name());
        let part = part.map_err(|error| Error::io(&path, "create the part file", error))?;
        let part = PartFile::reserve(target.folder(), &path, part, reserve)?;
        let identity = Identity { inode: part.inode()?, ..identity };
        let mut files = Self::new(part, None, identity, ledger);
        let first = files.checkpoint_now();
        files.checkpoint = Some(CheckpointFile::start(&target.checkpoint_path(), medium, first)?);
        target.make_names_durable()?;
        // What is reserved needs no more room.
        files.room = if reserve == 0 { target.folder().free_space().ok() } else { None };
        Ok(files)
    }

    /// What is kept nowhere, or only until it is out.
    fn in_memory(request: &Request, identity: Identity, ledger: Ledger) -> Self {
        let piped = match &request.output {
            Output::Piped(piped) => Some(piped.clone()),
            _ => None,
        };
        let ring = Ring::new(piped.as_ref().map_or(0, |piped| piped.window));
        let part = PartFile::streamed(Path::new("/dev/null"), Arc::new(ring));
        Self { piped, ..Self::new(part, None, identity, ledger) }
    }

    pub(crate) fn new(
        part: PartFile,
        checkpoint: Option<CheckpointFile>,
        identity: Identity,
        ledger: Ledger,
    ) -> Self {
        let (length, resumed) = (identity.extent().len(), ledger.bytes());
        let refuted = Bitmap::new(ledger.segments().count());
        let origins = vec![SourceSet::default(); ledger.segments().count()];
        let inherited = ledger.complete().clone();
        let part = Arc::new(part);
        Self {
            part,
            checkpoint,
            identity,
            ledger,
            refuted,
            length,
            resumed,
            room: None,
            streamed: None,
            proving: Proving::default(),
            piped: None,
            origins,
            inherited,
        }
    }

    /// These will be asked for at the end: computes them from now on, while the bytes land.
    pub(crate) fn prove_by(&mut self, algorithms: Vec<Algorithm>) {
        let segments = Some(self.ledger.segments().count()).filter(|count| *count > 0);
        let sink = self.piped.as_ref().map(|piped| piped.sink.clone());
        self.proving = Proving::by(algorithms, &self.part, segments, sink);
    }

    /// How far the bytes are out; `None` where they stay.
    pub(crate) fn outflow(&self) -> Option<Outflow> {
        let window = self.piped.as_ref()?.window;
        Some(Outflow::new(self.proving.done()?, window))
    }

    /// A segment has landed: its bytes are written.
    pub(crate) fn land(&mut self, index: usize, crcs: Crcs) {
        self.ledger.land(index, crcs.own);
        self.proving.land(index, crcs.proof);
    }

    /// The segments with bytes of that source.
    pub(crate) fn of_source(&self, id: SourceId) -> Vec<usize> {
        let complete = self.ledger.complete();
        let its =
            |(index, sources): (usize, &SourceSet)| (sources.has(id) && complete.get(index)).then_some(index);
        self.origins.iter().enumerate().filter_map(its).collect()
    }

    /// The segments with bytes of any mirror.
    pub(crate) fn of_mirrors(&self) -> Vec<usize> {
        let mut all: Vec<_> = (GIVEN + 1..MOST).flat_map(|id| self.of_source(id)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A claim was read back and holds.
    pub(crate) fn confirm(&mut self, index: usize, crcs: Crcs) {
        self.ledger.confirm(index);
        self.proving.land(index, crcs.proof);
    }

    /// What is hashed in its order may be hashed as far as it is in place.
    pub(crate) fn follow(&self) {
        if self.proving.follows() {
            self.proving.reach(self.ledger.certain_prefix());
        }
    }

    /// Opens what an earlier run left; `None` where the part file is not what the checkpoint is about.
    pub(crate) fn reopen(claimed: &mut Claimed) -> Result<Option<Self>> {
        let Some((checkpoint, left)) = claimed.left.take() else { return Ok(None) };
        let target = &claimed.target;
        if target.entry(&target.part_name())?.is_none() {
            return Ok(None);
        }
        let medium = target
            .folder()
            .open(&target.part_name())
            .map_err(|error| Error::io(&target.part_path(), "open the part file", error))?;
        let Some(part) = PartFile::reopen(&target.part_path(), medium, left.identity.extent().len())? else {
            return Ok(None);
        };
        // A copied part file has another inode; its bytes are decided by their CRCs (H69).
        let identity = Identity { inode: part.inode()?, ..left.identity };
        Ok(Some(Self::new(part, Some(checkpoint), identity, left.ledger)))
    }

    /// This is what an earlier run left.
    pub(crate) fn inherit(&mut self, ledger: Ledger) {
        (self.resumed, self.inherited) = (ledger.bytes(), ledger.complete().clone());
        self.ledger = ledger;
    }

    /// A claim was read back and is false.
    pub(crate) fn refute(&mut self, index: usize) {
        self.lose(index);
        self.refuted.set(index);
    }

    fn lose(&mut self, index: usize) {
        self.ledger.lose(index);
        self.proving.take_back(self.ledger.segments().range(index).start);
        if self.inherited.get(index) {
            self.inherited.clear(index);
            self.resumed -= self.ledger.segments().range(index).len();
        }
    }

    /// The segments that are on the disk for certain, as far as the checkpoint knows.
    pub(crate) fn durable(&self) -> Bitmap {
        let known = self.checkpoint.as_ref().map(|checkpoint| checkpoint.durable().clone());
        known.unwrap_or_else(|| Bitmap::new(self.ledger.segments().count()))
    }

    /// After a failed sync: only what was on the disk before it is complete (H50).
    pub(crate) fn lose_all_but(&mut self, durable: &Bitmap) {
        let is_lost = |index: &usize| !durable.get(*index) || self.refuted.get(*index);
        let lost: Vec<usize> = self.ledger.complete().ones().filter(is_lost).collect();
        lost.into_iter().for_each(|index| self.lose(index));
    }

    /// The same where no committer is at work: the checkpoint follows.
    pub(crate) async fn take_back(&mut self, durable: &Bitmap) {
        self.lose_all_but(durable);
        let snapshot = self.snapshot();
        if let Some(mut checkpoint) = self.checkpoint.take() {
            self.checkpoint = Some(
                blocking(move || {
                    // The failed sync says more. What the old slot claims is read back before it counts.
                    let _ = checkpoint.soft(&snapshot);
                    checkpoint
                })
                .await,
            );
        }
    }

    pub(crate) fn checkpoint_now(&self) -> Checkpoint {
        let mut identity = self.identity.clone();
        if identity.extent().is_empty() {
            // Of no bytes all are complete from the start.
            identity.inode = NO_FILE;
        }
        Checkpoint { identity, ledger: self.ledger.clone(), saved_at: unix_seconds() }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::new(self.checkpoint_now()))
    }

    /// The same of a file that is whole: by what this says, a later run knows it under its final name (H52).
    pub(crate) fn whole(&self) -> Snapshot {
        let mut now = self.checkpoint_now();
        if let Some(ledger) = &self.streamed {
            (now.identity.total, now.identity.end) = (self.length, self.length);
            now.ledger = ledger.clone();
        }
        if now.identity.extent().len() == self.length {
            now.identity.inode = self.identity.inode;
        }
        Snapshot(Arc::new(now))
    }

    /// Whether there is anything that a later run could use.
    pub(crate) fn is_empty(&self) -> bool {
        self.ledger.complete().count() == 0
    }
}

fn segments(request: &Request, length: u64) -> Result<Segments> {
    let size = match &request.output {
        // There is no checkpoint for which the user's could matter.
        Output::Piped(piped) => Some(piped.segment_size()),
        _ => request.segment_size,
    };
    plan::segments(length, size).ok_or_else(|| {
        let possible = Segments::new(length, Segments::MAX_SIZE).is_some();
        let (kind, hint) = match request.segment_size {
            Some(_) if possible => (ErrorKind::Usage, "use a larger --segment-size"),
            None if possible => (ErrorKind::Local, "use a larger --segment-size"),
            _ => (ErrorKind::Local, "no checkpoint can hold that many, however large"),
        };
        Error::new(kind, format!("{length} bytes are too many segments")).at(&request.url).hint(hint)
    })
}

/// The machine's clock, for people.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{SEGMENT, checkpoint};

    #[test]
    fn h50_after_a_failed_sync_only_what_was_durable_and_never_refuted_is_complete() {
        let part = PartFile::streamed(Path::new("/t/x.part"), Arc::new(Ring::new(0)));
        let Checkpoint { identity, ledger, .. } = checkpoint(3);
        let durable = checkpoint(2).ledger.complete().clone();
        let mut files = Files::new(part, None, identity, ledger);
        // Its claim was false, and it has landed again since.
        files.refute(0);
        files.ledger.land(0, 9);
        files.lose_all_but(&durable);
        assert_eq!(files.ledger.complete().ones().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn h50_what_a_failed_sync_cost_does_not_count_as_resumed() {
        let part = PartFile::streamed(Path::new("/t/x.part"), Arc::new(Ring::new(0)));
        let Checkpoint { identity, ledger, .. } = checkpoint(3);
        let mut files = Files::new(part, None, identity, ledger);
        assert_eq!(files.resumed, 3 * SEGMENT);
        files.lose_all_but(checkpoint(2).ledger.complete());
        assert_eq!(files.resumed, 2 * SEGMENT);
        files.ledger.land(2, 9);
        files.lose_all_but(checkpoint(1).ledger.complete());
        assert_eq!(files.resumed, SEGMENT, "what this run has fetched is not of an earlier one");
    }
}
