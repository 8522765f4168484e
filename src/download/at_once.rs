//! An object that comes whole with the first answer, and soon.
//!
//! It needs no checkpoint: it goes to a file that has no name until it is whole ([`desk`](super::desk)). If that is not to
//! be had, or anything goes wrong, the bytes are put back, and everything is done as for other objects, which says what
//! is wrong.

use std::ops::ControlFlow;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::desk::{Filed, Paper};
use super::event::Event;
use super::report::{Mode, Outcome, Report};
use super::request::{Beside, Existing, FileTime, Output};
use super::session::Session;
use super::target::Target;
use crate::checksum::Proof;
use crate::error::Result;
use crate::http::fetch::Body;
use crate::http::probe::{Answer, Probe};
use crate::plan::{self, Plan};
use crate::range::{ByteRange, Part};

impl Session {
    /// Takes an object that comes at once; else gives the answer back as it was.
    pub(super) async fn take_at_once(&mut self, mut probe: Probe) -> Result<ControlFlow<Report, Probe>> {
        let Some(mode) = self.comes_at_once(&probe) else { return Ok(ControlFlow::Continue(probe)) };
        let (Answer::Part(body) | Answer::Whole(body)) = &mut probe.answer else {
            return Ok(ControlFlow::Continue(probe));
        };
        let (bytes, whole) = self.unless_cancelled(async { Ok(self.gather(body).await) }).await?;
        let expected = self.expected(Some(&probe.object));
        let proof = expected.first().cloned().filter(|_| self.claimed.is_some());
        let filed = if whole { self.file(&bytes, expected).await? } else { Filed::Not };
        let Filed::Named(durable) = filed else {
            body.put_back(bytes);
            return Ok(ControlFlow::Continue(probe));
        };
        durable?;
        let length = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        self.object = Some(probe.object);
        self.mode = mode;
        self.announce_at_once(length);
        Ok(ControlFlow::Break(self.report(Outcome::Downloaded, length, proof)))
    }

    /// How the object would be fetched, if it may come at once: nothing is there of it, nothing is to be replaced
    /// by it, and the answer has all of it.
    fn comes_at_once(&self, probe: &Probe) -> Option<Mode> {
        let request = &self.request;
        let length = probe.object.length.filter(|length| *length < request.tuning.at_once)?;
        let (Answer::Part(body) | Answer::Whole(body)) = &probe.answer else { return None };
        let all = body.position() == 0 && body.left() == Some(length) && request.part == Part::From(0);
        let small = request.max_size.is_none_or(|most| length <= most);
        let new = self.files.is_none() && self.claimed.as_ref().is_none_or(|claimed| !claimed.is_held());
        // Nor is anything to be said of it, or was of one that had the name.
        let hashed = |target: &Target| !matches!(target.entry(&target.hashes_name()), Ok(None));
        let alone = request.beside == Beside::Nothing
            && request.time == FileTime::Written
            && !self.claimed.as_ref().is_some_and(|claimed| hashed(&claimed.target));
        let first = matches!(request.existing, Existing::Refuse | Existing::Skip);
        let simple = request.head_url.is_none() && first && alone;
        if !(all && small && new && simple) || (self.claimed.is_none() && request.output != Output::Nowhere) {
            return None;
        }
        match self.plan(probe, Some(ByteRange::new(0, length))) {
            Plan::Fresh { instead: None } => Some(Mode::Ranges),
            Plan::Stream(reason) => Some(Mode::Stream(reason)),
            _ => None,
        }
    }

    /// What came of the body in a moment, and whether that is all. A fault comes again when it is asked for more.
    async fn gather(&self, body: &mut Body) -> (Vec<Bytes>, bool) {
        let deadline = Instant::now() + self.request.tuning.at_once_time;
        let mut bytes = Vec::new();
        let whole = loop {
            let next = async {
                self.control.running().await;
                body.chunk().await
            };
            match timeout_at(deadline, next).await {
                Ok(Ok(Some(more))) => bytes.push(more),
                Ok(Ok(None)) => break true,
                Ok(Err(_)) | Err(_) => break false,
            }
        };
        (bytes, whole)
    }

    /// Gives bytes, if they are what they have to be, their name.
    async fn file(&self, bytes: &[Bytes], expected: Vec<Proof>) -> Result<Filed> {
        // What is discarded has no name, and is not compared with anything.
        let Some(claimed) = &self.claimed else { return Ok(Filed::Named(Ok(()))) };
        // This asks nothing of the host.
        self.admission.iter().for_each(|admission| admission.leave());
        let target = claimed.target.clone();
        let filed = self.request.pool.desk().file(Paper { target, bytes: bytes.to_vec(), expected }).await;
        if let Filed::Not = filed {
            self.queue_again().await?;
        }
        Ok(filed)
    }

    fn announce_at_once(&self, length: u64) {
        let segments =
            plan::segments(length, self.request.segment_size).filter(|_| self.mode == Mode::Ranges);
        self.reporter.event(Event::Started {
            length: Some(length),
            segment_size: segments.map_or(0, |segments| segments.size()),
            segments: segments.map_or(0, |segments| segments.count()),
            resumed: 0,
            jobs: 1,
            validator: self.validator(),
            mode: self.mode.clone(),
            path: self.claimed.as_ref().map(|claimed| claimed.target.path()),
        });
    }
}
