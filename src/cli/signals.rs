//! Signals: the first asks the download to stop and keep what is there, the second ends the process.
//!
//! A thread of its own listens, so that signals are heard even while the command hangs: in a write to a pipe that
//! nobody reads, or in one to a disk that does not answer. The first has promised an end within two seconds; what is
//! not over by then is ended where it is.

use std::time::Duration;
use std::{fs, io, process, thread};

use rustix::process::Signal as Number;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::exit::ExitCode;

/// So long after the first signal the process ends, whatever hangs.
const AT_LAST: Duration = Duration::from_millis(1900);

/// The signals that stop a download.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// The first one that came, as the exit code that says so.
    first: watch::Receiver<Option<ExitCode>>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM, SIGHUP, SIGXFSZ and SIGBUS, for the rest of the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, first) = watch::channel(None);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let listeners = Listeners {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if started_by_nohup() { None } else { Some(signal(SignalKind::hangup())?) },
        };
        // H54: a file-size limit is then an error (EFBIG) that names the file, and not the end of the process.
        // tokio keeps its handler when the listener is dropped.
        drop(signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        // H53: so is a part file that someone has truncated.
        haul::catch_bus_errors();
        drop(inside);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watch_for(listeners, sender)))?;
        Ok(Self { first })
    }

    /// Whether a signal came, and which, as an exit code.
    pub(crate) fn stopped(&self) -> Option<ExitCode> {
        *self.first.borrow()
    }

    /// Waits for the first signal; at once where it came before.
    pub(crate) async fn first(&mut self) -> ExitCode {
        match self.first.wait_for(Option::is_some).await.map(|code| *code) {
            Ok(Some(code)) => code,
            // Nobody listens any more, so no signal ever comes.
            _ => std::future::pending().await,
        }
    }
}

#[derive(Debug)]
struct Listeners {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Listeners {
    /// The next signal, as the exit code that says so.
    async fn next(&mut self) -> ExitCode {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::Interrupted,
            _ = self.terminate.recv() => ExitCode::Terminated,
            () = hangup => ExitCode::HungUp,
        }
    }
}

async fn watch_for(mut listeners: Listeners, first: watch::Sender<Option<ExitCode>>) {
    let code = listeners.next().await;
    first.send_replace(Some(code));
    let second = timeout(AT_LAST, listeners.next()).await.unwrap_or(code);
    process::exit(second.number().into());
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
