//! How many requests run at once, and when none may begin. Pure: the clock is handed in.

use std::time::Duration;

use tokio::time::Instant;

/// The origin's say in how much is asked of it.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// What the user allows.
    jobs: usize,
    limit: usize,
    /// When the limit changed last.
    changed: Instant,
    /// The origin asked to be left alone until then.
    pause: Option<Instant>,
    /// After this long without a complaint one more request is tried.
    memory: Duration,
}

impl Throttle {
    pub(crate) fn new(jobs: usize, memory: Duration, now: Instant) -> Self {
        Self { jobs, limit: jobs, changed: now, pause: None, memory }
    }

    /// Requests at once, at the moment.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The origin wants less of us for so long: everyone waits, and fewer go on (H20).
    pub(crate) fn back_off(&mut self, wait: Duration, now: Instant) {
        // Of workers that are turned away together, one halves for all.
        if self.pause_left(now).is_zero() {
            self.set_limit((self.limit / 2).max(1), now);
        }
        self.pause = self.pause.max(Some(now + wait));
    }

    /// The origin takes some requests and not others: one fewer, unless there is but one (H47). Whether there was
    /// one to give up.
    pub(crate) fn give_one_up(&mut self, now: Instant) -> bool {
        let spare = self.limit > 1;
        if spare {
            self.set_limit(self.limit - 1, now);
        }
        spare
    }

    /// How long no request may begin.
    pub(crate) fn pause_left(&self, now: Instant) -> Duration {
        self.pause.map_or(Duration::ZERO, |pause| pause.saturating_duration_since(now))
    }

    /// Tries one more when the last complaint is long enough ago.
    pub(crate) fn recover(&mut self, now: Instant) {
        if self.limit < self.jobs && now - self.changed > self.memory {
            self.set_limit(self.limit + 1, now);
        }
    }

    fn set_limit(&mut self, limit: usize, now: Instant) {
        self.limit = limit;
        self.changed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> (Throttle, Instant) {
        let now = Instant::now();
        (Throttle::new(8, 10 * SECOND, now), now)
    }

    #[test]
    fn h20_workers_that_are_turned_away_together_halve_once() {
        let (mut throttle, now) = throttle();
        throttle.back_off(3 * SECOND, now);
        throttle.back_off(2 * SECOND, now + SECOND / 2);
        assert_eq!((throttle.limit(), throttle.pause_left(now)), (4, 3 * SECOND));
        throttle.back_off(SECOND, now + 3 * SECOND);
        assert_eq!((throttle.limit(), throttle.pause_left(now + 4 * SECOND)), (2, Duration::ZERO));
        (5..9).for_each(|later| throttle.back_off(SECOND, now + later * SECOND));
        assert_eq!(throttle.limit(), 1);
    }

    #[test]
    fn h47_one_request_is_never_given_up() {
        let (mut throttle, now) = throttle();
        assert_eq!((0..9).filter(|_| throttle.give_one_up(now)).count(), 7);
        assert_eq!(throttle.limit(), 1);
    }

    #[test]
    fn h20_the_limit_comes_back_one_by_one() {
        let (mut throttle, now) = throttle();
        throttle.back_off(SECOND, now);
        throttle.recover(now + 10 * SECOND);
        assert_eq!(throttle.limit(), 4);
        throttle.recover(now + 11 * SECOND);
        throttle.recover(now + 12 * SECOND);
        assert_eq!(throttle.limit(), 5);
        (1..9).for_each(|round| throttle.recover(now + round * 20 * SECOND));
        assert_eq!(throttle.limit(), 8, "and no further");
    }
}
