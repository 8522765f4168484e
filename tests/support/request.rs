//! Requests: reading a head off the socket, ranges (RFC 9110 §14.2) and preconditions (§13).

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::SystemTime;

use super::date;
use super::log::header;
use super::resource::Version;

const LONGEST_HEAD: usize = 64 * 1024;

/// A request without a body.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `HEAD`…
    pub method: String,
    /// In origin form.
    pub target: String,
    /// In their order, names as they were sent.
    pub headers: Vec<(String, String)>,
    /// The client wants the connection closed after the response.
    pub close: bool,
}

/// What a Range header asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeSpec {
    /// `a-b` or `a-`.
    From(u64, Option<u64>),
    /// `-n`.
    Suffix(u64),
}

/// What it selects from a representation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Everything.
    Whole,
    /// First and last byte.
    Part(u64, u64),
    /// Nothing: 416.
    Unsatisfiable,
}

impl Request {
    /// Reads a head, all but its last byte; `None` at the end of the connection or for nonsense.
    ///
    /// The byte that stays behind is how a reset is made: closing a socket with unread data sends RST,
    /// and std has no stable `SO_LINGER`. [`Self::finish`] takes it for every other ending.
    pub fn read(mut stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut buf = [0; 4096];
        loop {
            let seen = stream.peek(&mut buf)?;
            if seen == 0 || head.len() > LONGEST_HEAD {
                return Ok(None);
            }
            let old = head.len();
            head.extend_from_slice(&buf[..seen]);
            let Some(end) = end_of_head(&head) else {
                stream.read_exact(&mut buf[..seen])?;
                continue;
            };
            stream.read_exact(&mut buf[..end - old - 1])?;
            return Ok(Self::parse(&head[..end]));
        }
    }

    /// Takes the last byte of the head off the socket.
    pub fn finish(mut stream: &TcpStream) -> io::Result<()> {
        stream.read_exact(&mut [0])
    }

    /// A request from its head.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let connection = header(&headers, "Connection").unwrap_or_default();
        Some(Self {
            method: method.to_owned(),
            target: origin_form(target).to_owned(),
            close: version == "HTTP/1.0" || connection.eq_ignore_ascii_case("close"),
            headers,
        })
    }

    /// The first value of this header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The Range header, when it is one of `bytes` with a single range; others are ignored (§14.2).
    pub fn range(&self) -> Option<RangeSpec> {
        let (unit, spec) = self.header("Range")?.split_once('=')?;
        let (first, last) = spec.trim().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        if first.is_empty() {
            return last.parse().ok().map(RangeSpec::Suffix);
        }
        let first = first.parse().ok()?;
        if last.is_empty() {
            return Some(RangeSpec::From(first, None));
        }
        let last = last.parse().ok()?;
        (first <= last).then_some(RangeSpec::From(first, Some(last)))
    }

    /// What of this version is to be sent, by Range and If-Range (§13.1.5).
    pub fn select(&self, version: &Version) -> Selection {
        match self.range() {
            Some(range) if self.if_range_holds(version) => range.select(version.content.len),
            _ => Selection::Whole,
        }
    }

    fn if_range_holds(&self, version: &Version) -> bool {
        self.header("If-Range").is_none_or(|value| {
            if value.ends_with('"') {
                version.etag.as_deref().is_some_and(|etag| strong_eq(etag, value))
            } else {
                date::parse(value) == version.last_modified.map(date::seconds)
            }
        })
    }

    /// The status of the first precondition that stops the request, in the order of §13.2.2.
    pub fn failed_precondition(&self, version: &Version) -> Option<u16> {
        let etag = version.etag.as_deref();
        if let Some(list) = self.header("If-Match") {
            let holds = tags(list).any(|tag| tag == "*" || etag.is_some_and(|e| strong_eq(e, tag)));
            if !holds {
                return Some(412);
            }
        } else if let Some(value) = self.header("If-Unmodified-Since")
            && is_newer(version.last_modified, value)
        {
            return Some(412);
        }
        let same = |tag| tag == "*" || etag.is_some_and(|etag| opaque(etag) == opaque(tag));
        let unchanged = match (self.header("If-None-Match"), self.header("If-Modified-Since")) {
            (Some(list), _) => tags(list).any(same),
            (None, Some(date)) => version.last_modified.is_some() && !is_newer(version.last_modified, date),
            (None, None) => false,
        };
        unchanged.then_some(304)
    }
}

impl RangeSpec {
    /// The inclusive range as asked; open ends are filled in from the length.
    pub fn asked(self, len: u64) -> (u64, u64) {
        let end = len.saturating_sub(1);
        match self {
            Self::From(first, last) => (first, last.unwrap_or(end)),
            Self::Suffix(count) => (len.saturating_sub(count), end),
        }
    }

    fn select(self, len: u64) -> Selection {
        let (first, last) = self.asked(len);
        if first >= len || self == Self::Suffix(0) {
            return Selection::Unsatisfiable;
        }
        Selection::Part(first, last.min(len - 1))
    }
}

fn end_of_head(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Clients that take this server for a proxy send the whole URL.
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else {
        return target;
    };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// Good enough for tests: no tag here contains a comma.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// §8.8.3.2: a weak tag equals nothing, not even itself.
fn strong_eq(a: &str, b: &str) -> bool {
    a == b && !a.starts_with("W/")
}

fn is_newer(last_modified: Option<SystemTime>, date: &str) -> bool {
    match (last_modified.map(date::seconds), date::parse(date)) {
        (Some(modified), Some(date)) => modified > date,
        _ => false, // §13.1.4: without a date on either side it is ignored
    }
}
