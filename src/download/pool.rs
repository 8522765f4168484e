//! What downloads share that are of one program: connections.

use crate::http::connections::{Connections, Furnish};
use crate::http::network::Network;

/// Connections that downloads share: what one leaves open, the next goes on with. Cheap to clone; each clone is the
/// same pool. A download that is given none has one of its own.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let pool = haul::Pool::new();
/// for name in ["a", "b", "c"] {
///     let url = format!("https://example.org/{name}");
///     haul::Download::builder(url).pool(&pool).build()?.run().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    connections: Connections,
}

impl Pool {
    /// A pool without a connection.
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
        Self { connections: Connections::new(network, std::convert::identity) }
    }

    /// What the HTTP client gets besides.
    pub(super) fn furnished(furnish: Furnish) -> Self {
        Self { connections: Connections::new(Network::new(), furnish) }
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}
