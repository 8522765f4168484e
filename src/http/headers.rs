//! What headers say, read strictly. Pure.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::edition::Edition;
use crate::object::{NoValidator, Validator};
use crate::range::{ByteRange, MAX_LENGTH};

/// A Last-Modified is strong when the answer's Date is at least this much later: one second by RFC 9110
/// §8.8.2.2, and one more because clocks round.
pub(crate) const STRONG_AGE: Duration = Duration::from_secs(2);

/// The most bytes in the fields of an answer (H81).
pub(crate) const MOST_BYTES: usize = 64 << 10;

/// The bytes of all fields as they were sent, with `: ` and line ends.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The `Range` for these bytes (RFC 9110 §14.1.2).
pub(crate) fn range(range: ByteRange) -> HeaderValue {
    debug_assert!(!range.is_empty(), "HTTP cannot say an empty range");
    HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end - 1)).expect("digits are legal")
}

/// What is wrong with a 206's description of its range (H11–H15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeFault {
    NoContentRange,
    TwoContentRanges,
    Unreadable,
    OtherStart,
    LengthMismatch,
    Multipart,
    WholeWithContentRange,
    NoLength,
}

impl fmt::Display for RangeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoContentRange => "a 206 without Content-Range",
            Self::TwoContentRanges => "a 206 with two Content-Ranges",
            Self::Unreadable => "a Content-Range that cannot be read",
            Self::OtherStart => "a range that starts elsewhere than asked",
            Self::LengthMismatch => "a Content-Length that differs from the Content-Range",
            Self::Multipart => "multipart/byteranges to a single range",
            Self::WholeWithContentRange => "a 200 with Content-Range",
            Self::NoLength => "a 206 that does not say the object's length",
        })
    }
}

/// `Content-Range: bytes first-last/total` (RFC 9110 §14.4), half-open; `total` is `None` for `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) range: ByteRange,
    pub(crate) total: Option<u64>,
}

/// The one Content-Range of a 206.
pub(crate) fn content_range(headers: &HeaderMap) -> Result<ContentRange, RangeFault> {
    let value = single(headers, &header::CONTENT_RANGE)
        .map_err(|()| RangeFault::TwoContentRanges)?
        .ok_or(RangeFault::NoContentRange)?;
    parse_content_range(value).ok_or(RangeFault::Unreadable)
}

fn parse_content_range(value: &HeaderValue) -> Option<ContentRange> {
    let (range, total) = bytes_unit(value)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (digits(first)?, digits(last)?);
    let total = if total == "*" { None } else { Some(digits(total)?) };
    let sane = first <= last && last < total.unwrap_or(MAX_LENGTH) && total.is_none_or(|t| t <= MAX_LENGTH);
    sane.then(|| ContentRange { range: ByteRange::new(first, last + 1), total })
}

/// The object's length as a 416 states it: `Content-Range: bytes */total`.
pub(crate) fn unsatisfied_total(headers: &HeaderMap) -> Option<u64> {
    let value = single(headers, &header::CONTENT_RANGE).ok()??;
    digits(bytes_unit(value)?.strip_prefix("*/")?)
}

fn bytes_unit(value: &HeaderValue) -> Option<&str> {
    let (unit, rest) = value.to_str().ok()?.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest.trim())
}

/// Digits and nothing else: `u64::from_str` would take a `+` as well.
fn digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().ok())?
}

/// The one Content-Length, where there is one that can be meant.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    digits(single(headers, &header::CONTENT_LENGTH).ok()??.to_str().ok()?)
}

/// Whether two headers say where the body ends: between them an answer can be smuggled (RFC 9112 §6.3; H42).
pub(crate) fn is_framed_twice(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// Content-Encoding other than identity, as it was sent (H40), in however many headers.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let sent = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings: Vec<String> = sent
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("identity"))
        .collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

pub(crate) fn is_multipart(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_TYPE)
        .iter()
        .any(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"multipart/byteranges"))
}

/// `Err` where the header stands more than once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// An entity tag: `"opaque"` or `W/"opaque"` (RFC 9110 §8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
struct EntityTag {
    text: String,
    weak: bool,
}

/// The longest entity tag that is taken: it goes back with every request, and servers take only so much of that.
const LONGEST_TAG: usize = 1024;

fn entity_tag(headers: &HeaderMap) -> Option<Result<EntityTag, NoValidator>> {
    let read = |value: &HeaderValue| {
        let text = value.to_str().ok()?.trim();
        let opaque = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
        let legal = opaque.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
        (legal && text.len() <= LONGEST_TAG)
            .then(|| EntityTag { weak: text.starts_with("W/"), text: text.to_owned() })
    };
    match single(headers, &header::ETAG) {
        Ok(value) => value.map(|value| read(value).ok_or(NoValidator::Unreadable)),
        Err(()) => Some(Err(NoValidator::Unreadable)),
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(single(headers, name).ok()??.to_str().ok()?).ok()
}

/// The strongest validator that an answer carries (H01–H05), and how long after Last-Modified it was sent.
pub(crate) fn validator(headers: &HeaderMap) -> (Result<Validator, NoValidator>, Option<Duration>) {
    let modified = date(headers, &header::LAST_MODIFIED);
    let age = modified.and_then(|modified| {
        // A Last-Modified ahead of Date is as fresh as can be.
        Some(date(headers, &header::DATE)?.duration_since(modified).unwrap_or_default())
    });
    let weak_tag = match entity_tag(headers) {
        Some(Ok(EntityTag { text, weak: false })) => return (Ok(Validator::EntityTag(text)), age),
        Some(Ok(EntityTag { text, weak: true })) => Some(text),
        // An ETag that cannot be read is not compared, and what stands beside it is not trusted either.
        Some(Err(why)) => return (Err(why), age),
        None => None,
    };
    let validator = match (modified, age) {
        (Some(_), Some(age)) if age >= STRONG_AGE => Ok(Validator::LastModified {
            date: text(headers, &header::LAST_MODIFIED).unwrap_or_default(),
            weak_tag,
        }),
        (Some(_), Some(_)) => Err(NoValidator::TooFresh),
        (Some(_), None) => Err(NoValidator::NoDate),
        (None, _) if headers.contains_key(header::LAST_MODIFIED) => Err(NoValidator::Unreadable),
        (None, _) if weak_tag.is_some() => Err(NoValidator::WeakTagOnly),
        (None, _) => Err(NoValidator::NeitherSent),
    };
    (validator, age)
}

/// What an answer says of its version, whether it proves anything or not.
pub(crate) fn edition(headers: &HeaderMap) -> Edition {
    let tag = entity_tag(headers).and_then(Result::ok).map(|tag| tag.text);
    Edition { tag, modified: date(headers, &header::LAST_MODIFIED) }
}

/// In seconds since 1970: HTTP's years have four digits.
const YEAR_10000: u64 = 253_402_300_800;

/// The header that asks for another version alone: If-None-Match where there is a tag (RFC 9110 §13.1.2), else
/// If-Modified-Since (§13.1.3). None for a date that HTTP cannot say.
pub(crate) fn condition(edition: &Edition) -> HeaderMap {
    let since = |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
    let sayable = |time: &SystemTime| since(time).is_ok_and(|since| since.as_secs() < YEAR_10000);
    let field = match edition {
        Edition { tag: Some(tag), .. } => Some((header::IF_NONE_MATCH, tag.clone())),
        Edition { modified: Some(time), .. } if sayable(time) => {
            Some((header::IF_MODIFIED_SINCE, httpdate::fmt_http_date(*time)))
        }
        Edition { .. } => None,
    };
    field.into_iter().filter_map(|(name, value)| Some((name, value.try_into().ok()?))).collect()
}

/// Whether an answer to a pinned request carries that validator: identical, not merely comparable (H01, H03).
pub(crate) fn carries(headers: &HeaderMap, validator: &Validator) -> bool {
    let tag = entity_tag(headers).and_then(Result::ok);
    match validator {
        Validator::EntityTag(expected) => tag.is_some_and(|tag| tag.text == *expected),
        Validator::LastModified { date, weak_tag } => {
            text(headers, &header::LAST_MODIFIED).as_ref() == Some(date)
                && tag.map(|tag| tag.text) == *weak_tag
        }
    }
}

/// The header that makes a server refuse other versions: If-Match for a tag (RFC 9110 §13.1.1),
/// If-Unmodified-Since for a date (§13.1.4).
pub(crate) fn pin(validator: &Validator) -> (HeaderName, HeaderValue) {
    let (name, value) = match validator {
        Validator::EntityTag(tag) => (header::IF_MATCH, tag),
        Validator::LastModified { date, .. } => (header::IF_UNMODIFIED_SINCE, date),
    };
    (name, HeaderValue::try_from(value).expect("it was read from a header, or checked when it was decoded"))
}

/// The header's one value as text.
pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(single(headers, name).ok()??.to_str().ok()?.trim().to_owned())
}

/// How long the server asks to be left alone (RFC 9110 §10.2.3): seconds, or a date held against the answer's
/// own Date. The past is now; what cannot be read is ignored (H20). More seconds than can be counted are as many
/// as can.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(&value).ok()?;
    let now = date(headers, &header::DATE)?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
