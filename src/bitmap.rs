//! Which segments are complete: bit *i* is segment *i*.

use std::ops::Range;

use bitvec::prelude::{BitVec, Lsb0};

/// A fixed number of bits, all clear at first. One task owns it; nothing in it is atomic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap(BitVec<u8, Lsb0>);

impl Bitmap {
    pub(crate) fn new(bits: usize) -> Self {
        Self(BitVec::repeat(false, bits))
    }

    /// Bit *i* in bit *i* mod 8 of byte *i* / 8. `None` unless there are just as many bytes as `bits` need,
    /// and the bits past the end are clear.
    pub(crate) fn from_bytes(bits: usize, bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() != bits.div_ceil(8) {
            return None;
        }
        let mut vec = BitVec::from_vec(bytes);
        let dead_are_clear = vec[bits..].not_any();
        vec.truncate(bits);
        dead_are_clear.then_some(Self(vec))
    }

    /// The inverse of [`from_bytes`](Self::from_bytes).
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut vec = self.0.clone();
        // What lies past the last bit is whatever it was before: make the bytes a function of the bits.
        vec.set_uninitialized(false);
        vec.into_vec()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, index: usize) -> bool {
        self.0[index]
    }

    pub(crate) fn set(&mut self, index: usize) {
        self.0.set(index, true);
    }

    pub(crate) fn clear(&mut self, index: usize) {
        self.0.set(index, false);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count_ones()
    }

    pub(crate) fn all(&self) -> bool {
        self.0.all()
    }

    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        // By bytes: bitvec goes by single bits, which takes ten times as long. What is past the end is not a bit.
        let bytes = self.0.as_raw_slice().iter().enumerate().filter(|(_, byte)| **byte != 0);
        let bits = bytes.flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| 8 * at + bit)
        });
        bits.take_while(|index| *index < self.len())
    }

    /// The maximal runs of clear bits, in order.
    pub(crate) fn clear_runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + self.0[at..].first_zero()?;
            let end = self.0[start..].first_one().map_or(self.len(), |ones| start + ones);
            at = end;
            Some(start..end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The model: a plain vector of bools.
    fn of(model: &[bool]) -> Bitmap {
        let mut bitmap = Bitmap::new(model.len());
        for (index, _) in model.iter().enumerate().filter(|(_, set)| **set) {
            bitmap.set(index);
        }
        bitmap
    }

    proptest! {
        #[test]
        fn it_is_a_vector_of_bools(model in prop::collection::vec(any::<bool>(), 0..300), flips in prop::collection::vec(any::<prop::sample::Index>(), 0..50)) {
            let (mut bitmap, mut model) = (of(&model), model);
            let flips = if model.is_empty() { &[][..] } else { &flips[..] };
            for flip in flips {
                let index = flip.index(model.len());
                model[index] = !model[index];
                if model[index] { bitmap.set(index) } else { bitmap.clear(index) }
            }
            prop_assert_eq!(bitmap.len(), model.len());
            prop_assert!((0..model.len()).all(|index| bitmap.get(index) == model[index]));
            prop_assert_eq!(bitmap.count(), model.iter().filter(|set| **set).count());
            prop_assert_eq!(bitmap.all(), model.iter().all(|set| *set));
            prop_assert_eq!(bitmap.ones().collect::<Vec<_>>(), (0..model.len()).filter(|i| model[*i]).collect::<Vec<_>>());
            let clear: Vec<usize> = bitmap.clear_runs().flatten().collect();
            prop_assert_eq!(clear, (0..model.len()).filter(|i| !model[*i]).collect::<Vec<_>>());
            let runs: Vec<_> = bitmap.clear_runs().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "runs are maximal");
            prop_assert_eq!(Bitmap::from_bytes(model.len(), bitmap.to_bytes()), Some(bitmap));
        }
    }

    #[test]
    fn the_byte_order_is_the_documented_one() {
        let mut bitmap = Bitmap::new(11);
        [0, 2, 8, 10].into_iter().for_each(|index| bitmap.set(index));
        assert_eq!(bitmap.to_bytes(), [0b0000_0101, 0b0000_0101]);
    }

    #[test]
    fn all_is_every_bit_up_to_the_last() {
        let mut bitmap = of(&[true; 10]);
        assert!(bitmap.all());
        bitmap.clear(9);
        assert!(!bitmap.all());
    }

    #[test]
    fn h64_bytes_that_do_not_fit_are_refused() {
        assert_eq!(Bitmap::from_bytes(11, vec![0]), None);
        assert_eq!(Bitmap::from_bytes(11, vec![0, 0, 0]), None);
        assert_eq!(Bitmap::from_bytes(11, vec![0, 0b0000_1000]), None, "a bit past the end");
    }
}
