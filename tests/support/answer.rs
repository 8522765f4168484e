//! What to say: request, version and fault become a head, a body and an ending. No I/O here.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::SystemTime;

use super::content::Pattern;
use super::date;
use super::fault::Fault;
use super::log::header;
use super::request::{Request, Selection};
use super::resource::{Framing, Version};
use super::served::Turn;

const BOUNDARY: &str = "THIS_SEPARATES";

/// Everything that goes on the wire for one request, and how it ends.
#[derive(Debug)]
pub struct Answer {
    /// For the log; 0 when there is none.
    pub status: u16,
    /// All bytes before the body.
    pub head: String,
    /// In their order.
    pub body: Vec<Piece>,
    /// Whether the body is sent in chunks.
    pub chunked: bool,
    /// The body is cut short, or slowed down, after so many bytes.
    pub limit: Option<u64>,
    /// The rate beyond the limit; without one the body ends there.
    pub drip: Option<u64>,
    /// What happens after the body, or what there is of it.
    pub ending: Ending,
}

/// A part of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes of no object.
    Text(Vec<u8>),
    /// A half-open range of the object's bytes.
    Content(Pattern, Range<u64>),
}

/// How a response ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The connection waits for the next request.
    KeepAlive,
    /// FIN.
    Close,
    /// RST.
    Reset,
    /// Nothing more until the client goes.
    Silence,
}

impl Piece {
    /// Bytes in this piece.
    pub fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Content(_, range) => range.end - range.start,
        }
    }
}

/// The answer to one request for a resource.
pub fn answer(request: &Request, turn: &Turn<'_>) -> Answer {
    match turn.fault {
        Some(Fault::Mute) => return Answer::raw(String::new(), Ending::Silence),
        Some(Fault::CloseBeforeHead) => return Answer::raw(String::new(), Ending::Close),
        Some(Fault::Head(head)) => return Answer::raw(head.clone(), Ending::Close),
        _ => {}
    }
    let version = claimed(turn);
    let reply = refusal(request, turn, &version).unwrap_or_else(|| content(request, turn, &version));
    reply.finish(request, Some(turn))
}

/// An answer that needs no resource.
pub fn plain(request: &Request, status: u16) -> Answer {
    Reply::line(status).finish(request, None)
}

/// The version by which this response is judged and described.
fn claimed(turn: &Turn<'_>) -> Version {
    match turn.fault {
        Some(Fault::NodeEtag(etag)) => turn.version.clone().etag(Some(etag)),
        Some(Fault::Node(name)) => {
            let content = turn.version.content;
            turn.version.clone().etag(Some(&format!("\"{name}-{:x}-{:x}\"", content.seed, content.len)))
        }
        _ => turn.version.clone(),
    }
}

/// A response under construction.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<Piece>,
    framing: Framing,
    /// What Content-Length says on top of the truth.
    lie: i64,
    /// Bytes after the body.
    tail: u64,
}

/// Everything that is not the content: faults of status, credentials, redirects, preconditions.
fn refusal(request: &Request, turn: &Turn<'_>, version: &Version) -> Option<Reply> {
    let resource = turn.resource;
    match turn.fault {
        Some(Fault::Status(status)) => return Some(Reply::line(*status)),
        Some(Fault::StatusWith(status, headers)) => {
            return Some(Reply::line(*status).replace(headers));
        }
        Some(Fault::Page(content)) => {
            let body = vec![Piece::Content(Pattern::new(*content), 0..content.len)];
            return Some(Reply { body, ..Reply::new(200) }.with("Content-Type", "text/html"));
        }
        _ => {}
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Some(Reply::line(405).with("Allow", "GET, HEAD"));
    }
    let missing = |(name, value): &(String, String)| request.header(name) != Some(value);
    if resource.required.iter().any(missing) {
        return Some(Reply::line(401).with("WWW-Authenticate", "Basic realm=\"test\""));
    }
    let refused = |(name, _): &&(String, u16)| request.header(name).is_some();
    if let Some((_, status)) = resource.refused.iter().find(refused) {
        return Some(Reply::line(*status));
    }
    if let Some(status) = resource.head_status.filter(|_| request.method == "HEAD") {
        return Some(Reply::line(status));
    }
    if let Some((status, location)) = &resource.redirect {
        return Some(Reply::line(*status).with("Location", location));
    }
    if matches!(turn.fault, Some(Fault::IgnorePreconditions | Fault::Stale)) {
        return None;
    }
    let status = request.failed_precondition(version)?;
    let reply = Reply::line(status);
    Some(if status == 304 { reply.describe(turn, version) } else { reply })
}

fn content(request: &Request, turn: &Turn<'_>, version: &Version) -> Reply {
    let len = version.content.len;
    // §14.2: Range is defined for GET alone.
    let ranges = turn.resource.ranges && request.method == "GET";
    let selection = if ranges { request.select(version) } else { Selection::Whole };
    let reply = match (selection, turn.fault) {
        (Selection::Unsatisfiable, _) => {
            return Reply::line(416).with("Content-Range", &format!("bytes */{len}"));
        }
        (Selection::Whole, _) | (_, Some(Fault::IgnoreRange)) => whole(turn, len),
        (Selection::Part(first, last), Some(Fault::WholeWithContentRange)) => {
            whole(turn, len).with("Content-Range", &content_range(first, last, len))
        }
        (Selection::Part(first, last), _) => part(turn, len, first, last),
    };
    let reply = reply.describe(turn, version);
    match turn.fault {
        Some(Fault::Etag(etag)) => reply.replace(&[("ETag".to_owned(), etag.clone())]),
        Some(Fault::Encoding(coding) | Fault::Coded(coding)) => reply.with("Content-Encoding", coding),
        Some(Fault::LengthLie(lie)) => Reply { lie: *lie, ..reply },
        Some(Fault::PartLengthLie(lie)) if reply.status == 206 => Reply { lie: *lie, ..reply },
        Some(Fault::Tail(tail)) if reply.framing == Framing::Length => Reply { tail: *tail, ..reply },
        _ => reply,
    }
}

fn whole(turn: &Turn<'_>, len: u64) -> Reply {
    let body = vec![Piece::Content(turn.pattern(), 0..len)];
    Reply { framing: turn.resource.framing, body, ..Reply::new(200) }
}

/// A 206 for the inclusive range, with whatever the fault makes of it.
fn part(turn: &Turn<'_>, len: u64, first: u64, last: u64) -> Reply {
    let (first, last) = match turn.fault {
        Some(Fault::Shift(by)) => (first.saturating_add_signed(*by), last.saturating_add_signed(*by)),
        Some(Fault::Short(count)) => (first, last.min(first.saturating_add((*count).max(1) - 1))),
        Some(Fault::Long(count)) => (first, last.saturating_add(*count).min(len - 1)),
        Some(Fault::Early(count)) => (first.saturating_sub(*count), last),
        _ => (first, last),
    };
    let truth = content_range(first, last, len);
    let claims = match turn.fault {
        Some(Fault::NoContentRange | Fault::Multipart) => vec![],
        Some(Fault::ContentRange(raw)) => vec![raw.clone()],
        Some(Fault::TwoContentRanges) => vec![truth.clone(), content_range(first + 1, last + 1, len)],
        Some(Fault::UnknownTotal) => vec![format!("bytes {first}-{last}/*")],
        Some(Fault::Total(total)) => vec![content_range(first, last, *total)],
        _ => vec![truth.clone()],
    };
    let bytes = Piece::Content(turn.pattern(), first..last + 1);
    let status = if turn.fault == Some(&Fault::PartAs200) { 200 } else { 206 };
    let mut reply = Reply { body: vec![bytes], ..Reply::new(status) };
    for claim in claims {
        reply = reply.with("Content-Range", &claim);
    }
    if turn.fault == Some(&Fault::Multipart) { reply.multipart(&truth) } else { reply }
}

fn content_range(first: u64, last: u64, total: u64) -> String {
    format!("bytes {first}-{last}/{total}")
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![], framing: Framing::Length, lie: 0, tail: 0 }
    }

    /// A line of text, where the status allows a body.
    fn line(status: u16) -> Self {
        let text = format!("{status} {}\n", reason(status)).into_bytes();
        let body = if matches!(status, 100..200 | 204 | 304) { vec![] } else { vec![Piece::Text(text)] };
        Self { body, ..Self::new(status) }.with("Content-Type", "text/plain")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// These headers, and no others of their names.
    fn replace(mut self, headers: &[(String, String)]) -> Self {
        self.headers.retain(|(name, _)| header(headers, name).is_none());
        self.headers.extend_from_slice(headers);
        self
    }

    fn or(self, name: &str, value: &str) -> Self {
        if header(&self.headers, name).is_some() { self } else { self.with(name, value) }
    }

    /// The headers of a representation.
    fn describe(mut self, turn: &Turn<'_>, version: &Version) -> Self {
        if let Some(etag) = &version.etag {
            self = self.with("ETag", etag);
        }
        if let Some(time) = version.last_modified {
            self = self.with("Last-Modified", &date::format(time));
        }
        if turn.resource.ranges {
            self = self.with("Accept-Ranges", "bytes");
        }
        self.or("Content-Type", "application/octet-stream")
    }

    fn multipart(mut self, range: &str) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Range: {range}\r\n\r\n"
        );
        self.body.insert(0, Piece::Text(head.into_bytes()));
        self.body.push(Piece::Text(format!("\r\n--{BOUNDARY}--\r\n").into_bytes()));
        self.with("Content-Type", &format!("multipart/byteranges; boundary={BOUNDARY}"))
    }

    fn finish(mut self, request: &Request, turn: Option<&Turn<'_>>) -> Answer {
        let fault = turn.and_then(|turn| turn.fault);
        let both = fault == Some(&Fault::LengthAndChunked);
        let closes = request.close || self.framing == Framing::Close;
        let lies = self.lie != 0 || self.tail != 0;
        let head = self.head(turn, fault, closes);
        if self.tail > 0 {
            self.body.push(Piece::Text(vec![b'#'; usize::try_from(self.tail).expect("a short tail")]));
        }
        if request.method == "HEAD" {
            self.body.clear();
        }
        let mut answer = Answer {
            status: self.status,
            head,
            chunked: (self.framing == Framing::Chunked || both) && !self.body.is_empty(),
            body: self.body,
            limit: None,
            drip: None,
            ending: if closes || lies { Ending::Close } else { Ending::KeepAlive },
        };
        answer.interrupt(fault);
        answer
    }

    fn head(&self, turn: Option<&Turn<'_>>, fault: Option<&Fault>, closes: bool) -> String {
        let mut all = Self { headers: self.headers.clone(), ..Self::new(self.status) };
        if turn.is_none_or(|turn| turn.resource.date) {
            all = all.or("Date", &date::format(SystemTime::now()));
        }
        let both = fault == Some(&Fault::LengthAndChunked);
        if self.framing == Framing::Chunked || both {
            all = all.with("Transfer-Encoding", "chunked");
        }
        let bodiless = matches!(self.status, 100..200 | 204 | 304);
        if (self.framing == Framing::Length && !bodiless) || both {
            let len: u64 = self.body.iter().map(Piece::len).sum();
            all = all.or("Content-Length", &len.saturating_add_signed(self.lie).to_string());
        }
        if closes {
            all = all.with("Connection", "close");
        }
        if let Some(turn) = turn {
            all = all.replace(&turn.resource.headers);
        }
        if let Some(Fault::Header(name, value)) = fault {
            all = all.replace(&[(name.clone(), value.clone())]);
        }
        let interim = if let Some(Fault::Interim(count)) = fault { *count } else { 0 };
        render(interim, self.status, &all.headers)
    }
}

impl Answer {
    /// Body bytes, if nothing cuts them short.
    pub fn len(&self) -> u64 {
        self.body.iter().map(Piece::len).sum()
    }

    fn raw(head: String, ending: Ending) -> Self {
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Self { status, head, body: vec![], chunked: false, limit: None, drip: None, ending }
    }

    fn interrupt(&mut self, fault: Option<&Fault>) {
        let (limit, ending) = match fault {
            Some(Fault::CutAfter(limit)) => (*limit, Ending::Close),
            Some(Fault::ResetAfter(limit)) => (*limit, Ending::Reset),
            Some(Fault::StallAfter(limit)) => (*limit, Ending::Silence),
            Some(Fault::DripAfter(limit, rate)) => {
                self.drip = Some(*rate);
                (*limit, self.ending)
            }
            _ => return,
        };
        let len = self.len();
        // A stall after a complete body would be one of the next request.
        if limit < len || ending != Ending::Silence {
            self.limit = Some(limit);
            self.ending = ending;
        }
    }
}

fn render(interim: u32, status: u16, headers: &[(String, String)]) -> String {
    let mut head = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(interim as usize);
    let _ = write!(head, "HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head + "\r\n"
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
