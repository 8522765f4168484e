//! The CRC that each complete segment is remembered by: CRC-32C, as iSCSI has it (RFC 3720 §12.1).

use crc_fast::{CrcAlgorithm, Digest};

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
}
