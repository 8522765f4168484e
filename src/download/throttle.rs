//! How many requests run at once, and when none may begin. Pure: the clock is handed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::tuner::{Learned, Sample, Tuner};

/// The origin's say in how much is asked of it.
#[derive(Debug)]
pub(crate) struct Throttle {
    jobs: Jobs,
    /// The origin asked to be left alone until then.
    pause: Option<Instant>,
}

/// How many requests run at once.
#[derive(Debug)]
enum Jobs {
    /// As many as the user allows, and the origin.
    Fixed {
        most: usize,
        limit: usize,
        /// When the limit changed last.
        changed: Instant,
        /// After this long without a complaint one more request is tried.
        memory: Duration,
    },
    /// As many as pay.
    Tuned { tuner: Box<Tuner>, began: Instant },
}

/// Requests that run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Running {
    pub(crate) under_way: usize,
    /// Those of them whose body has begun to come.
    pub(crate) delivering: usize,
}

impl Throttle {
    pub(crate) fn fixed(jobs: usize, memory: Duration, now: Instant) -> Self {
        Self { jobs: Jobs::Fixed { most: jobs, limit: jobs, changed: now, memory }, pause: None }
    }

    pub(crate) fn tuned(tuner: Tuner, now: Instant) -> Self {
        Self { jobs: Jobs::Tuned { tuner: Box::new(tuner), began: now }, pause: None }
    }

    /// Requests at once, at the moment.
    pub(crate) fn limit(&self) -> usize {
        match &self.jobs {
            Jobs::Fixed { limit, .. } => *limit,
            Jobs::Tuned { tuner, .. } => tuner.jobs(),
        }
    }

    /// The origin wants less of us for so long: everyone waits, and fewer go on (H20).
    pub(crate) fn back_off(&mut self, wait: Duration, running: Running, now: Instant) {
        let alone = self.pause_left(now).is_zero();
        match &mut self.jobs {
            // Of workers that are turned away together, one halves for all.
            Jobs::Fixed { limit, changed, .. } if alone => (*limit, *changed) = ((*limit / 2).max(1), now),
            Jobs::Fixed { .. } => {}
            Jobs::Tuned { tuner, began } => {
                tuner.refused(now - *began, running.under_way, running.delivering);
            }
        }
        self.pause = self.pause.max(Some(now + wait));
    }

    /// The origin takes some requests and not others: one fewer, unless there is but one (H47). Whether there was
    /// one to give up.
    pub(crate) fn give_one_up(&mut self, now: Instant) -> bool {
        match &mut self.jobs {
            Jobs::Fixed { limit, changed, .. } => one_fewer(limit, changed, now),
            Jobs::Tuned { tuner, began } => tuner.give_one_up(now - *began),
        }
    }

    /// The link may be too thin for so many: one fewer for now.
    pub(crate) fn make_do_with_one_fewer(&mut self, now: Instant) {
        match &mut self.jobs {
            Jobs::Fixed { limit, changed, .. } => one_fewer(limit, changed, now),
            Jobs::Tuned { tuner, began } => tuner.make_do_with_one_fewer(now - *began),
        };
    }

    /// How long no request may begin.
    pub(crate) fn pause_left(&self, now: Instant) -> Duration {
        self.pause.map_or(Duration::ZERO, |pause| pause.saturating_duration_since(now))
    }

    /// Time goes by: more may be tried when the last complaint is long enough ago, or when more pays.
    pub(crate) fn observe(&mut self, now: Instant, received: u64, remaining: u64, running: Running) {
        match &mut self.jobs {
            Jobs::Fixed { most, limit, changed, memory } if *limit < *most && now - *changed > *memory => {
                (*limit, *changed) = (*limit + 1, now);
            }
            Jobs::Fixed { .. } => {}
            Jobs::Tuned { tuner, began } => {
                let delivering = running.delivering;
                tuner.observe(Sample { now: now - *began, received, remaining, delivering });
            }
        }
    }

    /// What is worth remembering of the host.
    pub(crate) fn learned(&self) -> Option<Learned> {
        match &self.jobs {
            Jobs::Fixed { .. } => None,
            Jobs::Tuned { tuner, .. } => tuner.learned(),
        }
    }
}

fn one_fewer(limit: &mut usize, changed: &mut Instant, now: Instant) -> bool {
    let spare = *limit > 1;
    if spare {
        (*limit, *changed) = (*limit - 1, now);
    }
    spare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::Terms;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> (Throttle, Instant) {
        let now = Instant::now();
        (Throttle::fixed(8, 10 * SECOND, now), now)
    }

    #[test]
    fn h20_workers_that_are_turned_away_together_halve_once() {
        let (mut throttle, now) = throttle();
        throttle.back_off(3 * SECOND, Running::default(), now);
        throttle.back_off(2 * SECOND, Running::default(), now + SECOND / 2);
        assert_eq!((throttle.limit(), throttle.pause_left(now)), (4, 3 * SECOND));
        throttle.back_off(SECOND, Running::default(), now + 3 * SECOND);
        assert_eq!((throttle.limit(), throttle.pause_left(now + 4 * SECOND)), (2, Duration::ZERO));
        (5..9).for_each(|later| throttle.back_off(SECOND, Running::default(), now + later * SECOND));
        assert_eq!(throttle.limit(), 1);
    }

    #[test]
    fn h47_one_request_is_never_given_up() {
        let (mut throttle, now) = throttle();
        assert_eq!((0..9).filter(|_| throttle.give_one_up(now)).count(), 7);
        assert_eq!(throttle.limit(), 1);
    }

    #[test]
    fn h44_a_link_that_may_be_too_thin_has_one_request_fewer() {
        let (mut fixed, now) = throttle();
        let mut tuned = Throttle::tuned(tuner(), now);
        for throttle in [&mut fixed, &mut tuned] {
            throttle.make_do_with_one_fewer(now + SECOND);
            assert_eq!(throttle.limit(), 7);
        }
        fixed.observe(now + 11 * SECOND, 0, 0, Running::default());
        assert_eq!(fixed.limit(), 7, "for as long as after any change");
    }

    #[test]
    fn only_what_a_search_has_shown_is_worth_remembering() {
        let (fixed, now) = throttle();
        let mut tuned = Throttle::tuned(tuner(), now);
        assert_eq!((fixed.learned(), tuned.learned()), (None, None), "nothing yet");
        tuned.back_off(SECOND, Running { under_way: 8, delivering: 5 }, now + SECOND);
        assert_eq!((tuned.learned().unwrap().served, tuned.limit()), (Some(7), 5));
    }

    /// That begins with eight jobs.
    fn tuner() -> Tuner {
        let known = Some(Learned { jobs: 8, served: None });
        Tuner::new(Terms { most: 64, round_trip: SECOND / 10, remaining: 1 << 30, known })
    }

    #[test]
    fn h20_the_limit_comes_back_one_by_one() {
        let (mut throttle, now) = throttle();
        throttle.back_off(SECOND, Running::default(), now);
        throttle.observe(now + 10 * SECOND, 0, 0, Running::default());
        assert_eq!(throttle.limit(), 4);
        throttle.observe(now + 11 * SECOND, 0, 0, Running::default());
        throttle.observe(now + 12 * SECOND, 0, 0, Running::default());
        assert_eq!(throttle.limit(), 5);
        (1..9).for_each(|round| throttle.observe(now + round * 20 * SECOND, 0, 0, Running::default()));
        assert_eq!(throttle.limit(), 8, "and no further");
    }
}
