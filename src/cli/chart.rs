//! A curve of goodput as people see it: bars of text. Pure.

use super::human;

/// Bars are no longer than this, however wide the terminal.
const LONGEST_BAR: usize = 60;
/// An eighth of a column at a time.
const BLOCKS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// What marks the knee, after its bar.
const MARK: &str = " ◂";

/// What is drawn of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) jobs: usize,
    /// Bytes per second.
    pub(crate) rate: f64,
    pub(crate) knee: bool,
}

/// A line for each bar, of at most `width` columns where that is possible at all (some 30).
pub(crate) fn bars(bars: &[Bar], width: usize) -> Vec<String> {
    let rates: Vec<String> = bars.iter().map(|bar| human::rate(bar.rate)).collect();
    let column = rates.iter().map(String::len).max().unwrap_or_default();
    let label = |bar: &Bar, rate: &str| format!("{:>4} {rate:>column$} ", bar.jobs);
    let taken = 4 + 1 + column + 1 + MARK.chars().count();
    let longest = width.saturating_sub(taken).clamp(8, LONGEST_BAR);
    let best = bars.iter().map(|bar| bar.rate).fold(f64::MIN_POSITIVE, f64::max);
    let lines = bars.iter().zip(&rates).map(|(bar, rate)| {
        let mark = if bar.knee { MARK } else { "" };
        format!("{}{}{mark}", label(bar, rate), blocks(bar.rate / best, longest))
    });
    lines.collect()
}

/// A bar of `share` of `longest` columns, at least an eighth of one.
fn blocks(share: f64, longest: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "some columns")]
    let eighths = human::whole(share * (longest * 8) as f64).max(1);
    let eighths = usize::try_from(eighths).unwrap_or(usize::MAX).min(longest * 8);
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(BLOCKS[eighths % 8]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rates: &[f64], knee: usize) -> Vec<Bar> {
        let bar = |(index, rate): (usize, &f64)| Bar { jobs: 1 << index, rate: *rate, knee: index == knee };
        rates.iter().enumerate().map(bar).collect()
    }

    #[test]
    fn the_best_is_as_long_as_there_is_room_and_the_others_in_proportion() {
        let mib = f64::from(1 << 20);
        let drawn = bars(&of(&[mib, 2.0 * mib, 4.0 * mib, 4.0 * mib], 2), 40);
        assert_eq!(
            drawn,
            [
                "   1 1.0 MiB/s █████▊",
                "   2 2.0 MiB/s ███████████▌",
                "   4 4.0 MiB/s ███████████████████████ ◂",
                "   8 4.0 MiB/s ███████████████████████",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rates = [0.0, 0.3, 1023.9, 98.7e6, 123_456_789_012.0, f64::NAN];
        for width in [40, 41, 60, 80, 500] {
            for knee in 0..rates.len() {
                for line in bars(&of(&rates, knee), width) {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                    assert!(line.chars().any(|c| "█▏▎▍▌▋▊▉".contains(c)), "a bar at least: {line}");
                }
            }
        }
        assert_eq!(bars(&of(&[0.0], 0), 40), ["   1 0 B/s ▏ ◂"]);
        assert!(bars(&[], 40).is_empty());
    }
}
