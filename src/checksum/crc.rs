//! CRCs, and how those of pieces make the one of the whole.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

use super::algorithm::Algorithm;
use super::value::Checksum;

/// The CRC of bytes that come in pieces.
pub(crate) struct CrcDigest(Digest);

impl CrcDigest {
    pub(crate) fn new(algorithm: Algorithm) -> Option<Self> {
        algorithm.crc().map(|crc| Self(Digest::new(crc)))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of what came since the last call, or since `new`.
    pub(crate) fn take(&mut self) -> u64 {
        self.0.finalize_reset()
    }
}

impl Algorithm {
    /// `None` where it is no CRC: the checksums of pieces do not make the one of the whole.
    pub(crate) fn crc(self) -> Option<CrcAlgorithm> {
        Some(match self {
            Self::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
            Self::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Self::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Self::Crc64Xz => CrcAlgorithm::Crc64Xz,
            Self::Sha256 | Self::Sha512 | Self::Sha1 | Self::Md5 | Self::Blake3 => return None,
        })
    }
}

impl Checksum {
    /// The value of a CRC, whose bytes are written from the highest on.
    pub(crate) fn of_crc(algorithm: Algorithm, crc: u64) -> Self {
        let bytes = crc.to_be_bytes();
        Self { algorithm, value: bytes[bytes.len() - algorithm.bytes()..].to_vec() }
    }

    /// The CRC of a whole of which each piece's is known; all pieces but the last are of `size` bytes. `None` where the
    /// algorithm is no CRC.
    pub(crate) fn of_pieces(algorithm: Algorithm, crcs: &[u64], size: u64, last: u64) -> Option<Self> {
        let crc = algorithm.crc()?;
        let Some((end, full)) = crcs.split_last() else {
            return Some(Self::of_crc(algorithm, Digest::new(crc).finalize()));
        };
        let Some((first, full)) = full.split_first() else { return Some(Self::of_crc(algorithm, *end)) };
        let step = Step::new(crc, algorithm, size);
        let whole = full.iter().fold(*first, |before, next| step.over(before) ^ next);
        Some(Self::of_crc(algorithm, checksum_combine(crc, whole, *end, last)))
    }
}

/// What so many more bytes make of a CRC: an affine map over GF(2). Found out once, because it takes a while, and there
/// may be millions of pieces.
struct Step {
    constant: u64,
    columns: Vec<u64>,
}

impl Step {
    fn new(crc: CrcAlgorithm, algorithm: Algorithm, bytes: u64) -> Self {
        let constant = checksum_combine(crc, 0, 0, bytes);
        let column = |bit: usize| checksum_combine(crc, 1 << bit, 0, bytes) ^ constant;
        Self { constant, columns: (0..8 * algorithm.bytes()).map(column).collect() }
    }

    fn over(&self, crc: u64) -> u64 {
        let set = self.columns.iter().enumerate().filter(|(bit, _)| crc >> bit & 1 == 1);
        set.fold(self.constant, |sum, (_, column)| sum ^ column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CRCS: [Algorithm; 4] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Crc64Xz];

    fn crc(algorithm: Algorithm, bytes: &[u8]) -> u64 {
        let mut digest = CrcDigest::new(algorithm).unwrap();
        digest.update(bytes);
        digest.take()
    }

    #[test]
    fn they_are_those_of_the_catalogue() {
        // The check values: of the nine digits.
        let expected = [0xcbf4_3926, 0xe306_9283, 0xae8b_1486_0a79_9888, 0x995d_c9bb_df19_39fa];
        for (algorithm, expected) in CRCS.into_iter().zip(expected) {
            assert_eq!(crc(algorithm, b"123456789"), expected, "{algorithm}");
        }
        assert!(CrcDigest::new(Algorithm::Md5).is_none());
    }

    proptest! {
        #[test]
        fn those_of_pieces_make_the_one_of_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..500), size in 1..200_usize) {
            for algorithm in CRCS {
                let crcs: Vec<u64> = bytes.chunks(size).map(|piece| crc(algorithm, piece)).collect();
                let last = bytes.chunks(size).last().map_or(0, <[u8]>::len);
                let whole = Checksum::of_pieces(algorithm, &crcs, size as u64, last as u64);
                prop_assert_eq!(whole, Some(Checksum::of_crc(algorithm, crc(algorithm, &bytes))));
            }
        }
    }

    #[test]
    fn of_what_is_no_crc_pieces_say_nothing() {
        assert_eq!(Checksum::of_pieces(Algorithm::Sha256, &[1, 2], 3, 3), None);
    }

    #[test]
    fn a_short_crc_has_its_own_length() {
        assert_eq!(Checksum::of_crc(Algorithm::Crc32c, 0xe306_9283).to_string(), "crc32c:e3069283");
        assert_eq!(Checksum::of_crc(Algorithm::Crc64Xz, 1).to_string(), "crc64-xz:0000000000000001");
    }
}
