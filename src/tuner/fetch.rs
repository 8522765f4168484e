//! A download over the model of a link: connections, requests, leases and steals, as the engine does them.

use std::time::Duration;

use super::link::{Flow, Link, Wire};
use super::{Learned, Sample, Tuner};

const MIB: f64 = 1024.0 * 1024.0;
const FIRST_SPAN: f64 = 8.0 * MIB;
const LEAST_SPAN: f64 = 2.0 * MIB;
const LEAST_STEAL: f64 = 0.2;
const STEAL_AGE: f64 = 0.5;
const TICK: f64 = 0.05;
/// After a refusal.
const BACKOFF: f64 = 1.0;

/// Whole bytes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of bytes")]
pub(super) fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

/// Who says how many jobs there are.
pub(super) enum Pace {
    Fixed(usize),
    Auto(Box<Tuner>),
}

impl Pace {
    fn jobs(&self) -> usize {
        match self {
            Self::Fixed(jobs) => *jobs,
            Self::Auto(tuner) => tuner.jobs(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// A request is on its way; the answer comes then.
    Asking(f64),
    Delivering,
    Idle,
}

struct Connection {
    flow: Flow,
    state: State,
    /// Bytes of its lease that are missing.
    lease: f64,
    rate: f64,
    began: f64,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seconds: f64,
    pub(super) refused: usize,
    /// The number of jobs, each time it changed.
    pub(super) jobs: Vec<(f64, usize)>,
    pub(super) learned: Option<Learned>,
}

pub(super) struct Fetch {
    wire: Wire,
    pace: Pace,
    connections: Vec<Connection>,
    unleased: f64,
    remaining: f64,
    received: f64,
    now: f64,
    refused: usize,
}

impl Fetch {
    pub(super) fn new(link: Link, bytes: f64, pace: Pace, seed: u64) -> Self {
        let mut fetch = Self {
            wire: Wire::new(link, seed),
            pace,
            connections: Vec::new(),
            unleased: bytes,
            remaining: bytes,
            received: 0.0,
            now: 2.0 * link.round_trip,
            refused: 0,
        };
        fetch.open();
        let probe = &mut fetch.connections[0];
        probe.lease = FIRST_SPAN.min(bytes);
        probe.state = State::Delivering;
        fetch.unleased -= fetch.connections[0].lease;
        fetch
    }

    /// Until everything is there, or the time is over.
    pub(super) fn run(mut self, limit: f64) -> Outcome {
        let began = self.now;
        let step = (self.wire.link.round_trip / 10.0).clamp(0.002, 0.01);
        let mut jobs: Vec<(f64, usize)> = Vec::new();
        let mut tick = self.now;
        while self.remaining > 1.0 && self.now < limit {
            if self.now >= tick {
                self.tell(began);
                if jobs.last().is_none_or(|(_, last)| *last != self.pace.jobs()) {
                    jobs.push((self.now, self.pace.jobs()));
                }
                tick += TICK;
            }
            self.answers(began);
            self.dispatch();
            self.deliver(step);
            self.now += step;
        }
        let learned = match &self.pace {
            Pace::Auto(tuner) => tuner.learned(),
            Pace::Fixed(_) => None,
        };
        Outcome { seconds: self.now, refused: self.refused, jobs, learned }
    }

    fn delivering(&self) -> usize {
        self.connections.iter().filter(|one| one.state == State::Delivering).count()
    }

    fn tell(&mut self, began: f64) {
        let delivering = self.delivering();
        if let Pace::Auto(tuner) = &mut self.pace {
            tuner.observe(Sample {
                now: Duration::from_secs_f64(self.now - began),
                received: whole(self.received),
                remaining: whole(self.remaining),
                delivering,
            });
        }
    }

    fn answers(&mut self, began: f64) {
        for index in 0..self.connections.len() {
            let State::Asking(answer) = self.connections[index].state else { continue };
            if answer > self.now {
                continue;
            }
            let delivering = self.delivering();
            if delivering < self.wire.link.serves {
                self.connections[index].state = State::Delivering;
                continue;
            }
            self.refused += 1;
            let leased = self.leased();
            if let Pace::Auto(tuner) = &mut self.pace {
                tuner.refused(Duration::from_secs_f64(self.now - began), leased, delivering);
            }
            let connection = &mut self.connections[index];
            if leased > self.pace.jobs() {
                connection.state = State::Idle;
                self.unleased += connection.lease;
                connection.lease = 0.0;
            } else {
                connection.state = State::Asking(self.now + BACKOFF);
            }
        }
    }

    fn leased(&self) -> usize {
        self.connections.iter().filter(|one| one.state != State::Idle).count()
    }

    fn open(&mut self) {
        let flow = Flow::new(&self.wire.link, self.connections.len() + 1);
        self.connections.push(Connection {
            flow,
            state: State::Idle,
            lease: 0.0,
            rate: 0.0,
            began: self.now,
        });
    }

    /// Leases to those who are idle, and opens what is missing, as far as there is work.
    fn dispatch(&mut self) {
        while self.leased() < self.pace.jobs() {
            let Some(lease) = self.lease() else { return };
            let idle = self.connections.iter().position(|one| one.state == State::Idle);
            let trips = if idle.is_some() { 1.0 } else { 2.0 };
            let index = idle.unwrap_or_else(|| {
                self.open();
                self.connections.len() - 1
            });
            let connection = &mut self.connections[index];
            connection.lease = lease;
            connection.began = self.now;
            connection.rate = 0.0;
            connection.state = State::Asking(self.now + trips * self.wire.delay());
        }
    }

    fn lease(&mut self) -> Option<f64> {
        if self.unleased > 1.0 {
            let jobs = u32::try_from(self.pace.jobs()).unwrap_or(u32::MAX);
            let lease = (self.unleased / (2.0 * f64::from(jobs))).max(LEAST_SPAN).min(self.unleased);
            self.unleased -= lease;
            return Some(lease);
        }
        let now = self.now;
        let left = |one: &Connection| {
            let known = one.state != State::Idle && now - one.began > STEAL_AGE;
            if known { one.lease / one.rate.max(1.0) } else { 0.0 }
        };
        let victim = self.connections.iter_mut().max_by(|a, b| left(a).total_cmp(&left(b)))?;
        if left(victim) < LEAST_STEAL {
            return None;
        }
        victim.lease /= 2.0;
        Some(victim.lease)
    }

    fn deliver(&mut self, step: f64) {
        let mut busy: Vec<_> =
            self.connections.iter_mut().filter(|one| one.state == State::Delivering).collect();
        let mut flows: Vec<_> = busy.iter_mut().map(|one| (&mut one.flow, one.lease)).collect();
        let came = self.wire.advance(&mut flows, self.now, step);
        for (connection, bytes) in busy.into_iter().zip(came) {
            // Fractions of a byte do not keep a request open.
            let bytes = if connection.lease - bytes < 1.0 { connection.lease } else { bytes };
            connection.lease -= bytes;
            connection.rate += (bytes / step - connection.rate) * step;
            self.remaining -= bytes;
            self.received += bytes;
            if connection.lease <= 0.0 {
                connection.state = State::Idle;
            }
        }
    }
}
