//! Requests as haul sends them: identity encoding, redirects followed by us, secrets kept to their origin, everything
//! counted.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::connections::Connections;
use super::dial::Way;
use super::headers;
use super::redirect::{Hops, is_redirect};
use super::retry::Fault;
use crate::error::Result;
use crate::url::{Origin, SafeUrl, Userinfo, printable};

/// How to talk to servers.
#[derive(Clone, Debug)]
pub(crate) struct ClientOptions {
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    /// Sent to the origin of the original URL alone.
    pub(crate) custom: HeaderMap,
    /// An answer below [`DRIP_RATE`](super::fetch::DRIP_RATE) for this long counts as stalled.
    pub(crate) drip_time: Duration,
}

/// What went over the wire. Counters only: nothing is decided by them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    received: AtomicU64,
    open: AtomicUsize,
    throttled: AtomicU64,
    first_byte: FirstByte,
}

/// The least time that a request took to the head of its answer, in microseconds.
#[derive(Debug)]
struct FirstByte(AtomicU64);

impl Default for FirstByte {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Traffic {
    /// Requests sent, redirects included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Body bytes received.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Answers being read right now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Answers 429 and 503.
    pub(crate) fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// The least time that a request took to the head of its answer; `None` before the first.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        let micros = self.first_byte.0.load(Ordering::Relaxed);
        (micros != u64::MAX).then(|| Duration::from_micros(micros))
    }

    fn note_first_byte(&self, took: Duration) {
        self.first_byte.0.fetch_min(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Counts an answer as open for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenAnswer(Arc<Traffic>);

impl OpenAnswer {
    pub(crate) fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(traffic))
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that is no redirect.
pub(crate) struct Found {
    /// Where it came from.
    pub(crate) url: SafeUrl,
    pub(crate) answer: Response,
    /// The head of the first redirect on the way there, if there was one.
    pub(crate) first_hop: Option<HeaderMap>,
}

/// One user's way to one origin, and to wherever that redirects, over connections that others may share.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    connections: Connections,
    options: ClientOptions,
    /// Whom the custom headers are for (H31).
    origin: Origin,
    /// User and password, and whom they are for.
    login: Option<(Origin, Userinfo)>,
    traffic: Arc<Traffic>,
    /// A request has got a connection of its own, in that time.
    connected: watch::Sender<Option<Duration>>,
}

impl Client {
    /// `url` loses its user and password to the client, which sends them to that origin only.
    pub(crate) fn new(connections: &Connections, url: &mut SafeUrl, options: ClientOptions) -> Self {
        let login = url.take_userinfo().map(|userinfo| (url.origin(), userinfo));
        let (connections, traffic, connected) =
            (connections.clone(), Arc::default(), watch::Sender::default());
        Self { connections, options, origin: url.origin(), login, traffic, connected }
    }

    /// The same for another URL of the object, which may have a user and a password of its own. The custom
    /// headers stay with the origin they were given for.
    pub(crate) fn logged_in_at(&self, url: &mut SafeUrl) -> Self {
        let own = url.take_userinfo().map(|userinfo| (url.origin(), userinfo));
        Self { login: own.or_else(|| self.login.clone()), ..self.clone() }
    }

    /// Fails where requests for such a URL cannot be made at all.
    pub(crate) async fn set_up(&self, url: &SafeUrl) -> Result<()> {
        self.connections.http(url).await.map(|_| ())
    }

    /// Waits until a request has a connection of its own, and gives how long that took.
    pub(crate) async fn connected(&self) -> Duration {
        let mut connected = self.connected.subscribe();
        // It is never gone while this waits.
        connected.wait_for(Option::is_some).await.ok().and_then(|took| *took).unwrap_or_default()
    }

    /// How long that took, if a request had one.
    pub(crate) fn connecting(&self) -> Option<Duration> {
        *self.connected.borrow()
    }

    /// Connects so often, for the next requests to that origin. What they do not take is closed after a while, and
    /// what could not be made is nobody's loss. To be given up with the download.
    pub(crate) async fn dial(&self, url: &SafeUrl, connections: usize) {
        self.connections.dial(url, connections, self.options.connect_timeout).await;
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The longest time without a byte.
    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    pub(crate) fn drip_time(&self) -> Duration {
        self.options.drip_time
    }

    /// Sends one request and follows its redirects to the first answer that is none.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &SafeUrl,
        headers: &HeaderMap,
    ) -> Result<Found, Fault> {
        let mut hops = Hops::new(url.clone());
        let mut first_hop = None;
        loop {
            let answer = self.send_once(method.clone(), hops.here(), headers).await?;
            // hyper has read it by now, but takes no more than 100 fields, and a buffer of 400 KiB at the most.
            if headers::size(answer.headers()) > headers::MOST_BYTES {
                return Err(Fault::Oversized);
            }
            if headers::is_framed_twice(answer.headers()) {
                return Err(Fault::Cut("both Content-Length and Transfer-Encoding".to_owned()));
            }
            if !is_redirect(answer.status().as_u16()) {
                return Ok(Found { url: hops.here().clone(), answer, first_hop });
            }
            let location = headers::text(answer.headers(), &header::LOCATION);
            hops.follow(location.as_deref()).map_err(Fault::Redirect)?;
            first_hop.get_or_insert_with(|| answer.headers().clone());
        }
    }

    async fn send_once(&self, method: Method, url: &SafeUrl, headers: &HeaderMap) -> Result<Response, Fault> {
        let http = self.connections.http(url).await.map_err(|error| Fault::Untrusted(error.to_string()))?;
        let mut request = http.request(method, url.as_url().clone());
        let origin = url.origin();
        if let Some((_, Userinfo { user, password })) =
            self.login.as_ref().filter(|(whose, _)| *whose == origin)
        {
            request = request.basic_auth(user, password.as_ref());
        }
        if origin == self.origin {
            request = request.headers(self.options.custom.clone());
        }
        // Ours last: they replace. Ranges index encoded bytes (RFC 9110 §14.1.2), so: no encoding (H40, H41).
        request = request
            .headers(headers.clone())
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-transform"));
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        let way = Way::new(origin, self.options.connect_timeout, self.connected.clone());
        match timeout(self.options.timeout, way.used(request.send())).await {
            Ok(Ok(answer)) => {
                let throttled = matches!(answer.status().as_u16(), 429 | 503);
                self.traffic.note_first_byte(asked.elapsed());
                self.traffic.throttled.fetch_add(throttled.into(), Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Fault::Silent(self.options.timeout)),
        }
    }
}

/// Sorts reqwest's error. Its own text would repeat the URL with its secrets; the causes do not.
pub(crate) fn fault(error: &reqwest::Error) -> Fault {
    let mut why = None;
    let (mut untrusted, mut oversized) = (false, false);
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        untrusted |= text.contains("certificate");
        oversized |= text.contains("head is too large");
        why = Some(text);
        cause = deeper.source();
    }
    let why = printable(&why.unwrap_or_else(|| "no reason given".to_owned()));
    match () {
        () if untrusted => Fault::Untrusted(why),
        () if oversized => Fault::Oversized,
        () if error.is_connect() => Fault::Connect(why),
        () => Fault::Cut(why),
    }
}
