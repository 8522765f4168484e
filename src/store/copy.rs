//! Copies bytes from one file to another at the same place: by the kernel where it can, which shares the blocks where the
//! file system can.

use std::io;

use rustix::fs::copy_file_range;
use rustix::io::{Errno, retry_on_intr};

use super::medium::Medium;
use crate::range::ByteRange;

const BUFFER: u64 = 1 << 20;

/// Copies the bytes of `range`, all of which `from` has.
pub(super) fn copy(from: &dyn Medium, to: &dyn Medium, range: ByteRange) -> io::Result<()> {
    let at = by_kernel(from, to, range)?;
    let mut buffer = Vec::new();
    for start in (at..range.end).step_by(usize::try_from(BUFFER).unwrap_or(usize::MAX)) {
        let len = BUFFER.min(range.end - start);
        buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        from.read_exact_at(&mut buffer, start)?;
        to.write_all_at(&buffer, start)?;
    }
    Ok(())
}

/// As far as the kernel does it; gives where it stopped.
fn by_kernel(from: &dyn Medium, to: &dyn Medium, range: ByteRange) -> io::Result<u64> {
    let mut at = range.start;
    let Some((source, sink)) = from.descriptor().zip(to.descriptor()) else { return Ok(at) };
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let (mut read, mut written) = (at, at);
        match retry_on_intr(|| copy_file_range(source, Some(&mut read), sink, Some(&mut written), most)) {
            Ok(0) => break,
            Ok(copied) => at += copied as u64,
            // Between these two it does not, or it is not there.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::super::fixture::OneFile;
    use super::super::medium::{Disk, Durability};
    use super::*;

    /// A few buffers and a bit.
    fn bytes() -> Vec<u8> {
        (0..(5 << 19) + 77).map(|at: u32| at.to_le_bytes()[1] ^ at.to_le_bytes()[0]).collect()
    }

    /// Copies from an odd place on, and gives what there is then behind it.
    fn copied(from: &dyn Medium, to: &dyn Medium, len: u64) -> Vec<u8> {
        to.set_len(len).unwrap();
        copy(from, to, ByteRange::new(4096, len)).unwrap();
        let mut found = vec![0; usize::try_from(len).unwrap()];
        to.read_exact_at(&mut found, 0).unwrap();
        assert!(found[..4096].iter().all(|byte| *byte == 0), "what was not asked for is not copied");
        found.split_off(4096)
    }

    #[test]
    fn bytes_come_to_where_they_were_by_the_kernel_and_without_it() {
        let (bytes, dir) = (bytes(), tempfile::tempdir().unwrap());
        let folder = SystemDisk.folder(dir.path(), Durability::Kill).unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.create(name.as_ref()).unwrap());
        from.write_all_at(&bytes, 0).unwrap();
        let (len, simulated) = (bytes.len() as u64, OneFile::with_bytes(bytes.clone()));
        assert_eq!(by_kernel(&*from, &*to, ByteRange::new(0, 10)).unwrap(), 10);
        assert_eq!(by_kernel(&*simulated.medium, &*to, ByteRange::new(3, 10)).unwrap(), 3);
        to.set_len(0).unwrap();
        for from in [&from, &simulated.medium] {
            assert!(copied(&**from, &*to, len) == bytes[4096..]);
        }
    }

    #[test]
    fn bytes_that_are_not_there_are_an_error() {
        let (from, to) = (OneFile::with_bytes(vec![1; 10]), OneFile::new(&[]));
        assert!(copy(&*from.medium, &*to.medium, ByteRange::new(0, 11)).is_err());
    }
}
