//! One download from its request to its end: look, take a turn, and again until the object is whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::admission::Admission;
use super::blocking::blocking;
use super::claimed::Claimed;
use super::control::{Command, Control};
use super::coordinator::Turn;
use super::event::Event;
use super::files::Files;
use super::finish::finish;
use super::look::Looker;
use super::looks::{Judgement, Looks};
use super::progress::Phase;
use super::proof::Proved;
use super::repair::Salvage;
use super::report::{Mode, Outcome, Report};
use super::reporter::Reporter;
use super::request::{OnChange, Output, Remains, Request};
use super::target::Target;
use crate::checksum::{ChecksumList, Proof};
use crate::edition::Kept;
use crate::error::{Error, ErrorKind, Result};
use crate::http::client::Client;
use crate::http::probe::{Answer, Probe};
use crate::http::retry::Fault;
use crate::object::{Object, Validator};
use crate::plan::{Mismatch, StreamReason};
use crate::range::{ByteRange, Part};
use crate::store::checkpoint::Checkpoint;
use crate::store::commit::Durable;
use crate::store::part::Writing;
use crate::tuner::Learned;
use crate::url::SafeUrl;

/// The most versions of an object that one run runs after.
const MOST_RESTARTS: u32 = 3;

/// Times that a first request is repeated where there are others who can be asked.
const TRIES_BESIDE_MIRRORS: u32 = 1;

/// A download under way.
pub(super) struct Session {
    pub(super) request: Arc<Request>,
    pub(super) control: Control,
    pub(super) client: Client,
    /// The URL that was given, without its user and password: those are the client's.
    pub(super) url: SafeUrl,
    /// Its place at the host.
    pub(super) admission: Option<Arc<Admission>>,
    /// What the target will be if the server proposes no name.
    pub(super) guess: Option<Target>,
    pub(super) claimed: Option<Claimed>,
    /// The file that is there, where it is to be kept up to date.
    pub(super) kept: Option<Kept>,
    pub(super) files: Option<Files>,
    /// What a repair starts from.
    pub(super) salvage: Option<Salvage>,
    /// The version that is being fetched, and where it was found last.
    pub(super) object: Option<Object>,
    /// Versions that this run began to fetch.
    pub(super) seen: Vec<(u64, Validator)>,
    /// The list that the target's checksum is looked up in, and what it says.
    pub(super) list: Option<ChecksumList>,
    pub(super) listed: Option<Proof>,
    pub(super) mode: Mode,
    /// What was left is of another URL, and not proved to be of the same object yet.
    pub(super) unproven: bool,
    /// What earlier runs learned of the host.
    pub(super) known: Option<Learned>,
    began: Instant,
    restarts: u32,
    rewrites: u32,
    pub(super) looks: Looks,
    /// Last, so that it is dropped last: who watches sees the end when the lock on the target is gone.
    pub(super) reporter: Reporter,
}

/// Runs a download to its end.
pub(super) async fn run(request: Arc<Request>, control: Control, reporter: Reporter) -> Result<Report> {
    let mut url = request.url.clone();
    let client = Client::new(request.pool.connections(), &mut url, request.client_options());
    client.set_up(&url).await?;
    let mut session = Session {
        request,
        control,
        reporter,
        client,
        url,
        admission: None,
        guess: None,
        claimed: None,
        kept: None,
        files: None,
        salvage: None,
        object: None,
        seen: Vec::new(),
        list: None,
        listed: None,
        mode: Mode::Ranges,
        unproven: false,
        known: None,
        began: Instant::now(),
        restarts: 0,
        rewrites: 0,
        looks: Looks::default(),
    };
    let result = session.run().await;
    result.map_err(|error| session.clean_up(error))
}

impl Session {
    async fn run(&mut self) -> Result<Report> {
        self.read_list().await?;
        if self.request.output.is_file()
            && let Some(report) = self.claim_known().await?
        {
            return Ok(report);
        }
        let _connecting = self.arrive().await?;
        if let Some(url) = self.request.head_url.clone() {
            self.look_at_head(&url).await?;
        }
        loop {
            let asked = self.first_missing();
            let probe = self.look(asked).await?;
            self.accept_mirrors(&probe);
            // That there is nothing newer is said of the file that was asked for.
            let names = !matches!(probe.answer, Answer::NotModified);
            if names
                && self.request.output == Output::Proposed
                && let Some(report) = self.claim_proposed(&probe).await?
            {
                return Ok(report);
            }
            if let Some(report) = self.not_modified(&probe)? {
                return Ok(report);
            }
            let Some(probe) = self.make_way(probe).await? else { continue };
            let probe = match self.take_at_once(probe).await? {
                ControlFlow::Break(report) => return Ok(report),
                ControlFlow::Continue(probe) => probe,
            };
            // Apart, so that what comes at once is light.
            if let Some(report) = Box::pin(self.take_turn(probe)).await? {
                return Ok(report);
            }
        }
    }

    /// Goes as far as this answer allows; `None` where there has to be another.
    async fn take_turn(&mut self, probe: Probe) -> Result<Option<Report>> {
        let why = match self.turn(probe).await? {
            Turn::Whole => None,
            Turn::Stream(why) => Some(why),
            Turn::Look(fault) => match self.judge_look(&fault).await? {
                Some(why) => Some(why),
                None => return Ok(None),
            },
            Turn::Rewrite(error) => {
                self.judge_rewrite(error)?;
                return Ok(None);
            }
        };
        if let Some(why) = why {
            let probe = self.unless_cancelled(self.looker().whole()).await?;
            self.stream(probe, StreamReason::BadRanges(why)).await?;
        }
        self.finish().await
    }

    /// What an earlier run left, or what is left of a file that is repaired.
    pub(super) fn left(&self) -> Option<&Checkpoint> {
        let left = || self.claimed.as_ref()?.left.as_ref().map(|(_, left)| &**left);
        self.salvage.as_ref().map(|salvage| &salvage.checkpoint).or_else(left)
    }

    /// The HEAD of a separately signed URL, first of all. Alone it decides nothing (H33): the GET has to agree.
    async fn look_at_head(&mut self, url: &SafeUrl) -> Result<()> {
        let mut url = url.clone();
        let client = self.client.logged_in_at(&mut url);
        let looker = Looker { client: &client, url: &url, ..self.looker() };
        let head = self.unless_cancelled(looker.head()).await?;
        self.object = Some(head);
        Ok(())
    }

    /// Asks for bytes of the object. At first a mirror may take the place of a URL that has none.
    async fn look(&mut self, range: ByteRange) -> Result<Probe> {
        loop {
            let error = match self.look_here(range).await {
                Err(error) if matches!(error.kind(), ErrorKind::Network | ErrorKind::Refused) => error,
                looked => return looked,
            };
            self.turn_to_mirror(error).await?;
        }
    }

    /// From a fresh URL, where there is a way to one and this is refused.
    async fn look_here(&mut self, range: ByteRange) -> Result<Probe> {
        let mut request = Arc::clone(&self.request);
        if self.files.is_none() && !request.mirrors.is_empty() {
            // Others may have it at once.
            Arc::make_mut(&mut request).retries = request.retries.min(TRIES_BESIDE_MIRRORS);
        }
        let looker = Looker { request: &request, ..self.looker() };
        match self.unless_cancelled(looker.probe(range)).await {
            Err(error) if error.kind() == ErrorKind::Refused => {
                let fresh = self.request.fresh_url.clone().ok_or(error)?;
                let mut url = self.unless_cancelled(fresh.get()).await?;
                self.client = self.client.logged_in_at(&mut url);
                self.url = url;
                self.unless_cancelled(self.looker().probe(range)).await
            }
            found => found,
        }
    }

    pub(super) fn looker(&self) -> Looker<'_> {
        Looker {
            client: &self.client,
            url: &self.url,
            request: &self.request,
            reporter: &self.reporter,
            admission: self.admission.as_deref(),
            again: self.files.is_some(),
            condition: self.condition(),
        }
    }

    pub(super) async fn unless_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            error = self.control.cancelled() => Err(error),
        }
    }

    /// The first bytes of the object that are still to be fetched: as many as one probe asks for, and no more
    /// than are missing in a row.
    fn first_missing(&self) -> ByteRange {
        let first_span = match &self.request.output {
            // What there is no room for would be sent in vain.
            Output::Piped(piped) => piped.window.min(self.request.tuning.first_span),
            _ => self.request.tuning.first_span,
        };
        let known = match (&self.files, self.left()) {
            (Some(files), _) => Some((&files.identity, &files.ledger)),
            (None, left) => left.map(|left| (&left.identity, &left.ledger)),
        };
        let missing = match (known, self.request.part) {
            (Some((identity, ledger)), _) => {
                let run = ledger.complete().clear_runs().next();
                let missing = run.map_or(ByteRange::new(0, 1), |run| ledger.segments().bytes(&run));
                missing.offset(identity.start)
            }
            (None, Part::From(start)) => ByteRange::new(start, start.saturating_add(first_span)),
            (None, Part::Span(range)) => range,
            // The length is wanted: where the last bytes are is not known yet.
            (None, Part::Last(_)) => ByteRange::new(0, 1),
        };
        ByteRange::new(missing.start, missing.end.min(missing.start.saturating_add(first_span)))
    }

    /// What was fetched before is of no use: is that a reason to stop, or only to say so?
    pub(super) fn start_over(&mut self, why: Mismatch) -> Result<()> {
        let reason = why.to_string();
        self.refuse_to_start_over(ErrorKind::Changed, &reason)?;
        if why == Mismatch::ObjectChanged && self.request.on_change == OnChange::Fail {
            let error = Error::new(ErrorKind::Changed, reason).at(&self.url);
            return Err(error.hint("use --on-change restart to fetch the new version"));
        }
        // What an earlier run left does not count: this run has not run after anything yet.
        self.restarts += u32::from(self.files.is_some());
        if self.restarts > MOST_RESTARTS {
            let error = Error::new(ErrorKind::Changed, format!("it changed more than {MOST_RESTARTS} times"));
            return Err(error.at(&self.url).hint("try again when it is at rest"));
        }
        if why != Mismatch::ObjectChanged {
            self.reporter.note(format!("everything is fetched again: {reason}"));
            return Ok(());
        }
        self.looks.begin_anew();
        self.reporter.event(Event::Restarted { reason });
        Ok(())
    }

    /// Whether to look again: `None`, after a pause; or to give ranges up, and why.
    async fn judge_look(&mut self, fault: &Fault) -> Result<Option<String>> {
        let in_place = self.files.as_ref().map_or(0, |files| files.ledger.bytes());
        let count = match self.looks.judge(fault, in_place, self.request.tuning.first_span) {
            Judgement::Again { count } => count,
            Judgement::Stream => return Ok(Some(fault.to_string())),
            Judgement::Stop(kind) => return Err(Error::new(kind, fault.to_string()).at(&self.url)),
        };
        let wait = self.request.tuning.backoff.after(count, fastrand::f64());
        self.reporter.retry(None, fault.to_string(), wait);
        self.unless_cancelled(async {
            sleep(wait).await;
            Ok(())
        })
        .await?;
        Ok(None)
    }

    /// Bytes that the disk lost are fetched again, once (H50).
    fn judge_rewrite(&mut self, error: Error) -> Result<()> {
        self.rewrites += 1;
        if self.rewrites > 1 {
            return Err(error.hint("the disk fails: what is durable is kept"));
        }
        self.reporter.note(format!("{error}: what was not durable is fetched again"));
        Ok(())
    }

    /// Proves, makes durable and names what is there; `None` where some of it has to be fetched again.
    async fn finish(&mut self) -> Result<Option<Report>> {
        self.expect_repaired()?;
        // What is left to be done asks nothing of the host.
        self.admission.iter().for_each(|admission| admission.leave());
        let Proved::By(proof) = self.prove().await? else {
            self.queue_again().await?;
            return Ok(None);
        };
        let files = self.files.as_mut().expect("a turn that ended has files");
        let (length, snapshot, part) = (files.length, files.whole(), Arc::clone(&files.part));
        self.reporter.progress(Phase::Finishing, length, Some(length), self.client.traffic());
        let sync = async { Ok(blocking(move || snapshot.sync(&part)).await) };
        match self.unless_cancelled(sync).await? {
            Ok(durable) => self.name(durable, proof.clone()).await?,
            Err(error) => {
                let files = self.files.as_mut().expect("still there");
                files.take_back(&files.durable()).await;
                self.judge_rewrite(error)?;
                self.queue_again().await?;
                return Ok(None);
            }
        }
        let outcome = if self.is_piped() { Outcome::Piped } else { Outcome::Downloaded };
        Ok(Some(self.report(outcome, length, proof)))
    }

    /// Gives the file its name.
    async fn name(&mut self, durable: Durable, proof: Option<Proof>) -> Result<()> {
        if self.claimed.is_some() {
            self.mark().await;
        }
        let (Some(claimed), Some(mut files)) = (self.claimed.take(), self.files.take()) else {
            return Ok(());
        };
        let request = Arc::clone(&self.request);
        let (claimed, files, finished) = blocking(move || {
            let finished = finish(&request, &claimed, &mut files, &durable, proof.as_ref());
            (claimed, files, finished)
        })
        .await;
        self.files = Some(files);
        let claimed = self.claimed.insert(claimed);
        finished?;
        Self::tidy_up(&self.reporter, claimed);
        Ok(())
    }

    /// The target has its name: what is beside it is of no use any more, and in nobody's way if it stays.
    pub(super) fn tidy_up(reporter: &Reporter, claimed: &Claimed) {
        if let Err(error) = claimed.remove() {
            reporter.note(format!("the download is whole, but something is left beside it: {error}"));
        }
    }

    pub(super) fn report(&self, outcome: Outcome, length: u64, proof: Option<Proof>) -> Report {
        let traffic = self.client.traffic();
        Report {
            outcome,
            path: self.claimed.as_ref().map(|claimed| claimed.target.path()),
            length,
            received: traffic.received(),
            resumed: self.files.as_ref().map_or(0, |files| files.resumed),
            requests: traffic.requests(),
            retries: self.reporter.retries(),
            restarts: self.restarts,
            elapsed: self.began.elapsed(),
            mode: self.mode.clone(),
            writing: match (&self.files, &self.mode) {
                (Some(files), Mode::Ranges) => files.part.writing(),
                _ => Writing::Positioned,
            },
            validator: self.validator(),
            proof,
        }
    }

    pub(super) fn is_piped(&self) -> bool {
        matches!(self.request.output, Output::Piped(_))
    }

    pub(super) fn validator(&self) -> Option<Validator> {
        self.object.as_ref().and_then(|object| object.validator.clone().ok())
    }

    /// After a failure: what is of use stays and is named in the error, what is not goes.
    fn clean_up(&mut self, error: Error) -> Error {
        let Some(claimed) = &self.claimed else { return error };
        let deleted = self.control.command() == Command::Cancel(Remains::Delete);
        let nothing = self.client.traffic().received() == 0;
        match &self.files {
            _ if deleted => {}
            // Of no use to anybody, and in the way where it fills the disk.
            Some(files) if files.is_empty() && (nothing || error.is_lack_of_room()) => {}
            Some(files) if !files.is_empty() => {
                return error.resumable_from(claimed.target.checkpoint_path());
            }
            _ => return error,
        }
        match claimed.remove() {
            Ok(()) => error,
            Err(removing) if deleted => removing,
            // The first failure says more.
            Err(_) => error,
        }
    }
}
