//! How many jobs pay: what a transfer looks like goes in, a number of jobs comes out. Pure: the clock is handed in.
//!
//! The number starts at what the host took before, or else at what its distance suggests. While the goodput rises by
//! itself (TCP's slow start) nothing is changed; when it stands, the number is doubled, and doubled again as soon as
//! that shows. What brought nothing is not closed at once, since a connection's window is lost with it: the number
//! sinks slowly as long as nothing else does. Silence says nothing. A refusal says everything.

mod goodput;
mod refusals;

#[cfg(test)]
mod fetch;
#[cfg(test)]
mod link;
#[cfg(test)]
mod tests;

use std::time::Duration;

use goodput::Goodput;
use refusals::Refusals;

/// A connection that brings less was not worth its opening, in bytes.
const WORTH: u64 = 256 << 10;
/// Of a host that is not known no more are asked for at once.
const UNASKED: usize = 16;
/// Goodput that grows by more than this from window to window grows by itself.
const RISES: f64 = 1.8;
/// Of what more jobs could bring at most, this much shows at once that they pay.
const PLAIN_GAIN: f64 = 0.5;
/// So many windows even out some of what a lost packet does: what is behind it comes late, and then at once.
const STEADY: u32 = 2;
/// More jobs that bring less than this much more are too many.
const LEAST_GAIN: f64 = 1.15;
/// As long as so much comes, fewer jobs bring the same.
const SAME: f64 = 0.95;
/// So much less is less, and not the weather.
const LESS: f64 = 0.85;
/// From a host that is nearer a new window is had for nothing.
const NEAR: Duration = Duration::from_millis(10);
/// So soon before the end nothing is opened; and so long it takes to tell a little from the weather.
const LAST_MOMENTS: Duration = Duration::from_secs(1);
const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// What the tuner begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Never more jobs.
    pub(crate) most: usize,
    /// To the host and back, as far as is known: the time to the probe's first byte by the round trips in it.
    pub(crate) round_trip: Duration,
    /// Bytes to be fetched.
    pub(crate) remaining: u64,
    /// What was learned of the host before.
    pub(crate) known: Option<Learned>,
}

/// What is worth remembering of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The fewest jobs that brought about as much as any.
    pub(crate) jobs: usize,
    /// So many it served, when it refused more.
    pub(crate) served: Option<usize>,
}

/// What a transfer looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Since the transfer began.
    pub(crate) now: Duration,
    /// Body bytes, in all.
    pub(crate) received: u64,
    /// Bytes that are missing.
    pub(crate) remaining: u64,
    /// Requests whose body has begun to come.
    pub(crate) delivering: usize,
}

/// A number of jobs, and what it brought in bytes per second.
#[derive(Clone, Copy, Debug)]
struct Level {
    jobs: usize,
    goodput: f64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Connections are on their way.
    Opening { before: Option<Level> },
    /// They deliver: how much, and is it more than before?
    Judging { before: Option<Level> },
    /// So many it is, unless less comes than at first, until then.
    Holding { until: Duration, at_first: Option<f64> },
}

/// Finds the number of jobs for one transfer.
#[derive(Clone, Debug)]
pub(crate) struct Tuner {
    terms: Terms,
    jobs: usize,
    /// So many are begun with, if those before them are served.
    first: usize,
    refusals: Refusals,
    goodput: Goodput,
    stage: Stage,
    /// When the stage began.
    since: Duration,
    /// The fewest jobs that brought about as much as any.
    best: Option<usize>,
    /// So few may do: as long as nothing is lost, the number sinks to that.
    fewest: usize,
    /// How long the next hold is.
    hold: Duration,
    /// Whether after that more are tried, or fewer.
    upwards: bool,
    silent: bool,
}

impl Tuner {
    pub(crate) fn new(terms: Terms) -> Self {
        let first = terms.known.map_or_else(|| by_distance(terms.round_trip), |known| known.jobs);
        let mut tuner = Self {
            terms,
            jobs: 1,
            first,
            refusals: Refusals::new(terms.known.and_then(|known| known.served)),
            goodput: Goodput::default(),
            stage: Stage::Opening { before: None },
            since: Duration::ZERO,
            best: None,
            fewest: usize::MAX,
            hold: FIRST_HOLD,
            upwards: true,
            silent: false,
        };
        tuner.first = first.min(tuner.most(terms.remaining)).max(1);
        tuner.jobs = if terms.known.is_some() { tuner.first } else { tuner.first.min(UNASKED) };
        tuner
    }

    /// Requests at once, from now on.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs
    }

    /// What the transfer has shown, if it has shown anything yet.
    pub(crate) fn learned(&self) -> Option<Learned> {
        let served = self.refusals.served();
        let jobs = self.best.or(served)?.min(self.refusals.most()).min(self.terms.most);
        Some(Learned { jobs, served })
    }

    /// Takes note of how the transfer goes, and gives the number of jobs from now on. The more often, the better:
    /// a few times in a round trip at first.
    pub(crate) fn observe(&mut self, sample: Sample) -> usize {
        self.goodput.record(sample.now, sample.received);
        if self.hears(sample.now) {
            match self.stage {
                Stage::Opening { before } => self.wait_for_all(sample, before),
                Stage::Judging { before: None } => self.measure(sample),
                Stage::Judging { before: Some(before) } => self.judge(sample, before),
                Stage::Holding { until, at_first } => self.hold(sample, until, at_first),
            }
        }
        self.jobs
    }

    /// The host turned a request away (429, 503, a connection refused or reset before its answer), one of so many
    /// `under_way`, of which some were `delivering`. There are 0.65 times as many jobs from now on, and never again
    /// more than were served beside those that were refused.
    pub(crate) fn refused(&mut self, now: Duration, under_way: usize, delivering: usize) {
        let together = LAST_MOMENTS + 4 * self.terms.round_trip;
        let (under_way, delivering) = (under_way.min(self.jobs), delivering.min(self.jobs));
        self.jobs = self.jobs.min(self.refusals.note(now, together, under_way, delivering));
        self.begin(Stage::Opening { before: None }, now);
    }

    /// The host takes some requests and not others: one job fewer, and never again more (H47). Whether there was
    /// one to give up.
    pub(crate) fn give_one_up(&mut self, now: Duration) -> bool {
        let spare = self.make_do_with_one_fewer(now);
        if spare {
            self.refusals.limit(self.jobs);
        }
        spare
    }

    /// The link may be too thin for so many: one job fewer for now. Whether there was one to give up.
    pub(crate) fn make_do_with_one_fewer(&mut self, now: Duration) -> bool {
        let spare = self.jobs > 1;
        if spare {
            self.jobs -= 1;
            self.refusals.be_calm(now);
            self.begin(Stage::Opening { before: None }, now);
        }
        spare
    }

    fn begin(&mut self, stage: Stage, now: Duration) {
        self.stage = stage;
        self.since = now;
    }

    /// The most jobs for so much work.
    fn most(&self, remaining: u64) -> usize {
        let worth = usize::try_from(remaining / WORTH).unwrap_or(usize::MAX);
        self.terms.most.min(self.refusals.most()).min(worth)
    }

    /// Whether what comes can be judged. Where nothing comes at all, it is not the number of jobs that is wrong.
    fn hears(&mut self, now: Duration) -> bool {
        let quiet = self.goodput.quiet();
        if quiet > (3 * self.window()).max(Duration::from_millis(150)) {
            self.silent = true;
        } else if self.silent {
            self.silent = false;
            self.goodput.forget();
            match self.stage {
                Stage::Holding { .. } => self.keep(now),
                // What was on trial stays, untried.
                Stage::Opening { before: Some(before) } | Stage::Judging { before: Some(before) } => {
                    self.best = Some(before.jobs);
                    self.keep(now);
                }
                _ => self.begin(Stage::Opening { before: None }, now),
            }
            // TCP has to find its pace anew.
            self.since = now + 2 * LAST_MOMENTS;
        }
        quiet.is_zero() && !self.silent
    }

    /// The shortest time that tells how fast it goes.
    fn window(&self) -> Duration {
        self.terms.round_trip.clamp(Duration::from_millis(25), Duration::from_millis(500))
    }

    /// Long enough to tell a little from the weather.
    fn long_window(&self) -> Duration {
        let near = self.terms.round_trip < NEAR;
        (6 * self.terms.round_trip).max(if near { LAST_MOMENTS / 2 } else { LAST_MOMENTS })
    }

    fn wait_for_all(&mut self, sample: Sample, before: Option<Level>) {
        let patience = 6 * self.terms.round_trip + Duration::from_millis(500);
        // Some are between two requests.
        let all = sample.delivering + self.jobs / 8 >= self.jobs;
        if all && self.jobs < self.first && self.refusals.is_calm(sample.now) {
            self.jobs = self.first;
            self.since = sample.now;
        } else if all || sample.now > self.since + patience {
            self.first = 0;
            self.begin(Stage::Judging { before }, sample.now);
        }
    }

    /// What the first number of jobs brings, once that stands.
    fn measure(&mut self, sample: Sample) {
        let (age, window) = (sample.now.saturating_sub(self.since), self.goodput.window(self.window()));
        let patience = 10 * self.terms.round_trip + LAST_MOMENTS;
        let (earlier, latest) = (self.goodput.before(window, window), self.goodput.over(window));
        let rises = latest > earlier * RISES && age < patience;
        if age < 2 * window || rises {
            return;
        }
        self.pays(self.jobs);
        if self.terms.known.is_some() {
            return self.keep(sample.now);
        }
        // The better of two: luck is not to pass for a loss when it is over, nor for a gain.
        self.step(sample, earlier.max(latest), 2 * self.jobs);
    }

    /// Whether more jobs brought more.
    fn judge(&mut self, sample: Sample, before: Level) {
        let (age, window) = (sample.now.saturating_sub(self.since), self.goodput.window(self.window()));
        // The longer it takes, the less a moment says: one of many is a good one.
        let shown = (STEADY * window).max(age / 2);
        if age < shown {
            return;
        }
        let latest = self.goodput.over(shown);
        if latest > before.goodput * (1.0 + PLAIN_GAIN * (share(self.jobs, before.jobs) - 1.0)) {
            self.pays(self.jobs);
            return self.step(sample, latest, 2 * self.jobs);
        }
        let long = self.long_window().max(2 * window);
        if age < 2 * long {
            return;
        }
        let mean = self.goodput.over(long);
        if mean > before.goodput * LEAST_GAIN {
            // It was worth it, but it is not the connections any more that are the limit.
            self.pays(self.jobs);
            return self.keep(sample.now);
        }
        (self.best, self.fewest) = (Some(before.jobs), before.jobs);
        // Where a window takes its time, what is open stays open for a while. Even if far less came: what it is compared
        // with may have been a burst, behind a packet that was lost.
        if self.terms.round_trip < NEAR {
            self.jobs = before.jobs;
        }
        self.keep(sample.now);
        self.hold = (2 * self.hold).min(LONGEST_HOLD);
    }

    /// More jobs, if there are more to be had and it is worth it.
    fn step(&mut self, sample: Sample, goodput: f64, jobs: usize) {
        let jobs = jobs.min(self.most(sample.remaining));
        if jobs > self.jobs && self.refusals.is_calm(sample.now) && !self.is_ending(sample, goodput) {
            let before = Some(Level { jobs: self.jobs, goodput });
            self.jobs = jobs;
            self.begin(Stage::Opening { before }, sample.now);
        } else {
            self.keep(sample.now);
        }
    }

    /// Whether another connection would come too late.
    fn is_ending(&self, sample: Sample, goodput: f64) -> bool {
        let least = LAST_MOMENTS + 4 * self.terms.round_trip;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let left = sample.remaining as f64;
        left < goodput * least.as_secs_f64()
    }

    /// So many it is for now.
    fn keep(&mut self, now: Duration) {
        self.begin(Stage::Holding { until: now + self.hold, at_first: None }, now);
    }

    /// More jobs when less comes, fewer while they bring the same, and now and then a look at whether more would
    /// bring more, or fewer as much.
    fn hold(&mut self, sample: Sample, until: Duration, at_first: Option<f64>) {
        let span = self.long_window();
        if sample.delivering > self.jobs {
            // Who is to go finishes first.
            self.since = sample.now;
        }
        if sample.now < self.since + span {
            return;
        }
        let goodput = self.goodput.over(span);
        let at_first = at_first.unwrap_or(goodput);
        self.stage = Stage::Holding { until, at_first: Some(at_first) };
        let more = self.jobs + self.jobs.div_ceil(2);
        let over = sample.now > until && self.refusals.is_calm(sample.now);
        match () {
            () if self.is_ending(sample, goodput) => {}
            () if self.jobs > self.fewest => self.shrink(sample.now, at_first * SAME),
            () if goodput < at_first * LESS => self.step(sample, goodput, more),
            () if over && self.upwards && self.jobs < self.most(sample.remaining) => {
                self.upwards = false;
                self.step(sample, goodput, more);
            }
            () if over => {
                self.upwards = true;
                self.fewest = self.jobs.div_ceil(2);
                self.keep(sample.now);
            }
            () => {}
        }
    }

    /// One job fewer, as long as so much comes.
    fn shrink(&mut self, now: Duration, same: f64) {
        let span = self.long_window();
        if self.goodput.over(span) > same {
            self.best = self.best.min(Some(self.jobs));
            self.jobs -= 1;
            self.since = now;
        } else if now > self.since + 2 * span && self.goodput.over(2 * span) < same {
            self.pays((self.jobs + self.jobs.div_ceil(8)).min(self.most(u64::MAX)));
            self.hold = (2 * self.hold).min(LONGEST_HOLD);
            self.keep(now);
        }
    }

    fn pays(&mut self, jobs: usize) {
        self.jobs = jobs;
        (self.best, self.fewest) = (Some(jobs), jobs);
    }
}

/// The more a round trip takes, the less a connection brings that loses packets or has a window's limit; and the
/// longer it takes to find out.
fn by_distance(round_trip: Duration) -> usize {
    match round_trip.as_millis() {
        0..3 => 4,
        3..10 => 8,
        10..75 => 16,
        _ => 32,
    }
}

fn share(jobs: usize, before: usize) -> f64 {
    let number = |jobs: usize| f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
    number(jobs) / number(before.max(1))
}
