//! The checkpoint's bytes: two slots, each a frame around a bincode body. Pure.
//!
//! docs/checkpoint-format.md has the byte table. A frame is checked (magic, version, length, CRC) before a byte
//! of its body is decoded, and what is decoded is checked again before it is believed (H63, H64).

use bincode::config::{Configuration, Fixint, Limit, LittleEndian, standard};
use bincode::error::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bitmap::Bitmap;
use crate::digest::SegmentCrc;
use crate::ledger::Ledger;
use crate::object::Validator;
use crate::range::{ByteRange, MAX_LENGTH, Segments};

/// What a frame begins with: tells what is in it.
pub(super) type Magic = [u8; 8];

const MAGIC: Magic = *b"HAULCKPT";
const VERSION: u16 = 1;
const HEADER: usize = 32;
/// A slot starts on a block: a torn write of one leaves the other alone.
const BLOCK: u64 = 4096;
/// The largest body: [`Segments::MAX_COUNT`] CRCs and bits, and some text.
const MAX_BODY: usize = 32 << 20;
/// More commits than anybody makes, and as many again can follow it.
pub(crate) const MAX_GENERATION: u64 = u64::MAX / 2;
/// The largest file that is read as a checkpoint.
pub(crate) const MAX_FILE: u64 = 2 * (MAX_BODY as u64 + 2 * BLOCK);

/// The inode of no file.
pub(crate) const NO_FILE: u64 = 0;

/// Which kind of commit a slot was written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// No sync: survives a kill, and is checked by CRC after a power cut.
    Soft,
    /// After the data was synced: what it claims is on the disk.
    Hard,
}

/// What a download is of, and where its file comes from: fixed while the file lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The length of the whole object in bytes.
    pub(crate) total: u64,
    /// The bytes of the object that the file holds.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// `None`: nothing to resume by.
    pub(crate) validator: Option<Validator>,
    pub(crate) encoding: Option<String>,
    /// Scheme, host and path: for people, and to tell another URL from this one. No secrets (H73).
    pub(crate) source: String,
    /// Of the part file: a finished file that lost its name to a crash is known by it (H52). [`NO_FILE`] as long as
    /// the bytes are none, or not known: then nothing tells a finished file from one that is not.
    pub(crate) inode: u64,
}

impl Identity {
    /// The bytes of the object that the file holds.
    pub(crate) fn extent(&self) -> ByteRange {
        ByteRange::new(self.start, self.end)
    }
}

/// The state of a download at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) identity: Identity,
    pub(crate) ledger: Ledger,
    /// Seconds since 1970, by whatever clock the machine had: for people.
    pub(crate) saved_at: u64,
}

/// What a checkpoint is encoded as.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    identity: Identity,
    segment_size: u64,
    saved_at: u64,
    bitmap: Vec<u8>,
    /// Of the complete segments, in their order.
    crcs: Vec<u32>,
}

/// A slot's bytes, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Valid {
        generation: u64,
        commit: Commit,
        checkpoint: Box<Checkpoint>,
    },
    /// Written by a haul that knows more.
    Newer {
        version: u16,
    },
    /// Torn, never written, or damaged.
    Invalid,
}

/// Fixed-width little-endian integers: documented sizes, and a slot whose size is known beforehand.
fn config() -> Configuration<LittleEndian, Fixint, Limit<MAX_BODY>> {
    standard().with_fixed_int_encoding().with_limit::<MAX_BODY>()
}

/// The slot that holds this checkpoint.
pub(crate) fn encode(generation: u64, commit: Commit, checkpoint: &Checkpoint) -> Vec<u8> {
    sealed(generation, commit, &encoded(&Body::of(checkpoint)))
}

impl Body {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let ledger = &checkpoint.ledger;
        Self {
            identity: checkpoint.identity.clone(),
            segment_size: ledger.segments().size(),
            saved_at: checkpoint.saved_at,
            bitmap: ledger.complete().to_bytes(),
            crcs: ledger.complete().ones().map(|index| ledger.crc(index)).collect(),
        }
    }
}

/// What goes into a frame.
pub(super) fn encoded(body: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(body, config()).expect("a body of plain fields can be encoded")
}

/// The frame around a checkpoint's body.
pub(crate) fn sealed(generation: u64, commit: Commit, body: &[u8]) -> Vec<u8> {
    sealed_as(MAGIC, generation, commit, body)
}

/// The frame around a body.
pub(super) fn sealed_as(magic: Magic, generation: u64, commit: Commit, body: &[u8]) -> Vec<u8> {
    let body_len = u32::try_from(body.len()).expect("bodies are bounded by the number of segments");
    let mut slot = Vec::with_capacity(HEADER + body.len());
    slot.extend(magic);
    slot.extend(VERSION.to_le_bytes());
    slot.extend([u8::from(commit == Commit::Hard), 0]);
    slot.extend(body_len.to_le_bytes());
    slot.extend(generation.to_le_bytes());
    slot.extend([0; 4]);
    slot.extend(frame_crc(&slot, body).to_le_bytes());
    slot.extend(body);
    slot
}

/// Over what comes before it, and the body.
fn frame_crc(head: &[u8], body: &[u8]) -> u32 {
    let mut crc = SegmentCrc::new();
    crc.update(head);
    crc.update(body);
    crc.take()
}

/// Reads a slot that may be anything.
pub(crate) fn decode(slot: &[u8]) -> Slot {
    match frame(MAGIC, slot) {
        Ok((generation, commit, body)) => {
            decoded(body).and_then(checked).map_or(Slot::Invalid, |checkpoint| Slot::Valid {
                generation,
                commit,
                checkpoint: Box::new(checkpoint),
            })
        }
        Err(Unframed::Newer { version }) => Slot::Newer { version },
        Err(Unframed::Invalid) => Slot::Invalid,
    }
}

/// Why there is nothing in a frame.
pub(super) enum Unframed {
    /// Written by a haul that knows more.
    Newer { version: u16 },
    /// Torn, never written, damaged, or something else.
    Invalid,
}

/// What is in a frame that may be anything.
pub(super) fn frame(magic: Magic, slot: &[u8]) -> Result<(u64, Commit, &[u8]), Unframed> {
    let (header, rest) = slot.split_at_checked(HEADER).ok_or(Unframed::Invalid)?;
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    if header[..8] != magic {
        return Err(Unframed::Invalid);
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version > VERSION {
        return Err(Unframed::Newer { version });
    }
    let body =
        usize::try_from(u32_at(12)).ok().filter(|len| *len <= MAX_BODY).and_then(|len| rest.get(..len));
    let body = body.ok_or(Unframed::Invalid)?;
    let commit = match (version, header[10], header[11], u32_at(24)) {
        (VERSION, 0, 0, 0) => Commit::Soft,
        (VERSION, 1, 0, 0) => Commit::Hard,
        _ => return Err(Unframed::Invalid),
    };
    if frame_crc(&header[..28], body) != u32_at(28) {
        return Err(Unframed::Invalid);
    }
    let generation = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
    if generation > MAX_GENERATION {
        return Err(Unframed::Invalid);
    }
    Ok((generation, commit, body))
}

/// Decodes a body, and how many bytes it took. A text is made room for before it is read, so the limit is of the order
/// of what there is.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    const SMALL: usize = 64 << 10;
    match bytes.len() {
        ..=SMALL => bincode::serde::decode_from_slice(bytes, config().with_limit::<SMALL>()),
        _ => bincode::serde::decode_from_slice(bytes, config()),
    }
}

/// What the bytes say, if they say nothing else.
pub(super) fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (body, consumed) = body(bytes).ok()?;
    (consumed == bytes.len()).then_some(body)
}

/// The checkpoint that a body is of, if it does not contradict itself.
pub(super) fn checked(body: Body) -> Option<Checkpoint> {
    let identity = body.identity;
    let sane = identity.start <= identity.end
        && identity.end <= identity.total
        && identity.total <= MAX_LENGTH
        && identity.validator.as_ref().is_none_or(is_header_text)
        && !identity.source.contains(char::is_control);
    let segments =
        Segments::new(identity.end.checked_sub(identity.start).filter(|_| sane)?, body.segment_size)?;
    let complete = Bitmap::from_bytes(segments.count(), body.bitmap)?;
    if body.crcs.len() != complete.count() {
        return None;
    }
    let mut crcs = vec![0; segments.count()];
    complete.ones().zip(body.crcs).for_each(|(index, crc)| crcs[index] = crc);
    let ledger = Ledger::of_claims(segments, complete, crcs)?;
    Some(Checkpoint { identity, ledger, saved_at: body.saved_at })
}

/// Whether a validator can be sent as it is: what a file says goes into a header only so.
fn is_header_text(validator: &Validator) -> bool {
    let legal = |text: &String| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    match validator {
        Validator::EntityTag(tag) => legal(tag),
        Validator::LastModified { date, weak_tag } => legal(date) && weak_tag.as_ref().is_none_or(legal),
    }
}

/// How much room a slot needs when every segment is complete.
pub(crate) fn slot_size(checkpoint: &Checkpoint) -> u64 {
    let missing = checkpoint.ledger.segments().count() - checkpoint.ledger.complete().count();
    let now = encode(0, Commit::Soft, checkpoint).len();
    (now as u64 + 4 * missing as u64).next_multiple_of(BLOCK)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
