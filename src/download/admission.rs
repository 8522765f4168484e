//! Who is let in to a host, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep};

use super::blocking::blocking;
use super::gate::{Gate, Limits};
use super::hosts_file::HostsFile;
use crate::tuner::Learned;

/// A host, and who is let in.
#[derive(Debug)]
pub(crate) struct Host {
    state: Mutex<State>,
    large: Arc<Semaphore>,
    /// What earlier runs learned of it.
    known: OnceCell<Option<Learned>>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    line: VecDeque<oneshot::Sender<Admission>>,
}

impl Host {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State { gate: Gate::new(limits), line: VecDeque::new() }),
            large: Arc::new(Semaphore::new(limits.large())),
            known: OnceCell::new(),
        }
    }

    /// Waits in line.
    pub(crate) async fn enter(self: &Arc<Self>) -> Admission {
        let (sender, mut admitted) = oneshot::channel();
        self.lock().line.push_back(sender);
        loop {
            self.admit();
            let pause = self.lock().gate.pause_left(Instant::now());
            tokio::select! {
                biased;
                Ok(admission) = &mut admitted => return admission,
                () = sleep(pause), if !pause.is_zero() => {}
            }
        }
    }

    /// Lets in who is next, as long as there is room.
    fn admit(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                while state.line.front().is_some_and(oneshot::Sender::is_closed) {
                    state.line.pop_front();
                }
                if state.line.is_empty() || !state.gate.enter(Instant::now()) {
                    return;
                }
                state.line.pop_front()
            };
            let held = Mutex::new(Some(Held { requests: 1, served: false }));
            // Who has just ceased to wait leaves at once.
            drop(
                next.map(|next| {
                    next.send(Admission { host: Arc::clone(self), large: Mutex::default(), held })
                }),
            );
        }
    }

    /// What earlier runs learned of it, by this file.
    pub(crate) async fn known(&self, file: &HostsFile, name: String) -> Option<Learned> {
        let file = file.clone();
        let recall = || blocking(move || file.recall(&name));
        *self.known.get_or_init(recall).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A download is let in; dropping it, it leaves.
#[derive(Debug)]
pub(crate) struct Admission {
    host: Arc<Host>,
    /// `None` while it is in line again.
    held: Mutex<Option<Held>>,
    /// It is one of the few large ones.
    large: Mutex<Option<OwnedSemaphorePermit>>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    requests: usize,
    served: bool,
}

impl Admission {
    /// The host has answered, so long after the request went out; `warm`: over a connection that was there.
    pub(crate) fn served(&self, waited: Duration, warm: bool) {
        self.with_held(|gate, held| {
            if !std::mem::replace(&mut held.served, true) {
                gate.serve(waited, warm);
            }
        });
        self.host.admit();
    }

    /// A connection came about in that time.
    pub(crate) fn connected(&self, round_trip: Duration) {
        self.host.lock().gate.learn_distance(round_trip);
        self.host.admit();
    }

    /// The host turned a request away, and is to be left alone for so long.
    pub(crate) fn refused(&self, wait: Duration) {
        self.host.lock().gate.refuse(wait, Instant::now());
    }

    /// Leaves, if it has not left, and goes to the end of the line.
    pub(crate) async fn queue_again(&self) {
        self.leave();
        let again = self.host.enter().await;
        *lock(&self.held) = lock(&again.held).take();
    }

    /// Whether others are served, and this one is not.
    pub(crate) fn is_left_out(&self) -> bool {
        self.with_held(|gate, held| !held.served && gate.serves()).unwrap_or(false)
    }

    /// Whether nothing is known of how far the host is.
    pub(crate) fn is_new(&self) -> bool {
        self.host.lock().gate.is_new()
    }

    /// Whether no other download is under way to this host.
    pub(crate) fn is_alone(&self) -> bool {
        self.host.lock().gate.is_alone()
    }

    /// How many requests it may have.
    pub(crate) fn share(&self) -> usize {
        self.with_held(|gate, held| gate.share(held.requests)).unwrap_or(1)
    }

    /// How many it has.
    pub(crate) fn note_requests(&self, requests: usize) {
        self.with_held(|gate, held| {
            gate.note_requests(held.requests, requests);
            held.requests = requests;
        });
    }

    /// Turns out to be large. Whether there may be one more of those now.
    pub(crate) fn grow(&self) -> bool {
        let mut large = lock(&self.large);
        if large.is_none() {
            *large = Arc::clone(&self.host.large).try_acquire_owned().ok();
        }
        large.is_some()
    }

    /// Lets others in until there may be one more large one.
    pub(crate) async fn wait_to_grow(&self) {
        self.leave();
        // It is never closed.
        let permit = Arc::clone(&self.host.large).acquire_owned().await.ok();
        *lock(&self.large) = permit;
        self.queue_again().await;
    }

    fn with_held<T>(&self, act: impl FnOnce(&mut Gate, &mut Held) -> T) -> Option<T> {
        let mut held = lock(&self.held);
        held.as_mut().map(|held| act(&mut self.host.lock().gate, held))
    }

    /// Lets another in: nothing is asked any more.
    pub(crate) fn leave(&self) {
        let held = lock(&self.held).take();
        if let Some(Held { requests, served }) = held {
            self.host.lock().gate.leave(requests, served);
            self.host.admit();
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leave();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn host(downloads: usize) -> Arc<Host> {
        Arc::new(Host::new(Limits { downloads: Some(downloads), ..Limits::default() }))
    }

    #[tokio::test]
    async fn downloads_are_let_in_in_their_order_and_who_does_not_wait_any_more_holds_up_nobody() {
        let host = host(1);
        let first = host.enter().await;
        let (mut second, mut third) = (Box::pin(host.enter()), Box::pin(host.enter()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(second);
        drop(first);
        let third = third.now_or_never().expect("it is next");
        let (mut fourth, mut again) = (Box::pin(host.enter()), Box::pin(third.queue_again()));
        assert!((&mut fourth).now_or_never().is_none());
        assert!((&mut again).now_or_never().is_none(), "at the end of the line");
        drop(fourth.now_or_never().expect("it is next"));
        again.now_or_never().expect("it is next");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_in_while_the_host_wants_to_be_left_alone() {
        let host = host(4);
        let began = Instant::now();
        let refused = host.enter().await;
        refused.refused(Duration::from_secs(3));
        refused.queue_again().await;
        assert_eq!(began.elapsed().as_secs(), 3);
    }

    #[tokio::test]
    async fn large_ones_wait_for_large_ones_and_small_ones_do_not() {
        let host = Arc::new(Host::new(Limits::default()));
        let mut inside = Vec::new();
        for _ in 0..Limits::default().large() {
            let large = host.enter().await;
            assert!(large.grow() && large.grow(), "it counts once");
            inside.push(large);
        }
        let one_more = host.enter().await;
        assert!(!one_more.grow());
        let mut waiting = Box::pin(one_more.wait_to_grow());
        assert!((&mut waiting).now_or_never().is_none());
        let small = host.enter().await;
        inside.pop();
        waiting.now_or_never().expect("there is room for a large one");
        drop(small);
        assert!(one_more.grow());
    }
}
