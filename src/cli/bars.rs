//! Bars on a terminal: one for each download, with the map of the only one or what all of them come to below.

use std::collections::BTreeMap;

use haul::{Cell, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{human, map, messages};

/// Downloads that have a bar of their own; the others only count in what all come to.
const MOST_ROWS: usize = 8;
/// Columns for a name: beside the bar and the numbers on a terminal of 80.
const NAME_WIDTH: usize = 24;
/// With fewer columns the numbers need the room that a bar takes.
const NARROW: usize = 60;

/// See the module.
#[derive(Debug)]
pub(crate) struct Bars {
    lines: MultiProgress,
    color: bool,
    /// How wide the terminal is.
    columns: usize,
    /// Of downloads, by their number.
    rows: BTreeMap<usize, Row>,
    /// What all of them come to.
    total: Option<Row>,
    map: Option<ProgressBar>,
}

/// A line with a bar.
#[derive(Debug)]
struct Row {
    bar: ProgressBar,
    /// How it is drawn; `None` before it is for the first time.
    drawn: Option<Look>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is not known where it ends.
    Spinner,
    Bar,
    /// There is no room for a bar.
    Words,
}

impl Bars {
    pub(crate) fn new(color: bool) -> Self {
        Self::on(MultiProgress::new(), color)
    }

    fn on(lines: MultiProgress, color: bool) -> Self {
        Self { lines, color, columns: 80, rows: BTreeMap::new(), total: None, map: None }
    }

    /// From now on the terminal has so many columns.
    pub(crate) fn fit(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// How far the `index`-th download is.
    pub(crate) fn show(&mut self, index: usize, label: &str, progress: &Progress) {
        if !self.rows.contains_key(&index) {
            if self.rows.len() == MOST_ROWS {
                return;
            }
            let bar = ProgressBar::no_length();
            let bar = match &self.total {
                Some(total) => self.lines.insert_before(&total.bar, bar),
                None => self.lines.add(bar),
            };
            self.rows.insert(index, Row { bar, drawn: None });
        }
        let line = format!("{}  {}", human::shortened(label, NAME_WIDTH), messages::progress(progress));
        if let Some(row) = self.rows.get_mut(&index) {
            row.draw((progress.in_place, progress.total), line, (self.columns, self.color));
        }
    }

    /// Where the only download's segments are.
    pub(crate) fn show_map(&mut self, cells: &[Cell]) {
        let line = map::line(cells, self.columns, self.color);
        if let Some(map) = self.map.take_if(|_| line.is_empty()) {
            self.lines.remove(&map);
        }
        if !line.is_empty() {
            let style = || ProgressStyle::with_template("{msg}").expect("the tests draw it");
            let add = || self.lines.add(ProgressBar::no_length().with_style(style()));
            self.map.get_or_insert_with(add).set_message(line);
        }
    }

    /// What all downloads come to, of which so many have ended.
    pub(crate) fn show_total(&mut self, ended: usize, count: Option<usize>, line: String) {
        let add = || Row { bar: self.lines.add(ProgressBar::no_length()), drawn: None };
        let row = self.total.get_or_insert_with(add);
        row.draw((ended as u64, count.map(|count| count as u64)), line, (self.columns, self.color));
    }

    /// The `index`-th download has ended: its line is another's.
    pub(crate) fn end(&mut self, index: usize) {
        if let Some(row) = self.rows.remove(&index) {
            self.lines.remove(&row.bar);
        }
    }

    /// Does something that writes to the terminal, with the bars out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.lines.suspend(write)
    }

    /// Takes all bars away.
    pub(crate) fn clear(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let bars = rows.into_values().chain(self.total.take()).map(|row| row.bar).chain(self.map.take());
        bars.for_each(|bar| self.lines.remove(&bar));
        // That it is not cleared is of no matter to what comes now.
        let _ = self.lines.clear();
    }
}

impl Row {
    fn draw(&mut self, (position, end): (u64, Option<u64>), line: String, (columns, color): (usize, bool)) {
        let look = match end {
            None => Look::Spinner,
            Some(_) if columns < NARROW => Look::Words,
            Some(_) => Look::Bar,
        };
        if self.drawn.replace(look) != Some(look) {
            self.bar.set_style(look.style(color));
        }
        end.into_iter().for_each(|end| self.bar.set_length(end));
        self.bar.set_position(position);
        self.bar.set_message(line);
        // Whether or not something changed: the spinner turns.
        self.bar.tick();
    }
}

impl Look {
    /// The words come last and are cut at the terminal's edge, so that the line never wraps, however narrow.
    fn style(self, color: bool) -> ProgressStyle {
        let template = match (self, color) {
            (Self::Spinner, true) => "{spinner:.cyan} {wide_msg}",
            (Self::Spinner, false) => "{spinner} {wide_msg}",
            (Self::Bar, true) => "{bar:20.cyan/dim} {wide_msg}",
            (Self::Bar, false) => "{bar:20} {wide_msg}",
            (Self::Words, _) => "{wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the tests try each of them");
        style.progress_chars("━╸─")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haul::Phase;
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    fn paper(columns: u16) -> (InMemoryTerm, Bars) {
        let terminal = InMemoryTerm::new(20, columns);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut bars = Bars::on(MultiProgress::with_draw_target(target), false);
        bars.fit(columns.into());
        (terminal, bars)
    }

    fn fetching(total: Option<u64>) -> Progress {
        Progress { phase: Phase::Fetching, in_place: 5 << 20, total, rate: 1e6, ..Progress::default() }
    }

    #[test]
    fn every_template_is_one() {
        for look in [Look::Spinner, Look::Bar, Look::Words] {
            [true, false].into_iter().for_each(|color| drop(look.style(color)));
        }
    }

    #[test]
    fn a_bar_stays_on_one_line_however_narrow_the_terminal() {
        for total in [None, Some(10 << 20)] {
            for columns in [200, 80, 40, 21] {
                let (terminal, mut bars) = paper(columns);
                bars.show(0, "a-rather-long-name-of-a-disk.img", &fetching(total));
                bars.show_map(&[Cell { done: 1, ..Cell::default() }]);
                let lines: Vec<_> = terminal.contents().lines().map(|line| line.chars().count()).collect();
                assert!(lines.len() == 2 && lines.iter().all(|line| *line <= columns.into()), "{lines:?}");
            }
        }
        let (terminal, mut bars) = paper(200);
        bars.show(0, "a-rather-long-name-of-a-disk.img", &fetching(Some(10 << 20)));
        let line = terminal.contents();
        assert!(line.contains("a-rather-lon…-a-disk.img  5.0 MiB of 10.0 MiB (50 %)"), "{line:?}");
    }

    #[test]
    fn several_stack_above_what_they_come_to_and_leave_when_they_end() {
        let (terminal, mut bars) = paper(80);
        let shown = |name: &str| terminal.contents().lines().position(|line| line.contains(name));
        bars.show_total(0, Some(3), "all of them".into());
        (0..10).for_each(|index| bars.show(index, &format!("name{index}"), &fetching(None)));
        assert_eq!((shown("name0"), shown("name7"), shown("all of them")), (Some(0), Some(7), Some(8)));
        bars.end(0);
        bars.show(8, "name8", &fetching(None));
        assert_eq!((shown("name0"), shown("name1"), shown("name8")), (None, Some(0), Some(7)));
        bars.clear();
        assert_eq!(terminal.contents(), "");
    }

    #[test]
    fn the_map_is_below_its_bar_as_long_as_there_is_one() {
        let (terminal, mut bars) = paper(200);
        let cell = Cell { done: 1, ..Cell::default() };
        bars.show(0, "name", &fetching(None));
        bars.show_map(&[cell; 3]);
        assert!(terminal.contents().lines().nth(1).is_some_and(|line| line.starts_with("███")));
        bars.show_map(&[]);
        bars.show(0, "name", &fetching(None));
        assert_eq!(terminal.contents().lines().count(), 1);
    }
}
