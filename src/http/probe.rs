//! The first look at an object: a ranged GET whose bytes count (H33, H34).

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, Response};

use super::answer::{self, object, partial};
use super::client::Client;
use super::disposition;
use super::fetch::Body;
use super::headers;
use super::retry::Fault;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::range::ByteRange;
use crate::url::{SafeUrl, printable};

/// What a probe brought.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) object: Object,
    /// Content-Encoding: saved as it is, and required to stay (H40).
    pub(crate) encoding: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) digests: Vec<(String, String)>,
    pub(crate) answer: Answer,
}

/// The body that came with it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The bytes from where was asked, as far as they go.
    Part(Body),
    /// The server ignored the range: the whole object.
    Whole(Body),
}

impl Probe {
    /// The body of a whole answer, and of what.
    pub(crate) fn into_whole(self) -> Result<(Body, Object)> {
        match self.answer {
            Answer::Whole(body) => Ok((body, self.object)),
            Answer::Part(_) => Err(Error::new(ErrorKind::Internal, "not a whole answer")),
        }
    }
}

/// Headers that carry a digest of the object; shown by `info`.
const DIGESTS: [&str; 12] = [
    "repr-digest",
    "digest",
    "content-md5",
    "x-goog-hash",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha256",
    "x-oss-hash-crc64ecma",
    "x-cos-hash-crc64ecma",
    "x-ms-blob-content-md5",
    "docker-content-digest",
    "x-linked-etag",
];

/// Asks for `range`, which may reach past the end: the length is not known yet.
pub(crate) async fn probe(client: &Client, url: &SafeUrl, range: ByteRange) -> Result<Probe, Fault> {
    let mut request = HeaderMap::new();
    request.insert(header::RANGE, headers::range(range));
    let (found_at, answer) = client.send(Method::GET, url, &request).await?;
    match answer.status().as_u16() {
        206 => {
            let (part, total) = partial(answer.headers(), range)?;
            let total = total.ok_or(Fault::NotTheRange(headers::RangeFault::NoLength))?;
            let part = ByteRange::new(part.start, part.end.min(range.end));
            Ok(found(found_at, Some(total), answer, |answer| {
                Answer::Part(Body::new(answer, part.start, Some(part.len()), client))
            }))
        }
        200 => whole(client, found_at, answer),
        // Of an empty object as well: what there is to know of it comes with the whole.
        416 => Err(Fault::Unsatisfiable { total: headers::unsatisfied_total(answer.headers()) }),
        code => Err(Fault::Status { code, retry_after: headers::retry_after(answer.headers()) }),
    }
}

/// A GET of the whole, for servers that cannot do ranges.
pub(crate) async fn fetch_whole(client: &Client, url: &SafeUrl) -> Result<Probe, Fault> {
    let (found_at, answer) = client.send(Method::GET, url, &HeaderMap::new()).await?;
    match answer.status().as_u16() {
        200 => whole(client, found_at, answer),
        code => Err(Fault::Status { code, retry_after: headers::retry_after(answer.headers()) }),
    }
}

/// The HEAD of a separately signed URL. Its length and validator are hints, never trusted alone (H33).
pub(crate) async fn head(client: &Client, url: &SafeUrl) -> Result<Object, Fault> {
    let (found_at, answer) = client.send(Method::HEAD, url, &HeaderMap::new()).await?;
    match answer.status().as_u16() {
        200 => Ok(object(found_at, headers::content_length(answer.headers()), answer.headers())),
        code => Err(Fault::Status { code, retry_after: headers::retry_after(answer.headers()) }),
    }
}

fn whole(client: &Client, url: SafeUrl, answer: Response) -> Result<Probe, Fault> {
    let length = answer::whole(answer.headers())?;
    Ok(found(url, length, answer, |answer| Answer::Whole(Body::new(answer, 0, length, client))))
}

fn found(
    url: SafeUrl,
    length: Option<u64>,
    answer: Response,
    body: impl FnOnce(Response) -> Answer,
) -> Probe {
    let head = answer.headers();
    let digest = |name: &str| {
        let value = headers::text(head, &HeaderName::try_from(name).ok()?)?;
        Some((name.to_owned(), printable(&value)))
    };
    Probe {
        object: object(url, length, head),
        encoding: headers::encoding(head),
        file_name: head.get(header::CONTENT_DISPOSITION).and_then(disposition::file_name),
        digests: DIGESTS.into_iter().filter_map(digest).collect(),
        answer: body(answer),
    }
}
