//! Signals: the first asks the download to stop and keep what is there, the second ends the process.
//!
//! A task of its own listens, so that the second signal works even while the command itself hangs, in a write to
//! a pipe that nobody reads, say.

use std::{fs, io, process};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::exit::ExitCode;

/// The signals that stop a download.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The first one that came, as the exit code that says so.
    first: watch::Receiver<Option<ExitCode>>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM, SIGHUP, SIGXFSZ and SIGBUS, for the rest of the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, first) = watch::channel(None);
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = if started_by_nohup() { None } else { Some(signal(SignalKind::hangup())?) };
        // H54: a file-size limit is then an error (EFBIG) that names the file, and not the end of the process.
        // tokio keeps its handler when the listener is dropped.
        drop(signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        // H53: so is a part file that someone has truncated.
        haul::catch_bus_errors();
        tokio::spawn(watch_for(interrupt, terminate, hangup, sender));
        Ok(Self { first })
    }

    /// Whether a signal came, and which, as an exit code.
    pub(crate) fn stopped(&self) -> Option<ExitCode> {
        *self.first.borrow()
    }

    /// Waits for the first signal; at once where it came before.
    pub(crate) async fn first(&mut self) {
        if self.first.wait_for(Option::is_some).await.is_err() {
            // Nobody listens any more, so no signal ever comes.
            std::future::pending::<()>().await;
        }
    }
}

async fn watch_for(
    mut interrupt: Signal,
    mut terminate: Signal,
    mut hangup: Option<Signal>,
    first: watch::Sender<Option<ExitCode>>,
) {
    loop {
        let code = tokio::select! {
            _ = interrupt.recv() => ExitCode::Interrupted,
            _ = terminate.recv() => ExitCode::Terminated,
            () = next(hangup.as_mut()) => ExitCode::HungUp,
        };
        if first.borrow().is_some() {
            process::exit(code.number().into());
        }
        first.send_replace(Some(code));
    }
}

async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// nohup ignores SIGHUP before it starts us, and listening would undo that.
fn started_by_nohup() -> bool {
    // Linux only, and without it the signal stops us: what is there is kept.
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, Number::HUP.as_raw()))
}

/// Whether `proc_pid_status(5)` says that a signal is ignored.
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask() {
        let status =
            |mask: &str| format!("Name:\thaul\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores(&status("0000000000000001"), 1));
        assert!(ignores(&status("0000000000001001"), 1));
        assert!(!ignores(&status("0000000000001000"), 1));
        assert!(ignores(&status("0000000000001000"), 13));
        assert!(!ignores("Name:\thaul\n", 1));
        assert!(!ignores(&status("nonsense"), 1));
    }
}
