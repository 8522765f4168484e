//! The CRC that each complete segment is remembered by: CRC-32C, as iSCSI has it (RFC 3720 §12.1). And beside it the one
//! that the whole object is proved by, where that is a CRC as well.

use crc_fast::{CrcAlgorithm, Digest};

use crate::checksum::{Algorithm, CrcDigest};

/// The CRC of a segment whose bytes come in pieces.
pub(crate) struct SegmentCrc(Digest);

impl SegmentCrc {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of what came since the last call, or since `new`.
    pub(crate) fn take(&mut self) -> u32 {
        low_half(self.0.finalize_reset())
    }
}

/// The two CRCs of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crcs {
    /// By which it is remembered.
    pub(crate) own: u32,
    /// A part of what the object is proved by. Where that is no other CRC than ours, ours.
    pub(crate) proof: u64,
}

/// Makes [`Crcs`] of bytes that come in pieces.
pub(crate) struct SegmentCrcs {
    own: SegmentCrc,
    proof: Option<CrcDigest>,
}

impl SegmentCrcs {
    /// `proof`: what the object is proved by.
    pub(crate) fn new(proof: Option<Algorithm>) -> Self {
        let other = proof.filter(|algorithm| *algorithm != Algorithm::Crc32c);
        Self { own: SegmentCrc::new(), proof: other.and_then(CrcDigest::new) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.own.update(bytes);
        self.proof.iter_mut().for_each(|crc| crc.update(bytes));
    }

    /// Those of what came since the last call, or since `new`.
    pub(crate) fn take(&mut self) -> Crcs {
        let own = self.own.take();
        Crcs { own, proof: self.proof.as_mut().map_or(own.into(), CrcDigest::take) }
    }
}

/// The CRC of `bytes`: what pieces are compared with.
#[cfg(test)]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    low_half(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

fn low_half(crc: u64) -> u32 {
    u32::try_from(crc).expect("a 32-bit CRC fits in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_crc32c() {
        // The check value of the catalogue, and RFC 3720 B.4: 32 bytes of zeros.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn pieces_give_the_crc_of_the_whole_and_start_anew() {
        let mut crc = SegmentCrc::new();
        for _ in 0..2 {
            crc.update(b"1234");
            crc.update(b"56789");
            assert_eq!(crc.take(), 0xe306_9283);
        }
    }

    #[test]
    fn beside_ours_there_is_the_one_that_proves_the_object() {
        for (algorithm, proof) in [
            (None, 0xe306_9283),
            (Some(Algorithm::Crc32c), 0xe306_9283),
            (Some(Algorithm::Crc64Xz), 0x995d_c9bb_df19_39fa),
            (Some(Algorithm::Sha256), 0xe306_9283),
        ] {
            let mut crcs = SegmentCrcs::new(algorithm);
            for _ in 0..2 {
                crcs.update(b"1234");
                crcs.update(b"56789");
                assert_eq!(crcs.take(), Crcs { own: 0xe306_9283, proof }, "{algorithm:?}");
            }
        }
    }
}
