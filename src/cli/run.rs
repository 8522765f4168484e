//! The download command: each URL in its turn, driven by its events, the clock and signals.

use std::pin::Pin;
use std::time::{Duration, Instant};
use std::{io, thread};

use haul::{Download, ErrorKind, Event, Progress, Remains, Report};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, Sleep, interval, sleep};

use super::events::Journal;
use super::exit::{ExitCode, Failure};
use super::progress::Screen;
use super::resolve::{Config, Feedback, Verbosity};
use super::signals::Signals;
use super::{messages, output};

/// So long after a signal the download is not waited for any more: its disk does not answer.
const AT_LAST: Duration = Duration::from_millis(1750);

/// How often progress is looked at: as often as the library refreshes it.
const TICK: Duration = Duration::from_millis(100);

/// Downloads everything, one after the other. The exit code is that of the first that failed; a signal ends the
/// whole command and comes before that.
pub(crate) fn download(config: Config) -> Result<ExitCode, Failure> {
    run_to_end(async {
        let mut signals =
            Signals::listen().map_err(|error| Failure::io("haul", "listen for signals", &error))?;
        let mut first_failed = ExitCode::Success;
        for download in config.downloads {
            let code = run(download, config.feedback, &mut signals).await;
            if first_failed == ExitCode::Success {
                first_failed = code;
            }
            if let Some(stopped) = signals.stopped().filter(|_| code != ExitCode::Success) {
                return Ok(stopped);
            }
        }
        Ok(first_failed)
    })
}

/// Threads that wait for the disk: windows being populated, a sync, claims being read. More of them would not
/// make the disk faster, and each has a stack and an arena of its own.
const BLOCKING: usize = 8;

/// Runs the command. What still waits for the disk at its end is not waited for: a signal has promised an end.
pub(crate) fn run_to_end<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}

/// A runtime for what is mostly waiting: more threads would only hand work around.
fn runtime() -> Result<Runtime, Failure> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get().min(4));
    let runtime: io::Result<_> = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build();
    runtime.map_err(|error| Failure::io("haul", "start its threads", &error))
}

async fn run(download: Download, feedback: Feedback, signals: &mut Signals) -> ExitCode {
    let mut observer = Observer::new(download.url(), feedback);
    let ended = drive(download, &mut observer, signals).await;
    match ended {
        Ok(report) => observer.done(&report),
        Err(failure) => observer.failed(&failure),
    }
}

async fn drive(
    download: Download,
    observer: &mut Observer,
    signals: &mut Signals,
) -> Result<Report, Failure> {
    let mut handle = download.start();
    let (mut events, progress, controller) = (handle.events(), handle.progress(), handle.controller());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = None;
    loop {
        tokio::select! {
            // In this order: what happened is told before the end, and the end before how far it is.
            biased;
            Some(event) = events.next() => observer.event(&event),
            ended = &mut handle => {
                while let Some(event) = events.next().await {
                    observer.event(&event);
                }
                return ended.map_err(|error| match (error.kind(), signals.stopped()) {
                    (ErrorKind::Cancelled, Some(code)) => stopped(code, error.checkpoint().is_some()),
                    _ => error.into(),
                });
            }
            code = signals.first(), if stopping.is_none() => {
                stopping = Some((code, Box::pin(sleep(AT_LAST))));
                controller.cancel(Remains::Keep);
            }
            code = overdue(stopping.as_mut()) => return Err(hanging(code)),
            _ = ticks.tick() => {
                let now = *progress.borrow();
                observer.progress(&now, Instant::now());
            }
        }
    }
}

/// Comes true where a signal came so long ago that nothing is waited for.
async fn overdue(stopping: Option<&mut (ExitCode, Pin<Box<Sleep>>)>) -> ExitCode {
    let Some((code, at_last)) = stopping else { return std::future::pending().await };
    at_last.await;
    *code
}

fn hanging(code: ExitCode) -> Failure {
    Failure::new(
        code,
        "stopped while the disk does not answer; the same command again goes on from what it has",
    )
}

fn stopped(code: ExitCode, kept: bool) -> Failure {
    let message = if kept {
        "stopped; run the same command again to resume"
    } else {
        "stopped; there is nothing to resume from"
    };
    Failure::new(code, message)
}

/// Tells people and programs about one download.
#[derive(Debug)]
struct Observer {
    /// What the download is called: its URL, then its target.
    label: String,
    verbosity: Verbosity,
    screen: Screen,
    journal: Option<Journal>,
}

impl Observer {
    fn new(url: String, feedback: Feedback) -> Self {
        Self {
            journal: feedback.json.then(|| Journal::new(url.clone())),
            label: url,
            verbosity: feedback.verbosity,
            screen: Screen::new(feedback.progress),
        }
    }

    fn event(&mut self, event: &Event) {
        if let Event::Started { path: Some(path), .. } = event {
            self.label = messages::label(path);
        }
        let lines = messages::on_event(&self.label, event, self.verbosity);
        self.screen.aside(|| {
            for line in &lines {
                output::stderr(line);
            }
            self.journal.iter_mut().for_each(|journal| journal.event(event));
        });
    }

    fn progress(&mut self, progress: &Progress, now: Instant) {
        self.screen.update(&self.label, progress, now);
        if let Some(journal) = &mut self.journal {
            self.screen.aside(|| journal.progress(progress, now));
        }
    }

    /// With `--json` the event is the summary.
    fn done(mut self, report: &Report) -> ExitCode {
        self.screen.close();
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
        ExitCode::Success
    }

    fn failed(mut self, failure: &Failure) -> ExitCode {
        self.screen.close();
        self.journal.iter_mut().for_each(|journal| journal.error(failure));
        failure.report(self.verbosity == Verbosity::Verbose);
        failure.code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_whether_there_is_something_to_resume() {
        assert_eq!(
            stopped(ExitCode::Terminated, true).message,
            "stopped; run the same command again to resume"
        );
        assert!(stopped(ExitCode::Interrupted, false).message.contains("nothing to resume"));
        assert_eq!(stopped(ExitCode::HungUp, true).code, ExitCode::HungUp);
    }
}
