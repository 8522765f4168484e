//! The durable order: no slot says *hard* before the bytes it claims are on the disk.
//!
//! The checkpoint file has two slots. A *soft* commit goes to the slot that does not hold the last hard one, so
//! that a torn write never costs the hard one. A *hard* commit goes there too; then the slots change roles.
//! The types keep the order: a hard commit takes a [`Durable`], and only a successful sync makes one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint, Commit, MAX_FILE, Slot};
use super::medium::Medium;
use super::part::PartFile;
use crate::error::{Error, ErrorKind, Result};

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
        let mut file =
            Self { path: path.to_owned(), medium, slot_size: second as u64, generation: 0, hard_slot: 1 };
        file.choose(slots).map(|found| (file, found))
    }

    /// The newest valid slot, and the slot that must not be written next.
    fn choose(&mut self, slots: [Slot; 2]) -> Result<Found> {
        let mut found = Found::Unreadable;
        let mut newest_hard = None;
        let mut newer = None;
        for (slot, index) in slots.into_iter().zip(0..) {
            match slot {
                Slot::Valid { generation, commit, checkpoint } => {
                    if generation > self.generation || matches!(found, Found::Unreadable) {
                        self.generation = generation;
                        // Without a hard slot the newest is the one to keep.
                        self.hard_slot = index;
                        found = Found::Checkpoint(checkpoint);
                    }
                    if commit == Commit::Hard && newest_hard.is_none_or(|(newest, _)| generation > newest) {
                        newest_hard = Some((generation, index));
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
        if let Some((_, index)) = newest_hard {
            self.hard_slot = index;
        }
        Ok(found)
    }

    /// Empties a checkpoint durably: what it said must be gone before the first new byte (H51).
    pub(crate) fn erase(path: &Path, medium: &dyn Medium) -> Result<()> {
        let erased = match medium.len() {
            Ok(0) => return Ok(()),
            Ok(_) => medium.set_len(0).and_then(|()| medium.sync_data()),
            Err(error) => Err(error),
        };
        erased.map_err(|error| Error::io(path, "erase the checkpoint", error))
    }

    /// Lays an erased file out for this download, which has not a byte complete.
    pub(crate) fn start(path: &Path, medium: Arc<dyn Medium>, checkpoint: Checkpoint) -> Result<Self> {
        let slot_size = checkpoint::slot_size(&checkpoint);
        debug_assert_eq!(checkpoint.ledger.complete().count(), 0);
        let mut file = Self { path: path.to_owned(), medium, slot_size, generation: 0, hard_slot: 1 };
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
        self.write(Commit::Soft, &snapshot.0)
    }

    /// Writes a snapshot whose bytes are on the disk, and waits until it is there itself.
    pub(crate) fn hard(&mut self, durable: &Durable) -> Result<()> {
        self.write(Commit::Hard, durable.checkpoint())?;
        self.medium.sync_data().map_err(|error| self.failed(error))?;
        self.hard_slot = 1 - self.hard_slot;
        Ok(())
    }

    fn write(&mut self, commit: Commit, checkpoint: &Checkpoint) -> Result<()> {
        let bytes = checkpoint::encode(self.generation + 1, commit, checkpoint);
        if bytes.len() as u64 > self.slot_size {
            return Err(
                Error::new(ErrorKind::Internal, "the checkpoint outgrew its slot").at(self.path.display())
            );
        }
        self.generation += 1;
        let offset = (1 - self.hard_slot) * self.slot_size;
        self.medium.write_all_at(&bytes, offset).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(&self.path, "write the checkpoint", error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Did, FakeFolder, FakeMedium, Faulty, SEGMENT, checkpoint, snapshot};
    use super::*;

    fn part(medium: &Arc<FakeMedium>) -> PartFile {
        PartFile::reserve(&FakeFolder, Path::new("/t/x.part"), Arc::clone(medium) as _, 4 * SEGMENT).unwrap()
    }

    fn started(medium: &Arc<FakeMedium>) -> CheckpointFile {
        CheckpointFile::start(Path::new("/t/x.part.ckpt"), Arc::clone(medium) as _, checkpoint(0)).unwrap()
    }

    /// How many segments the file claims when it is read anew.
    fn claimed(bytes: Vec<u8>) -> Option<usize> {
        match CheckpointFile::read(Path::new("/t/c"), FakeMedium::with_bytes(bytes)).unwrap().1 {
            Found::Checkpoint(checkpoint) => Some(checkpoint.ledger.complete().count()),
            Found::Unreadable => None,
        }
    }

    #[test]
    fn the_newest_slot_is_found() {
        let (data, medium) = (FakeMedium::unsupporting(&[]), FakeMedium::unsupporting(&[]));
        let (part, mut file) = (part(&data), started(&medium));
        assert_eq!(claimed(medium.bytes()), Some(0));
        file.soft(&snapshot(1)).unwrap();
        assert_eq!(claimed(medium.bytes()), Some(1));
        file.hard(&snapshot(2).sync(&part).unwrap()).unwrap();
        assert_eq!(claimed(medium.bytes()), Some(2));
        file.soft(&snapshot(3)).unwrap();
        assert_eq!(claimed(medium.bytes()), Some(3));
    }

    #[test]
    fn h51_a_torn_write_never_costs_the_last_hard_commit() {
        let (data, medium) = (FakeMedium::unsupporting(&[]), FakeMedium::unsupporting(&[]));
        let (part, mut file) = (part(&data), started(&medium));
        for round in 0..4 {
            file.hard(&snapshot(2).sync(&part).unwrap()).unwrap();
            let before = medium.bytes();
            if round % 2 == 0 {
                file.soft(&snapshot(3)).unwrap();
            } else {
                file.hard(&snapshot(3).sync(&part).unwrap()).unwrap();
            }
            let after = medium.bytes();
            for cut in 0..after.len() {
                let torn = [&after[..cut], &before[cut..]].concat();
                assert!(claimed(torn).unwrap_or(0) >= 2, "round {round}, cut at {cut}");
            }
        }
    }

    #[test]
    fn h50_no_commit_is_hard_without_its_data_on_the_disk() {
        let data = FakeMedium::unsupporting(&[]);
        let part = part(&data);
        data.fail(Faulty::Sync, io::ErrorKind::Other);
        assert_eq!(snapshot(2).sync(&part).unwrap_err().kind(), ErrorKind::Local);
    }

    #[test]
    fn a_hard_commit_is_synced_itself_and_a_soft_one_is_not() {
        let (data, medium) = (FakeMedium::unsupporting(&[]), FakeMedium::unsupporting(&[]));
        let (part, mut file) = (part(&data), started(&medium));
        let from = medium.did().len();
        file.soft(&snapshot(1)).unwrap();
        assert!(matches!(medium.did()[from..], [Did::Write { .. }]));
        let durable = snapshot(2).sync(&part).unwrap();
        assert_eq!(data.did().last(), Some(&Did::Sync));
        file.hard(&durable).unwrap();
        assert!(matches!(medium.did()[from + 1..], [Did::Write { .. }, Did::Sync]));
    }

    #[test]
    fn a_reopened_file_goes_on_where_it_was() {
        let (data, medium) = (FakeMedium::unsupporting(&[]), FakeMedium::unsupporting(&[]));
        let part = part(&data);
        started(&medium).hard(&snapshot(2).sync(&part).unwrap()).unwrap();
        let hard_only = medium.bytes();
        let (mut file, _) = CheckpointFile::read(Path::new("/t/c"), Arc::clone(&medium) as _).unwrap();
        file.soft(&snapshot(3)).unwrap();
        assert_eq!(claimed(medium.bytes()), Some(3));
        // The soft commit left the hard one alone.
        let half = hard_only.len() / 2;
        let (old, new) = (hard_only, medium.bytes());
        let kept =
            [0..half, half..2 * half].into_iter().filter(|slot| old[slot.clone()] == new[slot.clone()]);
        assert_eq!(kept.count(), 1);
    }

    #[test]
    fn h63_what_cannot_be_read_is_nothing_and_what_is_newer_is_left_alone() {
        for bytes in [vec![], vec![0; 10], vec![0; 8192], vec![0xff; 8191]] {
            assert_eq!(claimed(bytes), None);
        }
        let medium = FakeMedium::unsupporting(&[]);
        started(&medium);
        let mut newer = medium.bytes();
        newer[8] = 9;
        let error = CheckpointFile::read(Path::new("/t/c"), FakeMedium::with_bytes(newer)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Local);
        assert!(error.to_string().contains("newer"), "{error}");
    }

    #[test]
    fn h63_a_newer_slot_beside_an_older_one_is_not_overwritten() {
        let medium = FakeMedium::unsupporting(&[]);
        started(&medium).soft(&snapshot(1)).unwrap();
        for slot in [0, medium.bytes().len() / 2] {
            let mut mixed = medium.bytes();
            mixed[slot + 8] = 9;
            assert!(
                CheckpointFile::read(Path::new("/t/c"), FakeMedium::with_bytes(mixed)).is_err(),
                "{slot}"
            );
        }
    }
}
