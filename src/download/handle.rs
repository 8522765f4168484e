//! The caller's end of a running download.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::control::{Command, Control};
use super::event::Events;
use super::map::Cell;
use super::progress::Progress;
use super::report::Report;
use super::reporter::Reporter;
use super::request::{Remains, Request};
use super::session;
use crate::error::{Error, ErrorKind, Result};

/// How many events are kept for a reader who is slow.
const EVENTS: usize = 256;

/// A running download: await it for its [`Report`], watch it, steer it. Dropping it cancels the download and
/// keeps what is there.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
/// let report = handle.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Handle {
    controller: Controller,
    progress: watch::Receiver<Progress>,
    map: watch::Sender<Vec<Cell>>,
    events: broadcast::Receiver<super::event::Event>,
    task: JoinHandle<Result<Report>>,
}

/// Steers a download from elsewhere; the handle stays awaited where it is.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
/// let controller = handle.controller();
/// tokio::spawn(async move {
///     tokio::time::sleep(std::time::Duration::from_secs(60)).await;
///     controller.cancel(haul::Remains::Keep);
/// });
/// let outcome = handle.await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Controller(Arc<watch::Sender<Command>>);

impl Controller {
    /// Stops fetching, makes what is there durable, and waits. Connections are closed.
    ///
    /// ```no_run
    /// fn steer(controller: &haul::Controller) {
    ///     controller.pause();
    /// }
    /// ```
    pub fn pause(&self) {
        self.tell(Command::Pause);
    }

    /// Goes on after a pause.
    ///
    /// ```no_run
    /// fn steer(controller: &haul::Controller) {
    ///     controller.resume();
    /// }
    /// ```
    pub fn resume(&self) {
        self.tell(Command::Run);
    }

    /// Ends the download with [`ErrorKind::Cancelled`]. There is no way back.
    ///
    /// ```no_run
    /// fn steer(controller: &haul::Controller) {
    ///     controller.cancel(haul::Remains::Delete);
    /// }
    /// ```
    pub fn cancel(&self, remains: Remains) {
        self.tell(Command::Cancel(remains));
    }

    fn tell(&self, command: Command) {
        self.0.send_if_modified(|now| {
            let changes = *now != command && !matches!(now, Command::Cancel(_));
            if changes {
                *now = command;
            }
            changes
        });
    }
}

impl Handle {
    pub(super) fn start(request: Arc<Request>) -> Self {
        let (commands, control) = watch::channel(Command::Run);
        let (progress_sender, progress) = watch::channel(Progress::default());
        let (event_sender, events) = broadcast::channel(EVENTS);
        let map = watch::Sender::default();
        let reporter = Reporter::new(progress_sender, map.clone(), event_sender);
        let task = tokio::spawn(session::run(request, Control::new(control), reporter));
        Self { controller: Controller(Arc::new(commands)), progress, map, events, task }
    }

    /// The progress, to be watched. It changes about ten times a second.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
    /// let progress = handle.progress();
    /// println!("{} bytes in place", progress.borrow().in_place);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Where the object's segments are, as some hundreds of cells in their order, to be watched; it costs a little as long
    /// as somebody does. Empty as long as nothing is known, and of an object that comes in one stream.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
    /// let map = handle.map();
    /// let coming: usize = map.borrow().iter().map(|cell| cell.in_flight).sum();
    /// println!("{coming} segments are on their way");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn map(&self) -> watch::Receiver<Vec<Cell>> {
        self.map.subscribe()
    }

    /// The events from the start of the download on, or from the last call on.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let mut handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
    /// let mut events = handle.events();
    /// let first = events.next().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&mut self) -> Events {
        let later = self.events.resubscribe();
        Events::new(std::mem::replace(&mut self.events, later))
    }

    /// A second end to steer by.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/x").build()?.start();
    /// let controller = handle.controller();
    /// controller.pause();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn controller(&self) -> Controller {
        self.controller.clone()
    }

    /// See [`Controller::pause`].
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/x").build()?.start();
    /// handle.pause();
    /// # Ok(())
    /// # }
    /// ```
    pub fn pause(&self) {
        self.controller.pause();
    }

    /// See [`Controller::resume`].
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/x").build()?.start();
    /// handle.pause();
    /// handle.resume();
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&self) {
        self.controller.resume();
    }

    /// See [`Controller::cancel`].
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/x").build()?.start();
    /// handle.cancel(haul::Remains::Keep);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self, remains: Remains) {
        self.controller.cancel(remains);
    }
}

impl Future for Handle {
    type Output = Result<Report>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context).map(|ended| {
            ended.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Internal, "the download panicked").caused_by(error))
            })
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cancel(Remains::Keep);
    }
}
