//! What a seed decides.

use std::ops::RangeInclusive;

use super::support::content::mix;

/// Numbers that follow from a seed and from what they are thrown for.
#[derive(Clone, Debug)]
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    pub(super) fn new(what: &str, seed: u64) -> Self {
        let name = what.bytes().fold(0, |word, byte| mix(word, u64::from(byte)));
        Self(fastrand::Rng::with_seed(mix(name, seed)))
    }

    pub(super) fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.number(0..=99) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.usize(..of.len())].clone()
    }
}
