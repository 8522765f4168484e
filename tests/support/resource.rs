//! The declarative description of what is served under a path.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::content::Content;
use super::fault::{Fault, When};

/// 2020-01-01: far enough in the past to be a strong validator (RFC 9110 §8.8.2.2).
const MODIFIED: Duration = Duration::from_secs(1_577_836_800);
const DAY: Duration = Duration::from_secs(86_400);

/// One version of an object: its bytes and its validators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The bytes.
    pub content: Content,
    /// `ETag`, with its quotes.
    pub etag: Option<String>,
    /// Last-Modified, sent in whole seconds.
    pub last_modified: Option<SystemTime>,
}

impl Version {
    /// A strong `ETag` that follows from the content, and a Last-Modified long ago.
    pub fn new(content: Content) -> Self {
        Self {
            content,
            etag: Some(format!("\"{:x}-{:x}\"", content.seed, content.len)),
            last_modified: Some(UNIX_EPOCH + MODIFIED),
        }
    }

    /// Another `ETag`, or none.
    pub fn etag(self, etag: Option<&str>) -> Self {
        Self { etag: etag.map(str::to_owned), ..self }
    }

    /// Another Last-Modified, or none.
    pub fn last_modified(self, last_modified: Option<SystemTime>) -> Self {
        Self { last_modified, ..self }
    }
}

/// How the end of a 200 is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Content-Length.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By closing the connection.
    Close,
}

/// What a path serves, and what goes wrong there. A builder by value.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) version: Version,
    pub(super) later: Vec<(When, Version)>,
    pub(super) faults: Vec<(When, Fault)>,
    pub(super) ranges: bool,
    pub(super) date: bool,
    pub(super) framing: Framing,
    pub(super) rate: Option<u64>,
    pub(super) shared_rate: Option<u64>,
    pub(super) latency: Duration,
    pub(super) headers: Vec<(String, String)>,
    pub(super) required: Vec<(String, String)>,
    pub(super) refused: Vec<(String, u16)>,
    pub(super) redirect: Option<(u16, String)>,
    pub(super) head_status: Option<u16>,
}

impl Resource {
    /// A well-behaved resource: ranges, a strong `ETag`, Last-Modified long ago, Date, Content-Length.
    pub fn new(content: Content) -> Self {
        Self {
            version: Version::new(content),
            later: Vec::new(),
            faults: Vec::new(),
            ranges: true,
            date: true,
            framing: Framing::Length,
            rate: None,
            shared_rate: None,
            latency: Duration::ZERO,
            headers: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            redirect: None,
            head_status: None,
        }
    }

    /// Another first version, with its validators.
    pub fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Nothing but a redirect with this status; `location` may be relative.
    pub fn redirecting(status: u16, location: &str) -> Self {
        Self::new(Content::new(0, 0)).redirect(status, location)
    }

    /// This `ETag`, quotes (and `W/`) included.
    pub fn etag(mut self, etag: &str) -> Self {
        self.version.etag = Some(etag.to_owned());
        self
    }

    /// No `ETag`.
    pub fn no_etag(mut self) -> Self {
        self.version.etag = None;
        self
    }

    /// This Last-Modified, in whole seconds.
    pub fn last_modified(mut self, time: SystemTime) -> Self {
        self.version.last_modified = Some(time);
        self
    }

    /// Last-Modified so long before now.
    pub fn last_modified_ago(self, ago: Duration) -> Self {
        self.last_modified(SystemTime::now() - ago)
    }

    /// No Last-Modified.
    pub fn no_last_modified(mut self) -> Self {
        self.version.last_modified = None;
        self
    }

    /// No Date. For a wrong one, set it with [`Self::header`].
    pub fn no_date(mut self) -> Self {
        self.date = false;
        self
    }

    /// Always 200, and no Accept-Ranges.
    pub fn no_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// 200s are chunked, without Content-Length.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// 200s end with the connection, without Content-Length.
    pub fn close_delimited(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// At most so many body bytes per second on each connection.
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = Some(bytes_per_second);
        self
    }

    /// At most so many body bytes per second over all connections to this resource.
    /// [`Builder::shared_rate`](super::Builder::shared_rate) is over the whole server.
    pub fn shared_rate(mut self, bytes_per_second: u64) -> Self {
        self.shared_rate = Some(bytes_per_second);
        self
    }

    /// Every response head waits so long.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// One more header on every response; replaces a standard one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// 401 without exactly this request header.
    pub fn require_header(mut self, name: &str, value: &str) -> Self {
        self.required.push((name.to_owned(), value.to_owned()));
        self
    }

    /// This status when the request carries such a header, as with URLs that sign their headers.
    pub fn refuse_header(mut self, name: &str, status: u16) -> Self {
        self.refused.push((name.to_owned(), status));
        self
    }

    /// A redirect instead of the content.
    pub fn redirect(mut self, status: u16, location: &str) -> Self {
        self.redirect = Some((status, location.to_owned()));
        self
    }

    /// HEAD is answered with this status.
    pub fn head_status(mut self, status: u16) -> Self {
        self.head_status = Some(status);
        self
    }

    /// Something goes wrong. Repeatable; of those that match a request the first applies.
    pub fn fault(mut self, when: When, fault: Fault) -> Self {
        self.faults.push((when, fault));
        self
    }

    /// From the first GET that `when` matches, that one included, the object is another version:
    /// new bytes, this `ETag`, and a Last-Modified one day after the version before.
    /// Responses under way go on with the old one, like a server with the old file open.
    pub fn then_becomes(self, when: When, content: Content, etag: &str) -> Self {
        let before = self.later.last().map_or(&self.version, |(_, version)| version);
        let last_modified = before.last_modified.map(|time| time + DAY);
        let version = Version { content, etag: Some(etag.to_owned()), last_modified };
        self.then_version(when, version)
    }

    /// The same with every validator chosen: the same `ETag` over new bytes, an older Last-Modified, none.
    pub fn then_version(mut self, when: When, version: Version) -> Self {
        self.later.push((when, version));
        self
    }
}
