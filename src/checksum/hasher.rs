//! The checksum of bytes that come in pieces, in their order.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use md5::{Digest, Md5};

use super::algorithm::Algorithm;
use super::crc::CrcDigest;
use super::value::Checksum;

/// The checksum of bytes that come in pieces.
pub(crate) struct Hasher {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Sha(Context),
    Md5(Md5),
    Blake3(Box<blake3::Hasher>),
    Crc(CrcDigest),
}

impl Checksum {
    /// Of bytes that are there, piece by piece.
    pub(crate) fn of(algorithm: Algorithm, pieces: &[impl AsRef<[u8]>]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        pieces.iter().for_each(|piece| hasher.update(piece.as_ref()));
        hasher.finish()
    }
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha(Context::new(&SHA256)),
            Algorithm::Sha512 => State::Sha(Context::new(&SHA512)),
            Algorithm::Sha1 => State::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Md5 => State::Md5(Md5::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme | Algorithm::Crc64Xz => {
                State::Crc(CrcDigest::new(algorithm).expect("these are the CRCs"))
            }
        };
        Self { algorithm, state }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha(context) => context.update(bytes),
            State::Md5(hasher) => hasher.update(bytes),
            State::Blake3(hasher) => drop(hasher.update(bytes)),
            State::Crc(digest) => digest.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Checksum {
        let value = match self.state {
            State::Sha(context) => context.finish().as_ref().to_vec(),
            State::Md5(hasher) => hasher.finalize().to_vec(),
            State::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
            State::Crc(mut digest) => return Checksum::of_crc(self.algorithm, digest.take()),
        };
        Checksum { algorithm: self.algorithm, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, pieces: &[&[u8]]) -> String {
        Checksum::of(algorithm, pieces).to_string()
    }

    #[test]
    fn they_are_what_their_standards_say() {
        // FIPS 180-4's examples, RFC 1321 §A.5, the CRC catalogue's check values, BLAKE3's test vectors.
        for (algorithm, input, expected) in [
            (
                Algorithm::Sha256,
                "abc",
                "sha-256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha512,
                "abc",
                "sha-512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (Algorithm::Sha1, "abc", "sha-1:a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Md5, "abc", "md5:900150983cd24fb0d6963f7d28e17f72"),
            (Algorithm::Md5, "", "md5:d41d8cd98f00b204e9800998ecf8427e"),
            (
                Algorithm::Blake3,
                "",
                "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            ),
            (Algorithm::Crc32, "123456789", "crc32:cbf43926"),
            (Algorithm::Crc32c, "123456789", "crc32c:e3069283"),
            (Algorithm::Crc64Nvme, "123456789", "crc64-nvme:ae8b14860a799888"),
            (Algorithm::Crc64Xz, "123456789", "crc64-xz:995dc9bbdf1939fa"),
        ] {
            let (one, two) = input.as_bytes().split_at(input.len() / 2);
            assert_eq!(of(algorithm, &[one, two]), expected);
        }
    }

    #[test]
    fn blake3_is_right_beyond_one_chunk() {
        // The official vectors' input: 0, 1, … 250, again and again.
        let input: Vec<u8> = (0..=250).cycle().take(2049).collect();
        assert_eq!(
            of(Algorithm::Blake3, &[&input[..1024], &input[1024..]]),
            "blake3:5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"
        );
    }
}
