//! Connections: made before there is a request for them, and spread over the addresses of a host.
//!
//! reqwest connects when a request is there, and requests for the rest of an object are there when the first answer
//! is: two or more round trips late. So while the first request is under way, others are dialled and kept: a request
//! that only dials goes through a connector of its own, which keeps the connection and fails the request before a byte
//! of it is sent. The next request to that origin that needs a connection is given it.

use std::any::Any;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};
use tower_layer::Layer;
use tower_service::Service;

use super::network::{Addresses, Family, Network};
use crate::url::Origin;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A connection of a type that reqwest keeps to itself.
type Connection = Box<dyn Any + Send>;

/// A kept connection is not trusted for longer: servers close those that nothing comes on.
const FRESH: Duration = Duration::from_secs(5);
/// How long a host's addresses are believed.
const ADDRESSES_TIME: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// How the request of this task connects.
    static WAY: Way;
}

/// How a request connects.
pub(crate) struct Way {
    origin: Origin,
    /// The longest time that it takes.
    patience: Duration,
    /// Told of a connection that was made for the request, and how long that took.
    connected: watch::Sender<Option<Duration>>,
    /// Of a request that only dials: where its connection goes.
    keep: Option<Cell<Option<oneshot::Sender<Connection>>>>,
}

impl Way {
    pub(crate) fn new(
        origin: Origin,
        patience: Duration,
        connected: watch::Sender<Option<Duration>>,
    ) -> Self {
        Self { origin, patience, connected, keep: None }
    }

    /// Runs a request that goes so, and may use a spare connection.
    pub(crate) async fn used<T>(self, request: impl Future<Output = T>) -> T {
        WAY.scope(self, request).await
    }
}

/// Connections, or those being made, that no request has yet; oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spares(Arc<Mutex<VecDeque<Spare>>>);

#[derive(Debug)]
struct Spare {
    origin: Origin,
    since: Instant,
    connection: oneshot::Receiver<Connection>,
}

impl Spare {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < FRESH
    }
}

impl Spares {
    /// Runs a request that goes so, for its connection. It has to fail.
    pub(crate) async fn dial<T>(&self, way: Way, request: impl Future<Output = T>) {
        let (keep, connection) = oneshot::channel();
        self.lock().push_back(Spare { origin: way.origin.clone(), since: Instant::now(), connection });
        let keep = Some(Cell::new(Some(keep)));
        WAY.scope(Way { keep, ..way }, request).await;
    }

    /// Closes what no request has asked for in time.
    pub(crate) async fn expire(&self) {
        tokio::time::sleep(FRESH).await;
        self.lock().retain(Spare::is_fresh);
    }

    fn take(&self, origin: &Origin) -> Option<oneshot::Receiver<Connection>> {
        let mut spares = self.lock();
        spares.retain(Spare::is_fresh);
        let at = spares.iter().position(|spare| spare.origin == *origin)?;
        spares.remove(at).map(|spare| spare.connection)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Spare>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let way = WAY.try_with(|way| {
            let keep = way.keep.as_ref().map(Cell::take);
            (way.origin.clone(), way.patience, way.connected.clone(), keep)
        });
        let Ok((origin, patience, connected, keep)) = way else { return self.inner.call(to).boxed() };
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let spares = self.spares.clone();
        let connect = async move {
            if let Some(keep) = keep {
                let connection: Connection = Box::new(inner.call(to).await?);
                // Without a taker it is closed.
                let _ = keep.map(|keep| keep.send(connection));
                return Err("the connection is kept for another request".into());
            }
            if let Some(spare) = spares.take(&origin)
                && let Ok(Ok(connection)) = spare.await.map(Connection::downcast)
            {
                return Ok(*connection);
            }
            // There is no spare one, or it could not be made.
            let began = Instant::now();
            let connection = inner.call(to).await?;
            connected.send_replace(Some(began.elapsed()));
            Ok(connection)
        };
        async move {
            timeout(patience, connect)
                .await
                .unwrap_or_else(|_| Err(format!("not within {patience:?}").into()))
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
    family: Option<Family>,
    /// Those that nobody is asked for.
    given: Arc<Addresses>,
}

impl Resolve for Spread {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        // Whose request this is for is known here, and may not be later.
        let port = WAY.try_with(|way| way.origin.port()).ok().flatten();
        let given = port.and_then(|port| self.given(name.as_str(), port));
        async move {
            let turn = this.turn.fetch_add(1, Ordering::Relaxed);
            let addresses = match given {
                Some(given) => given,
                None => this.addresses(name.as_str()).await?,
            };
            let addresses = of_family(addresses, this.family)?;
            let addrs: Addrs = Box::new(rotated(addresses, turn).into_iter());
            Ok(addrs)
        }
        .boxed()
    }
}

impl Spread {
    /// Over these addresses, where the network says which.
    pub(crate) fn over(network: &Network) -> Self {
        let (family, given) = network.choice();
        Self { family, given: Arc::new(given), ..Self::default() }
    }

    fn given(&self, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let given = self.given.get(&(name.to_ascii_lowercase(), port))?;
        // reqwest puts the port in.
        Some(given.iter().map(|address| SocketAddr::new(*address, 0)).collect())
    }

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

/// Those of that family, if there has to be one.
fn of_family(addresses: Vec<SocketAddr>, family: Option<Family>) -> Result<Vec<SocketAddr>, BoxError> {
    let Some(family) = family else { return Ok(addresses) };
    let (kept, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == (family == Family::V6));
    if kept.is_empty() && !others.is_empty() {
        return Err(format!("the host has no {family} address").into());
    }
    Ok(kept)
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
