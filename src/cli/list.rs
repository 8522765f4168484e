//! Lists of downloads (`-i`): lines go in, entries come out. Pure.
//!
//! A line is a URL, and indented lines below it are its options as aria2 writes them (`out=`, `dir=`, `checksum=`,
//! `header=`); or it is a JSON object with the same. URLs and headers may be secrets: no error shows one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::args::Secret;
use super::headers::{BadLine, header};

/// The longest line of a list, in bytes: no URL is longer, and what is no list at all does not fill the memory.
pub(crate) const LONGEST_LINE: usize = 1 << 20;
/// So many different options that mean nothing here are named, each once.
const MOST_IGNORED: usize = 100;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What one entry of a list asks for.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    pub(crate) url: Secret,
    /// Of the same object.
    pub(crate) mirrors: Vec<Secret>,
    pub(crate) out: Option<PathBuf>,
    /// In place of the folder for all.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) checksums: Vec<String>,
    /// Beside those for all.
    pub(crate) headers: Vec<(String, Secret)>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("line", &self.line).field("out", &self.out).finish_non_exhaustive()
    }
}

impl Entry {
    fn new(line: usize, url: String) -> Self {
        let (mirrors, checksums, headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { line, url: Secret(url), mirrors, out: None, dir: None, checksums, headers }
    }
}

/// Something in a list that is not heeded, said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Reads a list, line by line.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    lines: usize,
    /// The entry whose options may follow, or what is wrong with it.
    open: Option<Result<Entry, BadLine>>,
    /// What has been read and not been taken yet.
    found: VecDeque<Result<Entry, BadLine>>,
    known: BTreeSet<String>,
    ignored: Vec<Ignored>,
}

impl Parser {
    /// Reads the next line, without its end.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        let line = if self.lines == 1 { line.strip_prefix(MARK).unwrap_or(line) } else { line };
        let indented = line.first().is_some_and(|first| b" \t".contains(first));
        let line = line.trim_ascii();
        match line.first() {
            None | Some(b'#') => {}
            Some(_) if indented => self.indented(line),
            Some(b'{') => {
                self.end();
                let entry = self.text(line).and_then(|text| self.object(text));
                self.found.push_back(entry);
            }
            Some(_) => {
                self.end();
                self.open = Some(self.url(line));
            }
        }
    }

    /// A line that is longer than [`LONGEST_LINE`].
    pub(crate) fn endless_line(&mut self) {
        self.lines += 1;
        self.end();
        self.found.push_back(Err(self.why("is longer than 1 MiB: is this a list?")));
    }

    /// There are no more lines, or no more that belong to the last entry.
    pub(crate) fn end(&mut self) {
        self.found.extend(self.open.take());
    }

    /// The next entry that was read whole.
    pub(crate) fn next(&mut self) -> Option<Result<Entry, BadLine>> {
        self.found.pop_front()
    }

    /// What was not heeded since this was asked last.
    pub(crate) fn ignored(&mut self) -> Vec<Ignored> {
        mem::take(&mut self.ignored)
    }

    fn url(&mut self, line: &[u8]) -> Result<Entry, BadLine> {
        let text = self.text(line)?;
        let mut urls = text.split('\t').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned);
        let mut entry = Entry::new(self.lines, urls.next().unwrap_or_default());
        entry.mirrors = urls.map(Secret).collect();
        Ok(entry)
    }

    fn indented(&mut self, line: &[u8]) {
        match self.open.take() {
            Some(Ok(mut entry)) => {
                let read = self.option(&mut entry, line);
                self.open = Some(read.map(|()| entry));
            }
            // What is below a line that is wrong is of no use.
            Some(Err(bad)) => self.open = Some(Err(bad)),
            None => self
                .found
                .push_back(Err(self.why("is indented like an option, and there is no URL above it"))),
        }
    }

    fn option(&mut self, entry: &mut Entry, line: &[u8]) -> Result<(), BadLine> {
        let unreadable = "is indented, but no option: write NAME=VALUE below a URL";
        let at = line.iter().position(|byte| *byte == b'=').ok_or_else(|| self.why(unreadable))?;
        let (name, value) = (&line[..at], line[at + 1..].trim_ascii());
        let is_name = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.iter().all(is_name) {
            return Err(self.why(unreadable));
        }
        let path = || PathBuf::from(OsStr::from_bytes(value));
        match name {
            b"out" | b"dir" | b"checksum" if value.is_empty() => Err(self.why("has no value")),
            b"out" => self.set(&mut entry.out, path()),
            b"dir" => self.set(&mut entry.dir, path()),
            b"checksum" => {
                entry.checksums.push(checksum(self.text(value)?));
                Ok(())
            }
            b"header" => {
                entry.headers.push(self.header(self.text(value)?)?);
                Ok(())
            }
            other => {
                self.ignore_option(&String::from_utf8_lossy(other));
                Ok(())
            }
        }
    }

    fn object(&mut self, text: &str) -> Result<Entry, BadLine> {
        // serde's own message may show a value.
        let object: Object = serde_json::from_str(text).map_err(|error| {
            let column = Some(error.column()).filter(|column| *column > 0);
            let column = column.map(|column| format!(" (column {column})")).unwrap_or_default();
            self.why(format!(
                "is no JSON object with \"url\", \"mirrors\", \"out\", \"dir\", \"checksum\", \"headers\"{column}"
            ))
        })?;
        object.others.keys().for_each(|name| self.ignore_option(name));
        let mut entry = Entry::new(self.lines, object.url);
        (entry.out, entry.dir) = (object.out, object.dir);
        entry.mirrors = object.mirrors.into_iter().flat_map(Texts::into_vec).map(Secret).collect();
        if [&entry.out, &entry.dir].into_iter().flatten().any(|path| path.as_os_str().is_empty()) {
            return Err(self.why("has an empty \"out\" or \"dir\""));
        }
        entry.checksums =
            object.checksum.into_iter().flat_map(Texts::into_vec).map(|it| checksum(&it)).collect();
        entry.headers = match object.headers {
            None => Vec::new(),
            Some(Headers::Lines(lines)) => {
                lines.iter().map(|line| self.header(line)).collect::<Result<_, _>>()?
            }
            Some(Headers::Fields(fields)) => {
                let named = |(name, values): (String, Texts)| {
                    values.into_vec().into_iter().map(move |value| (name.clone(), Secret(value)))
                };
                fields.into_iter().flat_map(named).collect()
            }
        };
        Ok(entry)
    }

    fn header(&self, text: &str) -> Result<(String, Secret), BadLine> {
        let read = header(text).ok_or_else(|| self.why("has a header that is none: write 'Name: value'"));
        read.map(|(name, value)| (name, Secret(value)))
    }

    fn text<'a>(&self, line: &'a [u8]) -> Result<&'a str, BadLine> {
        std::str::from_utf8(line).map_err(|_| self.why("is not UTF-8"))
    }

    fn set<T>(&self, place: &mut Option<T>, value: T) -> Result<(), BadLine> {
        match place.replace(value) {
            Some(_) => Err(self.why("says a second time what the entry has said already")),
            None => Ok(()),
        }
    }

    fn ignore_option(&mut self, name: &str) {
        self.ignore(&format!("haul has no option '{name}' in lists"));
    }

    fn ignore(&mut self, what: &str) {
        if self.known.len() < MOST_IGNORED && self.known.insert(what.to_owned()) {
            self.ignored.push(Ignored { line: self.lines, what: what.to_owned() });
        }
    }

    fn why(&self, why: impl Into<String>) -> BadLine {
        BadLine { number: self.lines, why: why.into() }
    }
}

/// aria2 writes `sha-256=VALUE`.
fn checksum(text: &str) -> String {
    match text.split_once([':', '=']) {
        Some((algorithm, value)) => format!("{algorithm}:{value}"),
        None => text.to_owned(),
    }
}

/// A line of JSON.
#[derive(Deserialize)]
struct Object {
    url: String,
    mirrors: Option<Texts>,
    out: Option<PathBuf>,
    dir: Option<PathBuf>,
    checksum: Option<Texts>,
    headers: Option<Headers>,
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "what they say is of no matter")]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// `{"Name": "value"}`, or `["Name: value"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Fields(BTreeMap<String, Texts>),
    Lines(Vec<String>),
}

/// What holds for any list: for the property test. Panics where it does not.
#[cfg(test)]
fn property(text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let found = read(text);
    let numbers = found.iter().map(|found| match found {
        Ok(entry) => entry.line,
        Err(bad) => bad.number,
    });
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.is_sorted(), "in the order of the lines: {numbers:?}");
    assert!(numbers.iter().all(|number| (1..=lines.len()).contains(number)), "{numbers:?}");
    for entry in found.iter().flatten() {
        let own = lines[entry.line - 1];
        let own = if entry.line == 1 { own.strip_prefix(MARK).unwrap_or(own) } else { own };
        assert!(!own.first().is_some_and(|first| b"# \t".contains(first)));
        let own = own.trim_ascii();
        assert!(
            own.starts_with(b"{") || own.starts_with(entry.url.0.as_bytes()) && !entry.url.0.contains('\t')
        );
    }
}

/// Everything in a list.
#[cfg(test)]
fn read(text: &[u8]) -> Vec<Result<Entry, BadLine>> {
    let mut parser = Parser::default();
    text.split(|byte| *byte == b'\n').for_each(|line| parser.line(line));
    parser.end();
    std::iter::from_fn(|| parser.next()).collect()
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
