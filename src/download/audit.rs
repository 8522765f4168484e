//! Reads a file against what is remembered of its segments.

use std::sync::Arc;

use futures::StreamExt;

use super::follow::Follower;
use super::verify::verify;
use crate::bitmap::Bitmap;
use crate::checksum::{Algorithm, Checksum};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::range::ByteRange;
use crate::store::part::PartFile;

/// What was found.
#[derive(Debug)]
pub(crate) struct Audit {
    /// The segments that are what they were.
    pub(crate) good: Bitmap,
    /// What the whole comes to, where nothing of it is bad or missing.
    pub(crate) found: Vec<Checksum>,
}

/// Reads every claim of the ledger from the disk; where all are right, what the file comes to by these algorithms as well.
/// `progress` is told how many bytes have been read.
pub(crate) async fn audit(
    file: &Arc<PartFile>,
    ledger: &Ledger,
    algorithms: Vec<Algorithm>,
    mut progress: impl FnMut(u64),
) -> Result<Audit> {
    let segments = ledger.segments();
    let follower = (!algorithms.is_empty()).then(|| Follower::start(Arc::clone(file), algorithms));
    let mut good = Bitmap::new(segments.count());
    let (mut reading, mut read, mut prefix) = (verify(ledger, file, None), 0, 0);
    while let Some((index, crcs)) = reading.next().await {
        // What cannot be read is no better than what is wrong.
        if crcs.is_ok_and(|crcs| crcs.own == ledger.crc(index)) {
            good.set(index);
        }
        while prefix < segments.count() && good.get(prefix) {
            prefix += 1;
        }
        follower.iter().for_each(|follower| follower.reach(segments.bytes(&(0..prefix)).end));
        read += segments.range(index).len();
        progress(read);
    }
    let found = match follower.filter(|_| good.all()) {
        Some(follower) => follower.finish(segments.length()).await?,
        None => Vec::new(),
    };
    Ok(Audit { good, found })
}

/// The bytes of the claims that are not good, in runs.
pub(crate) fn damaged(ledger: &Ledger, good: &Bitmap) -> Vec<ByteRange> {
    let segments = ledger.segments();
    let mut right_or_none = Bitmap::new(segments.count());
    let is_claim = |index: &usize| ledger.complete().get(*index);
    (0..segments.count())
        .filter(|index| good.get(*index) || !is_claim(index))
        .for_each(|index| right_or_none.set(index));
    right_or_none.clear_runs().map(|run| segments.bytes(&run)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::crc32c;
    use crate::range::Segments;
    use crate::store::fixture::OneFile;
    use std::path::Path;

    const SEGMENT: u64 = 64 << 10;

    /// Four segments, the last short, and what is remembered of them.
    fn bytes_and_ledger() -> (Vec<u8>, Ledger) {
        let bytes: Vec<u8> = (0..4 * 65_536 - 100).map(|at: u32| at.to_le_bytes()[1]).collect();
        let segments = Segments::new(bytes.len() as u64, SEGMENT).unwrap();
        let mut all = Bitmap::new(4);
        (0..4).for_each(|index| all.set(index));
        let crcs = bytes.chunks(65_536).map(crc32c).collect();
        (bytes, Ledger::of_claims(segments, all, crcs).unwrap())
    }

    async fn audited(bytes: Vec<u8>, ledger: &Ledger) -> (Vec<ByteRange>, Vec<Checksum>) {
        let file = OneFile::with_bytes(bytes);
        let file = Arc::new(PartFile::streamed(Path::new("/t/x"), Arc::clone(&file.medium)));
        let mut told = 0;
        let audit = audit(&file, ledger, vec![Algorithm::Crc32c], |read| told = read).await.unwrap();
        assert_eq!(told, ledger.bytes());
        (damaged(ledger, &audit.good), audit.found)
    }

    #[tokio::test]
    async fn a_right_file_has_its_checksums_and_a_wrong_one_its_damage() {
        let (bytes, mut ledger) = bytes_and_ledger();
        let (damage, found) = audited(bytes.clone(), &ledger).await;
        assert_eq!((damage, found.len()), (vec![], 1));
        assert_eq!(found[0].to_string(), format!("crc32c:{:08x}", crc32c(&bytes)));
        let mut wrong = bytes.clone();
        for at in [SEGMENT, 3 * SEGMENT - 1, 4 * SEGMENT - 101] {
            wrong[usize::try_from(at).unwrap()] ^= 1;
        }
        let to_the_end = ByteRange::new(SEGMENT, bytes.len() as u64);
        assert_eq!(audited(wrong, &ledger).await, (vec![to_the_end], vec![]));
        let cut = bytes[..bytes.len() - 1].to_vec();
        let last = ByteRange::new(3 * SEGMENT, bytes.len() as u64);
        assert_eq!(audited(cut.clone(), &ledger).await, (vec![last], vec![]), "what cannot be read");
        ledger.lose(3);
        assert_eq!(audited(cut, &ledger).await, (vec![], vec![]), "what nobody claims is not damaged");
    }
}
