//! The head of a ranged answer, held against what was asked and what is known. Pure.

use reqwest::header::{self, HeaderMap};

use super::headers::{self, RangeFault};
use super::retry::Fault;
use crate::object::Validator;
use crate::range::ByteRange;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
