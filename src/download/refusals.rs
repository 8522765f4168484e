//! A URL that is refused in mid-run: it may have expired.

use std::sync::Arc;
use std::time::Duration;

use super::{Coordinator, Job, Turn};
use crate::download::looks::Judgement;
use crate::download::resolution::{LOOK, Resolution, Resolved};
use crate::download::worker::{Failed, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::http::probe::Answer;
use crate::http::retry::Fault;
use crate::range::ByteRange;
use crate::store::checkpoint::Identity;

impl Coordinator<'_> {
    /// The URL may have expired. Who asked an earlier one goes on with that of now; else the object is looked at, once
    /// for all who are refused meanwhile.
    pub(super) fn on_refusal(&mut self, failed: Failed) -> Result<()> {
        let Failed { worker, segment, at, fault, source: Source { fetcher, .. }, reply, .. } = failed;
        self.crew.begin_anew(worker);
        if !Arc::ptr_eq(&fetcher, self.roster.given()) {
            self.job.reporter.retry(Some(segment), fault.to_string(), Duration::ZERO);
            Self::go_on(reply, self.roster.given_source(), Duration::ZERO, None);
            return Ok(());
        }
        let mut wait = Duration::ZERO;
        if self.resolution.is_none() {
            let count = match self.job.way.looks.judge_refusal(&fault, fetcher.brought()) {
                Judgement::Again { count } => count,
                Judgement::Stream | Judgement::Stop(_) => {
                    return self.forgo(self.gave_up(ErrorKind::Refused, &fault));
                }
            };
            wait = self.job.request.tuning.backoff.after(count - 1, fastrand::f64());
            let base = self.files.identity.start;
            let end = self.files.ledger.segments().range(segment).offset(base).end;
            let range = ByteRange::new(at, end.min(at + LOOK));
            let Job { way, request, reporter, admission, .. } = &self.job;
            self.resolution = Some(Resolution::begin(way, request, (reporter, *admission), range, wait));
        }
        self.job.reporter.retry(Some(segment), fault.to_string(), wait);
        if let Some(resolution) = &mut self.resolution {
            resolution.waiting.push(reply);
        }
        Ok(())
    }

    /// The object is not to be had there any more: who waits for it asks another source.
    pub(super) fn on_unresolved(&mut self, error: Error) -> Result<()> {
        self.forgo(error)?;
        // Those who wait let go, as they hear nothing.
        self.resolution = None;
        Ok(())
    }

    /// The object was looked at: if it is the same, everyone goes on where it is now.
    pub(super) fn on_resolved(&mut self, Resolved { client, url, probe }: Resolved) -> Option<Turn> {
        let Resolution { waiting, .. } = self.resolution.take()?;
        let Identity { total, validator, encoding, .. } = &self.files.identity;
        let object = probe.object;
        let same = match validator {
            Some(validator) => object.is_same(*total, validator),
            None => object.length == Some(*total),
        };
        let Answer::Part(body) = probe.answer else { return Some(Turn::Look(Fault::Whole)) };
        if !same || probe.encoding != *encoding {
            return Some(Turn::Look(Fault::Changed("version")));
        }
        let pins = self.job.way.looks.pins();
        self.roster.move_given(self.roster.given().moved(client.clone(), object.url, pins));
        (*self.job.way.client, *self.job.way.url) = (client, url);
        let mut body = Some(body);
        waiting
            .into_iter()
            .for_each(|reply| Self::go_on(reply, self.roster.given_source(), Duration::ZERO, body.take()));
        None
    }
}
