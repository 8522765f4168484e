//! A worker: leases spans, fetches them one request at a time, and writes what it claimed.
//!
//! It decides nothing. What to fetch, how long to wait and when to give up comes from the coordinator, by
//! message. After a fault it goes on at the very byte where it was.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::blocking::blocking;
use super::control::Control;
use super::gauge::Gauge;
use crate::digest::SegmentCrc;
use crate::error::Error;
use crate::http::fetch::{Body, Fetcher};
use crate::http::retry::{Fault, LEAST_PROGRESS, is_progress};
use crate::range::{ByteRange, Segments};
use crate::scheduler::{Claim, WorkerId};
use crate::store::part::{PartFile, Window};

/// A window is what a worker fills in about this time, so that its lease can be shortened behind it.
const WINDOW_TIME: Duration = Duration::from_millis(250);
/// And no more than this, so that resident memory stays flat.
const WINDOW_BYTES: u64 = 8 << 20;

/// What a worker tells the coordinator. Where an answer is due and the coordinator drops it, the worker lets go
/// of what it holds and asks for another span.
#[derive(Debug)]
pub(crate) enum Message {
    /// Nothing to do.
    Idle { worker: WorkerId, reply: oneshot::Sender<Span> },
    /// What was claimed has landed; the next segments of the lease are wanted.
    Claim { worker: WorkerId, most: usize, reply: oneshot::Sender<Option<Claim>> },
    /// These segments are written, from `first` on.
    Landed { first: usize, crcs: Vec<u32> },
    /// A request failed at that segment. The reply says how long to wait before the next.
    Failed {
        worker: WorkerId,
        segment: usize,
        progressed: bool,
        fault: Fault,
        reply: oneshot::Sender<Duration>,
    },
    /// This machine failed: nothing to be repeated.
    Broken { error: Error },
}

/// A lease, and the probe's answer, which may be one to the first request for it.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) body: Option<Body>,
}

/// What all workers of a transfer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fetcher: Fetcher,
    pub(crate) part: Arc<PartFile>,
    pub(crate) segments: Segments,
    /// Where the file's first byte is in the object.
    pub(crate) base: u64,
    pub(crate) control: Control,
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
        let mut body = span.body;
        let Some(mut filling) = self.claim().await? else { return Ok(()) };
        let mut crumbs = false;
        // How long requests that were called off had brought nothing: another connection is no excuse for silence.
        let mut starved = Duration::ZERO;
        loop {
            self.shared.control.running().await;
            if filling.window.space() == 0 && !self.advance(&mut filling).await? {
                return Ok(());
            }
            let (from, began) = (filling.window.position(), Instant::now());
            let reached = self.fetch(&mut filling, body.take()).await;
            let brought = filling.window.position() - from;
            starved = if brought < LEAST_PROGRESS { starved + began.elapsed() } else { Duration::ZERO };
            let patience = self.shared.fetcher.timeout();
            let fault = match reached {
                Ok(Reached::LeaseEnd) => return Ok(()),
                Ok(Reached::Pause) => continue,
                Ok(Reached::CalledOff) if starved < patience => continue,
                Ok(Reached::CalledOff) => Fault::Silent(patience),
                Ok(Reached::BodyEnd) if brought >= LEAST_PROGRESS || filling.window.space() == 0 => continue,
                // A server may send less than was asked for (H13), but not crumb after crumb.
                Ok(Reached::BodyEnd) if brought > 0 && !crumbs => {
                    crumbs = true;
                    continue;
                }
                Ok(Reached::BodyEnd) => Fault::Cut(format!("a whole answer of {brought} bytes")),
                Err(Halt::Fault(fault)) => fault,
                Err(halt) => return Err(halt),
            };
            starved = Duration::ZERO;
            let (segment, progressed) = (filling.next, is_progress(brought, &fault));
            let ask = |worker, reply| Message::Failed { worker, segment, progressed, fault, reply };
            sleep(self.ask(ask).await?).await;
        }
    }

    /// One request, from where the window stands to the end of the lease.
    async fn fetch(&mut self, filling: &mut Filling, ready: Option<Body>) -> Result<Reached, Halt> {
        let end = self.shared.segments.bytes(&(0..filling.lease_end)).end;
        let wanted = ByteRange::new(filling.window.position(), end).offset(self.shared.base);
        let mut called_off = pin!(self.gauge.begin());
        let control = self.shared.control.clone();
        let mut paused = pin!(control.paused());
        // The probe may have had to ask for other bytes than those that are missing.
        let mut body = match ready.filter(|body| body.position() == wanted.start) {
            Some(body) => body,
            None => tokio::select! {
                biased;
                () = &mut called_off => return Ok(Reached::CalledOff),
                body = self.open(wanted) => body?,
            },
        };
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
                let crcs = filling.put(&bytes.split_to(fits), self.shared.segments)?;
                if !crcs.is_empty() {
                    self.tell(Message::Landed { first, crcs }).await?;
                }
            }
        }
    }

    async fn open(&self, wanted: ByteRange) -> Result<Body, Fault> {
        let _waiting = self.gauge.wait();
        self.shared.fetcher.open(wanted).await
    }

    /// From a full window to the next of the lease; `false` at its end.
    async fn advance(&mut self, filling: &mut Filling) -> Result<bool, Halt> {
        self.window_segments = filling.next_size(self.window_segments, self.shared.segments);
        let next = self.claim().await?;
        let more = next.is_some();
        next.into_iter().for_each(|next| *filling = next);
        Ok(more)
    }

    /// Claims the next segments of the lease and opens a window on them. `None` at the end of the lease.
    async fn claim(&mut self) -> Result<Option<Filling>, Halt> {
        let most = self.window_segments;
        let Some(claim) = self.ask(|worker, reply| Message::Claim { worker, most, reply }).await? else {
            return Ok(None);
        };
        let range = self.shared.segments.bytes(&claim.segments);
        let part = Arc::clone(&self.shared.part);
        // Populating a map may wait for the disk.
        let window = blocking(move || part.window(range)).await?;
        Ok(Some(Filling::new(window, &claim)))
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

/// How far a request got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    LeaseEnd,
    BodyEnd,
    Pause,
    /// Another connection will do better.
    CalledOff,
}

/// A window being filled, segment by segment.
struct Filling {
    window: Window,
    segments: Range<usize>,
    lease_end: usize,
    /// The segment being filled.
    next: usize,
    crc: SegmentCrc,
    began: Instant,
}

impl Filling {
    fn new(window: Window, claim: &Claim) -> Self {
        let segments = claim.segments.clone();
        let next = segments.start;
        Self {
            window,
            segments,
            lease_end: claim.lease_end,
            next,
            crc: SegmentCrc::new(),
            began: Instant::now(),
        }
    }

    /// Writes bytes, which must fit, and gives the CRCs of the segments that they complete.
    fn put(&mut self, mut bytes: &[u8], segments: Segments) -> Result<Vec<u32>, Error> {
        let mut crcs = Vec::new();
        while !bytes.is_empty() {
            let missing = segments.range(self.next).end - self.window.position();
            let (some, rest) =
                bytes.split_at(usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len()));
            self.crc.update(some);
            self.window.write(some)?;
            if some.len() as u64 == missing {
                crcs.push(self.crc.take());
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
