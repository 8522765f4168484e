//! Mirrors come, fail, and are caught lying.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, BoxFuture, FutureExt};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::sleep;

use super::Coordinator;
use crate::download::mirrors::Looked;
use crate::download::reporter::Reporter;
use crate::download::request::Request;
use crate::download::worker::Failed;
use crate::error::{Error, ErrorKind, Result};
use crate::http::fetch::Fetcher;
use crate::http::retry::{Fault, Stage, Verdict, verdict};
use crate::range::ByteRange;
use crate::sources::{Fate, SourceId};

/// So many segments of a mirror are compared at the end.
const SAMPLES: usize = 8;
/// So many of these are the last that came from it: who turned bad has those wrong.
const LAST: usize = 2;
/// So many are asked for at once.
const AT_ONCE: usize = 4;

impl Coordinator<'_> {
    /// A mirror was looked at.
    pub(super) fn on_mirror(&mut self, Looked { id, found }: Looked) {
        match found {
            Ok(proved) => {
                // Leases are long: whoever is to ask it does so now, where it is.
                for worker in self.roster.join(id, proved) {
                    self.crew.call_off(worker);
                }
            }
            Err(why) => self.job.reporter.note(format!("a mirror is not used: {why}")),
        }
    }

    /// Another source goes on where a mirror failed.
    pub(super) fn on_mirror_fault(&mut self, failed: Failed) {
        let Failed { worker, segment, fault, source, reply, .. } = failed;
        let may_pass = matches!(verdict(&fault, Stage::Fetching, 0), Verdict::Retry | Verdict::Throttle(_));
        // Whom it turns away while it serves others is one too many, and no failure.
        let crowded = fault.is_throttle() && self.roster.refuse(source.id);
        if !crowded && self.roster.fail(source.id, !may_pass) == Fate::Dropped {
            self.note(source.id, &format!("{fault}: it is asked no more"));
        }
        self.job.reporter.retry(Some(segment), fault.to_string(), Duration::ZERO);
        self.crew.begin_anew(worker);
        let other = self.roster.take_over(worker, source.id);
        Self::go_on(reply, other, Duration::ZERO, None);
    }

    /// The URL that was given is of no more use: the mirrors go on without it, if there are any.
    pub(super) fn forgo(&mut self, error: Error) -> Result<()> {
        let was_open = self.roster.is_given_open();
        if !self.roster.close_given() {
            return Err(error);
        }
        if was_open {
            self.job.reporter.note(format!("{error}: the mirrors go on without it"));
        }
        Ok(())
    }

    /// Compares some of what came from mirrors with what the URL that was given has. A mirror that lied is asked no more,
    /// and everything that came from it is missing again: whether there is such.
    pub(super) async fn audit(&mut self) -> Result<bool> {
        for id in self.roster.mirrors() {
            let its = self.files.of_source(id);
            if its.is_empty() {
                continue;
            }
            match self.compared(id, &its).await {
                Ok(false) => {}
                Ok(true) => self.on_lie(id, its)?,
                Err(why) => self.note(id, &format!("what it sent could not be compared: {why}")),
            }
        }
        Ok(!self.files.ledger.is_whole())
    }

    /// Whether it lied; or why nobody can tell.
    async fn compared(&mut self, id: SourceId, its: &[usize]) -> Result<bool, String> {
        loop {
            let judge = self.judge(id, its).ok_or("no other source is left")?;
            match judge.finds_a_lie().await {
                // Nor is it waited for again.
                Err(_) if self.roster.is_given_open() && self.roster.close_given() => {}
                found => return found.map_err(|fault| fault.to_string()),
            }
        }
    }

    fn on_lie(&mut self, id: SourceId, its: Vec<usize>) -> Result<()> {
        self.roster.drop(id);
        if self.outflow.is_some() {
            let message = "it sent other bytes, and what is out cannot be taken back";
            return Err(Error::new(ErrorKind::Corrupt, message).at(&self.job.request.mirrors[id - 1]));
        }
        self.note(id, "it sent other bytes: what came from it is fetched again");
        for index in its {
            self.files.refute(index);
            self.scheduler.put_back(index..index + 1);
        }
        self.dirty = true;
        self.dispatch();
        Ok(())
    }

    /// Who is to judge a mirror, and by which segments; `None` where nobody is left.
    fn judge(&self, id: SourceId, its: &[usize]) -> Option<Judge<'_>> {
        let (others, last) = its.split_at(its.len().saturating_sub(LAST));
        let some = (LAST..SAMPLES).filter_map(|_| others.get(fastrand::usize(0..others.len().max(1))));
        let (fetcher, share) = self.roster.judge_of(id)?;
        let (ledger, start) = (&self.files.ledger, self.files.identity.start);
        let sample = |index: &usize| (ledger.segments().range(*index).offset(start), ledger.crc(*index));
        Some(Judge {
            fetcher,
            samples: last.iter().chain(some).map(sample).collect(),
            at_once: share.min(AT_ONCE),
            request: self.job.request,
            reporter: self.job.reporter,
        })
    }

    fn note(&self, id: SourceId, what: &str) {
        let url = &self.job.request.mirrors[id - 1];
        self.job.reporter.note(format!("mirror {url}: {what}"));
    }
}

/// Holds what came from a mirror against what another source has.
struct Judge<'a> {
    fetcher: Arc<Fetcher>,
    /// Segments, and what CRC each has here.
    samples: Vec<(ByteRange, u32)>,
    at_once: usize,
    request: &'a Request,
    reporter: &'a Reporter,
}

impl Judge<'_> {
    /// Whether any is another one there.
    async fn finds_a_lie(&self) -> Result<bool, Fault> {
        // Boxed, or the compiler does not see that they can be sent.
        let differs = |(range, crc): &(ByteRange, u32)| {
            let (range, crc) = (*range, *crc);
            async move { Ok(self.crc(range).await? != crc) }.boxed()
        };
        let differ: Vec<BoxFuture<'_, _>> = self.samples.iter().map(differs).collect();
        stream::iter(differ).buffer_unordered(self.at_once).try_any(future::ready).await
    }

    async fn crc(&self, range: ByteRange) -> Result<u32, Fault> {
        let mut failures = 0;
        loop {
            let fault = match self.fetcher.crc(range).await {
                Ok(crc) => return Ok(crc),
                Err(fault) => fault,
            };
            failures += 1;
            let wait = self.request.wait_after(&fault, failures, None);
            let Some(wait) = wait.ok().filter(|_| failures <= self.request.retries) else {
                return Err(fault);
            };
            self.reporter.retry(None, fault.to_string(), wait);
            sleep(wait).await;
        }
    }
}
