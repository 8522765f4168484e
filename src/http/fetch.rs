//! One ranged GET: asked with a pin, checked before a byte is used, and its body.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response};
use tokio::time::{Instant, timeout};

use super::answer::{Pinned, check};
use super::client::{Client, OpenAnswer, Traffic, fault};
use super::headers;
use super::retry::Fault;
use crate::digest::SegmentCrc;
use crate::range::ByteRange;
use crate::url::SafeUrl;

/// A request slower than this, in bytes per second, counts as stalled (H44).
pub(crate) const DRIP_RATE: u64 = 1 << 10;

/// Fetches ranges of one version of one object.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    pinned: Arc<Pinned>,
    /// Body bytes of ranges.
    brought: Arc<AtomicU64>,
}

impl Fetcher {
    pub(crate) fn new(client: Client, pinned: Pinned) -> Self {
        Self { client, pinned: Arc::new(pinned), brought: Arc::default() }
    }

    /// The same ranges from another URL, pinned or not.
    pub(crate) fn moved(&self, client: Client, url: SafeUrl, send_pin: bool) -> Self {
        Self::new(client, Pinned { url, send_pin, ..Pinned::clone(&self.pinned) })
    }

    /// The CRC of these bytes, which are kept nowhere.
    pub(crate) async fn crc(&self, range: ByteRange) -> Result<u32, Fault> {
        let mut crc = SegmentCrc::new();
        let mut at = range.start;
        while at < range.end {
            let mut body = self.open(ByteRange::new(at, range.end)).await?;
            while let Some(bytes) = body.chunk().await? {
                crc.update(&bytes);
                at += bytes.len() as u64;
            }
        }
        Ok(crc.take())
    }

    /// How many bytes its ranges have brought.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::Relaxed)
    }

    /// The longest time without a byte.
    pub(crate) fn timeout(&self) -> Duration {
        self.client.timeout()
    }

    /// Asks for `range` and checks the head of the answer (H10–H15): the body may be shorter than asked,
    /// never longer, and is of the pinned version.
    pub(crate) async fn open(&self, range: ByteRange) -> Result<Body, Fault> {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, headers::range(range));
        if let Some(validator) = self.pinned.validator.as_ref().filter(|_| self.pinned.send_pin) {
            let (name, value) = headers::pin(validator);
            request.insert(name, value);
        }
        let answer = self.client.send(Method::GET, &self.pinned.url, &request).await?.answer;
        let range = check(answer.status().as_u16(), answer.headers(), range, &self.pinned)?;
        let body = Body::new(answer, range.start, Some(range.len()), &self.client);
        Ok(Body { counter: Some(Arc::clone(&self.brought)), ..body })
    }
}

/// The body of an answer, as it comes. Dropping it before its end closes the connection.
pub(crate) struct Body {
    answer: Response,
    /// Bytes that were put back.
    ready: VecDeque<Bytes>,
    /// Where in the object the next byte is.
    position: u64,
    /// Content-Length says that nothing follows the bytes that are wanted.
    ends_there: bool,
    /// Bytes still to come; `None` where only the end of the body tells.
    left: Option<u64>,
    timeout: Duration,
    pace: Pace,
    traffic: Arc<Traffic>,
    /// Of who asked.
    counter: Option<Arc<AtomicU64>>,
    _open: OpenAnswer,
}

impl fmt::Debug for Body {
    /// Without reqwest's answer: that shows its URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Body {
    pub(crate) fn new(answer: Response, position: u64, length: Option<u64>, client: &Client) -> Self {
        let traffic = Arc::clone(client.traffic());
        let ends_there = length.is_some() && headers::content_length(answer.headers()) == length;
        let open = OpenAnswer::new(&traffic);
        let pace = Pace::new(client.drip_time());
        Self {
            answer,
            ready: VecDeque::new(),
            position,
            left: length,
            ends_there,
            timeout: client.timeout(),
            pace,
            traffic,
            counter: None,
            _open: open,
        }
    }

    /// Where in the object the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes still to come, where that was announced.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Takes bytes back that it gave last: they are what it gives next.
    pub(crate) fn put_back(&mut self, bytes: Vec<Bytes>) {
        let length: u64 = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        self.position -= length;
        self.left = self.left.map(|left| left + length);
        self.ready = bytes.into_iter().chain(self.ready.drain(..)).collect();
    }

    /// The next bytes: never more than were announced in all. `None` at the end, which is no earlier than
    /// announced.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.left == Some(0) {
            self.reach_end().await;
            return Ok(None);
        }
        if let Some(bytes) = self.ready.pop_front() {
            self.take(bytes.len() as u64);
            return Ok(Some(bytes));
        }
        let asked = Instant::now();
        let next =
            timeout(self.timeout, self.answer.chunk()).await.map_err(|_| Fault::Silent(self.timeout))?;
        let Some(mut bytes) = next.map_err(|error| fault(&error))? else {
            return match self.left {
                Some(left) => Err(Fault::Cut(format!("{left} bytes short"))),
                None => Ok(None),
            };
        };
        self.traffic.add_received(bytes.len());
        if let Some(counter) = &self.counter {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        // What is longer than the time-out is a process that was stopped (H67).
        self.pace.note(asked.elapsed().min(self.timeout), bytes.len() as u64)?;
        if let Some(left) = self.left {
            // More than announced: what is too much is not ours to use (H13).
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.take(bytes.len() as u64);
        Ok(Some(bytes))
    }

    fn take(&mut self, bytes: u64) {
        self.left = self.left.map(|left| left - bytes);
        self.position += bytes;
    }

    /// Reads the end of a body whose bytes are all here, so that the connection can be used again. Only where
    /// that costs no wait.
    async fn reach_end(&mut self) {
        if self.ends_there {
            // An error here is one of the connection's, and the bytes are whole.
            let _ = self.answer.chunk().await;
        }
    }
}

/// Tells a drip from a stream: time spent waiting for the server, not for our own disk.
#[derive(Debug)]
struct Pace {
    /// How long a drip may last.
    patience: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, bytes: 0 }
    }

    fn note(&mut self, waited: Duration, bytes: u64) -> Result<(), Fault> {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.patience {
            return Ok(());
        }
        let drips = u128::from(self.bytes) * 1000 < u128::from(DRIP_RATE) * self.waited.as_millis();
        *self = Self::new(self.patience);
        if drips { Err(Fault::Drip) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::client::ClientOptions;
    use crate::http::connections::Connections;
    use crate::http::network::Network;
    use crate::support::{Content, Fault as Wrong, Resource, Server, When};

    const OBJECT: Content = Content::new(1, 300_000);

    const MINUTE: Duration = Duration::from_secs(60);

    fn fetcher(server: &Server) -> Fetcher {
        patient_for(MINUTE, server)
    }

    fn patient_for(timeout: Duration, server: &Server) -> Fetcher {
        let options =
            ClientOptions { connect_timeout: MINUTE, timeout, custom: HeaderMap::new(), drip_time: MINUTE };
        let mut url = SafeUrl::parse(&server.url("/f")).unwrap();
        let client = Client::new(
            &Connections::new(Network::new().no_proxy(), std::convert::identity),
            &mut url,
            options,
        );
        Fetcher::new(
            client,
            Pinned { url, length: OBJECT.len, validator: None, encoding: None, send_pin: true },
        )
    }

    /// The bytes of a range, each of which was where the body said.
    async fn read(fetcher: &Fetcher, range: ByteRange) -> Vec<u8> {
        let mut body = fetcher.open(range).await.unwrap();
        let mut bytes = Vec::new();
        assert_eq!(body.position(), range.start);
        while let Some(more) = body.chunk().await.unwrap() {
            assert!(!more.is_empty());
            bytes.extend(more);
            assert_eq!(body.position(), range.start + bytes.len() as u64);
        }
        bytes
    }

    #[tokio::test]
    async fn a_range_comes_whole_at_its_place_and_the_next_on_the_same_connection() {
        let server = Server::start([("/f", Resource::new(OBJECT))]);
        let fetcher = fetcher(&server);
        let ranges = (0..20).map(|n| ByteRange::new(n * 7_001, 150_000 + n * 7_001));
        for range in ranges {
            assert_eq!(read(&fetcher, range).await, OBJECT.slice(range.start, range.end));
        }
        // One that comes back a moment after it is asked for has been replaced meanwhile.
        assert!(server.connections() <= 3, "{}", server.connections());
    }

    #[tokio::test]
    async fn h13_bytes_behind_the_range_are_not_given() {
        for wrong in [Wrong::Long(100_000), Wrong::Long(1), Wrong::Tail(1)] {
            let server = Server::start([("/f", Resource::new(OBJECT).fault(When::Always, wrong.clone()))]);
            let range = ByteRange::new(1_000, 101_000);
            assert_eq!(read(&fetcher(&server), range).await, OBJECT.slice(1_000, 101_000), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn h43_a_body_that_ends_early_is_cut_and_not_at_its_end() {
        let server =
            Server::start([("/f", Resource::new(OBJECT).fault(When::Always, Wrong::CutAfter(5_000)))]);
        let mut body = fetcher(&server).open(ByteRange::new(1_000, 101_000)).await.unwrap();
        let fault = loop {
            match body.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it has no end"),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, Fault::Cut(_)), "{fault:?}");
        assert_eq!(body.position(), 6_000);
    }

    #[tokio::test]
    async fn h44_silence_lasts_no_longer_than_is_said() {
        let soon = Duration::from_millis(50);
        let silent = Resource::new(OBJECT).fault(When::Always, Wrong::StallAfter(5_000));
        let server = Server::start([("/f", silent)]);
        let fetcher = patient_for(soon, &server);
        assert_eq!(fetcher.timeout(), soon);
        let mut body = fetcher.open(ByteRange::new(1_000, 101_000)).await.unwrap();
        while body.position() < 6_000 {
            assert!(body.chunk().await.unwrap().is_some());
        }
        assert_eq!(body.chunk().await, Err(Fault::Silent(soon)));
    }

    #[tokio::test]
    async fn what_is_put_back_comes_again_at_its_place() {
        let server = Server::start([("/f", Resource::new(OBJECT))]);
        let range = ByteRange::new(1_000, 200_000);
        let mut body = fetcher(&server).open(range).await.unwrap();
        for _ in 0..2 {
            let first = body.chunk().await.unwrap().unwrap();
            let second = body.chunk().await.unwrap().unwrap();
            body.put_back(vec![first, second]);
            assert_eq!((body.position(), body.left()), (range.start, Some(range.len())));
        }
        let mut bytes = Vec::new();
        while let Some(more) = body.chunk().await.unwrap() {
            bytes.extend(more);
        }
        assert_eq!(bytes, OBJECT.slice(range.start, range.end));
        assert_eq!(body.traffic.received(), range.len(), "it was received once");
    }

    #[test]
    fn h44_a_drip_is_not_a_stream() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Duration::from_secs(30));
        let drip: Vec<_> = (0..30).map(|_| pace.note(second, DRIP_RATE - 1)).collect();
        assert_eq!(drip.last(), Some(&Err(Fault::Drip)));
        assert!(drip[..29].iter().all(Result::is_ok));
        assert!((0..120).all(|_| pace.note(second, DRIP_RATE).is_ok()));
    }
}
