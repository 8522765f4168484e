//! The durable order: no slot says *hard* before the bytes it claims are on the disk.
//!
//! The checkpoint file has two slots. A *soft* commit goes to the slot that does not hold the last hard one, so
//! that a torn write never costs the hard one. A *hard* commit goes there too; then the slots change roles.
//! The types keep the order: a hard commit takes a [`Durable`], and only a successful sync makes one.
//!
//! What an earlier run only claimed softly may be gone with its power. A hard slot does not repeat such a claim before
//! it was read back; the soft one after it does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint, Commit, MAX_FILE, Slot};
use super::medium::Medium;
use super::part::PartFile;
use crate::bitmap::Bitmap;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;

/// A checkpoint whose claimed bytes were all written to the part file before it was taken.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot(pub(crate) Arc<Checkpoint>);

/// A snapshot whose claimed bytes are on the disk.
#[derive(Debug)]
pub(crate) struct Durable(Snapshot);

impl Snapshot {
    /// Syncs the part file. On failure nothing written since the last success may be called complete, whatever
    /// a later sync says (H50).
    pub(crate) fn sync(self, part: &PartFile) -> Result<Durable> {
        part.sync()?;
        Ok(Durable(self))
    }
}

impl Durable {
    pub(crate) fn checkpoint(&self) -> &Arc<Checkpoint> {
        &self.0.0
    }
}

/// The checkpoint file, open and ours.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    medium: Arc<dyn Medium>,
    slot_size: u64,
    generation: u64,
    hard_slot: u64,
    /// What the hard slot claims.
    durable: Bitmap,
}

/// What a checkpoint file held.
#[derive(Debug)]
pub(crate) enum Found {
    Checkpoint(Box<Checkpoint>),
    /// Nothing that can be read.
    Unreadable,
}

impl CheckpointFile {
    /// Reads a checkpoint file that may be anything. One of a newer haul is an error: it is not ours to replace.
    pub(crate) fn read(path: &Path, medium: Arc<dyn Medium>) -> Result<(Self, Found)> {
        let failed = |error| Error::io(path, "read the checkpoint", error);
        let len = medium.len().map_err(failed)?;
        let mut bytes = vec![0; usize::try_from(len.min(MAX_FILE)).unwrap_or(usize::MAX)];
        medium.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let second = bytes.len() / 2;
        let slots = [checkpoint::decode(&bytes), checkpoint::decode(&bytes[second..])];
        let (path, durable) = (path.to_owned(), Bitmap::new(0));
        let mut file = Self { path, medium, slot_size: second as u64, generation: 0, hard_slot: 1, durable };
        let found = match file.choose(slots)? {
            // A power cut took its length: where its slots begin nobody knows, and nothing was hardened yet.
            Found::Checkpoint(found) if 2 * checkpoint::slot_size(&found) != len => Found::Unreadable,
            found => found,
        };
        Ok((file, found))
    }

    /// The newest valid slot, and the slot that must not be written next.
    fn choose(&mut self, slots: [Slot; 2]) -> Result<Found> {
        let mut found = Found::Unreadable;
        let mut newest_hard: Option<(u64, u64, Ledger)> = None;
        let mut newer = None;
        for (slot, index) in slots.into_iter().zip(0..) {
            match slot {
                Slot::Valid { generation, commit, checkpoint } => {
                    let is_newest = newest_hard.as_ref().is_none_or(|(newest, ..)| generation > *newest);
                    if commit == Commit::Hard && is_newest {
                        newest_hard = Some((generation, index, checkpoint.ledger.clone()));
                    }
                    if generation > self.generation || matches!(found, Found::Unreadable) {
                        self.generation = generation;
                        // Without a hard slot the newest is the one to keep.
                        self.hard_slot = index;
                        found = Found::Checkpoint(checkpoint);
                    }
                }
                Slot::Newer { version } => newer = Some(version),
                Slot::Invalid => {}
            }
        }
        if let Some(version) = newer {
            let message = format!("the checkpoint has format {version}, of a newer haul");
            let hint = "use that haul, or start over with --restart";
            return Err(Error::new(ErrorKind::Local, message).at(self.path.display()).hint(hint));
        }
        if let Some((_, index, _)) = newest_hard {
            self.hard_slot = index;
        }
        if let Found::Checkpoint(checkpoint) = &found {
            let hard = newest_hard.map(|(.., ledger)| ledger);
            self.durable = checkpoint.ledger.agreeing_with(hard.as_ref());
        }
        Ok(found)
    }

    /// Empties a checkpoint durably: what it said must be gone before the first new byte (H51).
    pub(crate) fn erase(path: &Path, medium: &dyn Medium) -> Result<()> {
        let erased = match medium.len() {
            Ok(0) => return Ok(()),
            Ok(_) => written_again_if_interrupted(|| medium.set_len(0).and_then(|()| medium.sync_data())),
            Err(error) => Err(error),
        };
        erased.map_err(|error| Error::io(path, "erase the checkpoint", error))
    }

    /// Lays an erased file out for this download, which has not a byte complete.
    pub(crate) fn start(path: &Path, medium: Arc<dyn Medium>, checkpoint: Checkpoint) -> Result<Self> {
        let slot_size = checkpoint::slot_size(&checkpoint);
        debug_assert_eq!(checkpoint.ledger.complete().count(), 0);
        let (path, durable) = (path.to_owned(), Bitmap::new(checkpoint.ledger.segments().count()));
        let mut file = Self { path, medium, slot_size, generation: 0, hard_slot: 1, durable };
        let sized = match file.medium.allocate(2 * slot_size) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => file.medium.set_len(2 * slot_size),
            done => done,
        };
        sized.map_err(|error| file.failed(error))?;
        // Nothing is claimed, so nothing has to be on the disk.
        file.hard(&Durable(Snapshot(Arc::new(checkpoint))))?;
        Ok(file)
    }

    /// How much a commit writes at the most, in bytes.
    pub(crate) fn slot_size(&self) -> u64 {
        self.slot_size
    }

    /// Writes a snapshot without waiting for the disk.
    pub(crate) fn soft(&mut self, snapshot: &Snapshot) -> Result<()> {
        let slot = self.next_slot(Commit::Soft, &snapshot.0)?;
        self.put(&slot).map_err(|error| self.failed(error))
    }

    /// Writes what is on the disk of a snapshot, and waits until it is there itself.
    pub(crate) fn hard(&mut self, durable: &Durable) -> Result<()> {
        let Checkpoint { identity, ledger, saved_at } = &**durable.checkpoint();
        let ledger = ledger.without_claims_beyond(&self.durable);
        let certain = Checkpoint { identity: identity.clone(), ledger, saved_at: *saved_at };
        let slot = self.next_slot(Commit::Hard, &certain)?;
        let written = written_again_if_interrupted(|| self.put(&slot).and_then(|()| self.medium.sync_data()));
        written.map_err(|error| self.failed(error))?;
        self.hard_slot = 1 - self.hard_slot;
        self.durable = certain.ledger.complete().clone();
        Ok(())
    }

    /// The segments that are on the disk for certain.
    pub(crate) fn durable(&self) -> &Bitmap {
        &self.durable
    }

    /// The bytes of the slot that is written next.
    fn next_slot(&mut self, commit: Commit, checkpoint: &Checkpoint) -> Result<Vec<u8>> {
        let bytes = checkpoint::encode(self.generation + 1, commit, checkpoint);
        if bytes.len() as u64 > self.slot_size {
            return Err(
                Error::new(ErrorKind::Internal, "the checkpoint outgrew its slot").at(self.path.display())
            );
        }
        self.generation += 1;
        Ok(bytes)
    }

    fn put(&self, slot: &[u8]) -> io::Result<()> {
        self.medium.write_all_at(slot, (1 - self.hard_slot) * self.slot_size)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(&self.path, "write the checkpoint", error)
    }
}

/// Writes and syncs. A sync that was interrupted says nothing of what it covered: that is written again first (H50).
fn written_again_if_interrupted(write: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match write() {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => write(),
        done => done,
    }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
