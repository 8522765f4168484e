//! Tells people and programs about one download.

use std::time::Instant;

use haul::{Cell, Event, Part, Progress, Report};

use super::board::SharedBoard;
use super::events::Journal;
use super::exit::Failure;
use super::resolve::{Feedback, Verbosity};
use super::{messages, output};

/// See the module.
#[derive(Debug)]
pub(crate) struct Observer {
    /// Of all downloads.
    board: SharedBoard,
    index: usize,
    /// What the download is called: its URL, then its target.
    label: String,
    verbosity: Verbosity,
    journal: Option<Journal>,
}

impl Observer {
    /// Of the `index`-th download.
    pub(crate) fn new(
        board: SharedBoard,
        index: usize,
        (url, part): (String, Option<Part>),
        feedback: Feedback,
    ) -> Self {
        let journal = feedback.json.map(|stream| Journal::new(url.clone(), part, stream));
        Self { board, index, label: url, verbosity: feedback.verbosity, journal }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Started { path: Some(path), .. } = event {
            self.label = messages::label(path);
        }
        let lines = messages::on_event(&self.label, event, self.verbosity);
        if lines.is_empty() && self.journal.is_none() {
            return;
        }
        self.board.lock().aside(|| {
            lines.iter().for_each(|line| output::stderr(line));
            self.journal.iter_mut().for_each(|journal| journal.event(event));
        });
    }

    /// Whether anybody sees where the segments are.
    pub(crate) fn shows_map(&self) -> bool {
        self.verbosity == Verbosity::Verbose && !self.board.lock().is_of_many()
    }

    pub(crate) fn progress(&mut self, progress: &Progress, map: &[Cell], now: Instant) {
        let mut board = self.board.lock();
        board.update(self.index, &self.label, (progress, map), now);
        if let Some(journal) = &mut self.journal {
            board.aside(|| journal.progress(progress, now));
        }
    }

    pub(crate) fn ended(mut self, ended: &Result<Report, Failure>) {
        let shared = self.board.clone();
        let mut board = shared.lock();
        board.end(self.index, ended.as_ref().map_or(0, |report| report.received));
        if !board.is_of_many() {
            board.close();
        }
        board.aside(|| match ended {
            Ok(report) => self.done(report),
            Err(failure) => self.failed(failure),
        });
    }

    /// With `--json` the event is the summary.
    fn done(&mut self, report: &Report) {
        if let Some(path) = &report.path {
            self.label = messages::label(path);
        }
        match &mut self.journal {
            Some(journal) => journal.done(report),
            None if self.verbosity > Verbosity::Quiet => {
                output::stderr(&messages::summary(&self.label, report));
                if self.verbosity == Verbosity::Verbose {
                    output::stderr(&messages::account(&self.label, report));
                }
            }
            None => {}
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.journal.iter_mut().for_each(|journal| journal.error(failure));
        failure.report(self.verbosity == Verbosity::Verbose);
    }
}
