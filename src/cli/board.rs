//! What a person sees while downloads run: one, or what all of them come to together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use haul::{Cell, Progress};

use super::messages::{self, Together};
use super::progress::Screen;
use super::resolve::ProgressStyle;

/// How long the past counts in the rate of all.
const RATE_MEMORY: Duration = Duration::from_secs(3);

/// The progress of everything that runs.
#[derive(Debug)]
pub(crate) struct Board {
    screen: Screen,
    /// How many downloads there are, where that is known.
    count: Option<usize>,
    running: BTreeMap<usize, (String, Progress)>,
    ended: usize,
    /// Body bytes of what has ended.
    received: u64,
    /// Bytes in all, as they were at times that are not long ago.
    samples: VecDeque<(Instant, u64)>,
}

/// A board that many write to. Nobody holds it for long.
#[derive(Clone, Debug)]
pub(crate) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    pub(crate) fn new(board: Board) -> Self {
        Self(Arc::new(Mutex::new(board)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    pub(crate) fn new(style: ProgressStyle, count: Option<usize>) -> Self {
        let (running, samples) = (BTreeMap::new(), VecDeque::new());
        Self { screen: Screen::new(style), count, running, ended: 0, received: 0, samples }
    }

    /// More than one download: they are told apart, and summed up.
    pub(crate) fn is_of_many(&self) -> bool {
        self.count != Some(1)
    }

    /// How far the `index`-th download is. Called several times a second for each.
    /// `map`: where the segments of the only one are, or nothing.
    pub(crate) fn update(
        &mut self,
        index: usize,
        label: &str,
        (progress, map): (&Progress, &[Cell]),
        now: Instant,
    ) {
        self.running.insert(index, (label.to_owned(), *progress));
        if !self.is_of_many() {
            return self.screen.update(label, progress, map, now);
        }
        self.screen.update_one(index, label, progress);
        let line = match self.running.values().next() {
            Some((label, alone)) if self.running.len() == 1 && !self.screen.shows_each() => {
                let position = messages::position(self.ended + 1, self.count);
                format!("{position} {label}: {}", messages::progress(alone))
            }
            _ => messages::together(&self.together(now)),
        };
        self.screen.update_all(self.ended, self.count, line, now);
    }

    /// The `index`-th download has ended.
    pub(crate) fn end(&mut self, index: usize, received: u64) {
        self.running.remove(&index);
        self.screen.end(index);
        self.ended += 1;
        self.received += received;
    }

    /// Does something that writes to the terminal, with the bar out of the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.screen.aside(write)
    }

    /// Takes the bar away: what comes now is final.
    pub(crate) fn close(&mut self) {
        self.screen.close();
    }

    fn together(&mut self, now: Instant) -> Together {
        let running = || self.running.values().map(|(_, progress)| progress);
        let received = self.received + running().map(|progress| progress.received).sum::<u64>();
        let connections = running().map(|progress| progress.connections).sum();
        Together {
            ended: self.ended,
            count: self.count,
            running: self.running.len(),
            received,
            rate: self.rate(received, now),
            connections,
        }
    }

    /// Bytes per second: of many that are short none has a rate that says much.
    fn rate(&mut self, received: u64, now: Instant) -> f64 {
        while self.samples.len() > 1
            && self.samples.front().is_some_and(|(then, _)| now.duration_since(*then) > RATE_MEMORY)
        {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(then, _)| now.duration_since(*then) >= RATE_MEMORY / 30) {
            self.samples.push_back((now, received));
        }
        let since = self
            .samples
            .front()
            .map(|(then, bytes)| (now.duration_since(*then), received.saturating_sub(*bytes)));
        since.and_then(|(time, bytes)| super::human::mean_rate(bytes, time)).unwrap_or_default()
    }
}
