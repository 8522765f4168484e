use super::*;
use proptest::prelude::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn ranged(value: &str) -> Result<ContentRange, RangeFault> {
    content_range(&headers(&[("content-range", value)]))
}

#[test]
fn h11_a_content_range_is_read_strictly() {
    let whole = ContentRange { range: ByteRange::new(0, 10), total: Some(10) };
    assert_eq!(ranged("bytes 0-9/10"), Ok(whole));
    assert_eq!(ranged("Bytes 0-9/10"), Ok(whole), "units are case-insensitive (§14.1)");
    assert_eq!(ranged("bytes 0-9/*"), Ok(ContentRange { total: None, ..whole }));
    for bad in [
        "",
        "bytes",
        "bytes 0-9",
        "bytes=0-9/10",
        "items 0-9/10",
        "bytes 9-0/10",
        "bytes 0-10/10",
        "bytes -9/10",
        "bytes 0-/10",
        "bytes +0-9/10",
        "bytes 0-9/+10",
        "bytes 0-9/10/11",
        "bytes 0 - 9/10",
        "bytes */10",
        "bytes 0-18446744073709551615/*",
        "bytes 0-9/18446744073709551616",
        "bytes 0-9/9223372036854775808",
    ] {
        assert_eq!(ranged(bad), Err(RangeFault::Unreadable), "{bad:?}");
    }
    assert_eq!(content_range(&HeaderMap::new()), Err(RangeFault::NoContentRange));
    let twice = headers(&[("content-range", "bytes 0-9/10"), ("content-range", "bytes 0-9/10")]);
    assert_eq!(content_range(&twice), Err(RangeFault::TwoContentRanges));
}

proptest! {
    #[test]
    fn h11_what_is_asked_can_be_read_back(start in 0..1_u64 << 60, len in 1..1_u64 << 60) {
        let asked = ByteRange::new(start, start + len);
        let sent = range(asked);
        let echoed = sent.to_str().unwrap().replace("bytes=", "bytes ") + "/*";
        prop_assert_eq!(ranged(&echoed), Ok(ContentRange { range: asked, total: None }));
    }

    #[test]
    fn h11_no_content_range_panics_or_leaves_the_object(value in "(bytes )?[0-9*+ -]{0,22}(-[0-9]{0,22})?(/[0-9*]{0,22})?") {
        if let Ok(found) = ranged(&value) {
            prop_assert!(found.range.start < found.range.end);
            prop_assert!(found.range.end <= found.total.unwrap_or(MAX_LENGTH));
        }
    }
}

#[test]
fn h16_a_416_states_the_length() {
    assert_eq!(unsatisfied_total(&headers(&[("content-range", "bytes */42")])), Some(42));
    assert_eq!(unsatisfied_total(&headers(&[("content-range", "bytes 0-1/42")])), None);
    assert_eq!(unsatisfied_total(&HeaderMap::new()), None);
}

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SECOND_LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const MUCH_LATER: &str = "Sun, 06 Nov 1994 08:59:37 GMT";

fn judged(pairs: &[(&'static str, &str)]) -> Result<Validator, NoValidator> {
    validator(&headers(pairs)).0
}

#[test]
fn h01_a_strong_tag_is_the_validator() {
    assert_eq!(judged(&[("etag", "\"x\"")]), Ok(Validator::EntityTag("\"x\"".into())));
    assert_eq!(judged(&[("etag", "\"\"")]), Ok(Validator::EntityTag("\"\"".into())));
}

#[test]
fn h02_a_weak_tag_never_is() {
    assert_eq!(judged(&[("etag", "W/\"x\"")]), Err(NoValidator::WeakTagOnly));
    let dated = judged(&[("etag", "W/\"x\""), ("last-modified", MODIFIED), ("date", MUCH_LATER)]);
    assert_eq!(
        dated,
        Ok(Validator::LastModified { date: MODIFIED.into(), weak_tag: Some("W/\"x\"".into()) })
    );
}

#[test]
fn h03_a_date_is_strong_two_seconds_later() {
    assert_eq!(
        judged(&[("last-modified", MODIFIED), ("date", MUCH_LATER)]),
        Ok(Validator::LastModified { date: MODIFIED.into(), weak_tag: None })
    );
    assert_eq!(judged(&[("last-modified", MODIFIED), ("date", SECOND_LATER)]), Err(NoValidator::TooFresh));
    assert_eq!(judged(&[("last-modified", MODIFIED)]), Err(NoValidator::NoDate));
    assert_eq!(judged(&[("last-modified", "yesterday"), ("date", MODIFIED)]), Err(NoValidator::Unreadable));
    assert_eq!(judged(&[("last-modified", MUCH_LATER), ("date", MODIFIED)]), Err(NoValidator::TooFresh));
    assert_eq!(judged(&[]), Err(NoValidator::NeitherSent));
}

#[test]
fn h04_the_age_of_a_strong_tag_is_told() {
    let young = headers(&[("etag", "\"x\""), ("last-modified", MODIFIED), ("date", SECOND_LATER)]);
    assert_eq!(validator(&young).1, Some(Duration::from_secs(1)));
    assert_eq!(validator(&headers(&[("etag", "\"x\"")])).1, None);
}

#[test]
fn tags_that_cannot_be_read_prove_nothing() {
    for bad in ["x", "\"x", "x\"", "w/\"x\"", "\"a\"b\"", "\"a b\""] {
        assert_eq!(
            judged(&[("etag", bad), ("last-modified", MODIFIED), ("date", MUCH_LATER)]),
            Err(NoValidator::Unreadable),
            "{bad}"
        );
    }
    assert_eq!(judged(&[("etag", "\"a\""), ("etag", "\"a\"")]), Err(NoValidator::Unreadable));
    let of_length = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    assert!(judged(&[("etag", &of_length(1024))]).is_ok());
    assert_eq!(judged(&[("etag", &of_length(1025))]), Err(NoValidator::Unreadable), "H81");
}

#[test]
fn h01_an_answer_carries_the_validator_or_does_not() {
    let tag = Validator::EntityTag("\"x\"".into());
    assert!(carries(&headers(&[("etag", "\"x\"")]), &tag));
    for other in [headers(&[("etag", "\"y\"")]), headers(&[("etag", "W/\"x\"")]), HeaderMap::new()] {
        assert!(!carries(&other, &tag), "{other:?}");
    }
    let dated = Validator::LastModified { date: MODIFIED.into(), weak_tag: Some("W/\"x\"".into()) };
    assert!(carries(&headers(&[("etag", "W/\"x\""), ("last-modified", MODIFIED)]), &dated));
    assert!(!carries(&headers(&[("etag", "W/\"y\""), ("last-modified", MODIFIED)]), &dated));
    assert!(!carries(&headers(&[("etag", "W/\"x\""), ("last-modified", SECOND_LATER)]), &dated));
    assert!(!carries(&headers(&[("last-modified", MODIFIED)]), &dated));
}

#[test]
fn h20_retry_after_is_seconds_or_a_date_by_the_servers_clock() {
    let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs));
    assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(after(&[("retry-after", MUCH_LATER), ("date", MODIFIED)]), Some(Duration::from_secs(600)));
    assert_eq!(after(&[("retry-after", MODIFIED), ("date", MUCH_LATER)]), Some(Duration::ZERO));
    assert_eq!(after(&[("retry-after", "18446744073709551616")]), Some(Duration::from_secs(u64::MAX)));
    for garbage in ["soon", "-1", "1.5", "", MUCH_LATER] {
        assert_eq!(after(&[("retry-after", garbage)]), None, "{garbage}");
    }
}

#[test]
fn h42_two_headers_that_say_where_a_body_ends_are_one_too_many() {
    let (length, chunked) = (("content-length", "5"), ("transfer-encoding", "chunked"));
    assert!(is_framed_twice(&headers(&[length, chunked])));
    assert!(!is_framed_twice(&headers(&[length])) && !is_framed_twice(&headers(&[chunked])));
}

#[test]
fn h40_identity_is_no_encoding() {
    let found = |value| encoding(&headers(&[("content-encoding", value)]));
    assert_eq!(found("gzip"), Some("gzip".into()));
    assert_eq!(found("identity"), None);
    let twice = headers(&[("content-encoding", "identity"), ("content-encoding", "gzip")]);
    assert_eq!(encoding(&twice), Some("gzip".into()), "however many headers say it");
    assert_eq!(encoding(&HeaderMap::new()), None);
}

#[test]
fn h81_fields_are_counted_as_they_were_sent_and_64_kib_of_them_are_taken() {
    let sent = "etag: \"v\"\r\nlink: a\r\nlink: bcd\r\n";
    assert_eq!(size(&headers(&[("etag", "\"v\""), ("link", "a"), ("link", "bcd")])), sent.len());
    assert_eq!(size(&HeaderMap::new()), 0);
    assert_eq!(MOST_BYTES, 65_536);
}

#[test]
fn a_newer_version_is_asked_for_by_a_tag_or_else_by_a_date_that_can_be_said() {
    let asked = |tag: Option<&str>, modified| {
        let fields = condition(&Edition { tag: tag.map(str::to_owned), modified });
        fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let day = Duration::from_secs(86_400);
    let date = SystemTime::UNIX_EPOCH + day;
    assert_eq!(asked(Some("W/\"a\""), Some(date)), ["if-none-match: W/\"a\""]);
    assert_eq!(asked(None, Some(date)), ["if-modified-since: Fri, 02 Jan 1970 00:00:00 GMT"]);
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(YEAR_10000 - 1);
    assert_eq!(asked(None, Some(last)), ["if-modified-since: Fri, 31 Dec 9999 23:59:59 GMT"]);
    for time in [None, Some(SystemTime::UNIX_EPOCH - day), Some(SystemTime::UNIX_EPOCH + day * 3_000_000)] {
        assert!(asked(None, time).is_empty(), "{time:?}");
    }
    assert!(asked(Some("\"\r\n\""), None).is_empty());
}

#[test]
fn an_edition_is_whatever_an_answer_says() {
    let said = |fields: &[(&'static str, &str)]| {
        let field =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        edition(&fields.iter().map(field).collect())
    };
    let found = said(&[("etag", "W/\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    assert_eq!(found.tag.as_deref(), Some("W/\"a\""));
    assert!(found.modified.is_some());
    assert_eq!(said(&[("etag", "a"), ("last-modified", "yesterday")]), Edition::default());
}
