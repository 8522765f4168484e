//! Who fetches what: leases on runs of missing segments, handed out by guided self-scheduling.
//!
//! An idle worker leases the next missing segments: three quarters of what would be its share of everything that is
//! left, at its own rate, and in the last seconds all of it. So there are few requests, and all workers finish together.
//! When nothing is unleased, an idle worker takes so much off the far end of the lease with the most time left that both
//! are done at the same time.
//!
//! A worker *claims* the segments of its lease a few at a time, just before it writes them. Claimed segments
//! are its own until it lets go; what is leased but not claimed can still be taken from it.

use std::collections::BTreeMap;
use std::ops::Range;

/// Names a worker for as long as a download runs.
pub(crate) type WorkerId = usize;

/// When a lease is worth dividing, and where: asking costs round trips, and the victim its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StealTerms {
    /// Seconds of work that the victim must have left, unclaimed.
    pub(crate) least_seconds: f64,
    /// Seconds until the thief has its first byte.
    pub(crate) first_byte: f64,
    /// What the thief can be expected to do, in bytes per second.
    pub(crate) rate: f64,
    pub(crate) segment_size: u64,
}

/// How fast things go: for the size of a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// What the worker does, in bytes per second; `None` where nobody knows.
    pub(crate) own: Option<f64>,
    /// What all who hold a lease do together, and the worker: no less than its own.
    pub(crate) all: f64,
    /// How many there will be.
    pub(crate) jobs: usize,
    /// Seconds until a request's first byte.
    pub(crate) first_byte: f64,
    pub(crate) segment_size: u64,
}

/// Of its share a worker leases so much: what it turns out to be slower or faster is made up for in the next round.
const ROUND: f64 = 0.75;
/// With fewer seconds left than this, or [`LAST_FIRST_BYTES`] times what a first byte takes, it leases all of its share.
const LAST_ROUND: f64 = 2.0;
const LAST_FIRST_BYTES: f64 = 10.0;
/// Where bytes are wanted in their order a lease takes no more seconds than this, or so many times what a first byte takes:
/// what has come of the file has few holes then, and 2 % of the time goes into requests.
const SHORT: f64 = 0.25;
const SHORT_FIRST_BYTES: f64 = 50.0;
/// And so many least spans, where nobody knows how fast the worker is.
const SHORT_SPANS: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    /// What the worker holds and may be writing.
    claimed: Range<usize>,
    /// One past the last segment of the lease; `claimed.end..end` can be stolen.
    end: usize,
}

/// The state of all leases. Pure: no clock, no I/O.
#[derive(Clone, Debug)]
pub(crate) struct Scheduler {
    /// Missing segments that nobody has leased: disjoint runs, never adjacent, start → end.
    unleased: BTreeMap<usize, usize>,
    leases: BTreeMap<WorkerId, Lease>,
    least_span: usize,
}

impl Scheduler {
    /// `least_span`: the fewest segments worth a request of their own while there is a choice.
    pub(crate) fn new(missing: impl IntoIterator<Item = Range<usize>>, least_span: usize) -> Self {
        let mut scheduler =
            Self { unleased: BTreeMap::new(), leases: BTreeMap::new(), least_span: least_span.max(1) };
        missing.into_iter().for_each(|run| scheduler.put_back(run));
        scheduler
    }

    /// The next span for an idle worker, `None` when everything missing is leased.
    pub(crate) fn lease(&mut self, worker: WorkerId, pace: Pace) -> Option<Range<usize>> {
        self.lease_up_to(worker, pace.share(self.all_left(), self.least_span))
    }

    /// The same where the file's bytes are wanted in their order: less at a time.
    pub(crate) fn lease_shortly(&mut self, worker: WorkerId, pace: Pace) -> Option<Range<usize>> {
        let share = pace.share(self.all_left(), self.least_span);
        self.lease_up_to(worker, share.min(pace.short(self.least_span)))
    }

    /// What is unleased, and what is leased and has not landed for certain.
    fn all_left(&self) -> usize {
        let unleased: usize = self.unleased.iter().map(|(start, end)| end - start).sum();
        unleased + self.left().map(|(_, left)| left).sum::<usize>()
    }

    /// The first missing run, at most `most` segments of it.
    pub(crate) fn lease_up_to(&mut self, worker: WorkerId, most: usize) -> Option<Range<usize>> {
        debug_assert!(!self.leases.contains_key(&worker), "a worker has one lease");
        let (start, run_end) = self.unleased.pop_first()?;
        let end = run_end.min(start.saturating_add(most.max(1)));
        if end < run_end {
            self.unleased.insert(end, run_end);
        }
        self.leases.insert(worker, Lease { claimed: start..start, end });
        Some(start..end)
    }

    /// The far end of the lease with the most time left at its holder's own rate, in bytes per second: as much of it
    /// as leaves the same time to both, and no more than the thief's share of everything that is left.
    pub(crate) fn steal(
        &mut self,
        thief: WorkerId,
        pace: Pace,
        terms: StealTerms,
        rate: impl Fn(WorkerId) -> f64,
    ) -> Option<Range<usize>> {
        debug_assert!(!self.leases.contains_key(&thief), "a worker has one lease");
        let most = pace.share(self.all_left(), 1);
        let (_, rate, lease) = self
            .leases
            .iter_mut()
            .filter(|(_, lease)| lease.claimed.end < lease.end)
            .map(|(worker, lease)| (rate(*worker), lease))
            .map(|(rate, lease)| (lease.seconds_left(rate, terms.segment_size), rate, lease))
            .filter(|(seconds, ..)| *seconds > terms.least_seconds)
            .max_by(|(a, ..), (b, ..)| a.total_cmp(b))?;
        let end = lease.end;
        lease.end -= lease.fair_share(rate, terms).min(most);
        let taken = lease.end..end;
        self.leases.insert(thief, Lease { claimed: taken.start..taken.start, end });
        Some(taken)
    }

    /// Lets go of what the worker claimed before, which must have landed, and claims the next segments of its
    /// lease, at most `most`. `None` ends the lease.
    pub(crate) fn claim(&mut self, worker: WorkerId, most: usize) -> Option<Claim> {
        let lease = self.leases.get_mut(&worker)?;
        let start = lease.claimed.end;
        if start == lease.end {
            self.leases.remove(&worker);
            return None;
        }
        // Once there is nothing but leases to take from, little is claimed at a time: what is claimed cannot be taken.
        let most = if self.unleased.is_empty() { most.min((lease.end - start) / 4) } else { most };
        lease.claimed = start..lease.end.min(start.saturating_add(most.max(1)));
        Some(Claim { segments: lease.claimed.clone(), lease_end: lease.end })
    }

    /// The worker is gone: what it had not landed is missing again. Gives the first of that.
    pub(crate) fn release(&mut self, worker: WorkerId, landed: impl Fn(usize) -> bool) -> Option<usize> {
        let lease = self.leases.remove(&worker)?;
        let mut missing = (lease.claimed.start..lease.end).filter(|index| !landed(*index)).peekable();
        let first = missing.peek().copied();
        missing.for_each(|index| self.put_back(index..index + 1));
        first
    }

    /// These segments are missing again, and nobody's.
    pub(crate) fn put_back(&mut self, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        let before = self.unleased.range(..=run.start).next_back().map(|(start, end)| (*start, *end));
        let start = before.filter(|(_, end)| *end >= run.start).map_or(run.start, |(start, _)| start);
        let end = self.unleased.remove(&run.end).unwrap_or(run.end);
        self.unleased.insert(start, end);
    }

    /// Who holds a lease, and how many segments of it have not landed for certain.
    pub(crate) fn left(&self) -> impl Iterator<Item = (WorkerId, usize)> {
        self.leases.iter().map(|(worker, lease)| (*worker, lease.end - lease.claimed.start))
    }

    /// Of each lease what is claimed, some of which may have landed, and what follows.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.leases.values().map(|lease| (lease.claimed.clone(), lease.claimed.end..lease.end))
    }

    /// How many workers hold a lease.
    pub(crate) fn leased(&self) -> usize {
        self.leases.len()
    }
}

impl Pace {
    /// As at the beginning: nobody has shown anything.
    #[cfg(test)]
    pub(crate) fn unknown(jobs: usize) -> Self {
        Self { own: None, all: 0.0, jobs, first_byte: 0.0, segment_size: 1 }
    }

    /// How many of the segments that are left a worker fetches with its next request.
    fn share(&self, left: usize, least_span: usize) -> usize {
        if self.jobs <= 1 {
            return left;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (left, jobs, size) = (left as f64, self.jobs as f64, self.segment_size as f64);
        let seconds = left * size / self.all.max(1.0);
        let part = match self.own {
            // What others have just begun says little: nobody takes more than twice the mean.
            Some(own) => (own / self.all).min(2.0 / jobs),
            None => 1.0 / jobs,
        };
        let share = left * part;
        // Less than what comes in two round trips is not worth one.
        let least = 2.0 * self.first_byte * self.own.unwrap_or(0.0) / size;
        let last_round = seconds < LAST_ROUND.max(self.first_byte * LAST_FIRST_BYTES);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a count")]
        let segments = |share: f64| share.round().max(1.0) as usize;
        if last_round { segments(share.max(least)) } else { segments(share * ROUND).max(least_span) }
    }

    /// How many segments the worker fetches in a short while.
    fn short(&self, least_span: usize) -> usize {
        let Some(own) = self.own else { return least_span * SHORT_SPANS };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let segments = own * SHORT.max(self.first_byte * SHORT_FIRST_BYTES) / self.segment_size as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a count")]
        let segments = segments.round().max(1.0) as usize;
        segments.max(least_span)
    }
}

/// Segments that a worker may write, and where its lease ends by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) segments: Range<usize>,
    pub(crate) lease_end: usize,
}

impl Lease {
    /// How long its holder takes for what can be stolen.
    fn seconds_left(&self, rate: f64, segment_size: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let bytes = (self.end - self.claimed.end) as f64 * segment_size as f64;
        bytes / rate.max(1.0)
    }

    /// How many segments the thief takes for both to be done together: with rates v and t and l seconds until the
    /// thief's first byte, x of w bytes, where (w - x) / v = l + x / t. At least one, and none that is claimed.
    fn fair_share(
        &self,
        victim: f64,
        StealTerms { first_byte, rate, segment_size, .. }: StealTerms,
    ) -> usize {
        let unclaimed = self.end - self.claimed.end;
        let (victim, thief) = (victim.max(1.0), rate.max(1.0));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (unclaimed_bytes, claimed_bytes) =
            ((unclaimed as u64 * segment_size) as f64, (self.claimed.len() as u64 * segment_size) as f64);
        // Where in its claim the victim is nobody knows: in the middle.
        let bytes = (unclaimed_bytes + claimed_bytes / 2.0 - first_byte * victim) * thief / (victim + thief);
        let share = (bytes / unclaimed_bytes).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share between 0 and 1 of a count"
        )]
        let segments = (share * unclaimed as f64).round() as usize;
        segments.clamp(1, unclaimed)
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
