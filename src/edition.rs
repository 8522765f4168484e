//! Which version a file or an answer is, for the one question whether there is a newer one (RFC 9110 §13.1.2, §13.1.3).
//! Pure.
//!
//! A [`Validator`](crate::object::Validator) proves that bytes may be mixed, so it has to be strong. This only asks
//! whether anything has changed: a weak tag will do, and a date whatever its age.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What an answer says of its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edition {
    /// The entity tag as it was sent, weak or strong.
    pub(crate) tag: Option<String>,
    /// Last-Modified, in whole seconds.
    pub(crate) modified: Option<SystemTime>,
}

impl Edition {
    fn is_silent(&self) -> bool {
        self.tag.is_none() && self.modified.is_none()
    }

    /// Tags by weak comparison (§8.8.3.2), and dates only where one side has no tag.
    fn is(&self, other: &Self) -> bool {
        match (&self.tag, &other.tag) {
            (Some(one), Some(two)) => opaque(one) == opaque(two),
            _ => self.modified.is_some() && self.modified == other.modified,
        }
    }
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// A file that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Bytes.
    pub(crate) length: u64,
    /// When it was written, by this machine's clock or, with `--set-mtime`, by the server's.
    pub(crate) mtime: SystemTime,
    /// What was noted beside it when it came, if it is still that file and of that URL.
    pub(crate) edition: Option<Edition>,
}

/// What an answer is to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newness {
    Same,
    Newer,
    /// It says nothing of its version, where that of the file was known: a captive portal, an error page.
    Suspect,
}

impl Kept {
    /// What to ask a server by.
    pub(crate) fn condition(&self) -> Edition {
        let by_date = || Edition { tag: None, modified: Some(self.mtime) };
        self.edition.clone().unwrap_or_else(by_date)
    }

    /// Compares it with an answer: there are servers that answer in full whatever they were asked.
    pub(crate) fn against(&self, answer: &Edition, length: Option<u64>) -> Newness {
        match &self.edition {
            Some(_) if answer.is_silent() => Newness::Suspect,
            _ if length.is_some_and(|length| length != self.length) => Newness::Newer,
            Some(edition) if edition.is(answer) => Newness::Same,
            // Another date is another version, also an earlier one: it may have been taken back.
            Some(_) => Newness::Newer,
            None if answer.modified.is_some_and(|modified| modified <= self.mtime) => Newness::Same,
            None => Newness::Newer,
        }
    }
}

/// What is noted beside a file: its edition, and by what to know that it is still the same file of the same URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) length: u64,
    pub(crate) mtime: SystemTime,
    /// A digest of scheme, host and path: tags are of one URL only (§8.8.3).
    pub(crate) source: String,
    pub(crate) edition: Edition,
}

/// The format of a note.
const VERSION: &str = "1";
const NOTHING: &str = "-";
/// More than any note has.
const LONGEST: usize = 2048;

/// The digest by which a note knows its URL, of which it is to say nothing (H73).
pub(crate) fn source_digest(source: &str) -> String {
    blake3::hash(source.as_bytes()).to_hex()[..16].to_owned()
}

impl Note {
    /// As text; `None` where there is nothing to note, or the clock stands before 1970.
    pub(crate) fn encode(&self) -> Option<String> {
        let Self { length, mtime, source, edition } = self;
        if edition.is_silent() {
            return None;
        }
        let mtime = mtime.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        let modified = edition.modified.and_then(seconds);
        let modified = modified.map_or_else(|| NOTHING.to_owned(), |seconds| seconds.to_string());
        let tag = edition.tag.as_deref().unwrap_or(NOTHING);
        Some(format!("{VERSION} {length} {mtime} {source} {modified} {tag}"))
    }

    /// `None` of anything but a note. Anyone may have written it: a tag is one that can be sent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST)?;
        let mut fields = text.split(' ');
        let mut field = || fields.next();
        if field()? != VERSION {
            return None;
        }
        let length = field()?.parse().ok()?;
        let mtime = since_epoch(Duration::from_nanos(field()?.parse().ok()?))?;
        let source = field()?.to_owned();
        let modified = match field()? {
            NOTHING => None,
            seconds => Some(since_epoch(Duration::from_secs(seconds.parse().ok()?))?),
        };
        let tag = match field()? {
            NOTHING => None,
            tag if tag.bytes().all(|byte| byte.is_ascii_graphic()) && tag.ends_with('"') => {
                Some(tag.to_owned())
            }
            _ => return None,
        };
        field().is_none().then_some(Self { length, mtime, source, edition: Edition { tag, modified } })
    }

    /// The edition, if this is the file that it was noted of, unchanged since, and the URL as well.
    pub(crate) fn of(self, length: u64, mtime: SystemTime, source: &str) -> Option<Edition> {
        let same = (self.length, self.mtime, self.source.as_str()) == (length, mtime, source);
        same.then_some(self.edition).filter(|edition| !edition.is_silent())
    }
}

fn since_epoch(time: Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn edition(tag: &str, modified: u64) -> Edition {
        Edition {
            tag: (!tag.is_empty()).then(|| tag.to_owned()),
            modified: (modified > 0).then(|| at(modified)),
        }
    }

    /// A file of 5 bytes, written at 100, of which this is known.
    fn kept(edition: Option<Edition>) -> Kept {
        Kept { length: 5, mtime: at(100) + Duration::from_millis(500), edition }
    }

    #[test]
    fn h02_a_tag_is_compared_weakly_and_before_any_date() {
        let file = kept(Some(edition("\"a\"", 50)));
        for (answer, newness) in [
            (edition("\"a\"", 50), Newness::Same),
            (edition("W/\"a\"", 99), Newness::Same),
            (edition("\"b\"", 50), Newness::Newer),
            (edition("", 50), Newness::Same),
            (edition("", 49), Newness::Newer),
            (edition("", 0), Newness::Suspect),
        ] {
            assert_eq!(file.against(&answer, Some(5)), newness, "{answer:?}");
        }
        assert_eq!(file.against(&edition("\"a\"", 50), None), Newness::Same);
        assert_eq!(
            file.against(&edition("\"a\"", 50), Some(6)),
            Newness::Newer,
            "one version has one length"
        );
    }

    #[test]
    fn h03_a_date_that_was_noted_is_that_or_another_and_an_earlier_one_is_another() {
        let file = kept(Some(edition("", 50)));
        for (answer, newness) in [
            (edition("", 50), Newness::Same),
            (edition("", 49), Newness::Newer),
            (edition("", 51), Newness::Newer),
            (edition("\"a\"", 50), Newness::Same),
            (edition("\"a\"", 0), Newness::Newer),
        ] {
            assert_eq!(file.against(&answer, Some(5)), newness, "{answer:?}");
        }
    }

    #[test]
    fn a_file_of_which_nothing_was_noted_is_as_new_as_it_says_itself() {
        let file = kept(None);
        for (answer, newness) in [
            (edition("\"a\"", 100), Newness::Same),
            (edition("", 101), Newness::Newer),
            (edition("\"a\"", 0), Newness::Newer),
            (edition("", 0), Newness::Newer),
        ] {
            assert_eq!(file.against(&answer, Some(5)), newness, "{answer:?}");
        }
        assert_eq!(file.against(&edition("", 1), Some(4)), Newness::Newer);
    }

    #[test]
    fn a_server_is_asked_by_what_was_noted_or_else_by_the_files_own_date() {
        let noted = edition("\"a\"", 50);
        assert_eq!(kept(Some(noted.clone())).condition(), noted);
        let own = Edition { tag: None, modified: Some(kept(None).mtime) };
        assert_eq!(kept(None).condition(), own);
    }

    #[test]
    fn a_note_is_of_one_file_as_it_was_and_of_one_url() {
        let source = source_digest("http://h/x");
        let note = Note { length: 5, mtime: at(100), source: source.clone(), edition: edition("\"a\"", 50) };
        let of = |length, mtime, source: &str| note.clone().of(length, mtime, source).is_some();
        assert!(of(5, at(100), &source));
        assert!(!of(6, at(100), &source) && !of(5, at(101), &source));
        assert!(!of(5, at(100), &source_digest("http://h/y")));
        let silent = Note { edition: Edition::default(), ..note };
        assert_eq!(silent.of(5, at(100), &source), None, "it says nothing");
    }

    #[test]
    fn h64_what_is_no_note_is_none() {
        for text in [
            "",
            "2 5 100 abc 50 \"a\"",
            "1 5 100 abc 50",
            "1 5 100 abc 50 \"a\" more",
            "1 x 100 abc 50 \"a\"",
            "1 5 100 abc x \"a\"",
            "1 5 100 abc 50 \"a\r\nEvil:\"",
            "1 5 100 abc 50 a",
            "1 5 99999999999999999999999999999999999999 abc 50 \"a\"",
        ] {
            assert_eq!(Note::decode(text.as_bytes()), None, "{text}");
        }
        let long =
            |length: usize| format!("1 5 100 {} 50 \"a\"", "a".repeat(length - "1 5 100  50 \"a\"".len()));
        assert!(Note::decode(long(LONGEST).as_bytes()).is_some());
        assert_eq!(Note::decode(long(LONGEST + 1).as_bytes()), None);
        let nothing = Note { length: 5, mtime: at(1), source: "abc".into(), edition: Edition::default() };
        assert_eq!(nothing.encode(), None);
    }

    proptest! {
        #[test]
        fn a_note_comes_back_as_it_was(length: u64, nanos: u64, tag in prop::option::of("(W/)?\"[!#-~]{0,20}\""), modified in prop::option::of(0..1_u64 << 40)) {
            let edition = Edition { tag, modified: modified.map(at) };
            let note = Note { length, mtime: UNIX_EPOCH + Duration::from_nanos(nanos), source: source_digest("x"), edition };
            match note.encode() {
                Some(text) => prop_assert_eq!(Note::decode(text.as_bytes()), Some(note)),
                None => prop_assert!(note.edition.is_silent()),
            }
        }

        #[test]
        fn h64_no_bytes_make_a_note_that_cannot_be_sent(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "1 5 7 a [0-9-]{1,20} \\PC{0,6}\"?") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let sent = Note::decode(bytes).and_then(|note| note.edition.tag);
                prop_assert!(sent.is_none_or(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic())));
            }
        }
    }
}
