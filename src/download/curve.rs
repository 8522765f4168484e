//! What was measured at several numbers of jobs, and what follows from it. Pure.

use std::time::Duration;

use crate::error::Error;
use crate::plan::StreamReason;

/// This much of a measurement, from its start, is not counted: connections come about, windows grow.
const WARM_UP: u32 = 3;
/// What is this close to the best is as good: networks are no more precise.
const NEAR: f64 = 0.95;
/// What was measured for less than this is a guess.
const ROUGH: Duration = Duration::from_secs(1);

/// A number of jobs, and what came with it.
///
/// ```
/// fn per_connection(point: &haul::Point) -> f64 {
///     point.rate / point.connections.max(1) as f64
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Requests at once.
    pub jobs: usize,
    /// Body bytes per second, without the first third of the time.
    pub rate: f64,
    /// How long that was measured.
    pub measured: Duration,
    /// Body bytes received, the first third of the time included.
    pub received: u64,
    /// The most answers that were being read at the same time.
    pub connections: usize,
    /// Answers 429 and 503: the server wants less.
    pub throttled: u64,
    /// Requests that failed and were repeated, whatever for.
    pub retries: u64,
    /// The object ended before the time was over.
    pub whole: bool,
}

impl Point {
    /// Whether it was measured for less than a second: the object is too small, or few bytes were allowed.
    ///
    /// ```
    /// fn mark(point: &haul::Point) -> &'static str {
    ///     if point.is_rough() { "about" } else { "" }
    /// }
    /// ```
    #[must_use]
    pub fn is_rough(&self) -> bool {
        self.measured < ROUGH
    }
}

/// Why no more numbers of jobs were tried.
///
/// ```
/// fn polite(ended: &haul::CurveEnd) -> bool {
///     !matches!(ended, haul::CurveEnd::Throttled { .. })
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CurveEnd {
    /// All were tried.
    Complete,
    /// The server answered 429 or 503 to this many jobs.
    Throttled {
        /// How many these were.
        jobs: usize,
    },
    /// The object is to be had in one stream only: more jobs make no difference.
    Stream(StreamReason),
    /// The download with this many jobs failed.
    Failed {
        /// How many these were.
        jobs: usize,
        /// Why it failed.
        error: Error,
    },
}

/// Goodput over the number of jobs; see [`Tune`](crate::Tune).
///
/// ```
/// fn advice(curve: &haul::Curve) -> String {
///     format!("haul --jobs {}", curve.knee().jobs)
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Curve {
    /// What was measured, by ascending jobs; at least one point without an answer 429 or 503.
    pub points: Vec<Point>,
    /// Bytes of the object; `None` where the server does not say.
    pub length: Option<u64>,
    /// Why there are no more points.
    pub ended: CurveEnd,
}

impl Curve {
    /// The point with the highest rate of those that the server did not mind.
    ///
    /// ```
    /// fn best(curve: &haul::Curve) -> f64 {
    ///     curve.best().rate
    /// }
    /// ```
    ///
    /// # Panics
    /// Where there is no such point: a curve that [`Tune`](crate::Tune) made has one.
    #[must_use]
    pub fn best(&self) -> &Point {
        let welcome = self.points.iter().filter(|point| point.throttled == 0);
        welcome.max_by(|a, b| a.rate.total_cmp(&b.rate)).expect("a curve has a point")
    }

    /// The fewest jobs that are within 5 % of the best: more only cost connections.
    ///
    /// ```
    /// fn jobs(curve: &haul::Curve) -> usize {
    ///     curve.knee().jobs
    /// }
    /// ```
    ///
    /// # Panics
    /// As [`best`](Self::best).
    #[must_use]
    pub fn knee(&self) -> &Point {
        let best = self.best();
        let near = |point: &&Point| point.throttled == 0 && point.rate >= NEAR * best.rate;
        self.points.iter().filter(near).min_by_key(|point| point.jobs).unwrap_or(best)
    }
}

/// How many bytes had come after what time, ever more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<(Duration, u64)>);

impl Samples {
    pub(crate) fn note(&mut self, after: Duration, received: u64) {
        self.0.push((after, received));
    }

    /// Bytes per second, and how long they were measured: without the first third of the time.
    pub(crate) fn rate(&self) -> (f64, Duration) {
        let Some((end, received)) = self.0.last().copied() else { return (0.0, Duration::ZERO) };
        let warm = end / WARM_UP;
        // What was known last when it was warm: if nothing came just then, that counts.
        let (start, before) =
            self.0.iter().rev().find(|(after, _)| *after <= warm).copied().unwrap_or_default();
        let measured = end.saturating_sub(start);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let bytes = received.saturating_sub(before) as f64;
        (bytes / measured.as_secs_f64().max(1e-3), measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(jobs: usize, rate: f64) -> Point {
        let measured = Duration::from_secs(2);
        Point { jobs, rate, measured, received: 0, connections: jobs, throttled: 0, retries: 0, whole: false }
    }

    fn curve(points: Vec<Point>) -> Curve {
        Curve { points, length: None, ended: CurveEnd::Complete }
    }

    fn of(rates: &[f64]) -> Curve {
        curve(rates.iter().enumerate().map(|(index, rate)| point(1 << index, *rate)).collect())
    }

    #[test]
    fn the_knee_is_the_fewest_jobs_within_five_percent_of_the_best() {
        for (rates, best, knee) in [
            (&[10.0][..], 1, 1),
            (&[10.0, 20.0, 40.0, 80.0], 8, 8),
            (&[10.0, 20.0, 40.0, 41.0, 42.0], 16, 4),
            (&[10.0, 20.0, 39.0, 41.0, 42.0], 16, 8),
            // Flat, and falling: more do harm.
            (&[10.0, 10.2, 10.1], 2, 1),
            (&[10.0, 9.0, 8.0], 1, 1),
            (&[0.0, 0.0], 2, 1),
        ] {
            let curve = of(rates);
            assert_eq!((curve.best().jobs, curve.knee().jobs), (best, knee), "{rates:?}");
        }
    }

    #[test]
    fn h20_what_the_server_minded_is_no_advice() {
        let minded = Point { throttled: 1, ..point(4, 99.0) };
        let curve = curve(vec![point(1, 10.0), point(2, 20.0), minded]);
        assert_eq!((curve.best().jobs, curve.knee().jobs), (2, 2));
    }

    #[test]
    fn the_first_third_is_not_counted() {
        let mut samples = Samples::default();
        // Nothing for a second, then 100 bytes a tenth.
        for tenth in 0..=30_u32 {
            samples.note(Duration::from_millis(100) * tenth, 100 * u64::from(tenth.saturating_sub(10)));
        }
        assert_eq!(samples.rate(), (1000.0, Duration::from_secs(2)));
    }

    #[test]
    fn a_silence_counts() {
        let mut samples = Samples::default();
        for (millis, received) in [(0, 0), (900, 900), (2500, 900), (3000, 3000)] {
            samples.note(Duration::from_millis(millis), received);
        }
        assert_eq!(samples.rate(), (1000.0, Duration::from_millis(2100)));
    }

    #[test]
    fn what_was_measured_for_a_second_is_no_guess() {
        let rough = |millis| Point { measured: Duration::from_millis(millis), ..point(1, 1.0) }.is_rough();
        assert_eq!((rough(999), rough(1000), rough(1001)), (true, false, false));
    }

    #[test]
    fn without_samples_there_is_no_rate() {
        assert_eq!(Samples::default().rate(), (0.0, Duration::ZERO));
        let mut samples = Samples::default();
        samples.note(Duration::ZERO, 0);
        assert_eq!(samples.rate().1, Duration::ZERO);
    }
}
