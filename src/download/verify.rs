//! Reads back what a checkpoint claims: by the CRCs, from the disk.

use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::blocking::blocking;
use crate::digest::SegmentCrc;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::range::ByteRange;
use crate::store::part::PartFile;

/// Two readers keep a disk busy and leave it time for what is being fetched.
const READERS: usize = 2;
const BUFFER: u64 = 1 << 20;

/// A claim, judged: the segment and whether its bytes have the CRC.
pub(crate) type Judged = (usize, Result<bool>);

/// Judges every claim of the ledger, in no particular order.
pub(crate) fn verify(ledger: &Ledger, part: &Arc<PartFile>) -> impl Stream<Item = Judged> + Unpin + use<> {
    let claims: Vec<_> =
        ledger.claims().map(|index| (index, ledger.segments().range(index), ledger.crc(index))).collect();
    let part = Arc::clone(part);
    stream::iter(claims)
        .map(move |(index, range, crc)| {
            let part = Arc::clone(&part);
            async move { (index, blocking(move || crc_on_disk(&part, range)).await.map(|found| found == crc)) }
        })
        .buffer_unordered(READERS)
        .boxed()
}

fn crc_on_disk(part: &PartFile, range: ByteRange) -> Result<u32> {
    let mut crc = SegmentCrc::new();
    let mut buffer = vec![0; usize::try_from(range.len().min(BUFFER)).unwrap_or(usize::MAX)];
    let mut at = range.start;
    while at < range.end {
        let some = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        part.read_from_disk(&mut buffer[..some], at)?;
        crc.update(&buffer[..some]);
        at += some as u64;
    }
    Ok(crc.take())
}
