//! What goes wrong in a transfer, and what comes of it: a request, a worker, the disk.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Coordinator, Turn};
use crate::download::committer::Trouble;
use crate::download::failures::Failure;
use crate::download::worker::{Again, Failed, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::http::fetch::Body;
use crate::http::retry::{Fault, Stage, Verdict, verdict};
use crate::sources::GIVEN;

impl Coordinator<'_> {
    /// Lets a worker ask again.
    pub(super) fn go_on(reply: oneshot::Sender<Again>, source: Source, wait: Duration, body: Option<Body>) {
        // Only a worker that panicked does not listen, and `on_panic` hears of that.
        let _ = reply.send(Again { wait, source, body });
    }

    pub(super) fn on_fault(&mut self, failed: Failed) -> Result<Option<Turn>> {
        let Failed { worker, segment, progressed, fault, reply, .. } = failed;
        let Failure { before, others_go_on } = self.failures.note(segment, progressed);
        let in_vain = if progressed { 0 } else { before + 1 };
        let wait_after = |asked| self.job.request.wait_after(&fault, in_vain, asked);
        let wait = match verdict(&fault, Stage::Fetching, before) {
            Verdict::Retry => wait_after(None)?,
            Verdict::Throttle(asked) => {
                let wait = wait_after(asked)?;
                self.throttle.back_off(wait, self.crew.running(&self.scheduler), Instant::now());
                self.job.admission.iter().for_each(|admission| admission.refused(wait));
                wait
            }
            Verdict::Probe => return Ok(Some(Turn::Look(fault))),
            Verdict::Degrade => return Ok(Some(Turn::Stream(fault.to_string()))),
            Verdict::Stop(kind) => return self.forgo(self.gave_up(kind, &fault)).map(|()| None),
        };
        if fault == Fault::Drip {
            self.throttle.make_do_with_one_fewer(Instant::now());
        }
        if before >= self.job.request.retries {
            // The server may take others and not this one: it wants fewer connections (H47).
            if !others_go_on || !self.throttle.give_one_up(Instant::now()) {
                self.failures.forget(segment);
                return self.forgo(self.gave_up(ErrorKind::Network, &fault)).map(|()| None);
            }
            self.failures.forget(segment);
        }
        // Whatever went wrong here, the origin may have asked to be left alone.
        let wait = wait.max(self.throttle.pause_left(Instant::now()));
        self.job.reporter.retry(Some(segment), fault.to_string(), wait);
        // With more at work than the limit allows this one lets go: its reply is dropped.
        if self.scheduler.leased() <= self.limit() {
            self.roster.fail(GIVEN, false);
            let source = self.roster.take_over(worker, GIVEN);
            // It is the given one that is to be left alone.
            let wait = if source.id == GIVEN { wait } else { Duration::ZERO };
            Self::go_on(reply, source, wait, None);
        }
        self.crew.begin_anew(worker);
        Ok(None)
    }

    /// A worker that panics costs its segment, no more, and another takes its place (H67). One segment that
    /// brings down worker after worker ends the run.
    pub(super) fn on_panic(&mut self, panic: JoinError) -> Result<Option<Turn>> {
        // What it had told still counts, and none of that is asked for again.
        while let Ok(message) = self.inbox.try_recv() {
            let ended = self.on_message(message)?;
            if ended.is_some() {
                return Ok(ended);
            }
        }
        let ledger = &self.files.ledger;
        let worker = self.tasks.remove(&panic.id()).expect("every task is a worker's");
        let segment = self.scheduler.release(worker, |index| ledger.complete().get(index));
        let once_more =
            |segment: &usize| self.failures.note(*segment, false).before < self.job.request.retries;
        let Some(segment) = segment.filter(once_more) else {
            return Err(Error::new(ErrorKind::Internal, "a worker panicked").caused_by(panic));
        };
        self.job.reporter.retry(Some(segment), "a worker panicked".to_owned(), Duration::ZERO);
        self.hire(worker);
        Ok(None)
    }

    pub(super) fn gave_up(&self, kind: ErrorKind, fault: &Fault) -> Error {
        Error::new(kind, fault.to_string()).at(&self.job.way.url)
    }

    /// Something failed behind the transfer's back.
    pub(super) fn on_trouble(&mut self, trouble: Trouble) -> Result<Turn> {
        match trouble {
            Trouble::Checkpoint(error) => Err(error),
            Trouble::Sync { durable, error } => {
                self.files.lose_all_but(&durable);
                Ok(Turn::Rewrite(error))
            }
        }
    }
}
