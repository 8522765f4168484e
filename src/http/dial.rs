//! Connections: made before there is a request for them, and spread over the addresses of a host.
//!
//! reqwest connects when a request is there, and requests for the rest of an object are there when the first answer
//! is: two or more round trips late. So while the first request is under way, others are dialled and kept: a request
//! that only dials goes through a connector of its own, which keeps the connection and fails the request before a byte
//! of it is sent. The next request to that origin that needs a connection is given it.

use std::any::Any;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::url::Origin;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A connection of a type that reqwest keeps to itself.
type Connection = Box<dyn Any + Send>;

/// A kept connection is not trusted for longer: servers close those that nothing comes on.
const FRESH: Duration = Duration::from_secs(5);
/// How long a host's addresses are believed.
const ADDRESSES_TIME: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// Where the request of this task goes.
    static DIALLED: Dialled;
}

/// Where a request goes, and what for.
struct Dialled {
    origin: Origin,
    /// Of a request that only dials: where its connection goes.
    keep: Option<Cell<Option<oneshot::Sender<Connection>>>>,
}

/// Connections, or those being made, that no request has yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spares(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Oldest first.
    waiting: Mutex<VecDeque<Spare>>,
    /// A request has got a connection of its own.
    connected: Notify,
}

#[derive(Debug)]
struct Spare {
    origin: Origin,
    since: Instant,
    connection: oneshot::Receiver<Connection>,
}

impl Spares {
    /// Waits until a request has a connection: where that one cannot be made, no more are tried.
    pub(crate) async fn connected(&self) {
        self.0.connected.notified().await;
    }

    /// Runs `request`, which connects to `origin`, for its connection. It has to fail.
    pub(crate) async fn dial<T>(&self, origin: Origin, request: impl Future<Output = T>) {
        let (keep, connection) = oneshot::channel();
        self.lock().push_back(Spare { origin: origin.clone(), since: Instant::now(), connection });
        let keep = Some(Cell::new(Some(keep)));
        DIALLED.scope(Dialled { origin, keep }, request).await;
    }

    /// Runs a request to `origin`, which may use one of these.
    pub(crate) async fn used<T>(origin: Origin, request: impl Future<Output = T>) -> T {
        DIALLED.scope(Dialled { origin, keep: None }, request).await
    }

    /// Closes what no request has asked for in time.
    pub(crate) async fn expire(&self) {
        tokio::time::sleep(FRESH).await;
        self.lock().clear();
    }

    fn take(&self, origin: &Origin) -> Option<oneshot::Receiver<Connection>> {
        let mut spares = self.lock();
        spares.retain(|spare| spare.since.elapsed() < FRESH);
        let at = spares.iter().position(|spare| spare.origin == *origin)?;
        spares.remove(at).map(|spare| spare.connection)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Spare>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Spares {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector { inner, spares: self.clone() }
    }
}

/// reqwest's connector, with spare connections before it.
#[derive(Clone, Debug)]
pub(crate) struct Connector<S> {
    inner: S,
    spares: Spares,
}

impl<S, R> Service<R> for Connector<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let dialled = DIALLED.try_with(|to| (to.origin.clone(), to.keep.as_ref().map(Cell::take)));
        let Ok((origin, keep)) = dialled else { return self.inner.call(to).boxed() };
        if let Some(keep) = keep {
            let made = self.inner.call(to);
            return async move {
                let connection: Connection = Box::new(made.await?);
                // Without a taker it is closed.
                let _ = keep.map(|keep| keep.send(connection));
                Err("the connection is kept for another request".into())
            }
            .boxed();
        }
        let (spares, spare) = (self.spares.clone(), self.spares.take(&origin));
        let Some(spare) = spare else {
            let made = self.inner.call(to);
            return async move {
                let connection = made.await?;
                spares.0.connected.notify_one();
                Ok(connection)
            }
            .boxed();
        };
        let mut inner = self.inner.clone();
        async move {
            match spare.await.map(Connection::downcast::<S::Response>) {
                Ok(Ok(connection)) => Ok(*connection),
                // It could not be made.
                _ => inner.call(to).await,
            }
        }
        .boxed()
    }
}

/// Names, and since when their addresses are known.
type Known = HashMap<String, (Instant, Vec<SocketAddr>)>;

/// Resolves names as the system does, and begins with another address each time: N connections go to N addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    known: Arc<Mutex<Known>>,
    turn: Arc<AtomicUsize>,
}

impl Resolve for Spread {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        async move {
            let turn = this.turn.fetch_add(1, Ordering::Relaxed);
            let addrs: Addrs = Box::new(rotated(this.addresses(name.as_str()).await?, turn).into_iter());
            Ok(addrs)
        }
        .boxed()
    }
}

impl Spread {
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let known = self.lock().get(name).filter(|(since, _)| since.elapsed() < ADDRESSES_TIME).cloned();
        if let Some((_, addresses)) = known {
            return Ok(addresses);
        }
        let host = name.to_owned();
        let found = tokio::task::spawn_blocking(move || (host, 0).to_socket_addrs()).await??;
        let addresses: Vec<_> = found.collect();
        self.lock().insert(name.to_owned(), (Instant::now(), addresses.clone()));
        Ok(addresses)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of the preferred family, which is that of the first (RFC 6724), by turns; the others behind them as they are,
/// for when none of those answers (RFC 8305).
fn rotated(addresses: Vec<SocketAddr>, turn: usize) -> Vec<SocketAddr> {
    let v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == v6);
    let count = preferred.len().max(1);
    preferred.rotate_left(turn % count);
    preferred.extend(others);
    preferred
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
