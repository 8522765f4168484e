//! What checksums are made with, by all the names that people and servers have for it.

use std::fmt;

/// What a checksum is made with.
///
/// ```
/// assert_eq!(haul::Algorithm::Sha256.to_string(), "sha-256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA-1 (FIPS 180-4): against accidents, not against forgers.
    Sha1,
    /// MD5 (RFC 1321): against accidents, not against forgers.
    Md5,
    /// BLAKE3, with 32 bytes of output.
    Blake3,
    /// CRC-32 as gzip and zip have it (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli, RFC 3720 §12.1), as Google and Amazon store it.
    Crc32c,
    /// CRC-64/NVME, Amazon S3's default.
    Crc64Nvme,
    /// CRC-64/XZ, which Alibaba OSS and Tencent COS call ECMA.
    Crc64Xz,
}

/// What there is to know of an algorithm.
struct Traits {
    algorithm: Algorithm,
    /// The first is the one that is shown.
    names: &'static [&'static str],
    bytes: usize,
    /// Of two that a server sends the higher one is used. First comes what no one can forge, then what costs nothing
    /// because it is put together from the segments' own, then the rest.
    rank: u8,
}

const fn traits(algorithm: Algorithm) -> Traits {
    let (names, bytes, rank): (&[&str], _, _) = match algorithm {
        Algorithm::Sha512 => (&["sha-512", "sha512", "sha2-512"], 64, 9),
        Algorithm::Sha256 => (&["sha-256", "sha256", "sha2-256"], 32, 8),
        Algorithm::Blake3 => (&["blake3", "b3"], 32, 7),
        Algorithm::Crc64Nvme => (&["crc64-nvme", "crc64nvme"], 8, 6),
        Algorithm::Crc64Xz => (&["crc64-xz", "crc64xz", "crc64-ecma", "crc64ecma"], 8, 5),
        Algorithm::Crc32c => (&["crc32c"], 4, 4),
        Algorithm::Crc32 => (&["crc32"], 4, 3),
        Algorithm::Sha1 => (&["sha-1", "sha1", "sha"], 20, 2),
        Algorithm::Md5 => (&["md5"], 16, 1),
    };
    Traits { algorithm, names, bytes, rank }
}

const ALL: [Traits; 9] = [
    traits(Algorithm::Sha256),
    traits(Algorithm::Sha512),
    traits(Algorithm::Sha1),
    traits(Algorithm::Md5),
    traits(Algorithm::Blake3),
    traits(Algorithm::Crc32),
    traits(Algorithm::Crc32c),
    traits(Algorithm::Crc64Nvme),
    traits(Algorithm::Crc64Xz),
];

impl Algorithm {
    /// By any of its names, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let is_it =
            |traits: &&Traits| traits.names.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
        ALL.iter().find(is_it).map(|traits| traits.algorithm)
    }

    /// The names that are shown.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|traits| traits.names[0])
    }

    /// How long its values are.
    pub(crate) fn bytes(self) -> usize {
        traits(self).bytes
    }

    pub(super) fn rank(self) -> u8 {
        traits(self).rank
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(traits(*self).names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_one_algorithm_and_is_read_in_any_case() {
        for Traits { algorithm, names, .. } in ALL {
            for name in names {
                assert_eq!(Algorithm::named(&name.to_uppercase()), Some(algorithm), "{name}");
            }
        }
        for unknown in ["", "md4", "crc64", "sha-3", "sha-2560"] {
            assert_eq!(Algorithm::named(unknown), None, "{unknown}");
        }
    }
}
