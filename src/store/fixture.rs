//! What tests of the store begin with.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, Identity};
use super::commit::Snapshot;
use super::medium::Medium;
use super::simulated::{DiskFault, Op, SimulatedDisk};
use crate::ledger::Ledger;
use crate::range::Segments;

/// The length of a segment of [`checkpoint`].
pub(crate) const SEGMENT: u64 = 64 << 10;

/// The checkpoint of a download of four segments, the first few of which have landed.
pub(crate) fn checkpoint(landed: usize) -> Checkpoint {
    let mut ledger = Ledger::new(Segments::new(4 * SEGMENT, SEGMENT).unwrap());
    (0..landed).for_each(|index| ledger.land(index, 9));
    let (validator, encoding, source) = (None, None, "http://h/x".to_owned());
    let identity =
        Identity { total: 4 * SEGMENT, start: 0, end: 4 * SEGMENT, validator, encoding, source, inode: 7 };
    Checkpoint { identity, ledger, saved_at: 0 }
}

/// The same as a snapshot.
pub(crate) fn snapshot(landed: usize) -> Snapshot {
    Snapshot(Arc::new(checkpoint(landed)))
}

/// A disk with one file, open.
#[derive(Debug)]
pub(crate) struct OneFile {
    pub(crate) disk: SimulatedDisk,
    pub(crate) medium: Arc<dyn Medium>,
}

impl OneFile {
    /// An empty file, on a disk that fails so.
    pub(crate) fn new(faults: &[DiskFault]) -> Self {
        let disk = SimulatedDisk::new();
        let medium = disk.file("x");
        faults.iter().for_each(|fault| disk.fail(*fault));
        Self { disk, medium }
    }

    pub(crate) fn with_bytes(bytes: Vec<u8>) -> Self {
        let disk = SimulatedDisk::new();
        disk.put("x", bytes);
        let medium = disk.root().open("x".as_ref()).expect("it is there");
        Self { disk, medium }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.disk.bytes("/x").expect("it is there")
    }

    /// The writes and syncs so far.
    pub(crate) fn did(&self) -> Vec<Op> {
        self.disk.log().into_iter().filter(|op| matches!(op, Op::Write | Op::Sync)).collect()
    }
}
