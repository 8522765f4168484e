//! A medium in memory that records what is done to it and fails where it is told to.

use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex};

use super::checkpoint::{Checkpoint, Identity};
use super::commit::Snapshot;
use super::medium::{Entry, Folder, Map, Medium, Pages, Replace};
use crate::ledger::Ledger;
use crate::range::{ByteRange, Segments};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faulty {
    Allocate,
    Map,
    /// A page of a map is gone when it is written.
    Page,
    Sync,
    Write,
}

/// What was done, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Write { offset: u64 },
    Sync,
}

#[derive(Debug, Default)]
pub(crate) struct FakeMedium {
    bytes: Arc<Mutex<Vec<u8>>>,
    did: Mutex<Vec<Did>>,
    faults: Mutex<Vec<(Faulty, io::ErrorKind)>>,
}

impl FakeMedium {
    pub(crate) fn unsupporting(faults: &[Faulty]) -> Arc<Self> {
        let medium = Self::default();
        faults.iter().for_each(|fault| medium.fail(*fault, io::ErrorKind::Unsupported));
        Arc::new(medium)
    }

    pub(crate) fn failing(fault: Faulty, kind: io::ErrorKind) -> Arc<Self> {
        let medium = Self::default();
        medium.fail(fault, kind);
        Arc::new(medium)
    }

    pub(crate) fn with_bytes(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes: Arc::new(Mutex::new(bytes)), ..Self::default() })
    }

    pub(crate) fn fail(&self, fault: Faulty, kind: io::ErrorKind) {
        self.faults.lock().unwrap().push((fault, kind));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    pub(crate) fn did(&self) -> Vec<Did> {
        self.did.lock().unwrap().clone()
    }

    fn check(&self, asked: Faulty) -> io::Result<()> {
        let faults = self.faults.lock().unwrap();
        faults.iter().find(|(fault, _)| *fault == asked).map_or(Ok(()), |(_, kind)| Err((*kind).into()))
    }
}

impl Medium for FakeMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn inode(&self) -> io::Result<u64> {
        Ok(7)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check(Faulty::Allocate)?;
        self.set_len(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let bytes = self.bytes.lock().unwrap();
        let found = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        self.check(Faulty::Write)?;
        self.did.lock().unwrap().push(Did::Write { offset });
        let start = usize::try_from(offset).unwrap();
        let mut bytes = self.bytes.lock().unwrap();
        let end = bytes.len().max(start + new.len());
        bytes.resize(end, 0);
        bytes[start..start + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn map(&self, range: ByteRange) -> io::Result<Map> {
        self.check(Faulty::Map)?;
        let len = usize::try_from(range.len()).unwrap();
        let gone = self.check(Faulty::Page).is_err();
        Ok(Box::new(FakeMap { bytes: Arc::clone(&self.bytes), offset: range.start, map: vec![0; len], gone }))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(Faulty::Sync)?;
        self.did.lock().unwrap().push(Did::Sync);
        Ok(())
    }

    fn drop_cache(&self, _range: ByteRange) -> io::Result<()> {
        Ok(())
    }

    fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Writes through when it is dropped.
struct FakeMap {
    bytes: Arc<Mutex<Vec<u8>>>,
    offset: u64,
    map: Vec<u8>,
    gone: bool,
}

impl Pages for FakeMap {
    fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        if !self.gone {
            self.map[at..at + bytes.len()].copy_from_slice(bytes);
        }
        !self.gone
    }
}

impl Drop for FakeMap {
    fn drop(&mut self) {
        let start = usize::try_from(self.offset).unwrap();
        // None where the file was truncated meanwhile.
        if let Some(bytes) = self.bytes.lock().unwrap().get_mut(start..start + self.map.len()) {
            bytes.copy_from_slice(&self.map);
        }
    }
}

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

/// A folder without a file in it, and with room for everything.
#[derive(Debug, Default)]
pub(crate) struct FakeFolder;

impl Folder for FakeFolder {
    fn create(&self, _name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        Ok(FakeMedium::unsupporting(&[]))
    }

    fn open(&self, _name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn entry(&self, _name: &OsStr) -> io::Result<Option<Entry>> {
        Ok(None)
    }

    fn rename(&self, _from: &OsStr, _to: &OsStr, _replace: Replace) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _name: &OsStr) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}
