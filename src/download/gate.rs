//! How many downloads one host is asked for at once, and how many requests they make. Pure: the clock is handed in.
//!
//! Each download that is let in has one request. What it wants beyond that, to fetch ranges in parallel, comes out of
//! what is left for the host, and who wants it gets equal parts. Large downloads fill a link by themselves, so few of
//! them are let in; of small ones more and more, as long as answers do not come later for it.

use std::time::Duration;

use tokio::time::Instant;

/// How many to one host at once, where somebody said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Requests, of all downloads.
    pub(crate) requests: Option<usize>,
    pub(crate) downloads: Option<usize>,
}

impl Limits {
    /// Requests that several downloads share.
    fn shared(self) -> usize {
        self.requests.unwrap_or(SHARED)
    }

    /// Downloads, large or small.
    fn most(self) -> usize {
        let downloads = self.downloads.unwrap_or(SHARED);
        self.requests.map_or(downloads, |requests| downloads.min(requests))
    }

    /// Large downloads.
    pub(crate) fn large(self) -> usize {
        self.downloads.unwrap_or(LARGE).min(self.most())
    }
}

/// Requests of all downloads, where nobody said how many.
const SHARED: usize = 64;
/// Of a host that is not known no more are asked for at once.
const UNASKED: usize = 16;
/// A host that is nearer serves so many small downloads as fast as more.
const NEAR: Duration = Duration::from_millis(3);
/// Where an answer takes so much longer than the quickest one did it waits in a queue, of the link or of the server: more
/// downloads at once are no faster then, and the last ones end later, each with a small part of the link.
const QUEUE: f64 = 1.5;
/// Enough to fill a link, each with several requests.
const LARGE: usize = 4;
/// After this long without a refusal one more is tried.
const MEMORY: Duration = Duration::from_secs(10);

/// One host's.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    /// Downloads at once.
    limit: usize,
    /// Downloads that are in.
    inside: usize,
    /// Of those, how many have been answered.
    served: usize,
    /// Requests, of all who are in.
    requests: usize,
    /// Nobody is let in before.
    pause: Option<Instant>,
    /// How far the host is.
    distance: Option<Duration>,
    /// The shortest time that an answer took to begin.
    quickest: Option<Duration>,
    /// When the limit was last changed by a refusal, or after one.
    refused: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            limit: limits.downloads.unwrap_or(UNASKED).min(limits.most()),
            inside: 0,
            served: 0,
            requests: 0,
            pause: None,
            distance: None,
            quickest: None,
            refused: None,
        }
    }

    /// Lets a download in, if there is room for one more.
    pub(crate) fn enter(&mut self, now: Instant) -> bool {
        if self.limit < self.limits.most() && self.refused.is_some_and(|refused| now - refused > MEMORY) {
            (self.limit, self.refused) = (self.limit + 1, Some(now));
        }
        let room = self.inside < self.limit && self.pause_left(now).is_zero();
        self.inside += usize::from(room);
        self.requests += usize::from(room);
        room
    }

    /// A download goes, which had so many requests.
    pub(crate) fn leave(&mut self, requests: usize, served: bool) {
        self.inside -= 1;
        self.requests -= requests;
        self.served -= usize::from(served);
    }

    /// The first answer to one that is in, so long after its request went out; `warm`: over a connection that was there.
    pub(crate) fn serve(&mut self, waited: Duration, warm: bool) {
        self.served += 1;
        let quickest = self.quickest.map_or(waited, |quickest| quickest.min(waited));
        self.quickest = Some(quickest);
        let far = self.distance.is_some_and(|distance| distance >= NEAR);
        // The first answers come before there can be a queue.
        if far && warm && self.refused.is_none() && waited < quickest.mul_f64(QUEUE) {
            self.limit += usize::from(self.limit < self.limits.most());
        }
    }

    /// Whether any has been answered.
    pub(crate) fn serves(&self) -> bool {
        self.served > 0
    }

    /// So long a connection takes to come about.
    pub(crate) fn learn_distance(&mut self, round_trip: Duration) {
        self.distance = Some(self.distance.map_or(round_trip, |distance| distance.min(round_trip)));
    }

    pub(crate) fn is_new(&self) -> bool {
        self.distance.is_none()
    }

    /// The host turned a request away, and wants to be left alone for so long: no more are let in than it serves.
    pub(crate) fn refuse(&mut self, wait: Duration, now: Instant) {
        let alone = self.pause_left(now).is_zero();
        self.pause = self.pause.max(Some(now + wait));
        // Of those that are turned away together, one halves for all.
        let fewer = if self.served > 0 {
            self.served
        } else if alone {
            self.inside / 2
        } else {
            self.limit
        };
        self.limit = self.limit.min(fewer.max(1));
        self.refused = Some(now);
    }

    /// How long nobody is let in.
    pub(crate) fn pause_left(&self, now: Instant) -> Duration {
        self.pause.map_or(Duration::ZERO, |pause| pause.saturating_duration_since(now))
    }

    /// Whether there is but one.
    pub(crate) fn is_alone(&self) -> bool {
        self.inside == 1
    }

    /// How many requests a download may have that has `own`.
    pub(crate) fn share(&self, own: usize) -> usize {
        if self.is_alone() {
            return self.limits.requests.unwrap_or(usize::MAX);
        }
        let part = self.limits.shared() / self.inside.max(1);
        let left = self.limits.shared().saturating_sub(self.requests - own);
        part.max(left).max(1)
    }

    /// A download that had `before` requests has `now`.
    pub(crate) fn note_requests(&mut self, before: usize, now: usize) {
        self.requests = self.requests - before + now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_millis(50);
    const SECOND: Duration = Duration::from_secs(1);

    /// Lets in as many as there is room for.
    fn fill(gate: &mut Gate, now: Instant) -> usize {
        (0..1000).take_while(|_| gate.enter(now)).count()
    }

    fn far_away() -> Gate {
        let mut gate = Gate::new(Limits::default());
        gate.learn_distance(FAR);
        (0..48).for_each(|_| {
            gate.enter(Instant::now());
            gate.serve(FAR, true);
            gate.leave(1, true);
        });
        gate
    }

    #[test]
    fn a_stranger_is_asked_for_some_and_for_more_as_long_as_answers_do_not_queue() {
        let now = Instant::now();
        let mut gate = Gate::new(Limits::default());
        assert!(gate.is_new());
        assert_eq!(fill(&mut gate, now), 16);
        gate.learn_distance(FAR);
        assert!(!gate.is_new());
        (0..16).for_each(|_| gate.serve(FAR, false));
        assert_eq!(fill(&mut gate, now), 0, "there could be no queue yet");
        (0..5).for_each(|_| gate.serve(FAR, true));
        (0..9).for_each(|_| gate.serve(FAR.mul_f64(QUEUE), true));
        assert_eq!(fill(&mut gate, now), 5);
        (0..99).for_each(|_| gate.serve(FAR, true));
        assert_eq!(fill(&mut gate, now), 43, "64 is the most");
    }

    #[test]
    fn more_are_no_faster_from_a_host_that_is_near() {
        let now = Instant::now();
        let mut gate = Gate::new(Limits::default());
        gate.learn_distance(Duration::from_micros(200));
        gate.learn_distance(FAR);
        (0..99).for_each(|_| gate.serve(Duration::from_micros(100), true));
        assert_eq!(fill(&mut gate, now), 16);
    }

    #[test]
    fn what_was_said_holds() {
        let now = Instant::now();
        let of = |requests, downloads| {
            let mut gate = Gate::new(Limits { requests, downloads });
            gate.learn_distance(FAR);
            (0..99).for_each(|_| gate.serve(FAR, true));
            fill(&mut gate, now)
        };
        assert_eq!((of(Some(8), None), of(None, Some(100)), of(Some(8), Some(3))), (8, 100, 3));
        assert_eq!((of(Some(8), Some(100)), of(Some(100), None)), (8, 64));
        let large = |requests, downloads| Limits { requests, downloads }.large();
        assert_eq!((large(None, None), large(Some(2), None), large(None, Some(100))), (4, 2, 100));
    }

    #[test]
    fn a_refusal_leaves_as_many_as_are_served_and_one_more_is_tried_later() {
        let now = Instant::now();
        let mut gate = far_away();
        assert_eq!(fill(&mut gate, now), 64);
        (0..10).for_each(|_| gate.serve(FAR, true));
        (0..54).for_each(|_| {
            gate.refuse(SECOND, now);
            gate.leave(1, false);
        });
        assert_eq!(gate.pause_left(now), SECOND);
        gate.leave(1, true);
        assert!(!gate.enter(now), "it wants to be left alone");
        assert_eq!(fill(&mut gate, now + SECOND), 1, "ten were served");
        gate.serve(FAR, true);
        assert!(!gate.enter(now + MEMORY));
        assert_eq!(fill(&mut gate, now + MEMORY + SECOND), 1);
    }

    #[test]
    fn one_more_is_no_more_than_was_said() {
        let now = Instant::now();
        let mut gate = Gate::new(Limits { requests: None, downloads: Some(1) });
        assert!(gate.enter(now) && !gate.serves());
        gate.serve(FAR, true);
        gate.refuse(Duration::ZERO, now);
        assert!(gate.serves() && !gate.enter(now + 2 * MEMORY));
        gate.leave(1, true);
        assert!(!gate.serves() && gate.enter(now + 2 * MEMORY));
    }

    #[test]
    fn where_none_is_served_those_who_are_refused_together_halve_it_once() {
        let now = Instant::now();
        let mut gate = far_away();
        fill(&mut gate, now);
        (0..64).for_each(|_| gate.refuse(SECOND, now));
        (0..64).for_each(|_| gate.leave(1, false));
        assert_eq!(fill(&mut gate, now + SECOND), 32);
        let mut alone = far_away();
        assert!(alone.enter(now));
        alone.refuse(SECOND, now);
        alone.leave(1, false);
        assert_eq!(fill(&mut alone, now + SECOND), 1, "never none");
    }

    #[test]
    fn who_is_alone_has_all_and_others_share_what_is_left() {
        let now = Instant::now();
        let mut gate = far_away();
        assert!(gate.enter(now));
        assert_eq!((gate.is_alone(), gate.share(1)), (true, usize::MAX));
        gate.note_requests(1, 64);
        assert!(gate.enter(now));
        assert_eq!((gate.share(64), gate.share(1)), (63, 32), "the new one has its part at once");
        gate.note_requests(64, 32);
        assert_eq!((gate.share(32), gate.share(1)), (63, 32));
        gate.note_requests(1, 20);
        assert_eq!((gate.share(32), gate.share(20)), (44, 32));
        gate.note_requests(20, 1);
        (0..62).for_each(|_| assert!(gate.enter(now)));
        assert_eq!(gate.share(1), 1);
        let mut told = Gate::new(Limits { requests: Some(6), downloads: None });
        assert!(told.enter(now));
        assert_eq!(told.share(1), 6);
    }
}
