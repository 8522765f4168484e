//! What the caller wants of a running download, as the download sees it.

use tokio::sync::watch;

use super::request::Remains;
use crate::error::{Error, ErrorKind};

/// The caller's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Pause,
    Cancel(Remains),
}

/// The download's end of the caller's commands.
#[derive(Clone, Debug)]
pub(crate) struct Control(watch::Receiver<Command>);

impl Control {
    pub(crate) fn new(receiver: watch::Receiver<Command>) -> Self {
        Self(receiver)
    }

    /// Waits until the caller cancels; a caller who is gone has cancelled.
    pub(crate) async fn cancelled(&self) -> Error {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|command| matches!(command, Command::Cancel(_))).await;
        Error::new(ErrorKind::Cancelled, "stopped")
    }

    pub(crate) fn command(&self) -> Command {
        *self.0.borrow()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.command() == Command::Pause
    }

    /// Waits until the caller pauses.
    pub(crate) async fn paused(&self) {
        self.wait_for(Command::Pause).await;
    }

    /// Waits until the caller lets it run.
    pub(crate) async fn running(&self) {
        self.wait_for(Command::Run).await;
    }

    /// Never comes true once the caller is gone: [`cancelled`](Self::cancelled) does then.
    async fn wait_for(&self, wanted: Command) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|command| *command == wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
