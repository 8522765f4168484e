//! Byte ranges, and the object cut into segments.
//!
//! Ranges are half-open `start..end` everywhere. HTTP's inclusive `a-b` exists only where headers are read
//! and written.

use std::fmt;
use std::ops::Range;

/// The largest length that is handled: what a file offset can say.
pub(crate) const MAX_LENGTH: u64 = i64::MAX.unsigned_abs();

/// The bytes `start..end` of an object or a file.
///
/// ```
/// let range = haul::ByteRange { start: 0, end: 1 << 20 };
/// assert_eq!(range.to_string(), "0..1048576");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte; never below `start`.
    pub end: u64,
}

impl ByteRange {
    pub(crate) const fn new(start: u64, end: u64) -> Self {
        debug_assert!(start <= end);
        Self { start, end }
    }

    /// How many bytes.
    ///
    /// ```
    /// assert_eq!(haul::ByteRange { start: 3, end: 10 }.len(), 7);
    /// ```
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there is no byte in it.
    ///
    /// ```
    /// assert!(haul::ByteRange { start: 3, end: 3 }.is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The same bytes, counted from `by` bytes earlier.
    pub(crate) const fn offset(&self, by: u64) -> Self {
        Self::new(self.start + by, self.end + by)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// The part of an object that is asked for, as `--range` writes it (RFC 9110 §14.1.2, one range).
///
/// ```
/// use haul::{Download, Part};
/// let tail = Download::builder("https://example.org/log").part(Part::Last(4096)).build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From the first byte given to the end: `100-`.
    From(u64),
    /// The bytes `start..end`: `100-200` is `Span(100..201)`.
    Span(ByteRange),
    /// The last bytes: `-100`. Resolved against the length, never sent: some servers refuse suffixes.
    Last(u64),
}

impl fmt::Display for Part {
    /// As `--range` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(start) => write!(f, "{start}-"),
            Self::Span(range) => write!(f, "{}-{}", range.start, range.end.saturating_sub(1)),
            Self::Last(count) => write!(f, "-{count}"),
        }
    }
}

impl Part {
    /// The bytes meant of an object of `length` bytes; `None` where there are none.
    pub(crate) fn of(self, length: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::From(start) => (start, length),
            Self::Span(range) => (range.start, range.end.min(length)),
            Self::Last(count) => (length.saturating_sub(count), length),
        };
        (start < end).then(|| ByteRange::new(start, end))
    }
}

/// `length` bytes cut into segments of `size`, the last of which may be short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segments {
    length: u64,
    size: u64,
    count: usize,
}

impl Segments {
    /// The smallest segment: every segment starts on a page, whatever the machine's page size is.
    pub(crate) const MIN_SIZE: u64 = 64 << 10;
    pub(crate) const MAX_SIZE: u64 = 1 << 30;
    pub(crate) const MAX_COUNT: u64 = 1 << 22;

    /// `None` where the size is no power of two in [`MIN_SIZE`](Self::MIN_SIZE)..=[`MAX_SIZE`](Self::MAX_SIZE),
    /// or there would be more than [`MAX_COUNT`](Self::MAX_COUNT) segments: a checkpoint holds a CRC of each.
    pub(crate) fn new(length: u64, size: u64) -> Option<Self> {
        let sane = size.is_power_of_two() && (Self::MIN_SIZE..=Self::MAX_SIZE).contains(&size);
        let count = length.div_ceil(if sane { size } else { return None });
        (length <= MAX_LENGTH && count <= Self::MAX_COUNT)
            .then(|| Some(Self { length, size, count: usize::try_from(count).ok()? }))?
    }

    /// The size used where none is given: some 8192 segments of an object, within 64 KiB to 64 MiB.
    /// Small ones let all workers end at the same time.
    pub(crate) fn default_size(length: u64) -> u64 {
        let size = length.div_ceil(8192).min(64 << 20);
        size.next_power_of_two().clamp(Self::MIN_SIZE, 64 << 20)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The bytes of a run of segments.
    pub(crate) fn bytes(&self, run: &Range<usize>) -> ByteRange {
        debug_assert!(run.start <= run.end && run.end <= self.count);
        let at = |index: usize| (index as u64 * self.size).min(self.length);
        ByteRange::new(at(run.start), at(run.end))
    }

    /// The bytes of one segment.
    pub(crate) fn range(&self, index: usize) -> ByteRange {
        self.bytes(&(index..index + 1))
    }

    /// How many segments hold `bytes` bytes from the start of a segment on; at least one.
    pub(crate) fn covering(&self, bytes: u64) -> usize {
        usize::try_from(bytes.div_ceil(self.size)).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_moves_as_a_whole_and_knows_when_it_is_empty() {
        assert_eq!(ByteRange::new(3, 10).offset(5), ByteRange::new(8, 15));
        assert!(ByteRange::new(3, 3).is_empty() && !ByteRange::new(3, 4).is_empty());
    }

    #[test]
    fn a_segment_is_about_an_8192nd_of_the_object() {
        for (length, size) in [
            (0, 64 << 10),
            (512 << 20, 64 << 10),
            (2 << 30, 256 << 10),
            ((2 << 30) + 1, 512 << 10),
            (100 << 30, 16 << 20),
            (512 << 30, 64 << 20),
            (MAX_LENGTH, 64 << 20),
        ] {
            assert_eq!(Segments::default_size(length), size, "{length}");
        }
    }

    #[test]
    fn bytes_are_covered_by_whole_segments_and_by_one_at_least() {
        let segments = Segments::new(1 << 20, 64 << 10).unwrap();
        for (bytes, covering) in [(0, 1), (1, 1), (64 << 10, 1), ((64 << 10) + 1, 2), (8 << 20, 128)] {
            assert_eq!(segments.covering(bytes), covering, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn segments_tile_the_object(length in 0..=MAX_LENGTH / (1 << 24), shift in 16_u32..=30) {
            let segments = Segments::new(length >> 4, 1 << shift);
            prop_assume!(segments.is_some_and(|s| s.count() < 5_000));
            let segments = segments.unwrap();
            let mut at = 0;
            for index in 0..segments.count() {
                let range = segments.range(index);
                prop_assert_eq!(range.start, at);
                prop_assert!(!range.is_empty() && range.len() <= segments.size());
                at = range.end;
            }
            prop_assert_eq!(at, segments.length());
        }

        #[test]
        fn the_default_size_is_legal_and_keeps_the_checkpoint_small(length in 0..=MAX_LENGTH) {
            let size = Segments::default_size(length);
            prop_assert!(size.is_power_of_two() && (64 << 10..=64 << 20).contains(&size));
            if length <= 8192 * (64 << 20) {
                prop_assert!(length.div_ceil(size) <= 8192);
            }
        }
    }

    #[test]
    fn sizes_that_are_not_page_aligned_powers_of_two_are_refused() {
        for size in [0, 1, 4096, 65_535, 65_537, 96 << 10, 1 << 31, u64::MAX] {
            assert_eq!(Segments::new(1 << 20, size), None, "{size}");
        }
    }

    #[test]
    fn h35_absurd_lengths_are_refused_before_anything_is_allocated() {
        assert_eq!(Segments::new(u64::MAX, 1 << 30), None);
        assert_eq!(Segments::new(MAX_LENGTH, 64 << 10), None);
        assert!(Segments::new(1 << 38, 64 << 10).is_some());
        assert!(Segments::new((1 << 38) + 1, 64 << 10).is_none());
    }

    #[test]
    fn parts_are_written_as_they_are_asked_for() {
        let span = Part::Span(ByteRange::new(100, 201));
        assert_eq!(
            [Part::From(7), span, Part::Last(5)].map(|part| part.to_string()),
            ["7-", "100-200", "-5"]
        );
    }

    #[test]
    fn parts_are_resolved_against_the_length() {
        assert_eq!(Part::From(3).of(10), Some(ByteRange::new(3, 10)));
        assert_eq!(Part::From(10).of(10), None);
        assert_eq!(Part::Span(ByteRange::new(3, 100)).of(10), Some(ByteRange::new(3, 10)));
        assert_eq!(Part::Last(4).of(10), Some(ByteRange::new(6, 10)));
        assert_eq!(Part::Last(40).of(10), Some(ByteRange::new(0, 10)));
        assert_eq!(Part::Last(0).of(10), None);
    }
}
