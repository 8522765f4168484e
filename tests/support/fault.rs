//! What goes wrong, and when.

use super::content::{Content, mix};

/// Which requests something applies to. Only GETs count, from 0, per resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Every GET.
    Always,
    /// The n-th GET only.
    Nth(u64),
    /// The n-th GET and all after it.
    From(u64),
    /// All GETs before the n-th.
    Before(u64),
    /// Every k-th GET: the numbers k-1, 2k-1, …
    Every(u64),
    /// Ranged GETs that ask for this byte.
    Containing(u64),
    /// The n-th (from 0) of the ranged GETs that ask for this byte: `NthContaining(n, offset)`.
    NthContaining(u64, u64),
    /// GETs that arrive when this resource has sent at least so many body bytes, counted as in
    /// [`Server::body_bytes`](super::Server::body_bytes).
    AfterBytes(u64),
    /// `percent` of the GETs: a pure function of the seed and the number of the GET.
    Random {
        /// Another seed picks other requests.
        seed: u64,
        /// 0 to 100.
        percent: u64,
    },
}

/// What a [`When`] is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Number of this GET, from 0.
    pub number: u64,
    /// The inclusive range asked for.
    pub range: Option<(u64, u64)>,
    /// Body bytes the resource has sent so far.
    pub sent: u64,
}

impl When {
    /// `hits` counts the requests that contained the offset; it belongs to the rule and starts at 0.
    pub fn matches(self, moment: Moment, hits: &mut u64) -> bool {
        let contains = |offset| moment.range.is_some_and(|(first, last)| (first..=last).contains(&offset));
        match self {
            Self::Always => true,
            Self::Nth(n) => moment.number == n,
            Self::From(n) => moment.number >= n,
            Self::Before(n) => moment.number < n,
            Self::Every(k) => (moment.number + 1).is_multiple_of(k),
            Self::Containing(offset) => contains(offset),
            Self::NthContaining(n, offset) => {
                let hit = *hits;
                *hits += u64::from(contains(offset));
                contains(offset) && hit == n
            }
            Self::AfterBytes(bytes) => moment.sent >= bytes,
            Self::Random { seed, percent } => mix(seed, moment.number) % 100 < percent,
        }
    }
}

/// One way to misbehave. The offsets and counts of the faults in a body are in body bytes of the
/// response. What only makes sense for a 206 does nothing to a 200.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// This status with a line of text, instead of anything else.
    Status(u16),
    /// The same with headers, which replace standard ones of the same name (`Date`, too).
    StatusWith(u16, Vec<(String, String)>),
    /// 200 with a page of this content and no validator, as captive portals do.
    Page(Content),
    /// 200 with the whole body, though a range was asked for.
    IgnoreRange,
    /// 200 with the whole body, and the Content-Range of what was asked.
    WholeWithContentRange,
    /// The right part with the right Content-Range, but as a 200.
    PartAs200,
    /// 206 without Content-Range.
    NoContentRange,
    /// Content-Range and bytes are both of the range this far away (not below 0), truthfully.
    Shift(i64),
    /// This Content-Range, whatever the bytes are.
    ContentRange(String),
    /// The right Content-Range and, in a second line, one that is shifted by a byte.
    TwoContentRanges,
    /// `bytes a-b/*`.
    UnknownTotal,
    /// Content-Range with this total.
    Total(u64),
    /// The part wrapped in `multipart/byteranges`.
    Multipart,
    /// A legal 206 of the first n bytes (at least one) of the range.
    Short(u64),
    /// A consistent 206 that goes n bytes further than asked, up to the end of the object.
    Long(u64),
    /// A consistent 206 that begins n bytes before what was asked, or where the object does.
    Early(u64),
    /// Content-Length is this much off from what is sent; then the connection is closed.
    LengthLie(i64),
    /// The same, of a 206 alone.
    PartLengthLie(i64),
    /// Content-Length and `Transfer-Encoding: chunked` at once; the body is chunked.
    LengthAndChunked,
    /// n bytes of junk after the complete body, then close; where Content-Length says which the body is.
    Tail(u64),
    /// A right head, then close (FIN) after n body bytes, also when that is the whole body.
    CutAfter(u64),
    /// A right head, then RST after n body bytes. What the client has not received by then is lost.
    ResetAfter(u64),
    /// A right head and n body bytes, then silence until the client goes or the server stops.
    StallAfter(u64),
    /// After n body bytes only so many bytes per second: `DripAfter(n, rate)`.
    DripAfter(u64, u64),
    /// This response claims another `ETag`; preconditions still go by the real one.
    Etag(String),
    /// The same for preconditions, too, like a node of a cluster with its own `ETag`s.
    NodeEtag(String),
    /// The same, of a node that makes its tags from its name and the content: `Node("a")`.
    Node(&'static str),
    /// A right head over other bytes.
    WrongBytes,
    /// This Content-Encoding is claimed; the bytes are as always.
    Encoding(&'static str),
    /// This Content-Encoding is claimed, and the bytes are others, as encoded ones are:
    /// those of [`Content::other`](super::Content::other).
    Coded(&'static str),
    /// The first version, whatever has become of it, and no question asked: a cache that was not told.
    Stale,
    /// One more header on the response; replaces a standard one of the same name.
    Header(String, String),
    /// So many `103 Early Hints` before the response.
    Interim(u32),
    /// The request is read and never answered.
    Mute,
    /// The request is read, then the connection is closed.
    CloseBeforeHead,
    /// These raw bytes in place of the response head, then close.
    Head(String),
    /// If-Match and its kin are not evaluated.
    IgnorePreconditions,
}
