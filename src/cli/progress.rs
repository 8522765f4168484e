//! Progress as a person sees it, on stderr: bars that are redrawn, or a line now and then.

use std::io;
use std::time::{Duration, Instant};

use haul::{Cell, Progress};

use super::bars::Bars;
use super::resolve::ProgressStyle;
use super::{messages, output};

/// How often there is a line in a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// What shows the progress of downloads.
#[derive(Debug)]
pub(crate) enum Screen {
    Bars(Bars),
    Plain { last: Instant },
    Off,
}

impl Screen {
    pub(crate) fn new(style: ProgressStyle) -> Self {
        match style {
            ProgressStyle::Bar { color } => Self::Bars(Bars::new(color)),
            ProgressStyle::Plain => Self::Plain { last: Instant::now() },
            ProgressStyle::None => Self::Off,
        }
    }

    /// How far the only download is. Called several times a second, whether or not something changed.
    pub(crate) fn update(&mut self, label: &str, progress: &Progress, map: &[Cell], now: Instant) {
        match self {
            Self::Bars(bars) => {
                bars.fit(columns());
                bars.show(0, label, progress);
                bars.show_map(map);
            }
            Self::Plain { .. } => self.say(now, || format!("{label}: {}", messages::progress(progress))),
            Self::Off => {}
        }
    }

    /// Whether each of several has a line of its own.
    pub(crate) fn shows_each(&self) -> bool {
        matches!(self, Self::Bars(_))
    }

    /// How far one of several is.
    pub(crate) fn update_one(&mut self, index: usize, label: &str, progress: &Progress) {
        if let Self::Bars(bars) = self {
            bars.show(index, label, progress);
        }
    }

    /// What several come to, of which so many have ended.
    pub(crate) fn update_all(&mut self, ended: usize, count: Option<usize>, line: String, now: Instant) {
        match self {
            Self::Bars(bars) => {
                bars.fit(columns());
                bars.show_total(ended, count, line);
            }
            Self::Plain { .. } => self.say(now, || line),
            Self::Off => {}
        }
    }

    /// One of several has ended.
    pub(crate) fn end(&mut self, index: usize) {
        if let Self::Bars(bars) = self {
            bars.end(index);
        }
    }

    /// A line in a log, if it is time for one.
    fn say(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Self::Plain { last } = self
            && now.duration_since(*last) >= PLAIN_INTERVAL
        {
            *last = now;
            output::stderr(&line());
        }
    }

    /// Does something that writes to the terminal, with the bars out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Self::Bars(bars) => bars.aside(write),
            Self::Plain { .. } | Self::Off => write(),
        }
    }

    /// Takes the bars away: what comes now is final.
    pub(crate) fn close(&mut self) {
        if let Self::Bars(bars) = self {
            bars.clear();
        }
    }
}

/// How wide the terminal is now.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}
