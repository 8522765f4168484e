//! The first look at an object: a ranged GET whose bytes count (H33, H34).

use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, Response};

use super::answer::partial;
use super::client::Client;
use super::disposition;
use super::fetch::Body;
use super::headers::{self, STRONG_AGE};
use super::retry::Fault;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::range::{ByteRange, MAX_LENGTH};
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
    let length = whole_length(answer.headers())?;
    Ok(found(url, length, answer, |answer| Answer::Whole(Body::new(answer, 0, length, client))))
}

/// The length of a whole object, where the head of its answer says it.
fn whole_length(head: &HeaderMap) -> Result<Option<u64>, Fault> {
    if head.contains_key(header::CONTENT_RANGE) {
        return Err(Fault::NotTheRange(headers::RangeFault::WholeWithContentRange));
    }
    match headers::content_length(head) {
        Some(length) if length > MAX_LENGTH => Err(Fault::NotTheRange(headers::RangeFault::Unreadable)),
        length => Ok(length),
    }
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

fn object(url: SafeUrl, length: Option<u64>, head: &HeaderMap) -> Object {
    let (validator, age) = headers::validator(head);
    let fresh = age.is_some_and(|age| age < STRONG_AGE);
    Object { url, length, validator, fresh, digest: headers::repr_digest(head) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn head(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        fields.iter().map(field).collect::<Vec<(HeaderName, HeaderValue)>>().into_iter().collect()
    }

    #[test]
    fn h35_a_whole_object_is_as_long_as_a_file_can_be_and_no_longer() {
        let length = |said: u64| whole_length(&head(&[("content-length", &said.to_string())]));
        let unreadable = Err(Fault::NotTheRange(headers::RangeFault::Unreadable));
        assert_eq!(
            (length(0), length(7), length(MAX_LENGTH)),
            (Ok(Some(0)), Ok(Some(7)), Ok(Some(MAX_LENGTH)))
        );
        assert_eq!((length(MAX_LENGTH + 1), length(u64::MAX)), (unreadable.clone(), unreadable));
        assert_eq!(whole_length(&head(&[])), Ok(None));
    }

    #[test]
    fn h10_a_whole_object_is_no_range() {
        let both = head(&[("content-length", "7"), ("content-range", "bytes 0-6/7")]);
        let fault = headers::RangeFault::WholeWithContentRange;
        assert_eq!(whole_length(&both), Err(Fault::NotTheRange(fault)));
    }

    #[test]
    fn h04_what_is_younger_than_two_seconds_is_looked_at_once_more() {
        let fresh = |second: u32| {
            let date = format!("Sun, 06 Nov 1994 08:49:{second:02} GMT");
            let modified = "Sun, 06 Nov 1994 08:49:30 GMT";
            let fields = head(&[("etag", "\"v\""), ("last-modified", modified), ("date", &date)]);
            object(SafeUrl::parse("http://h/x").unwrap(), Some(7), &fields).fresh
        };
        let found: Vec<_> = [29, 30, 31, 32, 33].into_iter().map(fresh).collect();
        assert_eq!(found, [true, true, true, false, false]);
        let silent = object(SafeUrl::parse("http://h/x").unwrap(), Some(7), &head(&[("etag", "\"v\"")]));
        assert!(!silent.fresh, "nobody says how old it is");
    }
}
