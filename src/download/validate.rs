//! Checks of a described download what can be checked without the network.

use reqwest::header::{self, HeaderName, HeaderValue};

use super::builder::DownloadBuilder;
use super::list::ListSource;
use super::pool::Pool;
use super::request::{Beside, Existing, Output, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::range::{MAX_LENGTH, Part, Segments};
use crate::sources::MOST as MOST_SOURCES;
use crate::url::{SafeUrl, printable};

/// What a read brings has to fit, and some of what is next.
const LEAST_WINDOW: u64 = 1 << 20;
/// Headers that haul sets, because its promises hang on them.
const OURS: [HeaderName; 13] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::CACHE_CONTROL,
];

/// The request that is described.
pub(super) fn validated(described: DownloadBuilder) -> Result<Request> {
    let mut request = described.request;
    // Of its own, unless it was given one: each time that the same is built.
    request.pool = described.pool.unwrap_or_else(|| Pool::furnished(request.tuning.furnish));
    request.url = SafeUrl::parse(&described.url)?;
    request.mirrors = described.mirrors.iter().map(|url| SafeUrl::parse(url)).collect::<Result<_>>()?;
    let mut known = vec![request.url.clone()];
    request.mirrors.retain(|mirror| {
        let new = !known.contains(mirror);
        known.extend(new.then(|| mirror.clone()));
        new
    });
    if request.mirrors.len() >= MOST_SOURCES {
        return Err(usage(format!("{} mirrors", request.mirrors.len()), "use at most 7"));
    }
    request.head_url = described.head_url.as_deref().map(SafeUrl::parse).transpose()?;
    request.checksums = described.checksums.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    request.checksum_list = described.checksum_file.as_deref().map(ListSource::parse).transpose()?;
    if request.existing == Existing::IfNewer && request.part != Part::From(0) {
        return Err(usage("a newer version of a part", "leave out --range or --if-newer"));
    }
    match &request.output {
        Output::Proposed | Output::File(_) => {}
        Output::Nowhere => refuse_without_a_file(&request, "what is discarded")?,
        Output::Piped(piped) if piped.window < LEAST_WINDOW => {
            return Err(usage("a window of less than 1 MiB", "give it more memory"));
        }
        Output::Piped(_) => refuse_without_a_file(&request, "what is piped")?,
    }
    if request.checksum_list.is_some() && request.part != Part::From(0) {
        return Err(usage(
            "a list of checksums says nothing of a part",
            "use --checksum with the part's own",
        ));
    }
    if !(1..=256).contains(&request.jobs) {
        return Err(usage(format!("{} jobs", request.jobs), "use 1 to 256"));
    }
    if let Some(size) = request.segment_size.filter(|size| Segments::new(0, *size).is_none()) {
        return Err(usage(format!("a segment size of {size}"), "use a power of two from 64 KiB to 1 GiB"));
    }
    let empty = match request.part {
        Part::From(start) => start >= MAX_LENGTH,
        Part::Span(range) => range.start >= range.end || range.end > MAX_LENGTH,
        Part::Last(count) => count == 0,
    };
    if empty {
        return Err(usage("a part without a byte", "use A-B with A ≤ B, A-, or -N"));
    }
    for (name, value) in &described.headers {
        let (name, value) = custom_header(name, value)?;
        request.headers.append(name, value);
    }
    Ok(request)
}

/// What can only be asked of files; of what is discarded not even a checksum.
fn refuse_without_a_file(request: &Request, what: &str) -> Result<()> {
    let checked = request.checksum_list.is_some() || !request.checksums.is_empty();
    let asked = match request {
        _ if checked && request.output == Output::Nowhere => "a checksum",
        _ if request.beside == Beside::Hashes => "hashes",
        _ if request.existing == Existing::IfNewer => "a newer version",
        _ if request.existing == Existing::Repair => "a repair",
        _ => return Ok(()),
    };
    Err(usage(format!("{asked} of {what}"), "name a file with -o"))
}

fn usage(message: impl Into<String>, hint: &str) -> Error {
    Error::new(ErrorKind::Usage, message).hint(hint)
}

fn custom_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let shown = printable(name);
    // The value may be a secret: it is never shown.
    // Spaces around a header are nothing; a line break is an attempt at two, and never silently dropped (H80).
    let padding = [' ', '\t'];
    let name = HeaderName::try_from(name.trim_matches(padding))
        .map_err(|_| usage(format!("'{shown}' is not a header's name"), "write 'Name: value'"))?;
    let mut value = HeaderValue::try_from(value.trim_matches(padding)).map_err(|_| {
        usage(
            format!("the value of header {shown} has a character that cannot be sent"),
            "remove line breaks",
        )
    })?;
    value.set_sensitive(true);
    if OURS.contains(&name) {
        return Err(usage(format!("header {shown} is haul's own"), "leave it out"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::super::request::Download;
    use super::*;

    fn refused(builder: DownloadBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.to_string()
    }

    fn builder() -> DownloadBuilder {
        Download::builder("http://h/x")
    }

    #[test]
    fn a_mirror_is_a_url_of_its_own_and_there_are_seven_at_the_most() {
        let many = |count| (0..count).fold(builder(), |builder, n| builder.mirror(format!("http://h/{n}")));
        assert!(refused(builder().mirror("gopher://h/x")).contains("http"));
        assert!(refused(many(8)).contains("8 mirrors"));
        let all = many(7).mirror("http://h/x").mirror("http://h/3");
        assert_eq!(validated(all).unwrap().mirrors.len(), 7, "none is asked twice");
    }

    #[test]
    fn bad_input_is_named_with_a_way_out() {
        for (builder, named) in [
            (Download::builder("nonsense"), "nonsense"),
            (Download::builder("file:///etc/passwd"), "http"),
            (builder().head_url("gopher://h/x"), "http"),
            (builder().jobs(0), "0 jobs"),
            (builder().jobs(257), "257 jobs"),
            (builder().segment_size(100_000), "100000"),
            (builder().segment_size(32 << 10), "32768"),
            (builder().part(Part::Last(0)), "part"),
            (builder().part(Part::From(u64::MAX)), "part"),
            (builder().checksum_file("sums").part(Part::Last(1)), "of a part"),
            (builder().existing(Existing::IfNewer).discard(), "discarded"),
            (builder().existing(Existing::IfNewer).part(Part::Last(1)), "of a part"),
            (builder().checksum_file("http://"), "http://"),
            (builder().header("a b", "c"), "a b"),
            (builder().header("range", "bytes=0-1"), "range"),
        ] {
            let said = refused(builder);
            assert!(said.contains(named), "{said}");
        }
    }

    #[test]
    fn of_what_is_discarded_nothing_can_be_asked() {
        let ways: [fn(DownloadBuilder) -> DownloadBuilder; 3] = [
            |builder| builder.checksum_file("sums"),
            DownloadBuilder::keep_hashes,
            |builder| builder.existing(Existing::Repair),
        ];
        ways.into_iter().for_each(|way| assert!(refused(way(builder().discard())).contains("discarded")));
    }

    #[test]
    fn h80_line_breaks_in_headers_are_refused_and_the_value_is_not_shown() {
        let said = refused(builder().header("X-Key", "s3cret\r\nEvil: yes"));
        assert!(said.contains("X-Key") && !said.contains("s3cret"), "{said}");
        refused(builder().header("X-Key\r\nEvil", "yes"));
        for value in ["s3cret\n", "s3cret\r", "\ns3cret", "s3\0cret", "s3cret\0"] {
            assert!(!refused(builder().header("X-Key", value)).contains("cret"), "{value:?}");
        }
        refused(builder().header("X-Key\n", "yes"));
    }
}
