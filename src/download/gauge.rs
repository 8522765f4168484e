//! What a worker shows of its request while it runs, and how it is called off.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// One worker's, written by it and read by the coordinator.
#[derive(Debug)]
pub(crate) struct Gauge {
    epoch: Instant,
    /// Body bytes received.
    received: AtomicU64,
    /// The number of the request that runs.
    request: AtomicU64,
    /// Since when it waits for the server, in milliseconds from the epoch and one more; 0 while it does not.
    waiting: AtomicU64,
    /// The body of the request that runs comes.
    delivering: AtomicBool,
    /// Requests up to this number are to end.
    called_off: watch::Sender<u64>,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        let called_off = watch::Sender::new(0);
        let zero = AtomicU64::default;
        Self {
            epoch: Instant::now(),
            received: zero(),
            request: zero(),
            waiting: zero(),
            delivering: AtomicBool::new(false),
            called_off,
        }
    }

    /// Another request begins. The future ends when it is called off.
    pub(crate) fn begin(&self) -> impl Future<Output = ()> + use<> {
        self.delivering.store(false, Ordering::Relaxed);
        let number = self.request.fetch_add(1, Ordering::Relaxed) + 1;
        let mut called_off = self.called_off.subscribe();
        async move {
            if called_off.wait_for(|last| *last >= number).await.is_err() {
                // Without a coordinator nobody calls off.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The request that runs is to end: another connection will do better.
    pub(crate) fn call_off(&self) {
        self.called_off.send_replace(self.request.load(Ordering::Relaxed));
    }

    /// From now on it waits for the server, as long as the guard lives.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waiting.store(now.saturating_add(1), Ordering::Relaxed);
        Waiting(self)
    }

    /// How long the worker has been waiting for the server; `None` while it is busy with this machine.
    pub(crate) fn silent(&self) -> Option<Duration> {
        let since = self.waiting.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.delivering.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_delivering(&self) -> bool {
        self.delivering.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// A worker waits.
pub(crate) struct Waiting<'a>(&'a Gauge);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn only_time_spent_waiting_for_the_server_is_silence() {
        let gauge = Gauge::new();
        let second = Duration::from_secs(1);
        tokio::time::sleep(second).await;
        assert_eq!(gauge.silent(), None);
        let waiting = gauge.wait();
        tokio::time::sleep(second).await;
        assert_eq!(gauge.silent(), Some(second));
        drop(waiting);
        assert_eq!(gauge.silent(), None);
    }

    #[test]
    fn bytes_are_counted_over_all_requests_and_show_that_one_delivers() {
        let gauge = Gauge::new();
        assert!(!gauge.is_delivering());
        gauge.add_received(3);
        gauge.add_received(4);
        assert!(gauge.is_delivering());
        assert_eq!(gauge.received(), 7);
        drop(gauge.begin());
        assert!(!gauge.is_delivering());
        assert_eq!(gauge.received(), 7);
    }

    #[tokio::test]
    async fn the_request_that_runs_is_called_off_and_not_the_next() {
        let gauge = Gauge::new();
        let first = gauge.begin();
        gauge.call_off();
        let second = gauge.begin();
        assert!(first.now_or_never().is_some() && second.now_or_never().is_none());
    }
}
