//! What happens during a download, as it happens.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};

use super::report::Mode;
use crate::object::Validator;

/// Something that happened. Progress is not among it: that is a state, to be watched.
///
/// ```
/// fn describe(event: &haul::Event) -> String {
///     match event {
///         haul::Event::Retry { reason, wait, .. } => format!("{reason}; again in {wait:?}"),
///         haul::Event::Restarted { reason } => format!("starting over: {reason}"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The object is known and bytes begin to come. Comes again after a restart.
    Started {
        /// Bytes to be had; `None` where the server does not say.
        length: Option<u64>,
        /// The unit of the checkpoint in bytes; 0 in a single stream.
        segment_size: u64,
        /// How many segments there are; 0 in a single stream.
        segments: usize,
        /// Bytes that an earlier run left in place.
        resumed: u64,
        /// Requests at once.
        jobs: usize,
        /// What a resume would go by.
        validator: Option<Validator>,
        /// Ranges or one stream, and why.
        mode: Mode,
        /// The target; `None` when everything is discarded.
        path: Option<PathBuf>,
    },
    /// A request failed and will be repeated.
    Retry {
        /// The segment it was at; `None` where there are no segments yet.
        segment: Option<usize>,
        /// What went wrong, in words, without secrets.
        reason: String,
        /// How long until it is repeated.
        wait: Duration,
    },
    /// Everything that was fetched is of no use and the download starts over.
    Restarted {
        /// Why, in words.
        reason: String,
    },
    /// Something that a person may want to know.
    Note {
        /// What, in words.
        message: String,
    },
}

/// The events of one download, in order.
///
/// ```
/// async fn print(mut events: haul::Events) {
///     while let Some(event) = events.next().await {
///         println!("{event:?}");
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` when the download has ended. Who falls more than 256 events behind misses the
    /// oldest.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let mut handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
    /// let mut events = handle.events();
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
