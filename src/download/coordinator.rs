//! The one owner of a ranged transfer's state: it hands out spans ([`leasing`]), judges faults ([`faults`], [`refusals`]), and
//! publishes what landed.
//!
//! Workers talk to it by message and nothing else changes its state, so that every decision is taken in one
//! order. The decisions themselves are in [`scheduler`](crate::scheduler) and [`retry`](crate::http::retry).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::admission::Admission;
use super::blocking::blocking;
use super::committer::{Committer, LastCommit, Trouble};
use super::control::Control;
use super::crew::Crew;
use super::failures::Failures;
use super::files::Files;
use super::map;
use super::mirrors::{self, Wanted};
use super::pipe::Outflow;
use super::progress::Phase;
use super::redial::{RedialTerms, Redialer};
use super::reporter::Reporter;
use super::request::Request;
use super::resolution::{Resolution, Way};
use super::roster::Roster;
use super::throttle::Throttle;
use super::verify::{ReadBack, verify};
use super::worker::{Message, Shared, Span, WINDOW_TIME, Worker};
use crate::digest::Crcs;
use crate::error::{Error, ErrorKind, Result};
use crate::http::client::Traffic;
use crate::http::fetch::Body;
use crate::http::retry::Fault;
use crate::scheduler::{Scheduler, WorkerId};
use crate::sources::{GIVEN, SourceSet};
use crate::tuner::Tuner;

/// A signal's last commit may take this long to reach the disk; the process has promised to end within 2 s.
const LAST_COMMIT: Duration = Duration::from_millis(1500);

/// How a transfer ended, short of an error.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Every segment is in place and checked.
    Whole,
    /// The object has to be looked at again.
    Look(Fault),
    /// Ranges are not to be had.
    Stream(String),
    /// The disk lost bytes; they are missing again (H50).
    Rewrite(Error),
}

/// What a transfer works with.
pub(crate) struct Job<'a> {
    pub(crate) request: &'a Request,
    pub(crate) reporter: &'a Reporter,
    pub(crate) control: &'a Control,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) way: Way<'a>,
    /// What is fetched, and who has it.
    pub(crate) wanted: Wanted,
    /// Its place at the host.
    pub(crate) admission: Option<&'a Admission>,
    /// Says how many jobs pay; `None` where the user said how many there are.
    pub(crate) tuner: Option<Tuner>,
    /// The probe's answer, for the first missing segments.
    pub(crate) first: Option<Body>,
}

/// Fetches what the ledger misses and checks what it claims.
pub(crate) async fn transfer(job: Job<'_>, files: &mut Files) -> Result<Turn> {
    let control = job.control.clone();
    let mut coordinator = Coordinator::new(job, files);
    let turn = tokio::select! {
        turn = coordinator.run() => turn,
        error = control.cancelled() => Err(error),
    };
    // No worker may write after the last commit is taken; what they had told counts. Not so after a failed sync: it
    // may have covered the beginnings of what was landing (H50).
    coordinator.workers.shutdown().await;
    coordinator.files.part.abandon_windows();
    let covered = matches!(turn, Ok(Turn::Rewrite(_)));
    while let Ok(message) = coordinator.inbox.try_recv() {
        if let Message::Landed { first, crcs, sources } = message
            && !covered
        {
            coordinator.on_landed(first, &crcs, sources);
        }
    }
    coordinator.report_progress();
    coordinator.remember().await;
    let Some(mut committer) = coordinator.committer.take() else { return turn };
    committer.publish(coordinator.files.snapshot());
    let last = match &turn {
        // The run goes on: finishing syncs, and so does the next transfer.
        Ok(_) => LastCommit::Soft,
        Err(_) => LastCommit::Hard { deadline: Instant::now() + LAST_COMMIT },
    };
    let (file, last_commit) = tokio::select! {
        closed = committer.close(last) => closed,
        error = control.cancelled(), if turn.is_ok() => return Err(error),
    };
    coordinator.files.checkpoint = file;
    // What was said after the last look counts as well: no later sync makes good one that failed (H50).
    let trouble = last_commit.err().or_else(|| coordinator.troubles.try_recv().ok());
    if let Some(Trouble::Sync { durable, .. }) = &trouble {
        coordinator.files.take_back(durable).await;
    }
    match (turn, trouble) {
        (Ok(_), Some(trouble)) => coordinator.on_trouble(trouble),
        // What failed first says more than the commit that failed after it.
        (turn, _) => turn,
    }
}

struct Coordinator<'a> {
    job: Job<'a>,
    files: &'a mut Files,
    shared: Arc<Shared>,
    /// `None` where nothing is kept.
    committer: Option<Committer>,
    troubles: mpsc::Receiver<Trouble>,
    scheduler: Scheduler,
    /// Of a pipe: what is out makes room.
    outflow: Option<Outflow>,
    workers: JoinSet<()>,
    /// Who works in which task.
    tasks: HashMap<task::Id, WorkerId>,
    crew: Crew,
    /// Whom the workers ask.
    roster: Roster<'a>,
    /// Somebody was refused, and the object is looked at.
    resolution: Option<Resolution<'a>>,
    idle: Vec<(WorkerId, oneshot::Sender<Span>)>,
    inbox: mpsc::Receiver<Message>,
    /// Held for new workers; also keeps the inbox open.
    outbox: mpsc::Sender<Message>,
    failures: Failures,
    throttle: Throttle,
    redialer: Redialer,
    /// There is something new to commit.
    dirty: bool,
    began: Instant,
    ticked: Instant,
}

impl<'a> Coordinator<'a> {
    fn new(mut job: Job<'a>, files: &'a mut Files) -> Self {
        let segments = files.ledger.segments();
        let shared = Arc::new(Shared {
            part: Arc::clone(&files.part),
            segments,
            base: files.identity.start,
            control: job.control.clone(),
            proof: files.proving.crc(),
        });
        let least_span = usize::try_from(job.request.tuning.least_span / segments.size()).unwrap_or(1);
        let redial_terms = RedialTerms { silence: job.request.tuning.silence, jobs: job.request.jobs };
        let (outbox, inbox) = mpsc::channel(4 * job.request.jobs);
        let (committer, troubles) = match files.checkpoint.take() {
            Some(file) => {
                let (committer, troubles) = Committer::spawn(
                    file,
                    Arc::clone(&files.part),
                    job.request.durability,
                    job.request.tuning,
                );
                (Some(committer), troubles)
            }
            None => (None, mpsc::channel(1).1),
        };
        let looks = (1..=job.request.mirrors.len())
            .map(|id| mirrors::look(&job.way, id, job.wanted.clone(), job.request, job.reporter));
        let roster = Roster::new(job.wanted.given.clone(), job.admission, looks.collect());
        let mut outflow = files.outflow();
        let open = outflow.as_mut().map_or(segments.count(), |outflow| outflow.open(segments).end);
        let missing = files.ledger.complete().clear_runs().map(|run| run.start.min(open)..run.end.min(open));
        Self {
            scheduler: Scheduler::new(missing, least_span),
            outflow,
            throttle: match job.tuner.take() {
                Some(tuner) => Throttle::tuned(tuner, Instant::now()),
                None => Throttle::fixed(job.request.jobs, job.request.tuning.throttle_memory, Instant::now()),
            },
            job,
            files,
            shared,
            committer,
            troubles,
            workers: JoinSet::new(),
            tasks: HashMap::new(),
            crew: Crew::default(),
            roster,
            resolution: None,
            idle: Vec::new(),
            inbox,
            outbox,
            failures: Failures::default(),
            redialer: Redialer::new(redial_terms),
            dirty: false,
            began: Instant::now(),
            ticked: Instant::now(),
        }
    }

    async fn run(&mut self) -> Result<Turn> {
        let mut claims = verify(&self.files.ledger, &self.files.part, self.files.proving.crc());
        let mut ticks = interval(self.job.request.tuning.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        (0..self.job.request.jobs).for_each(|worker| self.hire(worker));
        while !self.files.ledger.is_whole() || self.audit().await? {
            let ended = tokio::select! {
                Some(message) = self.inbox.recv() => self.on_message(message)?,
                Some(read_back) = claims.next() => self.on_claim(read_back)?,
                Some(Err(panic)) = self.workers.join_next() => self.on_panic(panic)?,
                looked = self.roster.looked() => {
                    self.on_mirror(looked);
                    None
                }
                resolved = Resolution::of(&mut self.resolution) => match resolved {
                    Ok(resolved) => self.on_resolved(resolved),
                    Err(error) => {
                        self.on_unresolved(error)?;
                        None
                    }
                },
                Some(trouble) = self.troubles.recv() => Some(self.on_trouble(trouble)?),
                more = moved(&mut self.outflow) => {
                    self.on_outflow(more).await?;
                    None
                }
                _ = ticks.tick() => {
                    self.on_tick()?;
                    None
                }
            };
            if let Some(turn) = ended {
                return Ok(turn);
            }
        }
        Ok(Turn::Whole)
    }

    /// More is out, and so there is room for more; or nobody takes it.
    async fn on_outflow(&mut self, more: bool) -> Result<()> {
        let Some(outflow) = self.outflow.as_mut().filter(|_| more) else {
            let ended = self.files.proving.failure().await;
            let unknown = || Error::new(ErrorKind::Internal, "nothing writes the bytes");
            return Err(ended.unwrap_or_else(unknown).at(&self.job.way.url));
        };
        self.scheduler.put_back(outflow.open(self.files.ledger.segments()));
        self.dispatch();
        Ok(())
    }

    fn hire(&mut self, worker: WorkerId) {
        let (gauge, outbox) = (self.crew.gauge(worker), self.outbox.clone());
        let hired = Worker::new(worker, Arc::clone(&self.shared), outbox, gauge);
        let task = self.workers.spawn(hired.run());
        self.tasks.insert(task.id(), worker);
    }

    fn on_message(&mut self, message: Message) -> Result<Option<Turn>> {
        match message {
            Message::Idle { worker, reply } => {
                // It holds nothing any more: what it had not landed is anybody's.
                let ledger = &self.files.ledger;
                self.scheduler.release(worker, |index| ledger.complete().get(index));
                self.roster.release(worker);
                self.idle.push((worker, reply));
                self.dispatch();
            }
            Message::Claim { worker, most, reply } => {
                let size = self.files.ledger.segments().size();
                let most = most.min(self.crew.claimable(worker, 2 * WINDOW_TIME, size));
                // Only a worker that panicked does not listen, and `on_panic` hears of that.
                let _ = reply.send(self.scheduler.claim(worker, most));
            }
            Message::Landed { first, crcs, sources } => self.on_landed(first, &crcs, sources),
            Message::CalledOff { worker, reply } => {
                // Only a worker that panicked does not listen, and `on_panic` hears of that.
                let _ = reply.send(self.roster.assign(worker, false).0);
            }
            Message::Failed(failed) if failed.source.id != GIVEN => self.on_mirror_fault(failed),
            Message::Failed(failed) if failed.fault.may_be_expiry() => self.on_refusal(failed)?,
            Message::Failed(failed) => return self.on_fault(failed),
            Message::Broken { error } => return Err(error),
        }
        Ok(None)
    }

    fn on_landed(&mut self, first: usize, crcs: &[Crcs], sources: SourceSet) {
        self.roster.land(sources);
        for (index, crcs) in (first..).zip(crcs) {
            self.files.origins[index] = sources;
            self.files.land(index, *crcs);
            self.failures.land(index);
        }
        if self.outflow.is_some() {
            self.files.follow();
        }
        self.dirty = true;
        self.publish();
    }

    /// Has what is new committed, if it is time.
    fn publish(&mut self) {
        if let Some(committer) = self.committer.as_mut().filter(|committer| self.dirty && committer.is_due())
        {
            committer.publish(self.files.snapshot());
            self.dirty = false;
        }
    }

    fn on_claim(&mut self, (index, crcs): ReadBack) -> Result<Option<Turn>> {
        let crcs = crcs?;
        if crcs.own == self.files.ledger.crc(index) {
            self.files.confirm(index, crcs);
        } else {
            self.files.refute(index);
            self.scheduler.put_back(index..index + 1);
            let message = format!("segment {index} is not what it was written as and is fetched again");
            self.job.reporter.note(message);
            self.dispatch();
        }
        self.dirty = true;
        Ok(None)
    }

    /// Keeps in mind what the host took. Whether that can be written is of no matter.
    async fn remember(&mut self) {
        let request = self.job.request;
        // What one takes beside others says nothing of what it takes.
        let alone = self.job.admission.is_none_or(Admission::is_alone) && self.roster.is_alone();
        if let (Some(hosts), Some(learned)) =
            (request.hosts.clone().filter(|_| alone), self.throttle.learned())
        {
            let host = self.job.way.url.origin().to_string();
            let _ = blocking(move || hosts.learn(&host, learned)).await;
        }
    }

    fn on_tick(&mut self) -> Result<()> {
        self.files.part.check_length()?;
        let now = Instant::now();
        let elapsed = now - self.ticked;
        self.ticked = now;
        self.crew.update(&self.scheduler, elapsed, self.first_byte());
        self.roster.observe(|worker| self.crew.rate(worker));
        let received = self.crew.received();
        let remaining = self.files.identity.extent().len() - self.files.ledger.bytes();
        self.throttle.observe(now, received, remaining, self.crew.running(&self.scheduler));
        self.dispatch();
        self.redial(received, now);
        self.files.follow();
        self.publish();
        self.report_progress();
        Ok(())
    }

    fn report_progress(&self) {
        let (in_place, total) = (self.files.ledger.bytes(), self.files.identity.extent().len());
        let phase = match () {
            () if self.job.control.is_paused() => Phase::Paused,
            () if in_place == total => Phase::Finishing,
            () => Phase::Fetching,
        };
        self.job.reporter.progress(phase, in_place, Some(total), &self.job.traffic);
        self.job.reporter.map(|| map::cells(&self.files.ledger, self.scheduler.leases()));
    }
}

#[path = "faults.rs"]
mod faults;
#[path = "leasing.rs"]
mod leasing;
#[path = "refusals.rs"]
mod refusals;
#[path = "trust.rs"]
mod trust;

/// Waits until more is out; for ever where nothing goes out.
async fn moved(outflow: &mut Option<Outflow>) -> bool {
    match outflow {
        Some(outflow) => outflow.moved().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
