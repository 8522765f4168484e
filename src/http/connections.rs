//! Connections to servers, for everybody who asks: made once, kept for the next request, HTTP/1.1.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{OnceCell, watch};
use tokio::task::spawn_blocking;

use super::dial::{Spares, Spread, Way};
use super::network::Network;
use crate::error::{Error, ErrorKind, Result};
use crate::url::SafeUrl;

/// The last word on a client's making.
pub(crate) type Furnish = fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder;

/// As many connections to a host are kept as one download may have.
const MOST_IDLE: usize = 256;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    requests: Clients,
    /// Without a pool: its requests cannot go out on a connection that another one left.
    diallers: Clients,
    spares: Spares,
    addresses: Spread,
    network: Network,
    furnish: Furnish,
}

/// reqwest's, each made when it is needed.
#[derive(Default)]
struct Clients {
    /// Without trust in anybody: reading the machine's certificates takes longer than many a download.
    plain: OnceCell<reqwest::Client>,
    secure: OnceCell<reqwest::Client>,
}

impl fmt::Debug for Connections {
    /// Without reqwest's own: that shows the proxies, and they may have passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) fn new(network: Network, furnish: Furnish) -> Self {
        let (requests, diallers, spares) = (Clients::default(), Clients::default(), Spares::default());
        let addresses = Spread::over(&network);
        Self(Arc::new(Shared { requests, diallers, spares, addresses, network, furnish }))
    }

    /// The client for this URL's scheme.
    pub(crate) async fn http(&self, url: &SafeUrl) -> Result<&reqwest::Client> {
        self.client(&self.0.requests, url, MOST_IDLE).await
    }

    /// Connects so often, for the next requests to that origin, and closes after a while what they have not taken.
    pub(crate) async fn dial(&self, url: &SafeUrl, connections: usize, connect_timeout: Duration) {
        let Ok(http) = self.client(&self.0.diallers, url, 0).await else { return };
        let dial = |_| {
            let way = Way::new(url.origin(), connect_timeout, watch::Sender::default());
            self.0.spares.dial(way, http.get(url.as_url().clone()).send())
        };
        join_all((0..connections).map(dial)).await;
        self.0.spares.expire().await;
    }

    async fn client<'a>(
        &'a self,
        made: &'a Clients,
        url: &SafeUrl,
        idle: usize,
    ) -> Result<&'a reqwest::Client> {
        let secure = url.as_url().scheme() == "https";
        let cell = if secure { &made.secure } else { &made.plain };
        let needed = || async {
            if !secure {
                return self.make(secure, idle);
            }
            let this = self.clone();
            let made = spawn_blocking(move || this.make(secure, idle)).await;
            made.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, "no client").caused_by(panic)))
        };
        cell.get_or_try_init(needed).await
    }

    fn make(&self, secure: bool, idle: usize) -> Result<reqwest::Client> {
        let Shared { spares, addresses, network, furnish, .. } = &*self.0;
        let builder = network
            .apply(reqwest::Client::builder(), secure)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(idle)
            .connector_layer(spares.clone())
            .dns_resolver(addresses.clone());
        furnish(builder)
            .build()
            .map_err(|error| Error::new(ErrorKind::Local, "cannot set up TLS").caused_by(error))
    }
}
