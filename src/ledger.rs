//! What is in place: which segments are complete, with the CRC of each, and which are only claimed.
//!
//! A *claim* is a segment that a checkpoint calls complete and that nobody has read back yet. It counts as
//! complete for the scheduler, but nothing is finished on claims.

use crate::bitmap::Bitmap;
use crate::range::Segments;

/// The record of complete segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    segments: Segments,
    complete: Bitmap,
    claimed: Bitmap,
    /// How many bits there are in the two: asked for after each message, and a large bitmap takes a while to count.
    counts: Counts,
    crcs: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    complete: usize,
    claimed: usize,
}

impl Ledger {
    pub(crate) fn new(segments: Segments) -> Self {
        let count = segments.count();
        let bits = || Bitmap::new(count);
        Self { segments, complete: bits(), claimed: bits(), counts: Counts::default(), crcs: vec![0; count] }
    }

    /// What a checkpoint says: everything complete is a claim.
    pub(crate) fn of_claims(segments: Segments, complete: Bitmap, crcs: Vec<u32>) -> Option<Self> {
        let fits = complete.len() == segments.count() && crcs.len() == segments.count();
        let count = complete.count();
        let counts = Counts { complete: count, claimed: count };
        fits.then(|| Self { segments, claimed: complete.clone(), complete, counts, crcs })
    }

    pub(crate) fn segments(&self) -> Segments {
        self.segments
    }

    pub(crate) fn complete(&self) -> &Bitmap {
        &self.complete
    }

    pub(crate) fn crc(&self, index: usize) -> u32 {
        self.crcs[index]
    }

    /// A segment has landed: its bytes are written.
    pub(crate) fn land(&mut self, index: usize, crc: u32) {
        self.crcs[index] = crc;
        self.counts.complete += usize::from(!self.complete.get(index));
        self.complete.set(index);
        self.confirm(index);
    }

    /// A claim was read back and holds.
    pub(crate) fn confirm(&mut self, index: usize) {
        self.counts.claimed -= usize::from(self.claimed.get(index));
        self.claimed.clear(index);
    }

    /// The segment is to be fetched again.
    pub(crate) fn lose(&mut self, index: usize) {
        self.counts.complete -= usize::from(self.complete.get(index));
        self.complete.clear(index);
        self.confirm(index);
    }

    /// The same, with nobody having read back any of it.
    pub(crate) fn as_claims(&self) -> Self {
        let counts = Counts { claimed: self.counts.complete, ..self.counts };
        Self { claimed: self.complete.clone(), counts, ..self.clone() }
    }

    /// What is known for certain: without the claims that nobody has read back, unless `certain` has them.
    pub(crate) fn without_claims_beyond(&self, certain: &Bitmap) -> Self {
        let mut known = self.clone();
        self.claims().filter(|index| !certain.get(*index)).for_each(|index| known.lose(index));
        known
    }

    /// What both call complete, with the same bytes.
    pub(crate) fn agreeing_with(&self, other: Option<&Self>) -> Bitmap {
        let mut both = Bitmap::new(self.complete.len());
        let same = |other: &Self, index| other.complete.get(index) && other.crcs[index] == self.crcs[index];
        let other = other.filter(|other| other.segments == self.segments);
        self.complete.ones().filter(|index| other.is_some_and(|other| same(other, *index))).for_each(
            |index| {
                both.set(index);
            },
        );
        both
    }

    pub(crate) fn claims(&self) -> impl Iterator<Item = usize> + '_ {
        self.claimed.ones()
    }

    /// Whether every segment is complete and no claim is left unread.
    pub(crate) fn is_whole(&self) -> bool {
        self.counts == Counts { complete: self.segments.count(), claimed: 0 }
    }

    /// From the first byte on, how many are in place and are no claim.
    pub(crate) fn certain_prefix(&self) -> u64 {
        let missing = self.complete.clear_runs().next().map(|run| run.start);
        let end = missing.into_iter().chain(self.claims().next()).min().unwrap_or(self.segments.count());
        self.segments.bytes(&(0..end)).end
    }

    /// How many bytes the complete segments hold.
    pub(crate) fn bytes(&self) -> u64 {
        let full = self.counts.complete as u64 * self.segments.size();
        let last = self.segments.count().checked_sub(1);
        let short = last.filter(|last| self.complete.get(*last)).map(|last| self.segments.range(last).len());
        short.map_or(full, |short| full - self.segments.size() + short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_counted_is_what_there_is(claims in prop::collection::vec(any::<bool>(), 1..40), steps in prop::collection::vec((0..3_u8, any::<prop::sample::Index>()), 0..80)) {
            let size = Segments::MIN_SIZE;
            let segments = Segments::new(claims.len() as u64 * size, size).unwrap();
            let mut bits = Bitmap::new(claims.len());
            (0..claims.len()).filter(|index| claims[*index]).for_each(|index| bits.set(index));
            let mut ledger = Ledger::of_claims(segments, bits, vec![7; claims.len()]).unwrap();
            for (step, at) in steps {
                let index = at.index(claims.len());
                match step {
                    0 => ledger.land(index, 1),
                    1 => ledger.confirm(index),
                    _ => ledger.lose(index),
                }
                prop_assert_eq!(ledger.bytes(), ledger.complete().count() as u64 * size);
                prop_assert_eq!(ledger.is_whole(), ledger.complete().all() && ledger.claims().count() == 0);
            }
        }
    }

    fn segments() -> Segments {
        Segments::new((64 << 10) * 2 + 5, 64 << 10).unwrap()
    }

    #[test]
    fn it_is_whole_only_when_every_claim_is_confirmed() {
        let mut bits = Bitmap::new(3);
        bits.set(1);
        let mut ledger = Ledger::of_claims(segments(), bits, vec![7; 3]).unwrap();
        ledger.land(0, 1);
        ledger.land(2, 2);
        assert!(ledger.complete().all() && !ledger.is_whole());
        ledger.confirm(1);
        assert!(ledger.is_whole());
    }

    #[test]
    fn a_claim_that_fails_is_missing_again() {
        let mut bits = Bitmap::new(3);
        bits.set(1);
        let mut ledger = Ledger::of_claims(segments(), bits, vec![7; 3]).unwrap();
        assert_eq!(ledger.claims().collect::<Vec<_>>(), [1]);
        ledger.lose(1);
        assert_eq!(ledger.complete().count(), 0);
        assert_eq!(ledger.claims().count(), 0);
    }

    #[test]
    fn what_is_known_for_certain_was_read_back_or_is_certain_otherwise() {
        let mut bits = Bitmap::new(3);
        (0..3).for_each(|index| bits.set(index));
        let mut ledger = Ledger::of_claims(segments(), bits, vec![7; 3]).unwrap();
        ledger.confirm(0);
        let mut certain = Bitmap::new(3);
        certain.set(1);
        let known = ledger.without_claims_beyond(&certain);
        assert_eq!(known.complete().ones().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn two_agree_on_what_both_have_with_the_same_crc() {
        let ledger = |landed: &[(usize, u32)]| {
            let mut ledger = Ledger::new(segments());
            landed.iter().for_each(|(index, crc)| ledger.land(*index, *crc));
            ledger
        };
        let (one, other) = (ledger(&[(0, 5), (1, 6)]), ledger(&[(0, 5), (1, 7), (2, 0)]));
        assert_eq!(one.agreeing_with(Some(&other)).ones().collect::<Vec<_>>(), [0]);
        assert_eq!(ledger(&[(2, 0)]).agreeing_with(Some(&one)).count(), 0, "a CRC of 0 is no claim");
        assert_eq!(one.agreeing_with(None).count(), 0);
        let elsewhere = Ledger::new(Segments::new((64 << 10) * 2 + 6, 64 << 10).unwrap());
        assert_eq!(one.agreeing_with(Some(&elsewhere)).count(), 0);
    }

    #[test]
    fn what_has_landed_can_be_called_a_claim() {
        let mut ledger = Ledger::new(segments());
        [0, 2].into_iter().for_each(|index| ledger.land(index, 7));
        let claims = ledger.as_claims();
        assert_eq!((claims.claims().collect::<Vec<_>>(), claims.bytes()), (vec![0, 2], ledger.bytes()));
        assert!(!claims.is_whole() && claims.crc(2) == 7);
    }

    #[test]
    fn h64_claims_are_of_all_segments_or_of_none() {
        assert!(Ledger::of_claims(segments(), Bitmap::new(2), vec![0; 3]).is_none());
        assert!(Ledger::of_claims(segments(), Bitmap::new(3), vec![0; 2]).is_none());
        assert!(Ledger::of_claims(segments(), Bitmap::new(3), vec![0; 3]).is_some());
    }

    #[test]
    fn the_certain_prefix_ends_at_what_is_missing_or_claimed() {
        let size = 64 << 10;
        let mut bits = Bitmap::new(3);
        bits.set(1);
        let mut ledger = Ledger::of_claims(segments(), bits, vec![7; 3]).unwrap();
        assert_eq!(ledger.certain_prefix(), 0);
        ledger.land(0, 1);
        assert_eq!(ledger.certain_prefix(), size, "up to the claim");
        ledger.confirm(1);
        assert_eq!(ledger.certain_prefix(), 2 * size);
        ledger.land(2, 1);
        assert_eq!(ledger.certain_prefix(), 2 * size + 5);
        ledger.lose(0);
        assert_eq!(ledger.certain_prefix(), 0);
    }

    #[test]
    fn bytes_count_the_short_last_segment_as_short() {
        let mut ledger = Ledger::new(segments());
        ledger.land(2, 0);
        assert_eq!(ledger.bytes(), 5);
        ledger.land(0, 0);
        assert_eq!(ledger.bytes(), (64 << 10) + 5);
    }
}
