//! Bytes that go out in their order while they are fetched out of order: a window of them is in memory.

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::range::Segments;

/// So many segments are in a window: what is out makes room for what is next in steps of that.
const STEPS: u64 = 64;

/// Where the bytes go, and how many wait for their turn in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piped {
    pub(crate) sink: Sink,
    pub(crate) window: u64,
}

impl Piped {
    /// The unit in which the window moves on.
    pub(crate) fn segment_size(&self) -> u64 {
        let step = (self.window / STEPS).max(1);
        // The power of two below it.
        (step / 2 + 1).next_power_of_two().clamp(Segments::MIN_SIZE, Segments::MAX_SIZE)
    }
}

/// What takes the bytes. Two are equal if they are one.
#[derive(Clone)]
pub(crate) struct Sink(Arc<Mutex<dyn Write + Send>>);

impl Sink {
    pub(crate) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.write_all(bytes).and_then(|()| writer.flush());
        written.map_err(|error| {
            Error::new(ErrorKind::Local, format!("cannot write what was fetched: {error}")).caused_by(error)
        })
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl PartialEq for Sink {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Sink {}

/// How far the bytes are out, and what there is room for.
#[derive(Debug)]
pub(crate) struct Outflow {
    out: watch::Receiver<u64>,
    window: u64,
    /// There was room for the segments before this one when that was asked last.
    opened: usize,
}

impl Outflow {
    pub(crate) fn new(out: watch::Receiver<u64>, window: u64) -> Self {
        Self { out, window, opened: 0 }
    }

    /// Whether no more will go out.
    pub(crate) fn is_closed(&self) -> bool {
        self.out.has_changed().is_err()
    }

    /// The segments that there is room for now, and was none for when this was asked before.
    pub(crate) fn open(&mut self, segments: Segments) -> Range<usize> {
        let horizon = self.out.borrow().saturating_add(self.window);
        let end = if horizon >= segments.length() {
            segments.count()
        } else {
            usize::try_from(horizon / segments.size()).unwrap_or(usize::MAX)
        };
        let before = std::mem::replace(&mut self.opened, end);
        before..end
    }

    /// Waits until more is out; `false` where there will be no more.
    pub(crate) async fn moved(&mut self) -> bool {
        self.out.changed().await.is_ok()
    }

    /// Waits until there is room for the bytes before `end`; `false` where there will be none.
    pub(crate) async fn room(&mut self, end: u64) -> bool {
        let window = self.window;
        self.out.wait_for(|out| end <= out.saturating_add(window)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piped(window: u64) -> Piped {
        Piped { sink: Sink::new(Vec::new()), window }
    }

    #[test]
    fn a_window_has_many_segments_and_none_is_too_small() {
        assert_eq!(piped(64 << 20).segment_size(), 1 << 20);
        assert_eq!(piped(100 << 20).segment_size(), 1 << 20);
        assert_eq!(piped(1 << 20).segment_size(), Segments::MIN_SIZE);
        assert_eq!(piped(u64::MAX).segment_size(), Segments::MAX_SIZE);
    }

    #[tokio::test]
    async fn what_is_out_makes_room_for_what_is_next() {
        let (tell, out) = watch::channel(0);
        let mut outflow = Outflow::new(out, 256 << 10);
        let segments = Segments::new(1_000_000, 64 << 10).unwrap();
        assert_eq!(outflow.open(segments), 0..4);
        tell.send_replace((128 << 10) - 1);
        assert!(outflow.moved().await);
        assert_eq!(outflow.open(segments), 4..5);
        assert_eq!(outflow.open(segments), 5..5);
        assert!(outflow.room((384 << 10) - 1).await);
        tell.send_replace(900_000);
        assert_eq!(outflow.open(segments), 5..segments.count());
        drop(tell);
        assert!(!outflow.room(u64::MAX).await);
    }
}
