//! Headers as they are typed, and a file of them. Pure.
//!
//! A value may be a secret: no error shows one. What may be sent is the library's to say.

use haul::Download;

/// A header as it is typed. The library refuses what cannot be sent.
pub(crate) fn header(text: &str) -> Option<(String, String)> {
    // No other white space: a line break in a header has to be seen, and refused (H80).
    let padding = [' ', '\t'];
    let (name, value) = text.split_once(':')?;
    let (name, value) = (name.trim_matches(padding), value.trim_matches(padding));
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// A line of a file that is no header, from 1, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) number: usize,
    pub(crate) why: String,
}

/// The headers in a file, one a line, with blank lines and comments between them.
pub(crate) fn header_lines(text: &[u8]) -> Result<Vec<(String, String)>, BadLine> {
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        // A carriage return alone ends no line, and is refused where it stands (H80).
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        headers.extend(header_line(line).map_err(|why| BadLine { number, why })?);
    }
    Ok(headers)
}

fn header_line(line: &[u8]) -> Result<Option<(String, String)>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = header(text).ok_or("is no header: write 'Name: value', or # before a comment")?;
    match Download::builder("http://localhost/").header(&name, &value).build() {
        Ok(_) => Ok(Some((name, value))),
        Err(error) => Err(format!("is refused: {error}")),
    }
}

/// What holds for any file: for the property test, and for a fuzzer. Panics where it does not.
#[cfg(any(test, fuzzing))]
pub(crate) fn property(text: &[u8]) {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    match header_lines(text) {
        Ok(headers) => {
            for (name, value) in &headers {
                assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
                assert!(!value.contains(|c: char| c.is_ascii_control() && c != '\t'), "{value:?}");
            }
            let again: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            assert_eq!(header_lines(again.concat().as_bytes()), Ok(headers), "what is read can be written");
        }
        Err(BadLine { number, .. }) => {
            assert!(header_lines(lines[number - 1]).is_err(), "that line it is");
            assert!(header_lines(&lines[..number - 1].concat()).is_ok(), "and the first");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(header("X-Key: a:b "), pair("X-Key", "a:b"));
        assert_eq!(header("X-Empty:"), pair("X-Empty", ""));
        assert_eq!(header("no colon"), None);
        assert_eq!(header(": no name"), None);
        assert_eq!(header("X-Key: 1\n").unwrap().1, "1\n", "the library refuses it (H80)");
    }

    #[test]
    fn a_file_of_headers_has_blank_lines_and_comments() {
        let read =
            header_lines(b"# token of the build machine\r\nX-Key: 1\r\n\n  # more\nX-Other: 2").unwrap();
        assert_eq!(read, [("X-Key".into(), "1".into()), ("X-Other".into(), "2".into())]);
        assert_eq!(header_lines(b""), Ok(vec![]));
    }

    #[test]
    fn h80_a_line_that_cannot_be_sent_is_named_and_not_shown() {
        for (text, number, why) in [
            (&b"X-Key: 1\n\ns3cret"[..], 3, "is no header"),
            (b"X-Key: s3cret\r\r\n", 1, "cannot be sent"),
            (b"X-Key: s3cret\r", 1, "cannot be sent"),
            (b"\nX-Key: s3\rEvil: cret\n", 2, "cannot be sent"),
            (b"X-Key: s3\0cret\n", 1, "cannot be sent"),
            (b"X-Key: 1\nX Key: s3cret\n", 2, "not a header's name"),
            (b"X-Key: 1\nRange: bytes=0-1\n", 2, "haul's own"),
            (b"X-Key: 1\nX-Key: s3\xffcret\n", 2, "UTF-8"),
        ] {
            let bad = header_lines(text).unwrap_err();
            assert!(bad.number == number && bad.why.contains(why) && !bad.why.contains("cret"), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn h80_of_any_file_the_headers_can_be_sent_or_a_line_is_named(text in "([ #\r\n\0:a]|X-Key: 1\r?\n|Range: 1\n|\\PC){0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            property(text.as_bytes());
            property(&bytes);
        }
    }
}
