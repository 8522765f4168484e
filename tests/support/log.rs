//! What the server has seen and sent, and waiting for it.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One request, as it arrived, and what became of it so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Number of the connection, from 0, in the order of acceptance.
    pub connection: u64,
    /// How many GETs of the resource came before this request.
    pub number: u64,
    /// `GET`, `HEAD`…
    pub method: String,
    /// The request target, with its query.
    pub path: String,
    /// Names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The inclusive range that was asked for; open ends are filled in from the object's length.
    pub range: Option<(u64, u64)>,
    /// 0 until (or unless) it is answered.
    pub status: u16,
    /// What followed the head, without chunk framing; see [`Server::body_bytes`](super::Server::body_bytes).
    pub body_bytes: u64,
}

impl Seen {
    /// The first value of this header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// The first value of a header.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Everything seen, behind one lock that connections take for moments only.
#[derive(Default, Debug)]
pub struct Log {
    state: Mutex<State>,
    changed: Condvar,
}

/// The numbers a test can ask for or wait for.
#[derive(Default, Debug)]
pub struct State {
    /// In the order of arrival.
    pub seen: Vec<Seen>,
    /// GETs among them.
    pub gets: usize,
    /// Sum over all responses.
    pub body_bytes: u64,
    /// Connections ever accepted.
    pub connections: u64,
    /// Most requests that were being answered at the same time.
    pub peak: usize,
    /// Requests that are being answered now.
    pub answering: usize,
}

impl Log {
    /// The numbers as they are now.
    pub fn read(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain counters behind; it is reported when the server stops.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection and numbers it.
    pub fn connected(&self) -> u64 {
        let mut state = self.read();
        state.connections += 1;
        state.connections - 1
    }

    /// Enters a request that is being answered until the entry is dropped.
    pub fn enter(&self, seen: Seen) -> Entry<'_> {
        let mut state = self.read();
        state.gets += usize::from(seen.method == "GET");
        state.seen.push(seen);
        state.answering += 1;
        state.peak = state.peak.max(state.answering);
        self.changed.notify_all();
        Entry { log: self, index: state.seen.len() - 1, left: Cell::new(false) }
    }

    /// Waits until `reached`; false when the time was over first.
    pub fn wait(&self, timeout: Duration, reached: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.read(), timeout, |state| !reached(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        reached(&state)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Entry<'a> {
    log: &'a Log,
    index: usize,
    left: Cell<bool>,
}

impl Entry<'_> {
    /// What it is answered with.
    pub fn status(&self, status: u16) {
        self.log.read().seen[self.index].status = status;
    }

    /// Counts body bytes, before they are written: a client that has them must find them counted.
    pub fn count(&self, bytes: u64) {
        let mut state = self.log.read();
        state.seen[self.index].body_bytes += bytes;
        state.body_bytes += bytes;
        self.log.changed.notify_all();
    }

    /// Takes back what the socket did not take after all.
    pub fn uncount(&self, bytes: u64) {
        let mut state = self.log.read();
        state.seen[self.index].body_bytes -= bytes;
        state.body_bytes -= bytes;
    }

    /// No longer counts as being answered. Said before the last bytes are written: a client that has
    /// them and turns to another connection must not be taken for two.
    pub fn leave(&self) {
        if !self.left.replace(true) {
            self.log.read().answering -= 1;
            self.log.changed.notify_all();
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
