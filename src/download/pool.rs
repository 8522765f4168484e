//! What downloads share that are of one program: connections, how many of them each host is asked for, and where small
//! files are written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::admission::Host;
use super::desk::Desk;
use super::gate::Limits;
use crate::http::connections::{Connections, Furnish};
use crate::http::network::Network;

/// More hosts are not kept in mind, but for those that are in use.
const MOST_HOSTS: usize = 256;

/// What downloads share: connections, which the next goes on with when one leaves them open, and how much is asked of
/// a host at once. Cheap to clone; each clone is the same pool. A download that is given none has one of its own.
///
/// Any number of downloads may be started: those that are too many for their host wait for their turn, in order. As
/// many run at once as pay: of small ones up to 64 to one host, of large ones (above 8 MiB) four, which
/// share 64 requests.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let pool = haul::Pool::new();
/// let handles: Vec<_> = ["a", "b", "c"]
///     .into_iter()
///     .map(|name| haul::Download::builder(format!("https://example.org/{name}")).pool(&pool).build())
///     .map(|download| download.map(haul::Download::start))
///     .collect::<haul::Result<_>>()?;
/// for handle in handles {
///     println!("{} bytes", handle.await?.length);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Connections,
    limits: Limits,
    /// By scheme, name and port.
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    desk: Desk,
}

impl Pool {
    /// A pool without a connection, and with the limits above.
    ///
    /// ```
    /// let pool = haul::Pool::new();
    /// let download = haul::Download::builder("https://example.org/x").pool(&pool).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::over(Network::new())
    }

    /// A pool whose connections are made so.
    ///
    /// ```
    /// let pool = haul::Pool::over(haul::Network::new().no_proxy());
    /// let download = haul::Download::builder("https://example.org/x").pool(&pool).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    #[must_use]
    pub fn over(network: Network) -> Self {
        Self::of(Connections::new(network, std::convert::identity), Limits::default())
    }

    /// With so many requests to one host at once, over all downloads; at least 1, by default 64 that several downloads
    /// share. Each download under way has one, and to fetch ranges in parallel it has what the others leave: one that
    /// begins has its first request at once, and the others end theirs that are too many.
    ///
    /// ```
    /// let pool = haul::Pool::new().requests_per_host(8);
    /// ```
    #[must_use]
    pub fn requests_per_host(self, most: usize) -> Self {
        let limits = Limits { requests: Some(most.max(1)), ..self.0.limits };
        Self::of(self.0.connections.clone(), limits)
    }

    /// With just so many downloads from one host at once, be they large or small; at least 1.
    ///
    /// ```
    /// let pool = haul::Pool::new().downloads_per_host(2);
    /// ```
    #[must_use]
    pub fn downloads_per_host(self, downloads: usize) -> Self {
        let limits = Limits { downloads: Some(downloads.max(1)), ..self.0.limits };
        Self::of(self.0.connections.clone(), limits)
    }

    /// What the HTTP client gets besides.
    pub(super) fn furnished(furnish: Furnish) -> Self {
        Self::of(Connections::new(Network::new(), furnish), Limits::default())
    }

    fn of(connections: Connections, limits: Limits) -> Self {
        Self(Arc::new(Shared { connections, limits, hosts: Mutex::default(), desk: Desk::default() }))
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// The host of that origin.
    pub(super) fn host(&self, origin: String) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(&origin) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        Arc::clone(hosts.entry(origin).or_insert_with(|| Arc::new(Host::new(self.0.limits))))
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}
