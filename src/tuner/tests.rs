use std::time::Duration;

use proptest::prelude::*;

use super::fetch::{Fetch, Outcome, Pace, whole};
use super::link::Link;
use super::{Learned, Sample, Terms, Tuner};

const MIB: f64 = 1024.0 * 1024.0;
const MOST: usize = 64;
const SEEDS: u64 = 5;
/// Longer than any download here takes.
const PATIENCE: f64 = 120.0;

fn tuner(link: Link, bytes: f64, known: Option<Learned>) -> Tuner {
    let round_trip = Duration::from_secs_f64(link.round_trip);
    Tuner::new(Terms { most: MOST, round_trip, remaining: whole(bytes), known })
}

fn tuned(link: Link, bytes: f64, known: Option<Learned>, seed: u64) -> Outcome {
    Fetch::new(link, bytes, Pace::Auto(Box::new(tuner(link, bytes, known))), seed).run(PATIENCE)
}

/// A new host, once a seed.
fn all_tuned(link: Link, bytes: f64) -> Vec<Outcome> {
    (0..SEEDS).map(|seed| tuned(link, bytes, None, seed)).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The best number that does not change and is not refused: the median of its times. Who takes longer than
/// `limit` is not the best.
fn best_fixed(link: Link, bytes: f64, limit: f64) -> (f64, usize) {
    let run = |jobs, seed| Fetch::new(link, bytes, Pace::Fixed(jobs), seed).run(limit).seconds;
    let mut numbers: Vec<usize> =
        [1, 2, 4, 8, 16, 32, 64].into_iter().filter(|jobs| *jobs <= link.serves).collect();
    numbers.sort_by_cached_key(|jobs| Duration::from_secs_f64(run(*jobs, 0)));
    let times =
        numbers.iter().take(2).map(|jobs| (median((0..SEEDS).map(|seed| run(*jobs, seed)).collect()), *jobs));
    times.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is one")
}

/// Within 5 % of the best fixed number, and within 12 % with the worst luck.
#[track_caller]
fn assert_near_best(link: Link, mib: f64) -> Vec<Outcome> {
    let outcomes = all_tuned(link, mib * MIB);
    let times: Vec<f64> = outcomes.iter().map(|outcome| outcome.seconds).collect();
    let usual = median(times.clone());
    let (best, jobs) = best_fixed(link, mib * MIB, usual * 1.2);
    let worst = times.into_iter().fold(0.0, f64::max);
    println!("{usual:.2} s, at worst {worst:.2} s; {best:.2} s with {jobs} jobs; {:?}", outcomes[0]);
    assert!(usual < best * 1.05, "{usual:.2} s; {best:.2} s with {jobs} jobs");
    assert!(worst < best * 1.12, "{worst:.2} s at worst; {best:.2} s with {jobs} jobs");
    assert!(outcomes.iter().all(|outcome| outcome.refused <= unavoidable(link)), "{outcomes:?}");
    outcomes
}

/// Of a host that nothing is known of sixteen are asked for, and then twice what was served.
fn unavoidable(link: Link) -> usize {
    match link.serves {
        0..16 => 16 - link.serves,
        16..MOST => link.serves,
        _ => 0,
    }
}

/// The loopback: the cores are the link, and a crowd costs.
#[test]
fn a_loopback_is_as_fast_as_with_the_best_number() {
    let link = Link { flow_rate: 800e6, crowd: 0.004, ..Link::new(0.0002, 10_000.0) };
    let outcomes = assert_near_best(link, 2048.0);
    assert!(most_jobs(&outcomes) <= 8);
}

#[test]
fn a_local_network_is_as_fast_as_with_the_best_number() {
    assert_near_best(Link::new(0.001, 940.0), 512.0);
}

/// Twenty milliseconds, and 20 Mbit/s for each connection: fifty fill the link.
#[test]
fn a_rate_per_connection_is_met_with_more_of_them() {
    let outcomes = assert_near_best(Link { flow_rate: 2.5e6, ..Link::new(0.02, 1000.0) }, 256.0);
    assert!(outcomes.iter().all(|outcome| outcome.learned.is_some_and(|learned| learned.jobs == 64)));
}

#[test]
fn a_small_rate_per_connection_is_met_with_more_of_them() {
    assert_near_best(Link { flow_rate: 625e3, ..Link::new(0.08, 300.0) }, 512.0);
}

#[test]
fn a_long_fat_link_is_as_fast_as_with_the_best_number() {
    assert_near_best(Link::new(0.1, 500.0), 512.0);
}

#[test]
fn a_long_lossy_link_is_as_fast_as_with_the_best_number() {
    assert_near_best(Link { loss: 0.001, ..Link::new(0.2, 200.0) }, 128.0);
}

#[test]
fn a_thin_link_is_as_fast_as_with_the_best_number() {
    let outcomes = assert_near_best(Link::new(0.03, 50.0), 64.0);
    assert!(most_jobs(&outcomes) <= 32);
}

/// Every fourth connection is ten times slower.
#[test]
fn stragglers_do_not_mislead() {
    assert_near_best(Link { flow_rate: 5e6, slow: Some((4, 10.0)), ..Link::new(0.05, 400.0) }, 256.0);
}

#[test]
fn noise_on_a_full_link_does_not_mislead() {
    let outcomes = assert_near_best(Link { noise: 0.2, ..Link::new(0.05, 200.0) }, 256.0);
    let learned = |outcome: &&Outcome| outcome.learned.is_some_and(|learned| learned.jobs <= 32);
    assert!(outcomes.iter().filter(learned).count() >= 4, "it wanders: {outcomes:?}");
}

#[test]
fn noise_on_a_rate_per_connection_does_not_mislead() {
    assert_near_best(Link { noise: 0.2, flow_rate: 1.25e6, ..Link::new(0.05, 400.0) }, 256.0);
}

/// Three seconds of nothing at all.
#[test]
fn silence_concludes_nothing() {
    let outcomes = assert_near_best(Link { silence: Some((3.0, 3.0)), ..Link::new(0.05, 200.0) }, 256.0);
    for outcome in outcomes {
        let at = |when: f64| {
            outcome.jobs.iter().take_while(|(from, _)| *from < when).last().map(|(_, jobs)| *jobs)
        };
        assert_eq!(at(3.0), at(8.0), "{:?}", outcome.jobs);
    }
}

#[test]
fn silence_while_it_looks_for_more_concludes_nothing() {
    assert_near_best(Link { silence: Some((0.4, 2.0)), flow_rate: 2.5e6, ..Link::new(0.05, 300.0) }, 256.0);
}

/// The first time a host's limit is found out, and not again; the second time it is known.
#[test]
fn h47_what_a_host_refuses_is_not_asked_of_it_again() {
    for serves in [1, 3, 6, 12, 24, 48] {
        let link = Link { serves, flow_rate: 2.5e6, ..Link::new(0.03, 1000.0) };
        let bytes = 8.0 * MIB * f64::from(u32::try_from(serves).unwrap());
        let first = tuned(link, bytes, None, 1);
        assert!(first.refused <= unavoidable(link), "{serves}: {first:?}");
        let learned = first.learned.unwrap();
        assert!(
            learned.jobs <= serves && learned.served.is_none_or(|served| served <= serves),
            "{learned:?}"
        );
        let second = tuned(link, bytes, Some(learned), 2);
        assert_eq!(second.refused, 0, "{serves}: {second:?}");
        assert!(second.seconds < first.seconds * 1.05, "{} s, then {} s", first.seconds, second.seconds);
    }
}

#[test]
fn a_capped_host_is_as_fast_as_with_the_best_number() {
    for serves in [6, 12, 24] {
        assert_near_best(Link { serves, flow_rate: 2.5e6, ..Link::new(0.03, 1000.0) }, 128.0);
    }
}

#[test]
fn a_host_that_is_known_is_met_with_the_right_number_at_once() {
    let link = Link { flow_rate: 2.5e6, ..Link::new(0.02, 1000.0) };
    let (best, _) = best_fixed(link, 256.0 * MIB, 10.0);
    let learned = tuned(link, 256.0 * MIB, None, 1).learned;
    let outcome = tuned(link, 256.0 * MIB, learned, 2);
    assert!(outcome.seconds < best * 1.02, "{outcome:?}, {best:.2} s at best");
}

fn most_jobs(outcomes: &[Outcome]) -> usize {
    outcomes.iter().flat_map(|outcome| &outcome.jobs).map(|(_, jobs)| *jobs).max().unwrap_or(0)
}

/// A tuner for a host 30 ms away, and samples a twentieth of a second apart in which every job brings 1 MB/s.
struct Steady {
    tuner: Tuner,
    sample: Sample,
    /// Further jobs bring nothing.
    enough: usize,
}

impl Steady {
    fn new(known: Option<Learned>) -> Self {
        let terms = Terms { most: MOST, round_trip: Duration::from_millis(30), remaining: 1 << 30, known };
        let sample = Sample { now: Duration::ZERO, received: 0, remaining: 1 << 30, delivering: 1 };
        Self { tuner: Tuner::new(terms), sample, enough: usize::MAX }
    }

    fn pass(&mut self, time: Duration) -> usize {
        let end = self.sample.now + time;
        while self.sample.now < end {
            let jobs = self.tuner.observe(self.sample);
            self.sample.now += Duration::from_millis(50);
            self.sample.received += 50_000 * u64::try_from(jobs.min(self.enough)).unwrap();
            self.sample.delivering = jobs;
        }
        self.tuner.jobs()
    }
}

#[test]
fn h20_a_host_that_serves_nothing_gets_two_thirds_of_the_jobs_and_its_peace() {
    let mut steady = Steady::new(Some(Learned { jobs: 32, served: None }));
    assert_eq!(steady.pass(Duration::from_secs(1)), 32);
    let now = steady.sample.now;
    (0..32).for_each(|_| steady.tuner.refused(now, 32, 0));
    assert_eq!(steady.tuner.jobs(), 20);
    assert_eq!(steady.pass(Duration::from_secs(20)), 20, "no more for 20 s");
    assert!(steady.pass(Duration::from_secs(30)) > 20, "then more");
}

#[test]
fn h47_beside_requests_that_are_served_a_refusal_is_a_limit() {
    let mut steady = Steady::new(Some(Learned { jobs: 32, served: None }));
    steady.pass(Duration::from_secs(1));
    let now = steady.sample.now;
    (0..3).for_each(|refusal| steady.tuner.refused(now, 32 - refusal, 29));
    assert_eq!(steady.tuner.jobs(), 20);
    assert_eq!(steady.pass(Duration::from_secs(200)), 29, "never more than were served");
    assert_eq!(steady.tuner.learned().unwrap().served, Some(29));
}

#[test]
fn h47_a_job_that_is_given_up_does_not_come_back() {
    let mut steady = Steady::new(Some(Learned { jobs: 3, served: None }));
    let given_up = (0..5).filter(|_| steady.tuner.give_one_up(Duration::ZERO)).count();
    assert_eq!((given_up, steady.tuner.jobs()), (2, 1));
    assert_eq!(steady.pass(Duration::from_secs(200)), 1);
}

/// What was learned on a faster link is not held on to for ever.
#[test]
fn jobs_that_bring_nothing_go_one_by_one() {
    let mut steady = Steady { enough: 10, ..Steady::new(Some(Learned { jobs: 64, served: None })) };
    assert!(steady.pass(Duration::from_secs(20)) > 40);
    assert!((10..20).contains(&steady.pass(Duration::from_secs(300))), "{:?}", steady.tuner);
    assert!((10..20).contains(&steady.tuner.learned().unwrap().jobs));
}

#[test]
fn jobs_that_bring_something_stay() {
    let mut steady = Steady::new(Some(Learned { jobs: 64, served: None }));
    for _ in 0..300 {
        assert!(steady.pass(Duration::from_secs(1)) >= 60);
    }
    assert_eq!(steady.tuner.learned().unwrap().jobs, 64);
}

#[test]
fn a_thin_link_is_no_limit_of_the_host() {
    let mut steady = Steady::new(Some(Learned { jobs: 3, served: None }));
    assert!(steady.tuner.make_do_with_one_fewer(Duration::ZERO));
    assert_eq!(steady.pass(Duration::from_secs(19)), 2);
    assert!(steady.pass(Duration::from_secs(60)) > 3);
    assert_eq!(steady.tuner.learned().unwrap().served, None);
}

#[test]
fn nothing_is_opened_for_the_last_second_nor_for_a_few_bytes() {
    let mut steady = Steady::new(None);
    steady.sample.remaining = 10 << 20;
    assert_eq!(steady.pass(Duration::from_secs(30)), 16, "0.7 s at 16 MB/s");
    let terms = Terms { most: MOST, round_trip: Duration::from_millis(30), remaining: 1 << 20, known: None };
    assert_eq!(Tuner::new(terms).jobs(), 4);
}

proptest! {
    /// Whatever comes, and in whatever order.
    #[test]
    fn there_is_always_a_job_and_never_more_than_are_allowed(
        most in 1..300_usize,
        round_trip in 0..3000_u64,
        known in prop::option::of((0..300_usize, prop::option::of(0..300_usize))),
        events in prop::collection::vec((0..5_u8, 0..2000_u64, any::<u32>(), 0..300_usize), 0..300),
    ) {
        let known = known.map(|(jobs, served)| Learned { jobs, served });
        let round_trip = Duration::from_millis(round_trip);
        let mut tuner = Tuner::new(Terms { most, round_trip, remaining: u64::from(u32::MAX), known });
        let (mut now, mut received) = (Duration::ZERO, 0);
        for (event, millis, bytes, count) in events {
            let before = tuner.jobs();
            match event {
                0 => tuner.refused(now, count, count / 3),
                1 => drop(tuner.give_one_up(now)),
                _ => {
                    now += Duration::from_millis(millis);
                    received += u64::from(bytes);
                    tuner.observe(Sample { now, received, remaining: u64::from(bytes), delivering: count });
                }
            }
            prop_assert!((1..=most).contains(&tuner.jobs()), "{:?}", tuner);
            prop_assert!(event > 1 || tuner.jobs() <= before);
            let learned = tuner.learned();
            prop_assert!(learned.is_none_or(|learned| (1..=most).contains(&learned.jobs)), "{:?}", learned);
        }
    }
}
