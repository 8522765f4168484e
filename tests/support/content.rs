//! Bytes that are a pure function of seed and offset: what is served, and what a finished file must hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSlice, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The bytes repeat after a prime just above 64 KiB. No power of two is a multiple of it, so segments
/// that are swapped, shifted or truncated to 32 bits never match by accident, and a server sends
/// gigabytes from a buffer that stays in the cache.
const PERIOD: usize = 65_537;

/// The seed of nothing but zeros.
const ZEROS: u64 = u64::MAX / 2;

/// Patterns that are kept: a few MiB.
const MOST_KEPT: usize = 256;

/// Slices of one vectored write: about 512 KiB.
const SLICES: usize = 8;

/// Deterministic bytes; any part can be made without the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// Two contents of different seeds differ in nearly every byte.
    pub seed: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Content {
    /// `len` bytes that follow from `seed`.
    pub const fn new(seed: u64, len: u64) -> Self {
        Self { seed, len }
    }

    /// `len` zeros, which are as legal as any other bytes.
    pub const fn zeros(len: u64) -> Self {
        Self { seed: ZEROS, len }
    }

    /// As long, and different in nearly every byte.
    pub const fn other(&self) -> Self {
        Self { seed: !self.seed, len: self.len }
    }

    /// Fills `buf` with the bytes from `offset` on; beyond the length the function just goes on.
    pub fn fill(&self, offset: u64, buf: &mut [u8]) {
        if self.seed == ZEROS {
            return buf.fill(0);
        }
        let (mut at, mut done) = (phase(offset), 0);
        let made = buf.len().min(PERIOD);
        while done < made {
            let word = mix(self.seed, (at / 8) as u64).to_le_bytes();
            let word = &word[at % 8..];
            let some = word.len().min(made - done).min(PERIOD - at);
            buf[done..done + some].copy_from_slice(&word[..some]);
            done += some;
            at = (at + some) % PERIOD;
        }
        while done < buf.len() {
            let more = done.min(buf.len() - done);
            buf.copy_within(..more, done);
            done += more;
        }
    }

    /// All of it in memory.
    pub fn bytes(&self) -> Vec<u8> {
        self.slice(0, self.len)
    }

    /// The bytes of the half-open range `start..end`.
    pub fn slice(&self, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(end - start).expect("a test slice fits in memory")];
        self.fill(start, &mut bytes);
        bytes
    }

    /// `None` when the file is exactly this content, else a description of the first difference.
    pub fn difference(&self, path: &Path) -> Option<String> {
        self.compare(path).unwrap_or_else(|error| Some(format!("{} cannot be read: {error}", path.display())))
    }

    fn compare(&self, path: &Path) -> std::io::Result<Option<String>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let pattern = Pattern::new(*self);
        let mut chunk = Vec::with_capacity(PERIOD);
        let mut offset = 0;
        loop {
            chunk.clear();
            let read = (&mut file).take(PERIOD as u64).read_to_end(&mut chunk)?;
            // Every chunk starts at a multiple of the period.
            if let Some(at) = first_difference(&chunk, &pattern.bytes) {
                let (found, wanted) = (chunk[at], pattern.bytes[at]);
                let offset = offset + at as u64;
                return Ok(Some(format!(
                    "first difference at offset {offset} of {len}: {found:#04x}, not {wanted:#04x}"
                )));
            }
            offset += read as u64;
            if read < PERIOD {
                break;
            }
        }
        Ok((offset != self.len).then(|| format!("length {offset}, not {}", self.len)))
    }
}

fn first_difference(found: &[u8], wanted: &[u8]) -> Option<usize> {
    if *found == wanted[..found.len()] {
        return None; // one memcmp: the search below is slow without optimisation
    }
    found.iter().zip(wanted).position(|(a, b)| a != b)
}

/// One period of a content, ready to be sent from any offset without a copy.
#[derive(Clone, Debug)]
pub struct Pattern {
    bytes: Arc<[u8]>,
}

impl Pattern {
    /// The pattern of `content`, whatever its length.
    pub fn new(content: Content) -> Self {
        // Some tests serve the same few contents thousands of times.
        static MADE: Mutex<BTreeMap<u64, Pattern>> = Mutex::new(BTreeMap::new());
        let known = MADE.lock().ok().and_then(|made| made.get(&content.seed).cloned());
        known.unwrap_or_else(|| {
            let mut bytes = vec![0; PERIOD];
            content.fill(0, &mut bytes);
            let pattern = Self { bytes: bytes.into() };
            let room = MADE.lock().ok().filter(|made| made.len() < MOST_KEPT);
            room.into_iter().for_each(|mut made| drop(made.insert(content.seed, pattern.clone())));
            pattern
        })
    }

    /// The bytes from `offset` on, at most `len` of them, as slices for one vectored write.
    pub fn window(&self, offset: u64, len: u64) -> [IoSlice<'_>; SLICES] {
        let mut from = phase(offset);
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        std::array::from_fn(|_| {
            let take = left.min(PERIOD - from);
            let slice = &self.bytes[from..from + take];
            from = 0;
            left -= take;
            IoSlice::new(slice)
        })
    }
}

fn phase(offset: u64) -> usize {
    usize::try_from(offset % PERIOD as u64).expect("below the period")
}

/// A well-mixed word for each pair, by the finaliser of `SplitMix64`.
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut word = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
