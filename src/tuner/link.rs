//! A fluid model of TCP connections over one link: slow start, cubic, a drop-tail queue, random loss.

use fastrand::Rng;

pub(super) const PACKET: f64 = 1448.0;
/// What a receiver of default buffers lets be under way, in bytes.
const RECEIVE_WINDOW: f64 = 3.0 * 1024.0 * 1024.0;
const INITIAL_WINDOW: f64 = 10.0;

/// What there is between client and server. Seconds, bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) round_trip: f64,
    /// Shared by all connections.
    pub(super) rate: f64,
    /// Of each.
    pub(super) flow_rate: f64,
    /// Of a packet.
    pub(super) loss: f64,
    /// Each so-manieth connection is so many times slower.
    pub(super) slow: Option<(usize, f64)>,
    /// How far the rate goes up and down, each tenth of a second.
    pub(super) noise: f64,
    /// Nothing comes from, and for how long.
    pub(super) silence: Option<(f64, f64)>,
    /// What each connection beyond four costs of the rate.
    pub(super) crowd: f64,
    /// Requests beyond that are turned away.
    pub(super) serves: usize,
}

impl Link {
    /// Mbit/s, as they come.
    pub(super) const fn new(round_trip: f64, mbit: f64) -> Self {
        Self {
            round_trip,
            rate: mbit * 1e6 / 8.0,
            flow_rate: f64::INFINITY,
            loss: 0.0,
            slow: None,
            noise: 0.0,
            silence: None,
            crowd: 0.0,
            serves: usize::MAX,
        }
    }

    fn is_silent(&self, now: f64) -> bool {
        self.silence.is_some_and(|(from, time)| (from..from + time).contains(&now))
    }
}

/// The sender's side of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// In packets, as all of these.
    window: f64,
    threshold: f64,
    /// The window at the last loss, and when that was.
    peak: f64,
    lost: f64,
    /// How long cubic takes to get back there.
    depth: f64,
    rate: f64,
    /// What it sends in this step, and whether that was for want of more.
    wants: f64,
    /// Its next packet after a silence.
    wakes: f64,
}

impl Flow {
    /// The `count`-th connection.
    pub(super) fn new(link: &Link, count: usize) -> Self {
        let slow = link.slow.filter(|(each, _)| count.is_multiple_of(*each));
        Self {
            window: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            peak: 0.0,
            lost: f64::NEG_INFINITY,
            depth: 0.0,
            rate: link.flow_rate / slow.map_or(1.0, |(_, times)| times),
            wants: 0.0,
            wakes: 0.0,
        }
    }

    fn want(&mut self, bytes: f64, delay: f64, now: f64, step: f64) {
        let window = (self.window * PACKET).min(RECEIVE_WINDOW);
        self.wants = if now < self.wakes { 0.0 } else { (window / delay).min(self.rate).min(bytes / step) };
    }

    fn acknowledged(&mut self, packets: f64, delay: f64, now: f64) {
        // A queue of its own, of 50 ms.
        let most = (self.rate * (delay + 0.05) / PACKET).min(RECEIVE_WINDOW / PACKET * 1.2);
        if self.window < self.threshold {
            self.window += packets;
        } else {
            let time = now - self.lost;
            let cubic = 0.4 * (time - self.depth).powi(3) + self.peak;
            let reno = self.peak * 0.7 + 0.53 * time / delay;
            // No faster than half a window in a round trip.
            self.window = cubic.max(reno).max(self.window).min(self.window + packets / 2.0);
        }
        self.window = self.window.min(most.max(INITIAL_WINDOW));
    }

    fn loses(&mut self, delay: f64, now: f64) {
        if now - self.lost < delay {
            return;
        }
        self.peak = self.window;
        self.window = (self.window * 0.7).max(2.0);
        self.threshold = self.window;
        self.depth = (self.peak * 0.3 / 0.4).cbrt();
        self.lost = now;
    }

    fn times_out(&mut self, wakes: f64) {
        self.threshold = (self.window / 2.0).max(2.0);
        self.peak = self.threshold;
        self.depth = 0.0;
        self.lost = wakes;
        self.window = 2.0;
        self.wakes = wakes;
    }
}

/// The link at work.
pub(super) struct Wire {
    pub(super) link: Link,
    rng: Rng,
    queue: f64,
    factor: f64,
    redraw: f64,
    was_silent: bool,
}

impl Wire {
    pub(super) fn new(link: Link, seed: u64) -> Self {
        Self { link, rng: Rng::with_seed(seed), queue: 0.0, factor: 1.0, redraw: 0.0, was_silent: false }
    }

    /// The round trip with its queue.
    pub(super) fn delay(&self) -> f64 {
        self.link.round_trip + self.queue / self.link.rate
    }

    /// What comes of each flow in this step, at most its `bytes`.
    pub(super) fn advance(&mut self, flows: &mut [(&mut Flow, f64)], now: f64, step: f64) -> Vec<f64> {
        if now >= self.redraw {
            self.factor = 1.0 + self.link.noise * (2.0 * self.rng.f64() - 1.0);
            self.redraw = now + 0.1;
        }
        if self.is_silent(flows, now) {
            return vec![0.0; flows.len()];
        }
        let delay = self.delay();
        flows.iter_mut().for_each(|(flow, bytes)| flow.want(*bytes, delay, now, step));
        let wanted: f64 = flows.iter().map(|(flow, _)| flow.wants).sum();
        let busy = u32::try_from(flows.len()).unwrap_or(u32::MAX);
        let crowd = 1.0 - self.link.crowd * f64::from(busy.saturating_sub(4));
        let room = self.link.rate * self.factor * crowd * step;
        let out = (self.queue + wanted * step).min(room);
        let queued = self.queue + wanted * step - out;
        let buffer = self.link.rate * 0.05;
        let dropped = (queued - buffer).max(0.0) / PACKET;
        self.queue = queued.min(buffer);
        flows
            .iter_mut()
            .map(|(flow, bytes)| {
                let share = flow.wants / wanted.max(1.0);
                let came = (out * share).min(*bytes);
                let packets = came / PACKET;
                flow.acknowledged(packets, delay, now);
                let lost = packets * -(1.0 - self.link.loss).ln() + dropped * share;
                if lost > 0.0 && self.rng.f64() > (-lost).exp() {
                    flow.loses(delay, now);
                }
                came
            })
            .collect()
    }

    fn is_silent(&mut self, flows: &mut [(&mut Flow, f64)], now: f64) -> bool {
        let silent = self.link.is_silent(now);
        if self.was_silent && !silent {
            let (_, time) = self.link.silence.expect("there was one");
            self.queue = 0.0;
            // Retransmissions back off: up to as long again.
            flows.iter_mut().for_each(|(flow, _)| flow.times_out(now + time * 0.5 * self.rng.f64()));
        }
        self.was_silent = silent;
        silent
    }
}
