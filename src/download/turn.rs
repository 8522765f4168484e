//! One turn of a download: an answer is there; plan by it, get the files ready, and transfer.

use std::sync::Arc;

use super::blocking::blocking;
use super::claimed::Claimed;
use super::coordinator::{Job, Turn, transfer};
use super::event::Event;
use super::files::Files;
use super::mirrors::Wanted;
use super::report::Mode;
use super::resolution::Way;
use super::session::Session;
use super::stream::{Stream, Written, wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::http::answer::Pinned;
use crate::http::fetch::{Body, Fetcher};
use crate::http::probe::{Answer, Probe};
use crate::http::retry::Fault;
use crate::object::{Object, Validator};
use crate::plan::{Facts, Mismatch, Plan, StreamReason, plan};
use crate::range::ByteRange;
use crate::store::checkpoint::{Checkpoint, Identity};
use crate::tuner::{Terms, Tuner};

impl Session {
    /// Goes as far as one look at the object allows.
    pub(super) async fn turn(&mut self, probe: Probe) -> Result<Turn> {
        let known = probe.object.length;
        let extent = known
            .map(|length| wanted(self.request.part, Some(length)).ok_or_else(|| self.looker().outside()));
        let extent = extent.transpose()?;
        self.check_size(extent)?;
        self.check_head(&probe.object)?;
        match self.plan(&probe, extent) {
            Plan::Suspect => return Err(self.looker().suspect()),
            Plan::Stream(reason) => {
                if self.is_other_version(&probe.object) {
                    self.start_over(Mismatch::ObjectChanged)?;
                }
                return self.stream(probe, reason).await.map(|()| Turn::Whole);
            }
            Plan::Fresh { instead: Some(Mismatch::ObjectChanged) } if self.has_seen(&probe.object) => {
                let why = "its validator differs from answer to answer".to_owned();
                return self.stream(probe, StreamReason::BadRanges(why)).await.map(|()| Turn::Whole);
            }
            Plan::Fresh { instead } => {
                if let Some(why) = instead {
                    self.start_over(why)?;
                }
                self.make_files(&probe, extent.unwrap_or(ByteRange::new(0, 0))).await?;
            }
            Plan::Resume { other_url } => {
                if let Some(turn) = self.resume(&probe, other_url).await? {
                    return Ok(turn);
                }
            }
        }
        self.object = Some(probe.object.clone().or_proved_as(self.object.as_ref()));
        self.mode = Mode::Ranges;
        self.transfer(probe).await
    }

    /// Whether this very version was fetched before another one in this run: it has not changed back, its nodes
    /// differ (H07).
    fn has_seen(&self, object: &Object) -> bool {
        self.seen.iter().any(|(length, validator)| object.is_same(*length, validator))
    }

    /// What was fetched so far, in this run or an earlier one, was of this version.
    fn version_so_far(&self) -> Option<Validator> {
        let identity = match (&self.files, self.left()) {
            (Some(files), _) => Some(&files.identity),
            (None, left) => left.map(|left| &left.identity),
        };
        identity.and_then(|identity| identity.validator.clone()).or_else(|| self.validator())
    }

    fn is_other_version(&self, object: &Object) -> bool {
        self.version_so_far().is_some_and(|before| object.validator.as_ref().is_ok_and(|now| *now != before))
    }

    pub(super) fn plan(&self, probe: &Probe, extent: Option<ByteRange>) -> Plan {
        let now: Option<Checkpoint> = self.files.as_ref().map(Files::checkpoint_now);
        let (checkpoint, part_length) = match (&now, self.left()) {
            (Some(now), _) => (Some(now), Some(now.identity.extent().len())),
            // Its part file is made when the object has turned out to be the same.
            (None, Some(left)) if self.salvage.is_some() => (Some(left), Some(left.identity.extent().len())),
            (None, left) => (left, self.claimed.as_ref().and_then(Claimed::part_length)),
        };
        let empty = probe.object.length == Some(0);
        plan(&Facts {
            object: &probe.object,
            ranges: matches!(probe.answer, Answer::Part(_)) || empty,
            extent,
            encoding: probe.encoding.as_deref(),
            source: &self.source(),
            has_query: self.url.as_url().query().is_some(),
            checkpoint,
            part_length,
            // Of nothing, nothing can be mixed.
            allow_unvalidated: self.request.allow_unvalidated || empty,
        })
    }

    /// How checkpoints name where an object comes from: no user, no query (H73).
    pub(super) fn source(&self) -> String {
        let shown = self.url.to_string();
        shown.split('?').next().unwrap_or_default().to_owned()
    }

    fn check_size(&self, extent: Option<ByteRange>) -> Result<()> {
        match (extent, self.request.max_size) {
            (Some(extent), Some(most)) if extent.len() > most => {
                let message = format!("{} bytes are more than --max-size allows", extent.len());
                Err(Error::new(ErrorKind::Local, message).at(&self.url))
            }
            _ => Ok(()),
        }
    }

    /// HEAD and GET have to speak of one version, where both say which (H33).
    fn check_head(&self, object: &Object) -> Result<()> {
        let Some(head) = self.object.as_ref().filter(|_| self.files.is_none()) else { return Ok(()) };
        match (&head.validator, &object.validator) {
            (Ok(of_head), Ok(of_get)) if of_head.is_other_than(of_get) => {
                let message = format!("HEAD says {of_head} and GET says {of_get}");
                Err(Error::new(ErrorKind::Changed, message)
                    .at(&self.url)
                    .hint("check that both URLs are of one object"))
            }
            _ => Ok(()),
        }
    }

    async fn make_files(&mut self, probe: &Probe, extent: ByteRange) -> Result<()> {
        let identity = Identity {
            total: probe.object.length.unwrap_or_default(),
            start: extent.start,
            end: extent.end,
            validator: probe.object.validator.clone().ok(),
            encoding: probe.encoding.clone(),
            source: self.source(),
            inode: 0,
        };
        self.seen.extend(identity.validator.clone().map(|validator| (identity.total, validator)));
        self.replace_files(identity, extent.len()).await?;
        self.prove_by(&probe.object);
        Ok(())
    }

    async fn replace_files(&mut self, identity: Identity, reserve: u64) -> Result<()> {
        if self.files.as_ref().is_some_and(|files| files.proving.is_on_its_way()) {
            let message = "it would have to be fetched again, and what is out cannot be taken back";
            return Err(Error::new(ErrorKind::Changed, message).at(&self.url));
        }
        // The old ones are closed first; their lock stays with the claim.
        self.files = None;
        self.unproven = false;
        let request = self.request.clone();
        let mut claimed = self.claimed.take();
        let made = blocking(move || {
            let files = Files::fresh(&request, claimed.as_mut(), identity, reserve);
            if files.is_err()
                && let Some(claimed) = &claimed
            {
                // Nothing was fetched, so nothing is kept; what failed first says more than what fails now.
                let _ = claimed.remove();
            }
            (claimed, files)
        });
        let (claimed, files) = made.await;
        self.claimed = claimed;
        self.files = Some(files?);
        Ok(())
    }

    /// Opens what an earlier run left, unless it is open, and has it proved, if it has to be. A turn, where it
    /// comes to something else.
    async fn resume(&mut self, probe: &Probe, other_url: bool) -> Result<Option<Turn>> {
        if self.files.is_none() {
            self.files = Some(self.reopen().await?);
            self.prove_by(&probe.object);
            self.unproven = other_url;
        }
        let files = self.files.as_ref().expect("files are open");
        if self.unproven {
            let fetcher = self.fetcher(probe, &files.identity);
            let proof = self.unless_cancelled(async { Ok(prove_same(&fetcher, files).await) }).await?;
            match proof {
                // The proof is owed until it is there: what is open now is not to be mixed with.
                Err(fault) => return Ok(Some(Turn::Look(fault))),
                Ok(true) => self.unproven = false,
                Ok(false) => {
                    let extent = files.identity.extent();
                    self.start_over(Mismatch::ObjectChanged)?;
                    self.make_files(probe, extent).await?;
                }
            }
        }
        Ok(None)
    }

    async fn reopen(&mut self) -> Result<Files> {
        let files = match self.salvage.take() {
            Some(salvage) => {
                let files = self.salvaged(&salvage).await;
                self.salvage = Some(salvage);
                files?
            }
            None => self.reopen_left().await?,
        };
        self.seen.extend(files.identity.validator.clone().map(|validator| (files.identity.total, validator)));
        Ok(files)
    }

    async fn reopen_left(&mut self) -> Result<Files> {
        let mut claimed = self.claimed.take().expect("there is a checkpoint to resume from");
        let (claimed, files) = blocking(move || {
            let files = Files::reopen(&mut claimed);
            (claimed, files)
        })
        .await;
        self.claimed = Some(claimed);
        let gone = || Error::new(ErrorKind::Local, Mismatch::PartFileGone.to_string()).at(&self.url);
        files?.ok_or_else(gone)
    }

    fn fetcher(&self, probe: &Probe, identity: &Identity) -> Fetcher {
        let pinned = Pinned {
            url: probe.object.url.clone(),
            length: identity.total,
            validator: identity.validator.clone(),
            encoding: identity.encoding.clone(),
            send_pin: self.looks.pins(),
        };
        Fetcher::new(self.client.clone(), pinned)
    }

    async fn transfer(&mut self, probe: Probe) -> Result<Turn> {
        let tuner = self.request.tuned.then(|| self.tuner());
        self.announce(tuner.as_ref().map_or(self.request.jobs, Tuner::jobs));
        let mut files = self.files.take().expect("files are ready");
        let fetcher = self.fetcher(&probe, &files.identity);
        let first = match probe.answer {
            Answer::Part(body) => Some(body),
            Answer::Whole(_) | Answer::NotModified => None,
        };
        let wanted = Wanted {
            object: probe.object.clone().or_proved_as(self.object.as_ref()),
            length: files.identity.total,
            extent: files.identity.extent(),
            encoding: files.identity.encoding.clone(),
            given: fetcher.clone(),
        };
        let job = Job {
            request: &self.request,
            reporter: &self.reporter,
            control: &self.control,
            traffic: Arc::clone(self.client.traffic()),
            way: Way { client: &mut self.client, url: &mut self.url, looks: &mut self.looks },
            wanted,
            admission: self.admission.as_deref(),
            tuner,
            first,
        };
        let turn = transfer(job, &mut files).await;
        let first_byte = files.identity.extent();
        self.files = Some(files);
        match turn? {
            // Its validator was as young as it: a second version may have got the same (H04).
            Turn::Whole if probe.object.fresh && !first_byte.is_empty() => {
                let range = ByteRange::new(first_byte.start, first_byte.start + 1);
                let again = self.unless_cancelled(async { Ok(fetcher.open(range).await) }).await?;
                Ok(again.map_or_else(Turn::Look, |_| Turn::Whole))
            }
            turn => Ok(turn),
        }
    }

    /// For what is missing, with what the probe showed.
    fn tuner(&self) -> Tuner {
        let remaining =
            self.files.as_ref().map_or(0, |files| files.identity.extent().len() - files.ledger.bytes());
        // A connection takes a round trip, TLS another, and so does the request.
        let trips = if self.url.as_url().scheme() == "https" { 3 } else { 2 };
        let round_trip = self.client.traffic().first_byte().unwrap_or_default() / trips;
        Tuner::new(Terms { most: self.request.jobs, round_trip, remaining, known: self.known })
    }

    /// Fetches the object in one stream.
    pub(super) async fn stream(&mut self, probe: Probe, reason: StreamReason) -> Result<()> {
        self.refuse_to_start_over(ErrorKind::Refused, &reason.to_string())?;
        let encoding = probe.encoding.clone();
        let (body, object) = match probe.answer {
            Answer::Whole(body) => (body, probe.object),
            Answer::Part(_) | Answer::NotModified => {
                self.unless_cancelled(self.looker().whole()).await?.into_whole()?
            }
        };
        self.looker().expect_credible(self.version_so_far().as_ref(), &object)?;
        if let Some(before) = &self.object {
            self.looker().expect_consistent(before, &object)?;
        }
        let length = object.length;
        let extent = wanted(self.request.part, length).ok_or_else(|| self.looker().unwanted(length))?;
        self.check_size(length.map(|_| extent))?;
        // No validator: this file cannot be resumed, and its checkpoint says so.
        let identity = Identity {
            total: 0,
            start: 0,
            end: 0,
            validator: None,
            encoding,
            source: self.source(),
            inode: 0,
        };
        self.replace_files(identity, length.map_or(0, |_| extent.len())).await?;
        let object = object.or_proved_as(self.object.as_ref());
        self.prove_by(&object);
        self.object = Some(object.clone());
        self.mode = Mode::Stream(reason);
        self.announce(1);
        let (written, object) = match self.run_stream(body, object).await {
            Ok(streamed) => streamed,
            Err(error) => return Err(self.files_failure().await.unwrap_or(error)),
        };
        self.object = Some(object);
        if let Some(files) = &mut self.files {
            files.length = written.bytes();
            files.streamed = written.into_ledger();
        }
        Ok(())
    }

    /// What goes out knows best why it has ended.
    async fn files_failure(&mut self) -> Option<Error> {
        let files = self.files.as_mut()?;
        let ended = files.outflow().is_some_and(|outflow| outflow.is_closed());
        if ended { files.proving.failure().await.map(|error| error.at(&self.url)) } else { None }
    }

    async fn run_stream(&self, body: Body, object: Object) -> Result<(Written, Object)> {
        let files = self.files.as_ref().expect("files are ready");
        let stream = Stream::new(self.looker(), &self.control, files);
        self.unless_cancelled(stream.run(body, object)).await
    }

    fn announce(&self, jobs: usize) {
        let (Some(files), Some(object)) = (&self.files, &self.object) else { return };
        let segments = files.ledger.segments();
        let streamed = self.mode != Mode::Ranges;
        let of_part = |length| wanted(self.request.part, Some(length)).map_or(0, |extent| extent.len());
        self.reporter.event(Event::Started {
            length: object.length.map(of_part),
            segment_size: if streamed { 0 } else { segments.size() },
            segments: segments.count(),
            resumed: files.resumed,
            jobs,
            validator: self.validator(),
            mode: self.mode.clone(),
            path: self.claimed.as_ref().map(|claimed| claimed.target.path()),
        });
    }
}

/// Fetches one claimed segment anew: does it have the CRC that it had?
async fn prove_same(fetcher: &Fetcher, files: &Files) -> Result<bool, Fault> {
    let Some(index) = files.ledger.claims().next() else { return Ok(true) };
    let range = files.ledger.segments().range(index).offset(files.identity.start);
    Ok(fetcher.crc(range).await? == files.ledger.crc(index))
}
