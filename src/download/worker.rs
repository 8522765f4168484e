//! A worker: leases spans, fetches them one request at a time, and writes what it claimed.
//!
//! It decides nothing. What to fetch, how long to wait and when to give up comes from the coordinator, by
//! message. After a fault it goes on at the very byte where it was.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::blocking::{blocking, in_place};
use super::control::Control;
use super::crumbs::{Crumbs, Reached};
use super::gauge::Gauge;
use crate::checksum::Algorithm;
use crate::digest::{Crcs, SegmentCrcs};
use crate::error::Error;
use crate::http::fetch::{Body, Fetcher};
use crate::http::retry::{Fault, is_progress};
use crate::range::{ByteRange, Segments};
use crate::scheduler::{Claim, WorkerId};
use crate::sources::{SourceId, SourceSet};
use crate::store::part::{PartFile, Window};

/// A window is what a worker fills in about this time, so that its lease can be shortened behind it.
pub(crate) const WINDOW_TIME: Duration = Duration::from_millis(250);
/// And no more than this, so that resident memory stays flat.
const WINDOW_BYTES: u64 = 8 << 20;

/// What a worker tells the coordinator. Where an answer is due and the coordinator drops it, the worker lets go
/// of what it holds and asks for another span.
#[derive(Debug)]
pub(crate) enum Message {
    /// Nothing to do.
    Idle {
        worker: WorkerId,
        reply: oneshot::Sender<Span>,
    },
    /// What was claimed has landed; the next segments of the lease are wanted.
    Claim {
        worker: WorkerId,
        most: usize,
        reply: oneshot::Sender<Option<Claim>>,
    },
    /// These segments are written, from `first` on, with bytes of these sources.
    Landed {
        first: usize,
        crcs: Vec<Crcs>,
        sources: SourceSet,
    },
    Failed(Failed),
    /// Its request was called off: whom to ask now?
    CalledOff {
        worker: WorkerId,
        reply: oneshot::Sender<Source>,
    },
    /// This machine failed: nothing to be repeated.
    Broken {
        error: Error,
    },
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) id: SourceId,
    pub(crate) fetcher: Arc<Fetcher>,
}

/// A request failed. The reply says how to go on.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) worker: WorkerId,
    /// The segment that it was at, and the byte of the object.
    pub(crate) segment: usize,
    pub(crate) at: u64,
    pub(crate) progressed: bool,
    pub(crate) fault: Fault,
    /// Whom it had asked.
    pub(crate) source: Source,
    pub(crate) reply: oneshot::Sender<Again>,
}

/// How to go on after a failure.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) wait: Duration,
    pub(crate) source: Source,
    /// What may be an answer already.
    pub(crate) body: Option<Body>,
}

/// A lease, whom to ask, and the probe's answer, which may be one to the first request for it.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) source: Source,
    pub(crate) body: Option<Body>,
}

/// What all workers of a transfer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) part: Arc<PartFile>,
    pub(crate) segments: Segments,
    /// Where the file's first byte is in the object.
    pub(crate) base: u64,
    pub(crate) control: Control,
    /// What the object is proved by.
    pub(crate) proof: Option<Algorithm>,
}

pub(crate) struct Worker {
    id: WorkerId,
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
    gauge: Arc<Gauge>,
    window_segments: usize,
}

/// Why a worker stops what it is doing.
enum Halt {
    /// The coordinator is gone, or said to let go.
    LetGo,
    Fault(Fault),
    Broken(Error),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Worker {
    pub(crate) fn new(
        id: WorkerId,
        shared: Arc<Shared>,
        messages: mpsc::Sender<Message>,
        gauge: Arc<Gauge>,
    ) -> Self {
        Self { id, shared, messages, gauge, window_segments: 1 }
    }

    /// Works until the coordinator has gone.
    pub(crate) async fn run(mut self) {
        while let Ok(span) = self.ask(|worker, reply| Message::Idle { worker, reply }).await {
            // Letting go closes the window; only then may the segments be another's. The next `Idle` says so.
            if let Err(Halt::Broken(error)) = self.work(span).await {
                // Without a coordinator nobody is left to tell.
                let _ = self.messages.send(Message::Broken { error }).await;
                return;
            }
        }
    }

    /// Works off one lease.
    async fn work(&mut self, span: Span) -> Result<(), Halt> {
        let Some(claim) = self.claim().await? else { return Ok(()) };
        self.shared.control.running().await;
        // A window may wait for the disk: the request does not wait for it.
        let start = self.shared.segments.range(claim.segments.start).start;
        let wanted = self.wanted(start, claim.lease_end);
        let Span { mut source, body } = span;
        let (asked, window) = join(self.ask_for(&source, wanted, body), self.window(&claim)).await;
        let (mut asked, mut filling) = (Some(asked), Filling::new(window?, &claim, self.shared.proof));
        let mut ready = None;
        let mut crumbs = Crumbs::new(source.fetcher.timeout());
        loop {
            self.shared.control.running().await;
            if filling.window.space() == 0 && !self.advance(&mut filling).await? {
                return Ok(());
            }
            let from = filling.window.position();
            let Asked { began, answer } = match asked.take() {
                Some(asked) => asked,
                None => {
                    let wanted = self.wanted(from, filling.lease_end);
                    self.ask_for(&source, wanted, ready.take()).await
                }
            };
            let reached = self.receive(&mut filling, answer, source.id).await;
            let (brought, full) = (filling.window.position() - from, filling.window.space() == 0);
            if matches!(reached, Ok(Reached::CalledOff)) {
                source = self.ask(|worker, reply| Message::CalledOff { worker, reply }).await?;
            }
            let fault = match reached {
                Ok(Reached::LeaseEnd) => return Ok(()),
                Ok(reached) => crumbs.judge(reached, brought, began.elapsed(), full),
                Err(Halt::Fault(fault)) => Some(fault),
                Err(halt) => return Err(halt),
            };
            if let Some(fault) = fault {
                crumbs.settle();
                let place = (filling.next, filling.window.position() + self.shared.base);
                let again = self.ask_again(place, brought, fault, source).await?;
                (source, ready) = (again.source, again.body);
                sleep(again.wait).await;
            }
        }
    }

    /// Tells of a fault, and asks how to go on.
    async fn ask_again(
        &self,
        (segment, at): (usize, u64),
        brought: u64,
        fault: Fault,
        source: Source,
    ) -> Result<Again, Halt> {
        let progressed = is_progress(brought, &fault);
        self.ask(|worker, reply| {
            Message::Failed(Failed { worker, segment, at, progressed, fault, source, reply })
        })
        .await
    }

    /// What is missing of the lease, in the object.
    fn wanted(&self, from: u64, lease_end: usize) -> ByteRange {
        let end = self.shared.segments.bytes(&(0..lease_end)).end;
        ByteRange::new(from, end).offset(self.shared.base)
    }

    /// One request. The probe's answer may be one to it.
    async fn ask_for(&self, source: &Source, wanted: ByteRange, ready: Option<Body>) -> Asked {
        let began = Instant::now();
        let mut called_off = self.gauge.begin().boxed();
        // The probe may have had to ask for other bytes than those that are missing.
        let answer = match ready.filter(|body| body.position() == wanted.start) {
            Some(body) => Ok(Some(body)),
            None => tokio::select! {
                biased;
                () = &mut called_off => Ok(None),
                body = self.open(source, wanted) => body.map(Some),
            },
        };
        Asked { began, answer: answer.map(|body| body.map(|body| (body, called_off))) }
    }

    async fn open(&self, source: &Source, wanted: ByteRange) -> Result<Body, Fault> {
        let _waiting = self.gauge.wait();
        source.fetcher.open(wanted).await
    }

    /// Writes what an answer brings, to the end of the lease.
    async fn receive(
        &mut self,
        filling: &mut Filling,
        answer: Answer,
        from: SourceId,
    ) -> Result<Reached, Halt> {
        let Some((mut body, mut called_off)) = answer? else { return Ok(Reached::CalledOff) };
        let control = self.shared.control.clone();
        let mut paused = pin!(control.paused());
        loop {
            let waiting = self.gauge.wait();
            let chunk = tokio::select! {
                biased;
                () = &mut paused => return Ok(Reached::Pause),
                () = &mut called_off => return Ok(Reached::CalledOff),
                chunk = body.chunk() => chunk?,
            };
            drop(waiting);
            let Some(mut bytes) = chunk else { return Ok(Reached::BodyEnd) };
            self.gauge.add_received(bytes.len());
            while !bytes.is_empty() {
                if filling.window.space() == 0 && !self.advance(filling).await? {
                    return Ok(Reached::LeaseEnd);
                }
                let fits = usize::try_from(filling.window.space()).unwrap_or(usize::MAX).min(bytes.len());
                let first = filling.next;
                filling.sources.add(from);
                let some = bytes.split_to(fits);
                let put = || filling.put(&some, self.shared.segments);
                let crcs = in_place(self.shared.part.makes_wait(), put)?;
                if !crcs.is_empty() {
                    // The last of these bytes may be the next segment's.
                    let sources = std::mem::replace(&mut filling.sources, SourceSet::of(from));
                    self.tell(Message::Landed { first, crcs, sources }).await?;
                }
            }
        }
    }

    /// From a full window to the next of the lease; `false` at its end.
    async fn advance(&mut self, filling: &mut Filling) -> Result<bool, Halt> {
        self.window_segments = filling.next_size(self.window_segments, self.shared.segments);
        let Some(claim) = self.claim().await? else { return Ok(false) };
        *filling = Filling::new(self.window(&claim).await?, &claim, self.shared.proof);
        Ok(true)
    }

    /// Claims the next segments of the lease. `None` at its end.
    async fn claim(&self) -> Result<Option<Claim>, Halt> {
        let most = self.window_segments;
        self.ask(|worker, reply| Message::Claim { worker, most, reply }).await
    }

    /// Opens a window on what was claimed.
    async fn window(&self, claim: &Claim) -> Result<Window, Error> {
        let range = self.shared.segments.bytes(&claim.segments);
        let part = Arc::clone(&self.shared.part);
        // Populating a map may wait for the disk.
        blocking(move || part.window(range)).await
    }

    async fn ask<T>(&self, message: impl FnOnce(WorkerId, oneshot::Sender<T>) -> Message) -> Result<T, Halt> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(self.id, reply)).await?;
        answer.await.map_err(|_| Halt::LetGo)
    }

    async fn tell(&self, message: Message) -> Result<(), Halt> {
        self.messages.send(message).await.map_err(|_| Halt::LetGo)
    }
}

/// A request that was made.
struct Asked {
    began: Instant,
    answer: Answer,
}

/// A body, and when to stop reading it; `None` if that was before it came.
type Answer = Result<Option<(Body, BoxFuture<'static, ()>)>, Fault>;

/// A window being filled, segment by segment.
struct Filling {
    window: Window,
    segments: Range<usize>,
    lease_end: usize,
    /// The segment being filled.
    next: usize,
    crcs: SegmentCrcs,
    /// Whose bytes are in that segment.
    sources: SourceSet,
    began: Instant,
}

impl Filling {
    fn new(window: Window, claim: &Claim, proof: Option<Algorithm>) -> Self {
        let segments = claim.segments.clone();
        let next = segments.start;
        Self {
            window,
            segments,
            lease_end: claim.lease_end,
            next,
            crcs: SegmentCrcs::new(proof),
            sources: SourceSet::default(),
            began: Instant::now(),
        }
    }

    /// Writes bytes, which must fit, and gives the CRCs of the segments that they complete.
    fn put(&mut self, mut bytes: &[u8], segments: Segments) -> Result<Vec<Crcs>, Error> {
        let mut crcs = Vec::new();
        while !bytes.is_empty() {
            let missing = segments.range(self.next).end - self.window.position();
            let (some, rest) =
                bytes.split_at(usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len()));
            self.crcs.update(some);
            self.window.write(some)?;
            if some.len() as u64 == missing {
                crcs.push(self.crcs.take());
                self.next += 1;
            }
            bytes = rest;
        }
        Ok(crcs)
    }

    /// Twice the segments if this window was filled quickly, half of them if slowly.
    fn next_size(&self, segments: usize, sizes: Segments) -> usize {
        let full = self.segments.len() == segments;
        let took = self.began.elapsed();
        let wanted = match () {
            () if full && took < WINDOW_TIME / 2 => segments * 2,
            () if took > WINDOW_TIME * 2 => segments / 2,
            () => segments,
        };
        let most = usize::try_from(WINDOW_BYTES / sizes.size()).unwrap_or(usize::MAX);
        wanted.clamp(1, most.max(1))
    }
}
