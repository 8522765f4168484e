//! The mapped window: the only unsafe code.
#![expect(unsafe_code, reason = "mapping a file is unsafe: the file can change under the map")]

use std::fs::File;
use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::range::ByteRange;

/// Maps `range` of `file`, which must start on a page, with every page present and writable.
///
/// `MADV_POPULATE_WRITE` takes the page faults here, where a full disk or a truncated file is an error; a bare fault
/// would be a SIGBUS (H53).
pub(super) fn map(file: &File, range: ByteRange) -> io::Result<MmapMut> {
    let len = usize::try_from(range.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: The map must not be read or written through another path while it lives. Within this process
    // `PartFile` hands out each range to one holder at a time and nothing reads it meanwhile. Other processes
    // are kept out as far as that can be done: the file was created by us with O_EXCL and mode 0600, and the
    // checkpoint beside it is locked. Its bytes are only ever written through the map, never interpreted, so
    // that a foreign write could spoil data, which the CRCs are there to find, but no invariant of ours.
    let map = unsafe { MmapOptions::new().offset(range.start).len(len).map_mut(file)? };
    map.advise(Advice::PopulateWrite)?;
    Ok(map)
}
