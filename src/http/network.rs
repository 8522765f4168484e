//! How connections are made, where the user wants them made otherwise than the system would.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, ClientBuilder, Identity, NoProxy, Proxy};

use crate::error::{Error, ErrorKind, Result};

/// How connections are made: by default as the system makes them, with the proxies of the environment (`http_proxy`,
/// `https_proxy`, `all_proxy`, `no_proxy`) and the certificates that the machine trusts.
///
/// ```
/// use haul::{Download, Network, Pool};
/// let network = Network::new().proxy("socks5h://127.0.0.1:1080")?.user_agent("example/1.0")?;
/// let pool = Pool::over(network);
/// let download = Download::builder("https://example.org/x").pool(&pool).build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Network {
    proxy: ProxyChoice,
    /// `None`: those that the machine trusts.
    authorities: Option<Vec<Certificate>>,
    identity: Option<Identity>,
    unverified: bool,
    family: Option<Family>,
    interface: Option<Interface>,
    addresses: Addresses,
    user_agent: Option<HeaderValue>,
}

#[derive(Clone, Default)]
enum ProxyChoice {
    #[default]
    OfEnvironment,
    Never,
    Always {
        proxy: Box<Proxy>,
        secure: bool,
    },
}

#[derive(Clone)]
enum Interface {
    Named(String),
    Address(IpAddr),
}

/// A version of the Internet Protocol.
///
/// ```
/// let network = haul::Network::new().family(haul::Family::V4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The addresses of hosts that nobody is asked for, by name (in lower case) and port.
pub(super) type Addresses = HashMap<(String, u16), Vec<IpAddr>>;

impl fmt::Debug for Network {
    /// Without what may have passwords and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// As the system makes them.
    ///
    /// ```
    /// let network = haul::Network::new();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Over this proxy, `http://`, `https://`, `socks4://`, `socks5://`, or `socks5h://`, which resolves names itself; a user and a
    /// password may stand in it. Hosts that `no_proxy` in the environment names are asked directly.
    ///
    /// # Errors
    ///
    /// [`Usage`](ErrorKind::Usage) where that is no proxy's URL; it is not shown.
    ///
    /// ```
    /// let network = haul::Network::new().proxy("http://proxy.example.org:3128")?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn proxy(mut self, url: &str) -> Result<Self> {
        // Without a scheme it is http, as for curl.
        let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let scheme = whole.split("://").next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") {
            return Err(refused("a proxy's URL begins with http://, https:// or socks5h://"));
        }
        let proxy = Proxy::all(&whole).map_err(|_| refused("that is no URL of a proxy"))?;
        let proxy = Box::new(proxy.no_proxy(NoProxy::from_env()));
        self.proxy = ProxyChoice::Always { proxy, secure: scheme == "https" };
        Ok(self)
    }

    /// Over no proxy, whatever the environment says.
    ///
    /// ```
    /// let network = haul::Network::new().no_proxy();
    /// ```
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::Never;
        self
    }

    /// Trusts these certificates (PEM) and no others.
    ///
    /// # Errors
    ///
    /// [`Usage`](ErrorKind::Usage) where there is none in it.
    ///
    /// ```no_run
    /// let network = haul::Network::new().authorities(&std::fs::read("ca.pem")?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self> {
        let certificates = Certificate::from_pem_bundle(pem).ok().filter(|some| !some.is_empty());
        self.authorities = Some(certificates.ok_or_else(|| refused("there is no certificate (PEM) in it"))?);
        Ok(self)
    }

    /// Shows this certificate to servers that want one: the certificate, those that lead to its authority, and its
    /// key (PEM).
    ///
    /// # Errors
    ///
    /// [`Usage`](ErrorKind::Usage) where there is no certificate or no key in it.
    ///
    /// ```no_run
    /// let network = haul::Network::new().identity(&std::fs::read("me.pem")?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn identity(mut self, pem: &[u8]) -> Result<Self> {
        let identity = Identity::from_pem(pem);
        self.identity =
            Some(identity.map_err(|_| refused("there is no certificate with its key (PEM) in it"))?);
        Ok(self)
    }

    /// Believes any certificate: everyone on the way can read and change everything. Only a checksum from elsewhere
    /// proves the bytes then.
    ///
    /// ```
    /// let network = haul::Network::new().insecure();
    /// ```
    pub fn insecure(mut self) -> Self {
        self.unverified = true;
        self
    }

    /// Connects to addresses of this family alone.
    ///
    /// ```
    /// let network = haul::Network::new().family(haul::Family::V6);
    /// ```
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Connects from this interface (`eth0`) or this address of the machine.
    ///
    /// ```
    /// let network = haul::Network::new().interface("127.0.0.1");
    /// ```
    pub fn interface(mut self, interface: &str) -> Self {
        let address = interface.parse().map(Interface::Address);
        self.interface = Some(address.unwrap_or_else(|_| Interface::Named(interface.to_owned())));
        self
    }

    /// The host has these addresses on that port: nobody is asked for them. An address in a URL is not resolved at all.
    ///
    /// ```
    /// let network = haul::Network::new().resolve("example.org", 443, ["192.0.2.1".parse()?]);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn resolve(mut self, host: &str, port: u16, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.addresses.insert((host.to_ascii_lowercase(), port), addresses.into_iter().collect());
        self
    }

    /// What haul calls itself, instead of `haul/VERSION`.
    ///
    /// # Errors
    ///
    /// [`Usage`](ErrorKind::Usage) where it cannot stand in a header.
    ///
    /// ```
    /// let network = haul::Network::new().user_agent("example/1.0")?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn user_agent(mut self, name: &str) -> Result<Self> {
        let value = HeaderValue::from_str(name);
        self.user_agent = Some(value.map_err(|_| refused("a user agent is one line of visible characters"))?);
        Ok(self)
    }

    /// The addresses that connections may go to.
    pub(super) fn choice(&self) -> (Option<Family>, Addresses) {
        (self.family, self.addresses.clone())
    }

    /// A client for plain requests, or for those over TLS. What does not know TLS need not read whom to trust.
    pub(super) fn apply(&self, builder: ClientBuilder, secure: bool) -> ClientBuilder {
        let over_tls = secure || matches!(self.proxy, ProxyChoice::Always { secure: true, .. });
        let own = || HeaderValue::from_static(concat!("haul/", env!("CARGO_PKG_VERSION")));
        let builder = builder.user_agent(self.user_agent.clone().unwrap_or_else(own));
        let builder = match &self.proxy {
            ProxyChoice::OfEnvironment => builder,
            ProxyChoice::Never => builder.no_proxy(),
            ProxyChoice::Always { proxy, .. } => builder.proxy(Proxy::clone(proxy)),
        };
        let builder = match &self.interface {
            None => builder,
            Some(Interface::Named(name)) => builder.interface(name),
            Some(Interface::Address(address)) => builder.local_address(*address),
        };
        if over_tls { self.trusting(builder) } else { builder.tls_certs_only([]) }
    }

    fn trusting(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match &self.authorities {
            Some(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
            // Unit tests know no TLS.
            None if cfg!(test) || self.unverified => builder.tls_certs_only([]),
            None => builder,
        };
        let builder = match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        };
        builder.tls_danger_accept_invalid_certs(self.unverified)
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Usage, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_and_not_shown() {
        let network = Network::new;
        for refused in [
            network().proxy("ftp://secret@h"),
            network().proxy("http://"),
            network().user_agent("a\r\nb"),
            network().authorities(b"nothing"),
            network().identity(b"secret"),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let proxied = network().proxy("socks5h://me:secret@127.0.0.1:1080").unwrap();
        assert!(!format!("{proxied:?}").contains("secret"));
        assert!(network().proxy("127.0.0.1:3128").is_ok());
    }
}
