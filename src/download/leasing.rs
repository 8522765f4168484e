//! Who fetches what in a transfer: leases for the idle, and requests that others will do better at.

use std::time::Duration;

use tokio::time::Instant;

use super::Coordinator;
use crate::download::redial::Look;
use crate::download::worker::Span;
use crate::scheduler::WorkerId;

impl Coordinator<'_> {
    /// Gives the idle something to do, as far as there is something and the limit allows.
    pub(super) fn dispatch(&mut self) {
        if !self.throttle.pause_left(Instant::now()).is_zero() {
            return;
        }
        while self.scheduler.leased() < self.limit() {
            let Some((worker, reply)) = self.idle.pop() else { break };
            let body = self.job.first.take();
            if !self.lease(worker, body.is_some()) {
                self.idle.push((worker, reply));
                break;
            }
            let (source, is_another) = self.roster.assign(worker, body.is_some());
            if is_another {
                self.crew.begin_anew(worker);
            } else {
                self.crew.begin(worker);
            }
            // Only a worker that panicked does not listen, and `on_panic` hears of that.
            let _ = reply.send(Span { source, body });
        }
        self.roster.note_requests();
    }

    /// Requests at once, at the moment: as many as pay, and as other downloads leave.
    pub(super) fn limit(&self) -> usize {
        self.throttle.limit().min(self.roster.room())
    }

    /// Leases missing segments to the worker, or what another would be long at; the probe's answer goes to the
    /// first missing ones. Whether there was any.
    pub(super) fn lease(&mut self, worker: WorkerId, probed: bool) -> bool {
        let (segments, tuning) = (self.files.ledger.segments(), self.job.request.tuning);
        if probed {
            return self.scheduler.lease_up_to(worker, segments.covering(tuning.first_span)).is_some();
        }
        let (first_byte, size) = (self.first_byte(), segments.size());
        // Where their number is looked for it may double soon.
        let jobs = self.job.request.jobs.min(2 * self.limit());
        let idle = |worker| self.idle.iter().any(|(id, _)| *id == worker);
        let pace = self.crew.pace(worker, idle, jobs, first_byte, size);
        let leased = if self.files.proving.follows() {
            self.scheduler.lease_shortly(worker, pace)
        } else {
            self.scheduler.lease(worker, pace)
        };
        if leased.is_some() {
            return true;
        }
        let worth = tuning.least_steal.max(3 * first_byte);
        let terms = self.crew.steal_terms(worth, first_byte, size);
        self.scheduler.steal(worker, pace, terms, |worker| self.crew.shown_rate(worker, worth)).is_some()
    }

    /// How long a request takes to its first byte, as far as known.
    pub(super) fn first_byte(&self) -> Duration {
        self.job.traffic.first_byte().unwrap_or_default()
    }

    /// Calls off the requests that other connections will do better at.
    pub(super) fn redial(&mut self, received: u64, now: Instant) {
        let lines = self.crew.lines(&self.scheduler, self.files.ledger.segments().size(), now);
        // Those who may not work, since fewer do as well, have not come to the end.
        let room = self.limit().saturating_sub(lines.len());
        let called_off = self.redialer.judge(Look {
            now: now - self.began,
            received,
            first_byte: self.first_byte(),
            spare: self.crew.warm(self.idle.iter().map(|(worker, _)| *worker)).min(room),
            lines: &lines,
        });
        called_off.into_iter().for_each(|worker| self.crew.call_off(worker));
    }
}
