//! The part file: the object's bytes before it has its name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::copy::copy;
use super::medium::{Folder, Map, Medium};
use super::trial::Trial;
use super::waits::Waits;
use crate::error::{Error, ErrorKind, Result};
use crate::range::{ByteRange, Segments};

/// How bytes get into the part file.
///
/// ```
/// fn describe(report: &haul::Report) -> &'static str {
///     match report.writing {
///         haul::Writing::Mapped => "through memory maps",
///         haul::Writing::Positioned => "by positioned writes",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Through populated memory maps.
    Mapped,
    /// By positioned writes: they turned out to be cheaper here, the file system has no maps or cannot reserve
    /// blocks, or the length is unknown.
    Positioned,
}

/// An open part file.
#[derive(Debug)]
pub(crate) struct PartFile {
    path: PathBuf,
    medium: Arc<dyn Medium>,
    /// What the file is long; `None` where it grows.
    length: Option<u64>,
    /// `None`: there is no choice, writes are positioned.
    trial: Option<Arc<Mutex<Trial>>>,
    /// Start → end of the windows that are open: each byte has at most one writer.
    windows: Mutex<Windows>,
    waits: Arc<Waits>,
}

type Windows = Arc<Mutex<BTreeMap<u64, u64>>>;

impl PartFile {
    /// A new file with `length` bytes reserved. A disk that is too small is an error here, before a byte is
    /// fetched (H54).
    pub(crate) fn reserve(
        folder: &dyn Folder,
        path: &Path,
        medium: Arc<dyn Medium>,
        length: u64,
    ) -> Result<Self> {
        if length == 0 {
            return Ok(Self::streamed(path, medium));
        }
        // Asked before: a reservation that fails may have taken what there was.
        let free = folder.free_space().ok();
        let failed = |error: io::Error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let said = Error::io(path, &format!("reserve {length} bytes"), error);
            match free.filter(|_| full) {
                Some(free) => {
                    said.hint(format!("{free} bytes are free: make room, or choose another folder with -d"))
                }
                None => said,
            }
        };
        if free.is_some_and(|free| free < length) {
            return Err(failed(io::ErrorKind::StorageFull.into()));
        }
        let maps = match medium.allocate(length) {
            Ok(()) => Self::can_map(medium.as_ref(), length).map_err(failed)?,
            // Without reserved blocks a map could meet a full disk at any page (H55).
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                medium.set_len(length).map_err(failed)?;
                false
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { length: Some(length), trial: maps.then(Arc::default), ..Self::streamed(path, medium) })
    }

    /// The file of an earlier run; `None` where it is not of that length.
    pub(crate) fn reopen(path: &Path, medium: Arc<dyn Medium>, length: u64) -> Result<Option<Self>> {
        let failed = |error| Error::io(path, "read the part file", error);
        if medium.len().map_err(failed)? != length {
            return Ok(None);
        }
        if length == 0 {
            return Ok(Some(Self::streamed(path, medium)));
        }
        // The blocks were reserved, unless someone has copied the file: reserving what is reserved is free.
        let maps = match medium.allocate(length) {
            Ok(()) => Self::can_map(medium.as_ref(), length).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
            Err(error) => return Err(Error::io(path, &format!("reserve {length} bytes"), error)),
        };
        Ok(Some(Self {
            length: Some(length),
            trial: maps.then(Arc::default),
            ..Self::streamed(path, medium)
        }))
    }

    /// A file that grows as bytes come: for objects whose length nobody knows.
    pub(crate) fn streamed(path: &Path, medium: Arc<dyn Medium>) -> Self {
        Self {
            path: path.to_owned(),
            medium,
            length: None,
            trial: None,
            windows: Mutex::default(),
            waits: Arc::default(),
        }
    }

    /// Tries a map on the first pages: file systems differ in what they can do.
    fn can_map(medium: &dyn Medium, length: u64) -> io::Result<bool> {
        let first = ByteRange::new(0, length.min(Segments::MIN_SIZE));
        // The map makes these pages dirty, and so the cache's content the disk's: let it be what the disk has.
        let _ = medium.drop_cache(first);
        match medium.map(first) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How the next window will be written.
    pub(crate) fn writing(&self) -> Writing {
        self.trial.as_ref().map_or(Writing::Positioned, |trial| lock(trial).writing())
    }

    pub(crate) fn inode(&self) -> Result<u64> {
        self.medium.inode().map_err(|error| self.failed("read the part file", error))
    }

    /// Says that no window is written any more. One may still be on its way to a worker that is gone: nothing
    /// will be written to it.
    pub(crate) fn abandon_windows(&self) {
        *lock(&self.windows) = Arc::default();
    }

    /// Opens a window on bytes that nobody else is writing. May wait for the disk.
    pub(crate) fn window(&self, range: ByteRange) -> Result<Window> {
        self.check_length()?;
        let guard = WindowGuard::take(&lock(&self.windows), range).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("bytes {range} have two writers")).at(self.path.display())
        })?;
        let began = Instant::now();
        let map = match self.writing() {
            Writing::Mapped => self.map(range)?,
            Writing::Positioned => None,
        };
        Ok(Window {
            map,
            medium: Arc::clone(&self.medium),
            range,
            written: 0,
            spent: began.elapsed(),
            trial: self.trial.clone(),
            waits: Arc::clone(&self.waits),
            path: self.path.clone(),
            _guard: guard,
        })
    }

    /// `None` where it cannot be mapped just now.
    fn map(&self, range: ByteRange) -> Result<Option<Map>> {
        match self.medium.map(range) {
            Ok(map) => Ok(Some(map)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(self.failed("write", error)),
        }
    }

    /// Appends to a streamed file.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let began = Instant::now();
        let written = self.medium.write_all_at(bytes, offset);
        self.waits.note(began.elapsed());
        written.map_err(|error| self.failed("write", error))
    }

    /// Whether the disk makes writers wait: then a write is not for a thread on which others wait.
    pub(crate) fn makes_wait(&self) -> bool {
        self.waits.are_likely()
    }

    /// The error of a write that there is no room for.
    pub(crate) fn full(&self) -> Error {
        self.failed("write", io::ErrorKind::StorageFull.into())
    }

    /// Reads `buffer.len()` bytes from the disk, not from the cache: what a power cut left of them.
    pub(crate) fn read_from_disk(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let range = ByteRange::new(offset, offset + buffer.len() as u64);
        // A hint: where it is not taken, the cache is read, and that is the best there is.
        let _ = self.medium.drop_cache(range);
        self.medium.read_exact_at(buffer, offset).map_err(|error| self.failed("read", error))
    }

    /// Reads bytes as they were written, from the cache where they are there.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>, range: ByteRange) -> Result<()> {
        buffer.resize(usize::try_from(range.len()).expect("a piece fits in memory"), 0);
        self.medium.read_exact_at(buffer, range.start).map_err(|error| self.failed("read", error))
    }

    /// Copies bytes of a file to where they are there. No window may be open on them.
    pub(crate) fn copy_from(&self, file: &Self, range: ByteRange) -> Result<()> {
        copy(file.medium.as_ref(), self.medium.as_ref(), range).map_err(|error| self.failed("write", error))
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> Result<u64> {
        self.medium.len().map_err(|error| self.failed("read the part file", error))
    }

    pub(crate) fn set_len(&self, length: u64) -> Result<()> {
        self.medium.set_len(length).map_err(|error| self.failed("truncate", error))
    }

    pub(crate) fn set_mode(&self, mode: u32) -> Result<()> {
        self.medium.set_mode(mode).map_err(|error| self.failed("set the mode", error))
    }

    /// Gives it this time of its last change. Nothing may be written to it any more.
    pub(crate) fn set_mtime(&self, time: SystemTime) -> Result<()> {
        self.medium.set_mtime(time).map_err(|error| self.failed("set its time", error))
    }

    /// The time of its last change.
    pub(crate) fn mtime(&self) -> Result<SystemTime> {
        self.medium.mtime().map_err(|error| self.failed("read its time", error))
    }

    /// Notes something beside it.
    pub(crate) fn set_note(&self, note: &[u8]) -> Result<()> {
        self.medium.set_note(note).map_err(|error| self.failed("note its version", error))
    }

    /// Makes every byte written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.medium.sync_data().map_err(|error| self.failed("make the data durable", error))
    }

    /// Fails where someone else has cut the file meanwhile: positioned writes would make it long again.
    pub(crate) fn check_length(&self) -> Result<()> {
        self.length.map_or(Ok(()), |length| self.expect_length(length))
    }

    pub(crate) fn expect_length(&self, length: u64) -> Result<()> {
        match self.len()? {
            found if found == length => Ok(()),
            found => Err(meddled(&self.path, &format!("it has {found} bytes, not {length}"))),
        }
    }

    fn failed(&self, doing: &str, error: io::Error) -> Error {
        Error::io(&self.path, doing, error)
    }
}

fn meddled(path: &Path, found: &str) -> Error {
    let message = format!("somebody else changed the part file: {found}");
    Error::new(ErrorKind::Local, message).at(path.display()).hint("run the same command again")
}

/// A run of bytes of the part file, filled from its start by one writer.
pub(crate) struct Window {
    /// `None`: writes are positioned.
    map: Option<Map>,
    medium: Arc<dyn Medium>,
    range: ByteRange,
    written: u64,
    /// Time it took to open it and to write.
    spent: Duration,
    trial: Option<Arc<Mutex<Trial>>>,
    waits: Arc<Waits>,
    path: PathBuf,
    _guard: WindowGuard,
}

impl Window {
    /// Where the next byte goes.
    pub(crate) fn position(&self) -> u64 {
        self.range.start + self.written
    }

    /// How many bytes still fit.
    pub(crate) fn space(&self) -> u64 {
        self.range.len() - self.written
    }

    /// Writes the next bytes, which must fit.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        debug_assert!(bytes.len() as u64 <= self.space());
        let began = Instant::now();
        let at = usize::try_from(self.written).expect("a window fits in memory");
        if !self.map.as_mut().is_some_and(|map| map.write(at, bytes)) {
            self.write_positioned(bytes)?;
        }
        self.written += bytes.len() as u64;
        let took = began.elapsed();
        self.waits.note(took);
        self.spent += took;
        if let Some(trial) = self.trial.as_ref().filter(|_| self.space() == 0) {
            let writing = if self.map.is_some() { Writing::Mapped } else { Writing::Positioned };
            lock(trial).note(writing, self.range.len(), self.spent);
        }
        Ok(())
    }

    fn write_positioned(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |error| Error::io(&self.path, "write", error);
        if self.map.take().is_some() {
            // A page is gone. This write says what is wrong, but would make a truncated file long again.
            let found = self.medium.len().map_err(failed)?;
            if found < self.range.end {
                return Err(meddled(&self.path, &format!("it was truncated to {found} bytes")));
            }
        }
        self.medium.write_all_at(bytes, self.range.start + self.written).map_err(failed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks a window as open for as long as it lives.
struct WindowGuard {
    windows: Windows,
    start: u64,
}

impl WindowGuard {
    /// `None` where any of the bytes has a writer already.
    fn take(windows: &Windows, range: ByteRange) -> Option<Self> {
        let mut open = lock(windows);
        let overlaps = open.range(..range.end).next_back().is_some_and(|(_, end)| *end > range.start);
        (!overlaps).then(|| {
            open.insert(range.start, range.end);
            Self { windows: Arc::clone(windows), start: range.start }
        })
    }
}

impl Drop for WindowGuard {
    fn drop(&mut self) {
        lock(&self.windows).remove(&self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::OneFile;
    use super::super::simulated::{DiskFault, Op};
    use super::*;
    use rustix::io::Errno;

    const LEN: u64 = 256 << 10;

    fn reserved(file: &OneFile) -> Result<PartFile> {
        let (root, medium) = (file.disk.root(), Arc::clone(&file.medium));
        PartFile::reserve(root.as_ref(), Path::new("/t/x.part"), medium, LEN)
    }

    #[test]
    fn both_ways_of_writing_put_bytes_where_they_belong() {
        for (faults, writing) in [
            (&[][..], Writing::Mapped),
            (&[DiskFault::unsupported(Op::Map)], Writing::Positioned),
            (&[DiskFault::unsupported(Op::Allocate)], Writing::Positioned),
        ] {
            let file = OneFile::new(faults);
            let part = reserved(&file).unwrap();
            assert_eq!(part.writing(), writing);
            let mut window = part.window(ByteRange::new(64 << 10, 128 << 10)).unwrap();
            window.write(b"abc").unwrap();
            window.write(b"def").unwrap();
            assert_eq!((window.position(), window.space()), ((64 << 10) + 6, (64 << 10) - 6));
            drop(window);
            assert_eq!(&file.bytes()[64 << 10..(64 << 10) + 6], b"abcdef");
            assert_eq!(file.bytes().len() as u64, LEN);
        }
    }

    #[test]
    fn h53_where_a_page_is_gone_a_positioned_write_says_why() {
        let file = OneFile::new(&[DiskFault::always(Op::Page, Errno::IO)]);
        let part = reserved(&file).unwrap();
        let open = |start| part.window(ByteRange::new(start, start + (64 << 10))).unwrap();
        let (mut first, mut second, mut third) = (open(0), open(64 << 10), open(128 << 10));
        first.write(b"abc").unwrap();
        first.write(b"def").unwrap();
        drop(first);
        assert_eq!(&file.bytes()[..6], b"abcdef", "nothing was wrong, after all");
        file.disk.fail(DiskFault::always(Op::Write, Errno::NOSPC));
        let error = second.write(b"abc").unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        file.medium.set_len(100).unwrap();
        let error = third.write(b"abc").unwrap_err();
        assert!(error.to_string().contains("somebody else"), "{error}");
    }

    #[test]
    fn a_byte_has_one_writer() {
        let part = reserved(&OneFile::new(&[])).unwrap();
        let first = part.window(ByteRange::new(0, 128 << 10)).unwrap();
        let refused = part.window(ByteRange::new(64 << 10, 192 << 10)).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Internal);
        assert!(part.window(ByteRange::new(128 << 10, 192 << 10)).is_ok());
        drop(first);
        assert!(part.window(ByteRange::new(64 << 10, 128 << 10)).is_ok());
    }

    #[test]
    fn h54_a_full_disk_is_said_before_anything_is_fetched() {
        let error = reserved(&OneFile::new(&[DiskFault::always(Op::Allocate, Errno::NOSPC)])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Local);
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }

    #[test]
    fn h65_a_part_file_of_another_length_is_not_reused() {
        let medium = OneFile::new(&[]).medium;
        medium.set_len(LEN - 1).unwrap();
        let again = PartFile::reopen(Path::new("/t/x.part"), Arc::clone(&medium), LEN).unwrap();
        assert!(again.is_none());
        medium.set_len(LEN).unwrap();
        assert!(PartFile::reopen(Path::new("/t/x.part"), medium, LEN).unwrap().is_some());
    }
}
