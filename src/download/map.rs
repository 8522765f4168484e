//! An object as a row of cells, to be seen: what is missing, what comes, what is there. Pure.

use std::ops::{Add, Range};

use crate::ledger::Ledger;

/// More cells than a terminal has columns.
const MOST: usize = 512;

/// How many segments of one stretch of an object are how far. Stretches are equally long, but for the last.
///
/// ```
/// # use haul::Cell;
/// let half = Cell { missing: 1, done: 1, ..Cell::default() };
/// let both = half + Cell { done: 2, ..Cell::default() };
/// assert_eq!((both.missing, both.done), (1, 3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Nobody fetches them yet.
    pub missing: usize,
    /// Somebody has asked for them, or will with the next request; others may take them over.
    pub leased: usize,
    /// Their bytes are coming.
    pub in_flight: usize,
    /// An earlier run says that they are there; nobody has compared them with the disk yet.
    pub claimed: usize,
    /// They are in place, and known to be what was fetched.
    pub done: usize,
}

impl Add for Cell {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            leased: self.leased + other.leased,
            in_flight: self.in_flight + other.in_flight,
            claimed: self.claimed + other.claimed,
            done: self.done + other.done,
        }
    }
}

/// The object's segments. Of each lease: what is coming, and what follows.
pub(crate) fn cells(
    ledger: &Ledger,
    leases: impl Iterator<Item = (Range<usize>, Range<usize>)>,
) -> Vec<Cell> {
    let (count, complete) = (ledger.segments().count(), ledger.complete());
    let each = count.div_ceil(MOST).max(1);
    let full = |start| Cell { done: each.min(count - start), ..Cell::default() };
    let mut cells: Vec<Cell> = (0..count).step_by(each).map(full).collect();
    for index in complete.clear_runs().flatten() {
        let cell = &mut cells[index / each];
        (cell.done, cell.missing) = (cell.done - 1, cell.missing + 1);
    }
    let missing = |index: &usize| !complete.get(*index);
    for (coming, later) in leases {
        for index in coming.filter(missing) {
            let cell = &mut cells[index / each];
            (cell.missing, cell.in_flight) = (cell.missing - 1, cell.in_flight + 1);
        }
        for index in later.filter(missing) {
            let cell = &mut cells[index / each];
            (cell.missing, cell.leased) = (cell.missing - 1, cell.leased + 1);
        }
    }
    for index in ledger.claims() {
        let cell = &mut cells[index / each];
        (cell.done, cell.claimed) = (cell.done - 1, cell.claimed + 1);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitmap::Bitmap;
    use crate::range::Segments;
    use std::iter::once;

    /// Of so many segments, those of an earlier run claimed, and those that have landed.
    fn ledger(count: usize, claimed: &[usize], landed: Range<usize>) -> Ledger {
        let segments = Segments::new(count as u64 * Segments::MIN_SIZE, Segments::MIN_SIZE).unwrap();
        let mut bits = Bitmap::new(count);
        claimed.iter().for_each(|index| bits.set(*index));
        let mut ledger = Ledger::of_claims(segments, bits, vec![7; count]).unwrap();
        landed.for_each(|index| ledger.land(index, 9));
        ledger
    }

    #[test]
    fn each_segment_is_in_its_cell_as_far_as_it_is() {
        let one = Cell::default();
        assert_eq!(
            cells(&ledger(6, &[5], 0..2), once((1..3, 3..4))),
            [
                Cell { done: 1, ..one },
                Cell { done: 1, ..one },
                Cell { in_flight: 1, ..one },
                Cell { leased: 1, ..one },
                Cell { missing: 1, ..one },
                Cell { claimed: 1, ..one },
            ]
        );
    }

    #[test]
    fn many_segments_share_a_cell_and_none_is_left_out() {
        let count = 3 * MOST - 1;
        let cells = cells(&ledger(count, &[count - 1], 0..4), once((2..6, 6..7)));
        assert_eq!(cells.len(), MOST);
        assert_eq!(cells[1], Cell { done: 1, in_flight: 2, ..Cell::default() });
        assert_eq!(cells[MOST - 1], Cell { missing: 1, claimed: 1, ..Cell::default() });
        let all = cells.into_iter().fold(Cell::default(), Add::add);
        assert_eq!(all, Cell { missing: count - 8, leased: 1, in_flight: 2, claimed: 1, done: 4 });
    }
}
