//! The download command: each download in its turn, driven by its events, the clock and signals.

use std::pin::Pin;
use std::time::{Duration, Instant};
use std::{io, thread};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use haul::{Download, ErrorKind, Remains, Report};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, Sleep, interval_at, sleep};

use super::board::{Board, SharedBoard};
use super::events;
use super::exit::{ExitCode, Failure};
use super::observer::Observer;
use super::output;
use super::queue::{Feed, Item};
use super::resolve::{Config, Feedback, Verbosity};
use super::signals::Signals;
use super::tally::Tally;

/// So long after a signal the download is not waited for any more: its disk does not answer.
const AT_LAST: Duration = Duration::from_millis(1750);

/// How often progress is looked at: as often as the library refreshes it.
const TICK: Duration = Duration::from_millis(100);

/// Downloads everything, so many at once. The exit code is that of the first in order that failed; a signal ends the
/// whole command and comes before that.
pub(crate) fn download(config: Config) -> Result<ExitCode, Failure> {
    run_to_end(async {
        let began = Instant::now();
        let signals = Signals::listen().map_err(|error| Failure::io("haul", "listen for signals", &error))?;
        let Config { queue, at_once, feedback, skips } = config;
        let (count, feed) = (queue.len(), queue.start()?);
        let board = SharedBoard::new(Board::new(feedback.progress, count));
        // A task like the downloads: who wakes it is where it runs.
        let all = tokio::spawn(run_all(feed, at_once, board.clone(), feedback, signals.clone()));
        let (tally, started) =
            all.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        board.lock().close();
        if count != Some(1) {
            sum_up(&tally, began.elapsed(), feedback, skips);
        }
        // One that came when everything was done came too late.
        let stopped = signals.stopped().filter(|_| tally.is_cut_short() || count != Some(started));
        Ok(stopped.unwrap_or(tally.exit_code()))
    })
}

/// How they ended, and how many were begun.
async fn run_all(
    mut feed: Feed,
    at_once: usize,
    board: SharedBoard,
    feedback: Feedback,
    mut signals: Signals,
) -> (Tally, usize) {
    let (mut tally, mut running) = (Tally::default(), FuturesUnordered::new());
    let (mut begun, mut more) = (0, true);
    loop {
        tokio::select! {
            biased;
            Some((index, ended)) = running.next() => tally.note(index, &ended),
            _ = signals.first(), if more => more = false,
            item = feed.next(), if more && running.len() < at_once => match item {
                Some(item) => {
                    running.push(run(begun, item, board.clone(), feedback, signals.clone()));
                    begun += 1;
                }
                None => more = false,
            },
            else => return (tally, begun),
        }
    }
}

fn sum_up(tally: &Tally, elapsed: Duration, feedback: Feedback, skips: bool) {
    if feedback.json.is_some() {
        events::summary(tally, elapsed);
    } else if feedback.verbosity > Verbosity::Quiet {
        tally.summary(elapsed, skips).iter().for_each(|line| output::stderr(line));
    }
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

/// Runs the `index`-th download to its end, and tells of it.
async fn run(
    index: usize,
    item: Item,
    board: SharedBoard,
    feedback: Feedback,
    mut signals: Signals,
) -> (usize, Result<Report, Failure>) {
    let Item { place, download } = item;
    let name = |download: &Download| download.url();
    let url =
        download.as_ref().map_or_else(|_| place.as_ref().map_or_else(String::new, ToString::to_string), name);
    let part = download.as_ref().ok().and_then(Download::part);
    let mut observer = Observer::new(board, index, (url, part), feedback);
    let ended = match download {
        Ok(download) => drive(download, &mut observer, &mut signals).await,
        Err(failure) => Err(failure),
    };
    observer.ended(&ended);
    (index, ended)
}

async fn drive(
    download: Download,
    observer: &mut Observer,
    signals: &mut Signals,
) -> Result<Report, Failure> {
    let mut handle = download.start();
    let (mut events, progress, controller) = (handle.events(), handle.progress(), handle.controller());
    let map = observer.shows_map().then(|| handle.map());
    let mut ticks = interval_at(tokio::time::Instant::now() + TICK, TICK);
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
                let map = map.as_ref().map(|map| map.borrow());
                observer.progress(&now, map.as_deref().map_or(&[], Vec::as_slice), Instant::now());
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
