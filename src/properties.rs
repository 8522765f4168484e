//! What holds for any input at all, however hostile: written once, for the property tests and for the fuzzers.
//!
//! Each function takes bytes as somebody else chose them (a file that was found, a server's headers), runs what
//! reads them, and panics when a promise is broken. Where it can, it judges by reading the input a second time,
//! in another way. docs/fuzzing.md says how they are run.

use std::path::{Component, Path};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use icu_normalizer::ComposingNormalizerBorrowed;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::checksum::{Checksum, ChecksumList};
use crate::download::name;
use crate::http::answer::{Pinned, check};
use crate::http::digests::{self, Heads};
use crate::http::headers::{self, ContentRange, RangeFault};
use crate::http::redirect::{Hops, MOST};
use crate::http::{disposition, retry};
use crate::object::Validator;
use crate::range::{ByteRange, MAX_LENGTH, Segments};
use crate::store::checkpoint::{self, Checkpoint, Commit, Identity, Slot};
use crate::store::hashes;
use crate::url::{SafeUrl, printable};

/// A checkpoint's slot (H51, H63, H64): what is believed is sane, and says just what the bytes say.
pub fn checkpoint(slot: &[u8]) {
    let Slot::Valid { generation, commit, checkpoint } = checkpoint::decode(slot) else { return };
    sane(&checkpoint);
    assert!(generation <= checkpoint::MAX_GENERATION, "others can follow it");
    let again = checkpoint::encode(generation, commit, &checkpoint);
    assert_eq!(slot.get(..again.len()), Some(&again[..]), "one state has one way to be written");
    assert!(again.len() as u64 <= checkpoint::slot_size(&checkpoint));
}

fn sane(checkpoint: &Checkpoint) {
    let Checkpoint { identity, ledger, .. } = checkpoint;
    assert!(identity.start <= identity.end && identity.end <= identity.total && identity.total <= MAX_LENGTH);
    assert_eq!(ledger.segments().length(), identity.end - identity.start);
    assert_eq!(ledger.complete().len(), ledger.segments().count());
    assert!(ledger.bytes() <= ledger.segments().length());
    assert_eq!(ledger.claims().count(), ledger.complete().count(), "everything complete is a claim");
    assert!(!identity.source.contains(char::is_control));
    // Sending it does not panic.
    identity.validator.iter().for_each(|validator| drop(headers::pin(validator)));
}

/// The body of a slot, behind a frame that is right: what a CRC does not keep away (H64).
pub fn checkpoint_body(body: &[u8]) {
    checkpoint(&checkpoint::sealed(7, Commit::Hard, body));
}

/// A finished file's hashes, and the same bytes behind a frame that is right (H51, H64): all segments are there, and what
/// is believed says the same when it is written again.
pub fn hashes(file: &[u8]) {
    for file in [file, &hashes::sealed(file)] {
        let hashes::Read::Hashes(read) = hashes::decode(file) else { continue };
        sane(&read.checkpoint);
        assert!(read.checkpoint.ledger.complete().all());
        let again = hashes::encode(&read.checkpoint, read.proof.as_ref());
        assert_eq!(hashes::decode(&again), hashes::Read::Hashes(read));
    }
}

/// A list of checksums, for `path/name.iso` (H06): what it says of a file stands in it, just so.
pub fn checksum_list(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for name in ["SHA256SUMS", "B3SUMS"] {
        if let Ok(checksum) = ChecksumList::parse(&text, name).of("path/name.iso", "name.iso") {
            assert!(is_written_in(&text, &checksum), "{checksum}");
        }
    }
}

/// An answer's headers (H06): what proves the object stands in them, just so.
pub fn digest_headers(lines: &[u8]) {
    let answer = head(lines);
    let heads = Heads { answer: &answer, first_hop: None, length: Some(1000), whole: true };
    digests::sent(&heads).iter().for_each(|(_, value)| assert!(!value.contains(char::is_control)));
    if let Some(proof) = digests::proof(&heads) {
        assert!(is_written_in(&String::from_utf8_lossy(lines), &proof.checksum), "{proof:?}");
    }
}

/// In hex, in base64, or as a decimal number.
fn is_written_in(text: &str, checksum: &Checksum) -> bool {
    let written = checksum.to_string();
    let hex = written.rsplit(':').next().unwrap_or_default();
    let bytes: Vec<u8> =
        (0..hex.len() / 2).filter_map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()).collect();
    let number = u64::from_str_radix(hex, 16).ok().map(|number| number.to_string());
    text.to_ascii_lowercase().contains(hex)
        || text.contains(&STANDARD.encode(bytes))
        || number.is_some_and(|number| text.contains(&number))
}

/// Content-Range, one value a line (H11): read strictly, within the object, and as it was written.
pub fn content_range(values: &[u8]) {
    let head: HeaderMap = values
        .split(|byte| *byte == b'\n')
        .filter_map(|value| Some((header::CONTENT_RANGE, HeaderValue::from_bytes(value).ok()?)))
        .collect();
    let _ = headers::unsatisfied_total(&head);
    match headers::content_range(&head) {
        Ok(found) => {
            let value = the_only(&head, &header::CONTENT_RANGE).expect("there is just one");
            let (first, last, total) = plainly(value).expect("it can be read");
            assert!(first <= last && last < total.unwrap_or(MAX_LENGTH));
            assert_eq!(found, ContentRange { range: ByteRange::new(first, last + 1), total });
        }
        Err(RangeFault::NoContentRange) => assert!(head.is_empty()),
        Err(RangeFault::TwoContentRanges) => assert!(head.len() > 1),
        Err(_) => assert_eq!(head.len(), 1),
    }
}

/// `bytes A-B/T`, read without care for what must not be.
fn plainly(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let mut numbers = value.get(6..)?.trim().split(['-', '/']);
    let (first, last, total) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()))
}

/// The answer to a pinned request for the bytes 100..200 of 1000: a line with the status and the kind of pin
/// (`t`ag, `d`ate, `n`one, and `z`ipped), then headers (H01, H10–H15, H40). What is taken proves that it is what
/// was asked for.
pub fn ranged_answer(answer: &[u8]) {
    let asked = ByteRange::new(100, 200);
    let (first, rest) = cut(answer, b"\n");
    let first = String::from_utf8_lossy(first);
    let (status, kind) = first.split_once(' ').unwrap_or((&first, "t"));
    let (status, head) = (status.parse().unwrap_or(206), head(rest));
    let pinned = pinned(kind);
    let Ok(range) = check(status, &head, asked, &pinned) else { return };

    assert_eq!(status, 206);
    let (first, last, total) =
        plainly(the_only(&head, &header::CONTENT_RANGE).expect("one Content-Range")).expect("a range");
    assert_eq!((first, range), (asked.start, ByteRange::new(first, asked.end.min(last + 1))));
    assert!(first <= last && last < pinned.length && total.is_none_or(|total| total == pinned.length));
    match &pinned.validator {
        Some(Validator::EntityTag(tag)) => assert_eq!(the_only(&head, &header::ETAG), Some(&tag[..])),
        Some(Validator::LastModified { date, .. }) => {
            assert_eq!(the_only(&head, &header::LAST_MODIFIED), Some(&date[..]));
        }
        None => {}
    }
    let mut codings = head.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    match &pinned.encoding {
        Some(coding) => assert!(codings.any(|sent| sent.trim_ascii() == coding.as_bytes())),
        None => assert!(codings.all(|sent| {
            sent.trim_ascii().is_empty() || sent.trim_ascii().eq_ignore_ascii_case(b"identity")
        })),
    }
    for value in head.get_all(header::CONTENT_TYPE) {
        assert!(!value.as_bytes().to_ascii_lowercase().starts_with(b"multipart/byteranges"));
    }
}

fn pinned(kind: &str) -> Pinned {
    let date = || Validator::LastModified { date: "Sun, 06 Nov 1994 08:49:37 GMT".into(), weak_tag: None };
    Pinned {
        url: SafeUrl::parse("http://h/x").expect("it is one"),
        length: 1000,
        validator: match kind.as_bytes().first() {
            Some(b'd') => Some(date()),
            Some(b'n') => None,
            _ => Some(Validator::EntityTag("\"v\"".into())),
        },
        encoding: kind.contains('z').then(|| "gzip".to_owned()),
        send_pin: true,
    }
}

/// Content-Disposition (H60, H76): whatever it proposes, the file's name is one harmless component.
pub fn file_name(value: &[u8]) {
    let disposition = HeaderValue::from_bytes(value).ok().as_ref().and_then(disposition::file_name);
    // As it comes from a URL, too, and as nobody sends it.
    let plain = String::from_utf8_lossy(value).into_owned();
    for proposal in disposition.into_iter().chain([plain]) {
        let Some(name) = name::safe(&proposal) else { continue };
        assert!(!name.is_empty() && name.len() <= name::LONGEST, "{name:?}");
        assert!(Path::new(&name).components().eq([Component::Normal(name.as_ref())]), "{name:?}");
        assert!(!name.contains(['/', '\\', '<', '>', ':', '"', '|', '?', '*']), "{name:?}");
        assert!(!name.contains(|c: char| c.is_control() || is_bidi(c)), "{name:?}");
        assert!(!name.starts_with(['.', '-', ' ', '~']) && !name.ends_with(['.', ' ']), "{name:?}");
        assert!(!is_device(&name), "{name:?}");
        assert!(ComposingNormalizerBorrowed::new_nfc().is_normalized(&name), "{name:?}");
        assert_eq!(name::safe(&name).as_ref(), Some(&name), "what is safe stays as it is");
    }
}

/// What turns the direction of text (Unicode's `Bidi_Control`).
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name that is a device on Windows, whatever follows its first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|n: &str| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    };
    matches!(&stem[..], "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// Retry-After, beside Date (H20): seconds, or the time from Date to it, or nothing.
pub fn retry_after(answer: &[u8]) {
    let head = head(answer);
    let found = headers::retry_after(&head);
    let value = the_only(&head, &header::RETRY_AFTER).unwrap_or_default();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let expected = if is_number {
        // More than can be counted is longer than anybody waits.
        Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
    } else {
        let date = |name| the_only(&head, name).and_then(|value| httpdate::parse_http_date(value).ok());
        let until = date(&header::RETRY_AFTER).zip(date(&header::DATE));
        until.map(|(until, now): (SystemTime, SystemTime)| until.duration_since(now).unwrap_or_default())
    };
    assert_eq!(found, expected);
    let fault = retry::Fault::Status { code: 503, retry_after: found };
    assert_eq!(retry::verdict(&fault, retry::Stage::Fetching, 0), retry::Verdict::Throttle(expected));
}

/// ETag, Last-Modified and Date of two answers, a blank line between them (H01–H04): a validator is what the first
/// said, is sent as it came, survives a checkpoint, and is found only in an answer that says the same.
pub fn validator(answers: &[u8]) {
    let (one, two) = cut(answers, b"\n\n");
    let (one, two) = (head(one), head(two));
    let (Ok(found), _) = headers::validator(&one) else { return };
    assert!(headers::carries(&one, &found));
    let (name, sent) = headers::pin(&found);
    let tag = the_only(&one, &header::ETAG);
    match &found {
        Validator::EntityTag(strong) => {
            assert!(strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"'), "{strong:?}");
            assert_eq!((name, tag), (header::IF_MATCH, Some(&strong[..])));
            assert_eq!(sent, strong);
        }
        Validator::LastModified { date, weak_tag } => {
            let time = |name| httpdate::parse_http_date(the_only(&one, name).expect("one")).expect("a date");
            let age = time(&header::DATE).duration_since(time(&header::LAST_MODIFIED)).expect("no older");
            assert!(age >= Duration::from_secs(2));
            assert_eq!((name, tag), (header::IF_UNMODIFIED_SINCE, weak_tag.as_deref()));
            assert_eq!(sent, date);
            assert!(weak_tag.as_ref().is_none_or(|tag| tag.starts_with("W/\"")));
        }
    }
    if headers::carries(&two, &found) {
        let said =
            if matches!(found, Validator::EntityTag(_)) { header::ETAG } else { header::LAST_MODIFIED };
        assert_eq!(the_only(&one, &said), the_only(&two, &said));
    }
    survives(found);
}

/// What was read from headers can be read from a checkpoint.
fn survives(validator: Validator) {
    let identity = Identity {
        total: 0,
        start: 0,
        end: 0,
        validator: Some(validator),
        encoding: None,
        source: String::new(),
        inode: 0,
    };
    let ledger = crate::ledger::Ledger::new(Segments::new(0, Segments::MIN_SIZE).expect("it is legal"));
    let saved = Checkpoint { identity, ledger, saved_at: 0 };
    let Slot::Valid { checkpoint, .. } = checkpoint::decode(&checkpoint::encode(1, Commit::Soft, &saved))
    else {
        panic!("{:?} does not survive", saved.identity.validator);
    };
    assert_eq!(checkpoint.identity, saved.identity);
}

/// A URL and the Locations that lead on from it, one a line (H30): http or https, never back from https, each URL
/// once, and an end to it.
pub fn redirect(lines: &[u8]) {
    let text = String::from_utf8_lossy(lines);
    let mut lines = text.split('\n');
    let Ok(start) = SafeUrl::parse(lines.next().unwrap_or_default()) else { return };
    let mut seen = vec![start.as_url().clone()];
    let mut hops = Hops::new(start);
    for location in lines {
        let before = hops.here().as_url().clone();
        if hops.follow(Some(location)).is_err() {
            assert_eq!(hops.here().as_url(), &before, "a redirect that is not followed leads nowhere");
            continue;
        }
        let here = hops.here().as_url();
        assert!(matches!(here.scheme(), "http" | "https") && here.has_host(), "{here}");
        assert!(before.scheme() == "http" || here.scheme() == "https", "{before} to {here}");
        assert!(here.fragment().is_none() && !seen.contains(here), "{here}");
        seen.push(here.clone());
    }
    assert!(seen.len() <= MOST + 1);
}

/// A URL as it is typed (H73, H74, H79): what is shown of it has no secret and nothing that a terminal obeys.
/// Four lines: scheme, user, host and path; password, query and fragment are ours.
pub fn url(parts: &[u8]) {
    let text = String::from_utf8_lossy(parts);
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (scheme, user, host, path) = (next(), next(), next(), next());
    let typed = format!("{scheme}://{user}:hunter2@{host}/{path}?hunter2#hunter2");
    let shown = match SafeUrl::parse(&typed) {
        Ok(url) => {
            assert_eq!(format!("{url:?}"), format!("SafeUrl({url})"));
            url.to_string()
        }
        Err(error) => error.to_string(),
    };
    // Behind a slash the rest is a path, and paths are shown.
    let plain =
        scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) && !user.contains(['/', '\\', '?', '#']);
    if plain && !text.contains("hunter2") {
        assert!(!shown.contains("hunter2"), "{shown:?}");
    }
    assert!(!shown.contains(|c: char| c.is_control() || is_bidi(c)), "{shown:?}");
    assert!(!printable(&text).contains(|c: char| c.is_control() || is_bidi(c)), "{text:?}");
}

/// A block of `Name: value` lines; what HTTP does not allow is left out, as the parser below us would.
fn head(lines: &[u8]) -> HeaderMap {
    let header = |line: &[u8]| {
        let (name, value) = cut(line, b":");
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
    };
    let mut head = HeaderMap::new();
    for (name, value) in lines.split(|byte| *byte == b'\n').filter_map(header).take(100) {
        head.append(name, value);
    }
    head
}

/// What stands before the separator, and what after it.
fn cut<'a>(bytes: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = bytes.windows(separator.len()).position(|window| window == separator);
    at.map_or((bytes, &[]), |at| (&bytes[..at], &bytes[at + separator.len()..]))
}

/// The header's value, trimmed, if it has just one.
fn the_only<'a>(head: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = head.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    values.next().is_none().then_some(value)
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
