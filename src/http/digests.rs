//! The digests that a server sends of an object: which headers have them, of what they are, and which one counts. Pure.

use reqwest::header::{HeaderMap, HeaderName};

use super::headers::{self, text};
use crate::checksum::{Algorithm, Checksum, Proof, ProofSource, strongest};
use crate::url::printable;

/// The heads of one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) answer: &'a HeaderMap,
    /// Of the first redirect that led there, if any did: it speaks for the origin.
    pub(crate) first_hop: Option<&'a HeaderMap>,
    /// The object's length, and whether it is what the answer has.
    pub(crate) length: Option<u64>,
    pub(crate) whole: bool,
}

/// A header that carries digests.
struct Carrier {
    name: &'static str,
    /// The digests in its lines, which are joined by commas.
    read: fn(&str) -> Vec<Checksum>,
    /// Whether they are of the object's bytes as they come.
    speaks: fn(&Heads<'_>) -> bool,
    /// Where it stands.
    stands: Stands,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// In the answer.
    There,
    /// In the first hop's, where there is one; in the answer else.
    First,
    /// In either.
    Anywhere,
}

const fn carrier(name: &'static str, read: fn(&str) -> Vec<Checksum>) -> Carrier {
    Carrier { name, read, speaks: |_| true, stands: Stands::There }
}

const fn amazon(name: &'static str, read: fn(&str) -> Vec<Checksum>) -> Carrier {
    Carrier { speaks: is_of_the_full_object, ..carrier(name, read) }
}

const CARRIERS: [Carrier; 14] = [
    carrier("repr-digest", dictionary),
    carrier("digest", instance),
    Carrier { speaks: |heads| heads.whole, ..carrier("content-md5", |value| base64(Algorithm::Md5, value)) },
    Carrier { speaks: is_not_transcoded, ..carrier("x-goog-hash", instance) },
    amazon("x-amz-checksum-sha256", |value| base64(Algorithm::Sha256, value)),
    amazon("x-amz-checksum-sha1", |value| base64(Algorithm::Sha1, value)),
    amazon("x-amz-checksum-crc64nvme", |value| base64(Algorithm::Crc64Nvme, value)),
    amazon("x-amz-checksum-crc32c", |value| base64(Algorithm::Crc32c, value)),
    amazon("x-amz-checksum-crc32", |value| base64(Algorithm::Crc32, value)),
    carrier("x-oss-hash-crc64ecma", decimal),
    carrier("x-cos-hash-crc64ecma", decimal),
    carrier("x-ms-blob-content-md5", |value| base64(Algorithm::Md5, value)),
    Carrier { stands: Stands::Anywhere, ..carrier("docker-content-digest", container) },
    Carrier { speaks: is_linked_whole, stands: Stands::First, ..carrier("x-linked-etag", linked) },
];

/// The digest of the whole object that it is to be compared with.
pub(crate) fn proof(heads: &Heads<'_>) -> Option<Proof> {
    let speaking = CARRIERS.iter().filter(|carrier| (carrier.speaks)(heads));
    strongest(speaking.flat_map(|carrier| {
        let values = carrier.lines(heads).map(|lines| (carrier.read)(&lines)).unwrap_or_default();
        let source = ProofSource::Header(carrier.name.to_owned());
        values.into_iter().map(move |checksum| Proof { checksum, source: source.clone() })
    }))
}

/// Every header that carries digests, whether they count or not: name and value, to be shown.
pub(crate) fn sent(heads: &Heads<'_>) -> Vec<(String, String)> {
    let line = |carrier: &Carrier| Some((carrier.name.to_owned(), printable(&carrier.lines(heads)?)));
    CARRIERS.iter().filter_map(line).collect()
}

impl Carrier {
    fn lines(&self, heads: &Heads<'_>) -> Option<String> {
        match (self.stands, heads.first_hop) {
            (Stands::First, Some(first)) => lines(first, self.name),
            (Stands::Anywhere, Some(first)) => {
                lines(heads.answer, self.name).or_else(|| lines(first, self.name))
            }
            _ => lines(heads.answer, self.name),
        }
    }
}

/// All lines of a header; `None` where there is none.
fn lines(head: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = head.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// One of a part, or of the checksums of the parts, is none of the object's bytes.
fn is_of_the_full_object(heads: &Heads<'_>) -> bool {
    let kind = text(heads.answer, &HeaderName::from_static("x-amz-checksum-type"));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("FULL_OBJECT"))
}

/// Google's storage unpacks gzip for who does not take it, and sends the hash of what is stored.
fn is_not_transcoded(heads: &Heads<'_>) -> bool {
    let stored = text(heads.answer, &HeaderName::from_static("x-goog-stored-content-encoding"));
    let stored = stored.filter(|stored| !stored.eq_ignore_ascii_case("identity"));
    stored.is_none() || stored == headers::encoding(heads.answer)
}

/// A hub's hop tells the length of what it leads to as well.
fn is_linked_whole(heads: &Heads<'_>) -> bool {
    let head = heads.first_hop.unwrap_or(heads.answer);
    let length = text(head, &HeaderName::from_static("x-linked-size"));
    length.is_none_or(|length| heads.length.is_some_and(|known| length == known.to_string()))
}

fn members(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim)
}

/// `sha-256=:BASE64:, …` (RFC 9530 §3); what cannot be read proves nothing.
fn dictionary(value: &str) -> Vec<Checksum> {
    let member = |member: &str| {
        let (name, value) = member.split(';').next()?.trim().split_once("=:")?;
        Checksum::of_base64(Algorithm::named(name)?, value.strip_suffix(':')?)
    };
    members(value).filter_map(member).collect()
}

/// `SHA-256=BASE64,MD5=BASE64` (RFC 3230 §4.3.2): of the whole instance, also where only a part of it is
/// sent. Google writes its own the same way.
fn instance(value: &str) -> Vec<Checksum> {
    let member = |member: &str| {
        let (name, value) = member.split_once('=')?;
        Checksum::of_base64(Algorithm::named(name)?, value)
    };
    members(value).filter_map(member).collect()
}

fn base64(algorithm: Algorithm, value: &str) -> Vec<Checksum> {
    Checksum::of_base64(algorithm, value.trim()).into_iter().collect()
}

fn decimal(value: &str) -> Vec<Checksum> {
    Checksum::of_decimal(Algorithm::Crc64Xz, value.trim()).into_iter().collect()
}

/// `sha256:HEX` (OCI image specification, descriptors).
fn container(value: &str) -> Vec<Checksum> {
    let split = value.trim().split_once(':');
    let read = |(name, value)| Checksum::of_hex(Algorithm::named(name)?, value);
    split.and_then(read).into_iter().collect()
}

/// `"HEX"`: the SHA-256 of a large file. Of a small one it is git's hash, which is shorter and of other bytes.
fn linked(value: &str) -> Vec<Checksum> {
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Checksum::of_hex(Algorithm::Sha256, value).into_iter().collect()
}

#[cfg(test)]
#[path = "digests_tests.rs"]
mod tests;
