//! The map of an object: a line of cells, in which resuming and stealing can be seen. Pure.

use haul::Cell;

/// How far the segments are that one column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glyph {
    Missing,
    Leased,
    InFlight,
    /// Some of them are there.
    Partial,
    Claimed,
    Done,
}

impl Glyph {
    fn of(cell: Cell) -> Self {
        match cell {
            Cell { in_flight: 1.., .. } => Self::InFlight,
            Cell { missing: 0, leased: 0, claimed: 0, .. } => Self::Done,
            Cell { missing: 0, leased: 0, .. } => Self::Claimed,
            Cell { claimed: 0, done: 0, leased: 1.., .. } => Self::Leased,
            Cell { claimed: 0, done: 0, .. } => Self::Missing,
            _ => Self::Partial,
        }
    }

    /// What it looks like, and the code of its colour (ECMA-48 SGR).
    fn look(self) -> (char, &'static str) {
        match self {
            Self::Missing => ('·', "2"),
            Self::Leased => ('░', "2"),
            Self::InFlight => ('▒', "36"),
            Self::Partial => ('▌', "0"),
            Self::Claimed => ('▓', "33"),
            Self::Done => ('█', "0"),
        }
    }
}

/// The cells in so many columns.
pub(crate) fn line(cells: &[Cell], columns: usize, color: bool) -> String {
    let mut line = String::new();
    let mut last = None;
    let wide = if cells.is_empty() { 0 } else { columns };
    for column in 0..wide {
        let (start, end) = (column * cells.len() / wide, (column + 1) * cells.len() / wide);
        let stretch = &cells[start..end.max(start + 1)];
        let glyph = Glyph::of(stretch.iter().fold(Cell::default(), |sum, cell| sum + *cell));
        let (character, code) = glyph.look();
        if color && last != Some(glyph) {
            line.extend(["\x1b[0;", code, "m"]);
            last = Some(glyph);
        }
        line.push(character);
    }
    if last.is_some() {
        line.push_str("\x1b[0m");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Cell = Cell { missing: 0, leased: 0, in_flight: 0, claimed: 0, done: 0 };
    const MISSING: Cell = Cell { missing: 1, ..NONE };
    const LEASED: Cell = Cell { leased: 1, ..NONE };
    const IN_FLIGHT: Cell = Cell { in_flight: 1, ..NONE };
    const CLAIMED: Cell = Cell { claimed: 1, ..NONE };
    const DONE: Cell = Cell { done: 1, ..NONE };

    #[test]
    fn a_column_shows_the_least_that_its_segments_have_come_to() {
        assert_eq!(line(&[MISSING, LEASED, IN_FLIGHT, CLAIMED, DONE], 5, false), "·░▒▓█");
        let mixed = [DONE, MISSING, DONE, IN_FLIGHT, DONE, CLAIMED, LEASED, CLAIMED, LEASED, MISSING];
        assert_eq!(line(&mixed, 5, false), "▌▒▓▌░");
    }

    #[test]
    fn the_line_is_as_wide_as_it_may_be_however_many_cells_there_are() {
        assert_eq!(line(&[DONE, MISSING], 6, false), "███···");
        assert_eq!(line(&[DONE; 100], 7, false), "███████");
        assert_eq!(line(&[DONE, MISSING, MISSING], 2, false), "█·");
        assert_eq!(line(&[], 7, false), "");
    }

    #[test]
    fn colours_change_where_the_cells_do_and_end_with_the_line() {
        assert_eq!(line(&[DONE, DONE, IN_FLIGHT], 3, true), "\x1b[0;0m██\x1b[0;36m▒\x1b[0m");
    }
}
