//! Reads a file from its start while it is still being written, as far as it is in place: hashes it, from the page cache, so
//! that the last byte is hashed a moment after it has come; and writes it out, where it is for a pipe.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::blocking::{blocking, joined};
use super::pipe::Sink;
use crate::checksum::{Algorithm, Checksum, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::range::ByteRange;
use crate::store::part::PartFile;

/// Between steps of this size one may take back or cancel.
const STEP: u64 = 8 << 20;
/// What is read at once: it stays in the processor's cache until it is hashed.
const BUFFER: u64 = 256 << 10;

/// Follows one file. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Follower {
    reached: watch::Sender<Reached>,
    /// How many bytes were hashed, and written out. Closed when it has ended.
    done: watch::Receiver<u64>,
    task: JoinHandle<Result<Vec<Checksum>>>,
}

/// How far it may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    /// From the first byte on so many are in place, and will stay what they are.
    bytes: u64,
    /// So often that turned out to be wrong.
    taken_back: u32,
    /// There will be no more.
    whole: bool,
}

impl Follower {
    /// Hashes the file.
    pub(crate) fn start(file: Arc<PartFile>, algorithms: Vec<Algorithm>) -> Self {
        Self::writing(file, algorithms, None)
    }

    /// And writes what was read to the `sink`, if there is one, before it counts as done.
    pub(crate) fn writing(file: Arc<PartFile>, algorithms: Vec<Algorithm>, sink: Option<Sink>) -> Self {
        let (reached, seen) = watch::channel(Reached::default());
        let (tell, done) = watch::channel(0);
        Self { reached, done, task: tokio::spawn(follow(file, algorithms, sink, seen, tell)) }
    }

    /// How many bytes are done. Closed when it has ended, be it because it failed.
    pub(crate) fn done(&self) -> watch::Receiver<u64> {
        self.done.clone()
    }

    /// Why it has ended before the end.
    pub(crate) async fn failure(self) -> Error {
        let early = || Error::new(ErrorKind::Internal, "what follows the file has ended");
        joined(self.task).await.err().unwrap_or_else(early)
    }

    /// Whether any byte may have been done.
    pub(crate) fn has_begun(&self) -> bool {
        self.reached.borrow().bytes > 0 || self.reached.borrow().taken_back > 0
    }

    /// From the first byte on so many are in place now.
    pub(crate) fn reach(&self, bytes: u64) {
        self.reached.send_if_modified(|reached| std::mem::replace(&mut reached.bytes, bytes) != bytes);
    }

    /// The bytes from `start` on are to be written again: nothing that was hashed counts if any of them was.
    pub(crate) fn take_back(&self, start: u64) {
        self.reached.send_if_modified(|reached| {
            let hashed = start < reached.bytes;
            if hashed {
                *reached = Reached { bytes: 0, taken_back: reached.taken_back + 1, whole: false };
            }
            hashed
        });
    }

    /// The checksums of the file, which has so many bytes and all of them in place.
    pub(crate) async fn finish(self, length: u64) -> Result<Vec<Checksum>> {
        self.reached.send_modify(|reached| (reached.bytes, reached.whole) = (length, true));
        joined(self.task).await
    }
}

async fn follow(
    file: Arc<PartFile>,
    algorithms: Vec<Algorithm>,
    sink: Option<Sink>,
    mut seen: watch::Receiver<Reached>,
    tell: watch::Sender<u64>,
) -> Result<Vec<Checksum>> {
    let start = || Hashing {
        hashers: algorithms.iter().copied().map(Hasher::new).collect(),
        sink: sink.clone(),
        ..Hashing::default()
    };
    let mut hashing = start();
    let mut taken_back = 0;
    loop {
        let reached = *seen.borrow_and_update();
        if reached.taken_back != taken_back {
            if sink.is_some() && hashing.at > 0 {
                let message = "it was cut short, and what is out cannot be taken back";
                return Err(Error::new(ErrorKind::Network, message).hint("run the same command again"));
            }
            (hashing, taken_back) = (start(), reached.taken_back);
        }
        if hashing.at < reached.bytes {
            let (file, end) = (Arc::clone(&file), reached.bytes.min(hashing.at + STEP));
            hashing = blocking(move || hashing.step(&file, end)).await?;
            tell.send_replace(hashing.at);
        } else if reached.whole {
            return Ok(hashing.hashers.into_iter().map(Hasher::finish).collect());
        } else {
            // That nobody is left to change it is seen below.
            let _ = seen.changed().await;
        }
        if seen.has_changed().is_err() {
            return Err(Error::new(ErrorKind::Cancelled, "nobody wants to know the checksum"));
        }
    }
}

#[derive(Default)]
struct Hashing {
    hashers: Vec<Hasher>,
    sink: Option<Sink>,
    at: u64,
    buffer: Vec<u8>,
}

impl Hashing {
    /// Goes on to there.
    fn step(mut self, file: &PartFile, end: u64) -> Result<Self> {
        while self.at < end {
            let piece = ByteRange::new(self.at, end.min(self.at + BUFFER));
            file.read(&mut self.buffer, piece)?;
            self.hashers.iter_mut().for_each(|hasher| hasher.update(&self.buffer));
            if let Some(sink) = &self.sink {
                sink.write(&self.buffer)?;
            }
            self.at = piece.end;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::OneFile;
    use std::path::Path;

    const BYTES: &[u8] = b"123456789";
    const CRC: &str = "crc64-xz:995dc9bbdf1939fa";

    fn following(bytes: &[u8]) -> (OneFile, Follower) {
        let file = OneFile::with_bytes(bytes.to_vec());
        let part = PartFile::streamed(Path::new("/t/x.part"), Arc::clone(&file.medium));
        (file, Follower::start(Arc::new(part), vec![Algorithm::Crc64Xz, Algorithm::Md5]))
    }

    async fn finish(follower: Follower) -> String {
        let found = follower.finish(BYTES.len() as u64).await.unwrap();
        assert_eq!(found.len(), 2);
        found[0].to_string()
    }

    /// Everything that may be hashed is, when the clock may go on.
    async fn a_moment() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_as_far_as_it_may_and_to_the_end() {
        let (file, follower) = following(b"1234.....");
        follower.reach(4);
        a_moment().await;
        file.medium.write_all_at(BYTES, 0).unwrap();
        follower.reach(7);
        assert_eq!(finish(follower).await, CRC);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_back_is_hashed_again() {
        let (file, follower) = following(b"xxxx56789");
        follower.reach(9);
        a_moment().await;
        follower.take_back(8);
        file.medium.write_all_at(BYTES, 0).unwrap();
        assert_eq!(finish(follower).await, CRC);
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_had_not_come_to_may_be_written_again() {
        let (file, follower) = following(b"1234xxxxx");
        follower.reach(4);
        a_moment().await;
        follower.take_back(4);
        // It would notice if it began anew.
        file.medium.write_all_at(b"xxxx56789", 0).unwrap();
        assert_eq!(finish(follower).await, CRC);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_read_is_an_error() {
        let (file, follower) = following(b"12345");
        assert_eq!(follower.finish(9).await.unwrap_err().kind(), ErrorKind::Local);
        drop(file);
    }
}
