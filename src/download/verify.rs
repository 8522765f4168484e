//! Reads back what a checkpoint claims: by the CRCs, from the disk.

use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

use super::blocking::blocking;
use crate::checksum::Algorithm;
use crate::digest::{Crcs, SegmentCrcs};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::range::ByteRange;
use crate::store::part::PartFile;

/// Two readers keep a disk busy and leave it time for what is being fetched.
const READERS: usize = 2;
const BUFFER: u64 = 1 << 20;

/// A claim, read back: the segment, and what its bytes have come to.
pub(crate) type ReadBack = (usize, Result<Crcs>);

/// Reads every claim of the ledger back, in no particular order. `proof`: what the object is proved by.
pub(crate) fn verify(
    ledger: &Ledger,
    part: &Arc<PartFile>,
    proof: Option<Algorithm>,
) -> impl Stream<Item = ReadBack> + Unpin + use<> {
    let claims: Vec<_> = ledger.claims().map(|index| (index, ledger.segments().range(index))).collect();
    let part = Arc::clone(part);
    stream::iter(claims)
        .map(move |(index, range)| {
            let part = Arc::clone(&part);
            async move { (index, blocking(move || crcs_on_disk(&part, range, proof)).await) }
        })
        .buffer_unordered(READERS)
        .boxed()
}

fn crcs_on_disk(part: &PartFile, range: ByteRange, proof: Option<Algorithm>) -> Result<Crcs> {
    let mut crcs = SegmentCrcs::new(proof);
    let mut buffer = vec![0; usize::try_from(range.len().min(BUFFER)).unwrap_or(usize::MAX)];
    let mut at = range.start;
    while at < range.end {
        let some = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        part.read_from_disk(&mut buffer[..some], at)?;
        crcs.update(&buffer[..some]);
        at += some as u64;
    }
    Ok(crcs.take())
}
