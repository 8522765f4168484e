//! What a finished file was: the bytes of `NAME.hashes`. Pure.
//!
//! It is the last checkpoint of the download, with every segment complete, and what the whole was proved by; in the same
//! frame, under another magic. docs/checkpoint-format.md has the byte table.

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Body, Checkpoint, Commit, Magic, Unframed};
use crate::checksum::{Proof, ProofSource};

const MAGIC: Magic = *b"HAULHASH";

/// What is remembered of a file that was whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// Every segment is complete, and a claim.
    pub(crate) checkpoint: Checkpoint,
    /// What the whole was compared with.
    pub(crate) proof: Option<Proof>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    checkpoint: Body,
    /// The checksum as people write it.
    proof: Option<(String, ProofSource)>,
}

/// A file's bytes, judged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Hashes(Box<Hashes>),
    /// Written by a haul that knows more.
    Newer {
        version: u16,
    },
    /// Damaged, or something else.
    Invalid,
}

/// The bytes of the file, of a checkpoint that has every segment complete.
pub(crate) fn encode(checkpoint: &Checkpoint, proof: Option<&Proof>) -> Vec<u8> {
    let proof = proof.map(|proof| (proof.checksum.to_string(), proof.source.clone()));
    let kept = Kept { checkpoint: Body::of(checkpoint), proof };
    sealed(&checkpoint::encoded(&kept))
}

/// A body in its frame.
pub(crate) fn sealed(body: &[u8]) -> Vec<u8> {
    checkpoint::sealed_as(MAGIC, 0, Commit::Hard, body)
}

/// Reads bytes that may be anything.
pub(crate) fn decode(bytes: &[u8]) -> Read {
    match checkpoint::frame(MAGIC, bytes) {
        Ok((_, _, body)) => hashes(body).map_or(Read::Invalid, |hashes| Read::Hashes(Box::new(hashes))),
        Err(Unframed::Newer { version }) => Read::Newer { version },
        Err(Unframed::Invalid) => Read::Invalid,
    }
}

fn hashes(body: &[u8]) -> Option<Hashes> {
    let kept: Kept = checkpoint::decoded(body)?;
    let proof = match kept.proof {
        Some((checksum, source)) => Some(Proof { checksum: checksum.parse().ok()?, source }),
        None => None,
    };
    let checkpoint = checkpoint::checked(kept.checkpoint).filter(|it| it.ledger.complete().all())?;
    Some(Hashes { checkpoint, proof })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::checkpoint;

    fn proof() -> Proof {
        let checksum = "crc64-xz:995dc9bbdf1939fa".parse().unwrap();
        Proof { checksum, source: ProofSource::Header("x-oss-hash-crc64ecma".into()) }
    }

    fn read(bytes: &[u8]) -> Hashes {
        match decode(bytes) {
            Read::Hashes(hashes) => *hashes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_kept_is_read() {
        for proof in [None, Some(proof())] {
            let hashes = read(&encode(&checkpoint(4), proof.as_ref()));
            assert_eq!((&hashes.checkpoint.identity, hashes.proof), (&checkpoint(4).identity, proof));
            assert_eq!(hashes.checkpoint.ledger.claims().count(), 4, "nobody has read them back");
            assert_eq!(hashes.checkpoint.ledger.crc(3), checkpoint(4).ledger.crc(3));
        }
    }

    #[test]
    fn h64_whatever_is_changed_or_missing_is_found_out() {
        let bytes = encode(&checkpoint(4), Some(&proof()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!matches!(decode(&changed), Read::Hashes(_)), "byte {at}");
            assert_eq!(decode(&bytes[..at]), Read::Invalid, "{at} bytes");
        }
        assert_eq!(decode(&encode(&checkpoint(3), None)), Read::Invalid, "a segment is missing");
    }

    #[test]
    fn h63_a_newer_one_is_known_as_such_and_a_checkpoint_is_none() {
        let mut bytes = encode(&checkpoint(4), None);
        bytes[8] = 2;
        assert_eq!(decode(&bytes), Read::Newer { version: 2 });
        assert_eq!(decode(&checkpoint::encode(1, Commit::Hard, &checkpoint(4))), Read::Invalid);
    }
}
