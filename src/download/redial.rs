//! Which requests are called off because another connection would do better. Pure: the time is handed in.
//!
//! A connection that is silent, or far slower than its siblings, is not waited for until its time-out:
//!
//! - *Everything* is silent: the link is down, or it came back and forgot the connections. One request after the other
//!   is asked for again on a new connection, ever less often; when bytes come, so are all that are still silent. TCP
//!   itself would wait for up to twice as long as the silence was.
//! - *One* is silent: it alone is asked for again.
//! - One is *slow* for its siblings: asked for again on a new connection, on a budget of attempts that do no good, since
//!   where a link is shared another connection is no faster.
//! - At the *end*, when others have nothing left to do, their connections take over from one that would keep everyone
//!   waiting.
//!
//! A worker that is called off goes on at the very byte where it was.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::scheduler::WorkerId;

/// A connection this much slower than the median of its siblings is slow.
const SLOW: f64 = 4.0;
/// So many siblings have to be known before one is called slow.
const LEAST_SIBLINGS: usize = 3;
/// A connection has shown what it can do after so many times what the first byte takes.
const SHOWN: u32 = 10;
/// How often the budget for slow ones grows by one, in [`RedialTerms::silence`]s.
const BUDGET_TIME: u32 = 5;

/// What counts as silence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedialTerms {
    /// No byte on any connection for this long is an outage; twice as long on one alone is its end.
    pub(crate) silence: Duration,
    /// How many requests run at once: a quarter of them may be called slow at first.
    pub(crate) jobs: usize,
}

/// A request at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) worker: WorkerId,
    /// How long it has waited for the server; `None` while it is busy with this machine.
    pub(crate) silent: Option<Duration>,
    /// Its answer has begun.
    pub(crate) answered: bool,
    /// How long it has run.
    pub(crate) age: Duration,
    /// Bytes per second, as far as known.
    pub(crate) rate: Option<f64>,
    /// Bytes that it is to bring yet, at the most.
    pub(crate) left: u64,
}

impl Line {
    /// A server may think for longer about its answer than it pauses in its midst.
    fn silence(&self) -> Option<Duration> {
        self.silent.map(|silent| if self.answered { silent } else { silent / 2 })
    }
}

/// How things stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    /// Since the transfer began.
    pub(crate) now: Duration,
    /// Body bytes so far, on all connections.
    pub(crate) received: u64,
    /// How long a request takes to its first byte.
    pub(crate) first_byte: Duration,
    /// How many connections have nothing left to do but to take over from these.
    pub(crate) spare: usize,
    pub(crate) lines: &'a [Line],
}

impl Look<'_> {
    /// Who has been silent for longer than this.
    fn silent_for(&self, patience: impl Fn(WorkerId) -> Duration) -> Vec<WorkerId> {
        let silent = |line: &&Line| line.silence().is_some_and(|silent| silent >= patience(line.worker));
        self.lines.iter().filter(silent).map(|line| line.worker).collect()
    }
}

/// Remembers what was tried.
#[derive(Debug)]
pub(crate) struct Redialer {
    terms: RedialTerms,
    received: u64,
    /// When bytes came last.
    heard: Duration,
    /// Everything was silent, and who still is has not been called off since.
    outage: bool,
    /// When bytes came after an outage.
    back: Option<Duration>,
    /// In an outage: when the next is tried, and how long it is to the one after.
    next_try: Duration,
    gap: Duration,
    /// How often each was called off for nothing.
    in_vain: HashMap<WorkerId, u32>,
    /// How many may be called off for being slow.
    budget: usize,
    budget_grows: Duration,
    /// Who was called off for being slow, and has not yet shown that it did any good.
    were_slow: HashSet<WorkerId>,
    /// What a connection does here, in bytes per second.
    typical: f64,
}

impl Redialer {
    pub(crate) fn new(terms: RedialTerms) -> Self {
        Self {
            terms,
            received: 0,
            heard: Duration::ZERO,
            outage: false,
            back: None,
            next_try: Duration::ZERO,
            gap: Duration::ZERO,
            in_vain: HashMap::new(),
            budget: (terms.jobs / 4).max(1),
            budget_grows: terms.silence * BUDGET_TIME,
            were_slow: HashSet::new(),
            typical: 0.0,
        }
    }

    /// Whose request to call off now.
    pub(crate) fn judge(&mut self, look: Look<'_>) -> Vec<WorkerId> {
        if look.received > self.received {
            self.received = look.received;
            self.heard = look.now;
        }
        self.learn(look);
        let quiet = look.now.saturating_sub(self.heard) >= self.silence(look);
        let called_off = match () {
            // Who is busy with this machine's disk may have its bytes waiting.
            () if quiet && look.lines.iter().any(|line| line.silent.is_none()) => Vec::new(),
            () if quiet => self.canary(look),
            () if self.outage => self.after_outage(look),
            () => self.one_by_one(look),
        };
        called_off.iter().for_each(|worker| *self.in_vain.entry(*worker).or_default() += 1);
        called_off
    }

    fn learn(&mut self, look: Look<'_>) {
        let shown = self.shown(look);
        let rates: Vec<f64> =
            look.lines.iter().filter(|line| line.age > shown).filter_map(|line| line.rate).collect();
        // Who is left at the end is left because it is slow.
        if rates.len() >= LEAST_SIBLINGS && look.spare == 0 {
            self.typical = median(rates).unwrap_or(self.typical);
        }
        let well = |line: &&Line| {
            let speaks = line.silent.is_none_or(|silent| silent < self.terms.silence);
            line.age > shown && speaks && line.rate.is_some_and(|rate| rate * SLOW >= self.typical)
        };
        for line in look.lines.iter().filter(well) {
            self.in_vain.remove(&line.worker);
            // It was the connection and not the link: what did good costs nothing.
            self.budget += usize::from(self.were_slow.remove(&line.worker));
        }
        if look.now > self.budget_grows {
            self.budget += 1;
            self.budget_grows = look.now + self.terms.silence * BUDGET_TIME;
        }
    }

    fn shown(&self, look: Look<'_>) -> Duration {
        self.terms.silence.max(look.first_byte * SHOWN)
    }

    /// Silence is told from the time that a server takes to answer.
    fn silence(&self, look: Look<'_>) -> Duration {
        self.terms.silence.max(look.first_byte * 4)
    }

    /// Of all that are silent the longest silent one, now and then.
    fn canary(&mut self, look: Look<'_>) -> Vec<WorkerId> {
        self.back = None;
        if !self.outage {
            self.outage = true;
            self.gap = self.silence(look) / 2;
            self.next_try = look.now;
        }
        if look.now < self.next_try {
            return Vec::new();
        }
        let silence = self.silence(look);
        let longest = look.lines.iter().max_by_key(|line| line.silence());
        let Some(line) = longest.filter(|line| line.silence() >= Some(silence)) else { return Vec::new() };
        self.next_try = look.now + self.gap;
        self.gap = (self.gap * 3 / 2).min(silence * 4);
        vec![line.worker]
    }

    /// Bytes come again: who is still silent a moment later will stay so for long.
    fn after_outage(&mut self, look: Look<'_>) -> Vec<WorkerId> {
        let silence = self.silence(look);
        let back = *self.back.get_or_insert(look.now);
        if look.now < back + silence / 8 {
            return Vec::new();
        }
        self.outage = false;
        look.silent_for(|_| silence)
    }

    fn one_by_one(&mut self, look: Look<'_>) -> Vec<WorkerId> {
        let patience = self.silence(look) * 2;
        let mut called_off = look.silent_for(|worker| self.patience(patience, worker));
        if look.spare > 0 {
            called_off.extend(self.keeps_waiting(look));
        } else if called_off.is_empty()
            && self.budget > 0
            && let Some(worker) = self.slowest(look)
        {
            // Once more in vain costs once more.
            self.were_slow.insert(worker);
            self.budget -= 1;
            called_off.push(worker);
        }
        called_off
    }

    /// Twice as long after each time that the worker was called off in vain.
    fn patience(&self, at_first: Duration, worker: WorkerId) -> Duration {
        let in_vain = self.in_vain.get(&worker).copied().unwrap_or(0);
        at_first.saturating_mul(2_u32.saturating_pow(in_vain))
    }

    /// One that is far slower than is typical, and would go on being so for a while.
    fn slowest(&self, look: Look<'_>) -> Option<WorkerId> {
        let shown = self.shown(look);
        let (line, rate) = look
            .lines
            .iter()
            .filter(|line| {
                line.age > shown && line.silent.is_some_and(|silent| silent < self.terms.silence / 4)
            })
            .filter_map(|line| Some((line, line.rate?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let long = seconds(line.left, rate) > 2.0 * (shown.as_secs_f64() + seconds(line.left, self.typical));
        (rate * SLOW < self.typical && long).then_some(line.worker)
    }

    /// Who would take far longer for the rest than a connection that has nothing to do: as many as there are of those.
    fn keeps_waiting(&self, look: Look<'_>) -> Vec<WorkerId> {
        let (first_byte, typical) = (look.first_byte, self.typical);
        let least_age = (first_byte * 3).max(self.terms.silence / 8);
        let own = |line: &Line| seconds(line.left, line.rate.unwrap_or(0.0));
        let keeps = |line: &&Line| {
            let other = first_byte.as_secs_f64() + seconds(line.left, typical);
            line.silent.is_some()
                && line.age > self.patience(least_age, line.worker)
                && typical > 0.0
                && own(line) > 2.0 * other
        };
        let mut keeping: Vec<&Line> = look.lines.iter().filter(keeps).collect();
        keeping.sort_by(|a, b| own(b).total_cmp(&own(a)));
        keeping.iter().take(look.spare).map(|line| line.worker).collect()
    }
}

/// `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn seconds(bytes: u64, rate: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let bytes = bytes as f64;
    bytes / rate.max(1.0)
}

#[cfg(test)]
#[path = "redial_tests.rs"]
mod tests;
