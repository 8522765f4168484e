//! The heads of answers: a ranged one held against what was asked and what is known, and what any one says of the
//! object. Pure.

use reqwest::header::{self, HeaderMap};

use super::digests::{self, Heads};
use super::headers::{self, RangeFault, STRONG_AGE};
use super::retry::Fault;
use crate::object::{Object, Validator};
use crate::range::{ByteRange, MAX_LENGTH};
use crate::url::{SafeUrl, printable};

/// What every ranged answer has to agree with.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    pub(crate) url: SafeUrl,
    pub(crate) length: u64,
    /// `None` only where the user allowed ranges without a proof that they are of one version.
    pub(crate) validator: Option<Validator>,
    pub(crate) encoding: Option<String>,
    /// Whether If-Match may be sent: a signed URL may not cover it (H23). The answer is checked either way.
    pub(crate) send_pin: bool,
}

/// Checks the head of an answer against what was asked and pinned; gives the range that the body holds.
pub(crate) fn check(
    status: u16,
    headers: &HeaderMap,
    asked: ByteRange,
    pinned: &Pinned,
) -> Result<ByteRange, Fault> {
    match status {
        206 => {}
        200 if headers.contains_key(header::CONTENT_RANGE) => {
            return Err(Fault::NotTheRange(RangeFault::WholeWithContentRange));
        }
        200 if pinned.validator.as_ref().is_some_and(|validator| !headers::carries(headers, validator)) => {
            return Err(Fault::Changed("validator"));
        }
        200 => return Err(Fault::Whole),
        412 => return Err(Fault::PreconditionFailed),
        416 => return Err(Fault::Unsatisfiable { total: headers::unsatisfied_total(headers) }),
        code => return Err(Fault::Status { code, retry_after: headers::retry_after(headers) }),
    }
    let (range, total) = partial(headers, asked)?;
    // A total of `*` says nothing against the length that is known already (H12).
    if total.is_some_and(|total| total != pinned.length) {
        return Err(Fault::Changed("length"));
    }
    if pinned.validator.as_ref().is_some_and(|validator| !headers::carries(headers, validator)) {
        return Err(Fault::Changed("validator"));
    }
    let encoding = headers::encoding(headers);
    if encoding != pinned.encoding {
        return Err(Fault::Encoded(printable(encoding.as_deref().unwrap_or("identity"))));
    }
    if range.end > pinned.length {
        return Err(Fault::NotTheRange(RangeFault::Unreadable));
    }
    Ok(ByteRange::new(range.start, range.end.min(asked.end)))
}

/// What a 206 says that it holds, as far as one can check without knowing the object (H11, H14, H15).
pub(crate) fn partial(headers: &HeaderMap, asked: ByteRange) -> Result<(ByteRange, Option<u64>), Fault> {
    let wrong = |fault| Err(Fault::NotTheRange(fault));
    if headers::is_multipart(headers) {
        return wrong(RangeFault::Multipart);
    }
    let found = headers::content_range(headers).map_err(Fault::NotTheRange)?;
    if found.range.start != asked.start {
        return wrong(RangeFault::OtherStart);
    }
    if headers::content_length(headers).is_some_and(|length| length != found.range.len()) {
        return wrong(RangeFault::LengthMismatch);
    }
    Ok((found.range, found.total))
}

/// The length of a whole object, where the head of its answer says it.
pub(crate) fn whole(head: &HeaderMap) -> Result<Option<u64>, Fault> {
    if head.contains_key(header::CONTENT_RANGE) {
        return Err(Fault::NotTheRange(RangeFault::WholeWithContentRange));
    }
    match headers::content_length(head) {
        Some(length) if length > MAX_LENGTH => Err(Fault::NotTheRange(RangeFault::Unreadable)),
        length => Ok(length),
    }
}

/// The object that the heads of an answer describe, found at this URL.
pub(crate) fn object(url: SafeUrl, heads: &Heads<'_>) -> Object {
    let (validator, age) = headers::validator(heads.answer);
    let fresh = age.is_some_and(|age| age < STRONG_AGE);
    let edition = headers::edition(heads.answer);
    Object { url, length: heads.length, validator, edition, fresh, proof: digests::proof(heads) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;

    fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    const ASKED: ByteRange = ByteRange { start: 100, end: 200 };

    fn pinned() -> Pinned {
        Pinned {
            url: SafeUrl::parse("http://h/x").unwrap(),
            length: 1000,
            validator: Some(Validator::EntityTag("\"v\"".into())),
            encoding: None,
            send_pin: true,
        }
    }

    /// The head of a good answer, with changes; an empty value removes the header.
    fn answered(status: u16, changes: &[(&'static str, &str)]) -> Result<ByteRange, Fault> {
        let mut head = HeaderMap::new();
        for (name, value) in
            [("content-range", "bytes 100-199/1000"), ("content-length", "100"), ("etag", "\"v\"")]
        {
            head.insert(name, value.parse().unwrap());
        }
        for (name, value) in changes {
            head.remove(*name);
            if !value.is_empty() {
                head.append(*name, value.parse().unwrap());
            }
        }
        check(status, &head, ASKED, &pinned())
    }

    fn not_the_range(fault: RangeFault) -> Result<ByteRange, Fault> {
        Err(Fault::NotTheRange(fault))
    }

    #[test]
    fn a_good_answer_is_taken() {
        assert_eq!(answered(206, &[]), Ok(ASKED));
        assert_eq!(answered(206, &[("content-length", "")]), Ok(ASKED), "chunked");
    }

    #[test]
    fn h11_the_last_bytes_are_taken_and_none_behind_them() {
        let ending = |value: &str| {
            let head = [("content-range", value), ("etag", "\"v\"")];
            let head = head.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            check(206, &HeaderMap::from_iter(head), ByteRange::new(900, 1000), &pinned())
        };
        assert_eq!(ending("bytes 900-999/1000"), Ok(ByteRange::new(900, 1000)));
        assert_eq!(ending("bytes 900-999/*"), Ok(ByteRange::new(900, 1000)));
        assert_eq!(ending("bytes 900-1000/*"), not_the_range(RangeFault::Unreadable));
    }

    #[test]
    fn h10_only_a_206_is_a_range() {
        assert_eq!(answered(200, &[("content-range", "")]), Err(Fault::Whole));
        assert_eq!(answered(200, &[]), not_the_range(RangeFault::WholeWithContentRange));
        for code in [201, 203, 204, 207, 226, 304, 500] {
            assert_eq!(answered(code, &[]), Err(Fault::Status { code, retry_after: None }));
        }
    }

    #[test]
    fn h01_a_whole_object_of_another_version_is_a_change() {
        assert_eq!(
            answered(200, &[("content-range", ""), ("etag", "\"w\"")]),
            Err(Fault::Changed("validator"))
        );
    }

    #[test]
    fn h11_the_range_is_the_one_asked_for() {
        assert_eq!(answered(206, &[("content-range", "")]), not_the_range(RangeFault::NoContentRange));
        assert_eq!(
            answered(206, &[("content-range", "bytes 101-200/1000")]),
            not_the_range(RangeFault::OtherStart)
        );
        assert_eq!(
            answered(206, &[("content-range", "bytes 99-199/1000")]),
            not_the_range(RangeFault::OtherStart)
        );
    }

    #[test]
    fn h12_an_unknown_total_is_taken_beside_the_validator() {
        assert_eq!(answered(206, &[("content-range", "bytes 100-199/*")]), Ok(ASKED));
        let beyond = [("content-range", "bytes 100-1099/*"), ("content-length", "1000")];
        assert_eq!(answered(206, &beyond), not_the_range(RangeFault::Unreadable));
    }

    #[test]
    fn h13_shorter_is_legal_and_longer_is_cut() {
        let short = [("content-range", "bytes 100-149/1000"), ("content-length", "50")];
        assert_eq!(answered(206, &short), Ok(ByteRange::new(100, 150)));
        let long = [("content-range", "bytes 100-299/1000"), ("content-length", "200")];
        assert_eq!(answered(206, &long), Ok(ASKED));
    }

    #[test]
    fn h14_multipart_to_one_range_is_forbidden() {
        let multipart = [("content-type", "Multipart/Byteranges; boundary=x")];
        assert_eq!(answered(206, &multipart), not_the_range(RangeFault::Multipart));
    }

    #[test]
    fn h15_the_lengths_agree() {
        assert_eq!(answered(206, &[("content-length", "99")]), not_the_range(RangeFault::LengthMismatch));
    }

    #[test]
    fn h01_the_answer_carries_the_validator_and_the_total() {
        assert_eq!(answered(206, &[("etag", "\"w\"")]), Err(Fault::Changed("validator")));
        assert_eq!(answered(206, &[("etag", "")]), Err(Fault::Changed("validator")));
        assert_eq!(answered(206, &[("content-range", "bytes 100-199/1001")]), Err(Fault::Changed("length")));
    }

    #[test]
    fn h16_h17_statuses_that_ask_for_another_look() {
        assert_eq!(answered(412, &[]), Err(Fault::PreconditionFailed));
        assert_eq!(
            answered(416, &[("content-range", "bytes */7")]),
            Err(Fault::Unsatisfiable { total: Some(7) })
        );
    }

    #[test]
    fn h40_the_encoding_stays() {
        assert_eq!(answered(206, &[("content-encoding", "gzip")]), Err(Fault::Encoded("gzip".into())));
    }

    #[test]
    fn h35_a_whole_object_is_as_long_as_a_file_can_be_and_no_longer() {
        let length = |said: u64| whole(&head(&[("content-length", &said.to_string())]));
        let unreadable = Err(Fault::NotTheRange(RangeFault::Unreadable));
        assert_eq!(
            (length(0), length(7), length(MAX_LENGTH)),
            (Ok(Some(0)), Ok(Some(7)), Ok(Some(MAX_LENGTH)))
        );
        assert_eq!((length(MAX_LENGTH + 1), length(u64::MAX)), (unreadable.clone(), unreadable));
        assert_eq!(whole(&head(&[])), Ok(None));
    }

    #[test]
    fn h10_a_whole_object_is_no_range() {
        let both = head(&[("content-length", "7"), ("content-range", "bytes 0-6/7")]);
        let fault = RangeFault::WholeWithContentRange;
        assert_eq!(whole(&both), Err(Fault::NotTheRange(fault)));
    }

    fn fresh_by(answer: &HeaderMap) -> bool {
        let heads = Heads { answer, first_hop: None, length: Some(7), whole: false };
        object(SafeUrl::parse("http://h/x").unwrap(), &heads).fresh
    }

    #[test]
    fn h04_what_is_younger_than_two_seconds_is_looked_at_once_more() {
        let fresh = |second: u32| {
            let date = format!("Sun, 06 Nov 1994 08:49:{second:02} GMT");
            let modified = "Sun, 06 Nov 1994 08:49:30 GMT";
            let fields = head(&[("etag", "\"v\""), ("last-modified", modified), ("date", &date)]);
            fresh_by(&fields)
        };
        let found: Vec<_> = [29, 30, 31, 32, 33].into_iter().map(fresh).collect();
        assert_eq!(found, [true, true, true, false, false]);
        assert!(!fresh_by(&head(&[("etag", "\"v\"")])), "nobody says how old it is");
    }
}
