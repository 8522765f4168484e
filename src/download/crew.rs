//! What is known of a transfer's workers: how fast each is, and what its request is at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::gauge::Gauge;
use super::progress::Rate;
use super::redial::{Line, median};
use super::throttle::Running;
use crate::scheduler::{Pace, Scheduler, StealTerms, WorkerId};

/// How long the past counts in a worker's rate, at least and at the most: bytes come in bursts, a round trip apart.
const RATE_MEMORY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

#[derive(Debug)]
struct Member {
    gauge: Arc<Gauge>,
    rate: Rate,
    /// When its request began.
    since: Instant,
}

/// The workers, those that have nothing to do among them.
#[derive(Debug, Default)]
pub(super) struct Crew(BTreeMap<WorkerId, Member>);

impl Crew {
    /// The worker's own, whoever does its work.
    pub(super) fn gauge(&mut self, worker: WorkerId) -> Arc<Gauge> {
        let new = || Member { gauge: Arc::new(Gauge::new()), rate: Rate::default(), since: Instant::now() };
        Arc::clone(&self.0.entry(worker).or_insert_with(new).gauge)
    }

    /// A worker's next request begins, most likely on the connection of the last one: its rate is still good.
    pub(super) fn begin(&mut self, worker: WorkerId) {
        if let Some(member) = self.0.get_mut(&worker) {
            member.since = Instant::now();
        }
    }

    /// A worker begins anew, on another connection: it has no rate yet.
    pub(super) fn begin_anew(&mut self, worker: WorkerId) {
        self.begin(worker);
        if let Some(member) = self.0.get_mut(&worker) {
            member.rate = Rate::starting_at(member.gauge.received());
        }
    }

    /// Its request is to end: another connection will do better.
    pub(super) fn call_off(&mut self, worker: WorkerId) {
        self.gauge(worker).call_off();
        self.begin_anew(worker);
    }

    /// Takes the rates of those who hold a lease, `elapsed` after they were taken last.
    pub(super) fn update(&mut self, scheduler: &Scheduler, elapsed: Duration, first_byte: Duration) {
        let [least, most] = RATE_MEMORY;
        let memory = (4 * first_byte).clamp(least, most);
        for (worker, _) in scheduler.left() {
            let Some(member) = self.0.get_mut(&worker) else { continue };
            // The time until the answer says nothing of the connection, if it is not out of all proportion.
            if member.gauge.is_delivering() || member.since.elapsed() > 2 * first_byte {
                member.rate.update(member.gauge.received(), elapsed, memory);
            }
        }
    }

    /// Body bytes received, by all.
    pub(super) fn received(&self) -> u64 {
        self.0.values().map(|member| member.gauge.received()).sum()
    }

    /// Requests of those who hold a lease.
    pub(super) fn running(&self, scheduler: &Scheduler) -> Running {
        let delivers = |worker: &WorkerId| self.0[worker].gauge.is_delivering();
        let delivering = scheduler.left().filter(|(worker, _)| delivers(worker)).count();
        Running { under_way: scheduler.leased(), delivering }
    }

    /// The same, one by one.
    pub(super) fn lines(&self, scheduler: &Scheduler, segment_size: u64, now: Instant) -> Vec<Line> {
        let line = |(worker, left): (WorkerId, usize)| {
            let member = &self.0[&worker];
            Line {
                worker,
                silent: member.gauge.silent(),
                answered: member.gauge.is_delivering(),
                age: now - member.since,
                rate: member.rate.per_second(),
                left: left as u64 * segment_size,
            }
        };
        scheduler.left().map(line).collect()
    }

    /// For the size of the worker's next lease. Who is between two leases works as well as who holds one: all do but
    /// the `idle`.
    pub(super) fn pace(
        &self,
        worker: WorkerId,
        idle: impl Fn(WorkerId) -> bool,
        jobs: usize,
        first_byte: Duration,
        segment_size: u64,
    ) -> Pace {
        let at_work = self.0.iter().filter(|(id, _)| **id == worker || !idle(**id));
        Pace {
            own: self.rate(worker).filter(|rate| *rate > 0.0),
            all: at_work.filter_map(|(_, member)| member.rate.per_second()).sum(),
            jobs,
            first_byte: first_byte.as_secs_f64(),
            segment_size,
        }
    }

    /// How much a worker may claim at once: what it does in about this time, as far as known. A burst is not to lead it to
    /// hold on to what others would be sooner done with.
    pub(super) fn claimable(&self, worker: WorkerId, time: Duration, segment_size: u64) -> usize {
        let Some(rate) = self.rate(worker) else { return usize::MAX };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let segments = rate * time.as_secs_f64() / segment_size as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, or far too many"
        )]
        let segments = segments.ceil() as usize;
        segments.max(1)
    }

    /// For one who takes from another: a lease is worth dividing that lasts longer than `worth`.
    pub(super) fn steal_terms(&self, worth: Duration, first_byte: Duration, segment_size: u64) -> StealTerms {
        // Those who have had nothing to do say nothing of what a connection does.
        let rates = self.0.values().filter_map(|member| member.rate.per_second()).filter(|rate| *rate > 0.0);
        StealTerms {
            least_seconds: worth.as_secs_f64(),
            first_byte: first_byte.as_secs_f64(),
            rate: median(rates.collect()).unwrap_or(0.0),
            segment_size,
        }
    }

    /// How many of them have a connection, to go by what came.
    pub(super) fn warm(&self, workers: impl Iterator<Item = WorkerId>) -> usize {
        workers.filter_map(|worker| self.0.get(&worker)).filter(|member| member.gauge.is_delivering()).count()
    }

    /// The worker's rate, by which it is stolen from. One that began less than `worth` ago has shown nothing yet:
    /// nothing is taken from it.
    pub(super) fn shown_rate(&self, worker: WorkerId, worth: Duration) -> f64 {
        let shown = self.0.get(&worker).filter(|member| member.since.elapsed() > worth);
        shown.and_then(|member| member.rate.per_second()).unwrap_or(f64::INFINITY)
    }

    /// Bytes per second, as far as known.
    pub(super) fn rate(&self, worker: WorkerId) -> Option<f64> {
        self.0.get(&worker)?.rate.per_second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Four workers, of which the first `leased` hold a lease.
    fn crew(leased: usize) -> (Crew, Scheduler) {
        let (mut crew, mut scheduler) = (Crew::default(), Scheduler::new([0..40, 50..60], 1));
        (0..4).for_each(|worker| drop(crew.gauge(worker)));
        (0..leased).for_each(|worker| assert!(scheduler.lease_up_to(worker, 10).is_some()));
        (crew, scheduler)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_nothing_to_do_says_nothing_of_what_a_connection_does() {
        let (mut crew, scheduler) = crew(3);
        crew.gauge(0).add_received(100_000);
        // The others have waited in vain.
        tokio::time::advance(SECOND).await;
        crew.update(&scheduler, SECOND, Duration::ZERO);
        let terms = crew.steal_terms(Duration::ZERO, Duration::ZERO, 1 << 16);
        assert!((terms.rate - 100_000.0).abs() < 1.0, "{terms:?}");
        assert_eq!(crew.received(), 100_000);
        let own = |worker| crew.pace(worker, |_| false, 4, Duration::ZERO, 1).own.map(f64::round);
        assert_eq!((own(0), own(1), own(3)), (Some(100_000.0), None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_between_two_leases_works_and_keeps_its_rate() {
        let (mut crew, mut scheduler) = crew(2);
        (0..2).for_each(|worker| crew.gauge(worker).add_received(1000));
        crew.update(&scheduler, SECOND, Duration::ZERO);
        scheduler.release(1, |_| false);
        crew.update(&scheduler, 9 * SECOND, Duration::ZERO);
        let pace = |worker, idle: &[WorkerId]| {
            let pace = crew.pace(worker, |other| idle.contains(&other), 4, Duration::ZERO, 1);
            (pace.own.map(f64::round), pace.all.round())
        };
        assert_eq!(pace(1, &[2, 3]), (Some(1000.0), 1_000.0 + crew.rate(0).unwrap().round()));
        assert_eq!(
            pace(0, &[1, 2, 3]),
            (pace(0, &[]).0, crew.rate(0).unwrap().round()),
            "an idle one does not"
        );
        assert_eq!(pace(2, &[0, 1, 3]), (None, 0.0), "nothing is known of it");
        assert_eq!(Some(pace(0, &[0, 1, 2, 3]).1), crew.rate(0).map(f64::round), "who asks is at work");
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_is_told_of_with_what_it_has_left() {
        let (mut crew, mut scheduler) = crew(2);
        tokio::time::advance(SECOND).await;
        crew.gauge(0).add_received(1000);
        crew.update(&scheduler, SECOND, Duration::ZERO);
        scheduler.claim(1, 4).unwrap();
        let gauge = crew.gauge(1);
        let _waiting = gauge.wait();
        tokio::time::advance(SECOND).await;
        let running = crew.running(&scheduler);
        assert_eq!((running.under_way, running.delivering), (2, 1));
        let lines = crew.lines(&scheduler, 300, Instant::now());
        let told: Vec<_> =
            lines.iter().map(|line| (line.worker, line.answered, line.silent, line.left)).collect();
        assert_eq!(told, [(0, true, None, 3000), (1, false, Some(SECOND), 3000)]);
        assert!(lines.iter().all(|line| line.age == 2 * SECOND), "{lines:?}");
        assert_eq!(lines[0].rate.map(f64::round), Some(1000.0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_called_off_begins_anew() {
        let (mut crew, scheduler) = crew(1);
        let request = crew.gauge(0).begin();
        crew.gauge(0).add_received(1000);
        crew.update(&scheduler, SECOND, Duration::ZERO);
        tokio::time::advance(SECOND).await;
        crew.call_off(0);
        request.await;
        assert_eq!((crew.rate(0), crew.lines(&scheduler, 1, Instant::now())[0].age), (None, Duration::ZERO));
        crew.gauge(0).add_received(500);
        crew.update(&scheduler, SECOND, Duration::ZERO);
        assert_eq!(crew.rate(0).map(f64::round), Some(500.0), "what came before does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_until_the_answer_is_no_slowness_unless_it_is_long() {
        let ((mut crew, scheduler), first_byte) = (crew(1), Duration::from_millis(100));
        crew.gauge(0).add_received(1000);
        crew.update(&scheduler, SECOND, first_byte);
        crew.begin(0);
        drop(crew.gauge(0).begin());
        crew.update(&scheduler, SECOND, first_byte);
        assert_eq!(crew.rate(0).map(f64::round), Some(1000.0));
        tokio::time::advance(2 * first_byte).await;
        crew.update(&scheduler, SECOND, first_byte);
        assert_eq!(crew.rate(0).map(f64::round), Some(1000.0));
        tokio::time::advance(first_byte).await;
        crew.update(&scheduler, SECOND, first_byte);
        assert!(crew.rate(0).unwrap() < 500.0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_had_bytes_has_a_connection() {
        let (mut crew, _) = crew(0);
        (1..3).for_each(|worker| crew.gauge(worker).add_received(1));
        assert_eq!((crew.warm(0..4), crew.warm([0, 2, 9].into_iter())), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_what_a_worker_does_in_its_time_and_at_least_a_segment() {
        let (mut crew, scheduler) = crew(2);
        assert_eq!(crew.claimable(0, SECOND, 100), usize::MAX, "nothing is known");
        tokio::time::advance(SECOND).await;
        crew.gauge(0).add_received(1000);
        crew.update(&scheduler, SECOND, Duration::ZERO);
        let claimable = |worker, time| crew.claimable(worker, time, 300);
        assert_eq!((claimable(0, SECOND), claimable(0, SECOND / 10), claimable(1, SECOND)), (4, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_begun_has_shown_nothing() {
        let (mut crew, scheduler) = crew(1);
        crew.gauge(0).add_received(1000);
        tokio::time::advance(2 * SECOND).await;
        crew.update(&scheduler, SECOND, Duration::ZERO);
        assert!((crew.shown_rate(0, SECOND) - 1000.0).abs() < 1.0);
        assert!(crew.shown_rate(0, 2 * SECOND).is_infinite());
        crew.begin(0);
        assert!(crew.shown_rate(0, SECOND).is_infinite() && crew.rate(0).is_some(), "it has its connection");
        crew.begin_anew(0);
        assert!(crew.shown_rate(0, SECOND).is_infinite() && crew.rate(0).is_none());
    }
}
