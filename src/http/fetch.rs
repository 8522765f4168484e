//! One ranged GET: asked with a pin, checked before a byte is used, and its body.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response};
use tokio::time::{Instant, timeout};

use super::client::{Client, OpenAnswer, Traffic, fault};
use super::headers::{self, RangeFault};
use super::retry::Fault;
use crate::object::Validator;
use crate::range::ByteRange;
use crate::url::SafeUrl;

/// A request slower than this, in bytes per second, counts as stalled (H44).
pub(crate) const DRIP_RATE: u64 = 1 << 10;

/// What every ranged answer has to agree with.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    pub(crate) url: SafeUrl,
    pub(crate) length: u64,
    /// `None` only where the user allowed ranges without a proof that they are of one version.
    pub(crate) validator: Option<Validator>,
    pub(crate) encoding: Option<String>,
    /// Whether If-Match may be sent: a signed URL may not cover it (H23). The answer is checked either way.
    pub(crate) send_pin: bool,
}

/// Fetches ranges of one version of one object.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    pinned: Arc<Pinned>,
}

impl Fetcher {
    pub(crate) fn new(client: Client, pinned: Pinned) -> Self {
        Self { client, pinned: Arc::new(pinned) }
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
        let (_, answer) = self.client.send(Method::GET, &self.pinned.url, &request).await?;
        let range = check(answer.status().as_u16(), answer.headers(), range, &self.pinned)?;
        Ok(Body::new(answer, range.start, Some(range.len()), &self.client))
    }
}

/// Checks the head of an answer against what was asked and pinned; gives the range that the body holds.
pub(crate) fn check(
    status: u16,
    headers: &HeaderMap,
    asked: ByteRange,
    pinned: &Pinned,
) -> Result<ByteRange, Fault> {
    match status {
        206 => {}
        200 if headers.contains_key(header::CONTENT_RANGE) => {
            return Err(Fault::NotTheRange(RangeFault::WholeWithContentRange));
        }
        200 if pinned.validator.as_ref().is_some_and(|validator| !headers::carries(headers, validator)) => {
            return Err(Fault::Changed("validator"));
        }
        200 => return Err(Fault::Whole),
        412 => return Err(Fault::PreconditionFailed),
        416 => return Err(Fault::Unsatisfiable { total: headers::unsatisfied_total(headers) }),
        code => return Err(Fault::Status { code, retry_after: headers::retry_after(headers) }),
    }
    let (range, total) = partial(headers, asked)?;
    // A total of `*` says nothing against the length that is known already (H12).
    if total.is_some_and(|total| total != pinned.length) {
        return Err(Fault::Changed("length"));
    }
    if pinned.validator.as_ref().is_some_and(|validator| !headers::carries(headers, validator)) {
        return Err(Fault::Changed("validator"));
    }
    let encoding = headers::encoding(headers);
    if encoding != pinned.encoding {
        return Err(Fault::Encoded(crate::url::printable(encoding.as_deref().unwrap_or("identity"))));
    }
    if range.end > pinned.length {
        return Err(Fault::NotTheRange(RangeFault::Unreadable));
    }
    Ok(ByteRange::new(range.start, range.end.min(asked.end)))
}

/// What a 206 says that it holds, as far as one can check without knowing the object (H11, H14, H15).
pub(crate) fn partial(headers: &HeaderMap, asked: ByteRange) -> Result<(ByteRange, Option<u64>), Fault> {
    let wrong = |fault| Err(Fault::NotTheRange(fault));
    if headers::is_multipart(headers) {
        return wrong(RangeFault::Multipart);
    }
    let found = headers::content_range(headers).map_err(Fault::NotTheRange)?;
    if found.range.start != asked.start {
        return wrong(RangeFault::OtherStart);
    }
    if headers::content_length(headers).is_some_and(|length| length != found.range.len()) {
        return wrong(RangeFault::LengthMismatch);
    }
    Ok((found.range, found.total))
}

/// The body of an answer, as it comes. Dropping it before its end closes the connection.
pub(crate) struct Body {
    answer: Response,
    /// Where in the object the next byte is.
    position: u64,
    /// Content-Length says that nothing follows the bytes that are wanted.
    ends_there: bool,
    /// Bytes still to come; `None` where only the end of the body tells.
    left: Option<u64>,
    timeout: Duration,
    pace: Pace,
    traffic: Arc<Traffic>,
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
            position,
            left: length,
            ends_there,
            timeout: client.timeout(),
            pace,
            traffic,
            _open: open,
        }
    }

    /// Where in the object the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes: never more than were announced in all. `None` at the end, which is no earlier than
    /// announced.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.left == Some(0) {
            self.reach_end().await;
            return Ok(None);
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
        self.pace.note(asked.elapsed(), bytes.len() as u64)?;
        if let Some(left) = &mut self.left {
            // More than announced: what is too much is not ours to use (H13).
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
        }
        self.position += bytes.len() as u64;
        Ok(Some(bytes))
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

    const ASKED: ByteRange = ByteRange { start: 100, end: 200 };

    fn pinned() -> Pinned {
        Pinned {
            url: SafeUrl::parse("http://h/x").unwrap(),
            length: 1000,
            validator: Some(Validator::EntityTag("\"v\"".into())),
            encoding: None,
            send_pin: true,
        }
    }

    /// The head of a good answer, with changes; an empty value removes the header.
    fn answered(status: u16, changes: &[(&'static str, &str)]) -> Result<ByteRange, Fault> {
        let mut head = HeaderMap::new();
        for (name, value) in
            [("content-range", "bytes 100-199/1000"), ("content-length", "100"), ("etag", "\"v\"")]
        {
            head.insert(name, value.parse().unwrap());
        }
        for (name, value) in changes {
            head.remove(*name);
            if !value.is_empty() {
                head.append(*name, value.parse().unwrap());
            }
        }
        check(status, &head, ASKED, &pinned())
    }

    fn not_the_range(fault: RangeFault) -> Result<ByteRange, Fault> {
        Err(Fault::NotTheRange(fault))
    }

    #[test]
    fn a_good_answer_is_taken() {
        assert_eq!(answered(206, &[]), Ok(ASKED));
        assert_eq!(answered(206, &[("content-length", "")]), Ok(ASKED), "chunked");
    }

    #[test]
    fn h10_only_a_206_is_a_range() {
        assert_eq!(answered(200, &[("content-range", "")]), Err(Fault::Whole));
        assert_eq!(answered(200, &[]), not_the_range(RangeFault::WholeWithContentRange));
        for code in [201, 203, 204, 207, 226, 304, 500] {
            assert_eq!(answered(code, &[]), Err(Fault::Status { code, retry_after: None }));
        }
    }

    #[test]
    fn h01_a_whole_object_of_another_version_is_a_change() {
        assert_eq!(
            answered(200, &[("content-range", ""), ("etag", "\"w\"")]),
            Err(Fault::Changed("validator"))
        );
    }

    #[test]
    fn h11_the_range_is_the_one_asked_for() {
        assert_eq!(answered(206, &[("content-range", "")]), not_the_range(RangeFault::NoContentRange));
        assert_eq!(
            answered(206, &[("content-range", "bytes 101-200/1000")]),
            not_the_range(RangeFault::OtherStart)
        );
        assert_eq!(
            answered(206, &[("content-range", "bytes 99-199/1000")]),
            not_the_range(RangeFault::OtherStart)
        );
    }

    #[test]
    fn h12_an_unknown_total_is_taken_beside_the_validator() {
        assert_eq!(answered(206, &[("content-range", "bytes 100-199/*")]), Ok(ASKED));
        let beyond = [("content-range", "bytes 100-1099/*"), ("content-length", "1000")];
        assert_eq!(answered(206, &beyond), not_the_range(RangeFault::Unreadable));
    }

    #[test]
    fn h13_shorter_is_legal_and_longer_is_cut() {
        let short = [("content-range", "bytes 100-149/1000"), ("content-length", "50")];
        assert_eq!(answered(206, &short), Ok(ByteRange::new(100, 150)));
        let long = [("content-range", "bytes 100-299/1000"), ("content-length", "200")];
        assert_eq!(answered(206, &long), Ok(ASKED));
    }

    #[test]
    fn h14_multipart_to_one_range_is_forbidden() {
        let multipart = [("content-type", "Multipart/Byteranges; boundary=x")];
        assert_eq!(answered(206, &multipart), not_the_range(RangeFault::Multipart));
    }

    #[test]
    fn h15_the_lengths_agree() {
        assert_eq!(answered(206, &[("content-length", "99")]), not_the_range(RangeFault::LengthMismatch));
    }

    #[test]
    fn h01_the_answer_carries_the_validator_and_the_total() {
        assert_eq!(answered(206, &[("etag", "\"w\"")]), Err(Fault::Changed("validator")));
        assert_eq!(answered(206, &[("etag", "")]), Err(Fault::Changed("validator")));
        assert_eq!(answered(206, &[("content-range", "bytes 100-199/1001")]), Err(Fault::Changed("length")));
    }

    #[test]
    fn h16_h17_statuses_that_ask_for_another_look() {
        assert_eq!(answered(412, &[]), Err(Fault::PreconditionFailed));
        assert_eq!(
            answered(416, &[("content-range", "bytes */7")]),
            Err(Fault::Unsatisfiable { total: Some(7) })
        );
    }

    #[test]
    fn h40_the_encoding_stays() {
        assert_eq!(answered(206, &[("content-encoding", "gzip")]), Err(Fault::Encoded("gzip".into())));
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
