//! Bytes that are on no disk: those that are on their way through, and those that nobody wants.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::medium::{Map, Medium};
use crate::range::ByteRange;

/// What one writer or reader locks at a time.
const BLOCK: u64 = 64 << 10;

/// A ring: the last so many bytes of a file, whatever their offset. Who writes has to know that what was there is not
/// wanted any more. A ring of no bytes keeps nothing and cannot be read (`-o /dev/null`).
#[derive(Debug)]
pub(crate) struct Ring(Box<[Mutex<Block>]>);

/// Empty until it is written to.
#[derive(Default)]
struct Block(Box<[u8]>);

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Ring {
    /// Of at least so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let blocks = usize::try_from(bytes.div_ceil(BLOCK)).unwrap_or(usize::MAX);
        Self((0..blocks).map(|_| Mutex::default()).collect())
    }

    /// Hands out the pieces of a range, in their order, each with its block and where in that it begins.
    fn pieces(&self, offset: u64, len: usize, mut each: impl FnMut(&mut [u8], std::ops::Range<usize>)) {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let start = usize::try_from(at % BLOCK).unwrap_or_default();
            let index = usize::try_from(at / BLOCK % self.0.len() as u64).unwrap_or_default();
            let mut block = lock(&self.0[index]);
            if block.0.is_empty() {
                block.0 = vec![0; usize::try_from(BLOCK).unwrap_or_default()].into();
            }
            let piece = (len - done).min(block.0.len() - start);
            each(&mut block.0[start..start + piece], done..done + piece);
            done += piece;
        }
    }
}

fn lock(block: &Mutex<Block>) -> MutexGuard<'_, Block> {
    block.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Medium for Ring {
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn inode(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let len = buffer.len();
        self.pieces(offset, len, |block, range| buffer[range].copy_from_slice(block));
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.0.is_empty() {
            self.pieces(offset, bytes.len(), |block, range| block.copy_from_slice(&bytes[range]));
        }
        Ok(())
    }

    fn map(&self, _range: ByteRange) -> io::Result<Map> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self, _range: ByteRange) -> io::Result<()> {
        Ok(())
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(0)
    }

    fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_the_last_bytes_wherever_they_are_in_the_file() {
        let ring = Ring::new(2 * BLOCK);
        let size = usize::try_from(BLOCK).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(2 * size).collect();
        for offset in [0, 5, BLOCK - 1, 3 * BLOCK + 7] {
            ring.write_all_at(&bytes, offset).unwrap();
            let mut read = vec![0; 2 * size];
            ring.read_exact_at(&mut read, offset).unwrap();
            assert!(read == bytes, "{offset}");
        }
    }

    #[test]
    fn a_ring_of_nothing_takes_everything_and_gives_nothing() {
        let ring = Ring::new(0);
        ring.write_all_at(&[1; 100], 1 << 40).unwrap();
        assert!(ring.read_exact_at(&mut [0; 1], 0).is_err());
    }
}
