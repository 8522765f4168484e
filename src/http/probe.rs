//! The first look at an object: a ranged GET whose bytes count (H33, H34).

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response};

use super::answer::{self, object, partial};
use super::client::{Client, Found};
use super::digests::{self, Heads};
use super::disposition;
use super::fetch::Body;
use super::headers;
use super::links;
use super::retry::Fault;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::range::ByteRange;
use crate::url::SafeUrl;

/// What a probe brought.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) object: Object,
    /// Content-Encoding: saved as it is, and required to stay (H40).
    pub(crate) encoding: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) digests: Vec<(String, String)>,
    /// Where it says that the same object is (RFC 6249).
    pub(crate) duplicates: Vec<SafeUrl>,
    pub(crate) answer: Answer,
}

/// The body that came with it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The bytes from where was asked, as far as they go.
    Part(Body),
    /// The server ignored the range: the whole object.
    Whole(Body),
    /// 304: nothing newer than what it was asked by.
    NotModified,
}

impl Probe {
    /// The body of a whole answer, and of what.
    pub(crate) fn into_whole(self) -> Result<(Body, Object)> {
        match self.answer {
            Answer::Whole(body) => Ok((body, self.object)),
            Answer::Part(_) | Answer::NotModified => {
                Err(Error::new(ErrorKind::Internal, "not a whole answer"))
            }
        }
    }
}

/// Asks for `range`, which may reach past the end: the length is not known yet. With a `condition` the answer may be
/// that there is nothing newer.
pub(crate) async fn probe(
    client: &Client,
    url: &SafeUrl,
    range: ByteRange,
    condition: &HeaderMap,
) -> Result<Probe, Fault> {
    let mut request = condition.clone();
    request.insert(header::RANGE, headers::range(range));
    let found = client.send(Method::GET, url, &request).await?;
    match found.answer.status().as_u16() {
        206 => {
            let (part, total) = partial(found.answer.headers(), range)?;
            let total = total.ok_or(Fault::NotTheRange(headers::RangeFault::NoLength))?;
            let whole = part == ByteRange::new(0, total);
            let part = ByteRange::new(part.start, part.end.min(range.end));
            Ok(described(found, Some(total), whole, |answer| {
                Answer::Part(Body::new(answer, part.start, Some(part.len()), client))
            }))
        }
        200 => whole(client, found),
        304 if !condition.is_empty() => Ok(described(found, None, false, |_| Answer::NotModified)),
        // Of an empty object as well: what there is to know of it comes with the whole.
        416 => Err(Fault::Unsatisfiable { total: headers::unsatisfied_total(found.answer.headers()) }),
        code => Err(refused(code, &found)),
    }
}

/// A GET of the whole, for servers that cannot do ranges.
pub(crate) async fn fetch_whole(client: &Client, url: &SafeUrl) -> Result<Probe, Fault> {
    let found = client.send(Method::GET, url, &HeaderMap::new()).await?;
    match found.answer.status().as_u16() {
        200 => whole(client, found),
        code => Err(refused(code, &found)),
    }
}

/// The HEAD of a separately signed URL. Its length and validator are hints, never trusted alone (H33).
pub(crate) async fn head(client: &Client, url: &SafeUrl) -> Result<Object, Fault> {
    let found = client.send(Method::HEAD, url, &HeaderMap::new()).await?;
    match found.answer.status().as_u16() {
        200 => {
            let length = headers::content_length(found.answer.headers());
            Ok(object(found.url.clone(), &found.heads(length, true)))
        }
        code => Err(refused(code, &found)),
    }
}

fn refused(code: u16, found: &Found) -> Fault {
    Fault::Status { code, retry_after: headers::retry_after(found.answer.headers()) }
}

fn whole(client: &Client, found: Found) -> Result<Probe, Fault> {
    let length = answer::whole(found.answer.headers())?;
    Ok(described(found, length, true, |answer| Answer::Whole(Body::new(answer, 0, length, client))))
}

fn described(found: Found, length: Option<u64>, whole: bool, body: impl FnOnce(Response) -> Answer) -> Probe {
    let (heads, head) = (found.heads(length, whole), found.answer.headers());
    Probe {
        object: object(found.url.clone(), &heads),
        encoding: headers::encoding(head),
        file_name: head.get(header::CONTENT_DISPOSITION).and_then(disposition::file_name),
        digests: digests::sent(&heads),
        duplicates: links::duplicates(head, &found.url),
        answer: body(found.answer),
    }
}

impl Found {
    fn heads(&self, length: Option<u64>, whole: bool) -> Heads<'_> {
        Heads { answer: self.answer.headers(), first_hop: self.first_hop.as_ref(), length, whole }
    }
}
