//! What is to be downloaded, in its order: the URLs of the command line, then the entries of a list, which are read
//! as they are needed.
//!
//! A list that is a file is read through before anything is fetched, so that a line that is wrong is known then; one
//! that comes through a pipe cannot be read twice, and a line that is wrong there is a download that failed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{iter, thread};

use haul::Download;
use tokio::sync::mpsc;

use super::exit::Failure;
use super::headers::BadLine;
use super::list::{Entry, Ignored, LONGEST_LINE, Parser};
use super::output;
use super::resolve::Template;
use super::shard::Shard;

/// So many downloads are handed over together: it wakes another thread.
const BATCH: usize = 64;

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// `-` is stdin.
    pub(crate) fn named(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    fn open(&self) -> Result<Lines, Failure> {
        let name = match self {
            Self::Stdin => "stdin".into(),
            Self::File(path) => path.to_string_lossy().into(),
        };
        let reader: Box<dyn Read + Send> = match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::File(path) => {
                Box::new(File::open(path).map_err(|error| Failure::io(&name, "read the list", &error))?)
            }
        };
        Ok(Lines { name, reader: BufReader::new(reader), parser: Parser::default(), ended: false })
    }

    /// Whether it says the same when it is read again.
    fn stays(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::File(path) => path.metadata().is_ok_and(|file| file.is_file()),
        }
    }
}

/// A list being read.
struct Lines {
    name: Arc<str>,
    reader: BufReader<Box<dyn Read + Send>>,
    parser: Parser,
    ended: bool,
}

impl Lines {
    /// The next entry. A line that is wrong is a failure that names it, and the entries behind it come.
    fn next_entry(&mut self) -> Option<(Place, Result<Entry, Failure>)> {
        let found = loop {
            if let Some(found) = self.parser.next() {
                break found;
            }
            if self.ended {
                return None;
            }
            match self.next_line() {
                Ok(Some(Line::Whole(line))) => self.parser.line(&line),
                Ok(Some(Line::Endless)) => self.parser.endless_line(),
                Ok(None) => {
                    self.ended = true;
                    self.parser.end();
                }
                Err(error) => {
                    self.ended = true;
                    let place = Place { list: Arc::clone(&self.name), line: 0 };
                    return Some((place, Err(Failure::io(&self.name, "read the list", &error))));
                }
            }
        };
        let place = |line| Place { list: Arc::clone(&self.name), line };
        Some(match found {
            Ok(entry) => (place(entry.line), Ok(entry)),
            Err(BadLine { number, why }) => {
                (place(number), Err(Failure::usage(format!("{}:{number}: the line {why}", self.name))))
            }
        })
    }

    /// `None` at the end.
    fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let most = LONGEST_LINE as u64 + 1;
        self.reader.by_ref().take(most).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > LONGEST_LINE {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Line::Endless));
        }
        Ok(Some(Line::Whole(line)))
    }

    fn warn(&mut self) {
        for Ignored { line, what } in self.parser.ignored() {
            output::stderr(&format!("{}:{line}: {what}: ignored", self.name));
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    /// Longer than any.
    Endless,
}

/// Where in a list an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    list: Arc<str>,
    /// From 1.
    line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.list, self.line)
    }
}

/// One download of many.
#[derive(Debug)]
pub(crate) struct Item {
    /// `None` where it was given on the command line.
    pub(crate) place: Option<Place>,
    /// A line that is wrong is a download that failed.
    pub(crate) download: Result<Download, Failure>,
}

/// A list of which each entry is, or is not, a download.
#[derive(Debug)]
pub(crate) struct List {
    source: Source,
    template: Template,
    /// Only these entries; all where nothing was said.
    shard: Option<Shard>,
    /// Of the shard, where the list was read through.
    entries: Option<usize>,
    quiet: bool,
}

impl List {
    /// Reads it through, where it can be read twice: everything that is wrong with it is found then.
    pub(crate) fn new(source: Source, template: Template, quiet: bool) -> Result<Self, Failure> {
        let mut list = Self { source, shard: template.shard(), template, entries: None, quiet };
        if list.source.stays() {
            list.entries = Some(list.check()?);
        }
        Ok(list)
    }

    /// How many entries there are, where that is known.
    pub(crate) fn entries(&self) -> Option<usize> {
        self.entries
    }

    fn check(&self) -> Result<usize, Failure> {
        let mut lines = self.source.open()?;
        let mut entries = 0;
        while let Some((place, entry)) = lines.next_entry() {
            let entry = entry?;
            self.template.entry(&entry).map_err(|failure| failure.at(&place))?;
            entries += usize::from(self.is_ours(&entry));
        }
        if !self.quiet {
            lines.warn();
        }
        Ok(entries)
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        self.shard.is_none_or(|shard| shard.has(&entry.url.0))
    }

    fn items(self) -> Result<Items, Failure> {
        Ok(Items { lines: self.source.open()?, list: self })
    }
}

/// The entries of a list as downloads.
struct Items {
    lines: Lines,
    list: List,
}

impl Items {
    /// The next ones: a batch of a file, but one of a pipe, which may make wait for more.
    fn batch(&mut self) -> Option<VecDeque<Item>> {
        let most = if self.list.entries.is_some() { BATCH } else { 1 };
        let batch: VecDeque<_> = iter::from_fn(|| self.next_item()).take(most).collect();
        (!batch.is_empty()).then_some(batch)
    }

    fn next_item(&mut self) -> Option<Item> {
        let (place, entry) = loop {
            let (place, entry) = self.lines.next_entry()?;
            if self.list.entries.is_none() && !self.list.quiet {
                self.lines.warn();
            }
            // A line that is wrong belongs to nobody else.
            if entry.as_ref().map_or(true, |entry| self.list.is_ours(entry)) {
                break (place, entry);
            }
        };
        let template = &self.list.template;
        let download = entry.and_then(|entry| template.entry(&entry).map_err(|failure| failure.at(&place)));
        Some(Item { place: Some(place), download })
    }
}

/// Everything that is to be downloaded.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) downloads: Vec<Download>,
    pub(crate) list: Option<List>,
}

impl Queue {
    /// How many downloads there are, where that is known.
    pub(crate) fn len(&self) -> Option<usize> {
        let listed = self.list.as_ref().map_or(Some(0), List::entries);
        Some(self.downloads.len() + listed?)
    }

    /// Reads it as it is emptied, in a thread of its own: who writes the list may take their time.
    pub(crate) fn start(self) -> Result<Feed, Failure> {
        let given = |download| Item { place: None, download: Ok(download) };
        let given = self.downloads.into_iter().map(given).collect();
        let listed = self.list.map(List::items).transpose()?;
        let (sender, batches) = mpsc::channel(1);
        let read = move || hand_over(given, listed, &sender);
        let reader = thread::Builder::new().name("list".to_owned()).spawn(read);
        let reader = reader.map_err(|error| Failure::io("haul", "start a thread", &error))?;
        Ok(Feed { batches, items: VecDeque::new(), reader: Some(reader) })
    }
}

/// Until nobody wants more.
fn hand_over(given: VecDeque<Item>, mut listed: Option<Items>, sender: &mpsc::Sender<VecDeque<Item>>) {
    let batches = iter::from_fn(|| listed.as_mut()?.batch());
    for batch in iter::once(given).chain(batches) {
        if sender.blocking_send(batch).is_err() {
            return;
        }
    }
}

/// The downloads, one after the other.
#[derive(Debug)]
pub(crate) struct Feed {
    batches: mpsc::Receiver<VecDeque<Item>>,
    items: VecDeque<Item>,
    reader: Option<JoinHandle<()>>,
}

impl Feed {
    /// `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        while self.items.is_empty() {
            let Some(batch) = self.batches.recv().await else {
                if let Some(Err(panic)) = self.reader.take().map(JoinHandle::join) {
                    std::panic::resume_unwind(panic);
                }
                return None;
            };
            self.items = batch;
        }
        self.items.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &[u8]) -> Vec<Result<usize, String>> {
        let mut lines = Lines {
            name: "list".into(),
            reader: BufReader::new(Box::new(io::Cursor::new(text.to_vec()))),
            parser: Parser::default(),
            ended: false,
        };
        let next = || {
            lines.next_entry().map(|(place, entry)| match entry {
                Ok(_) => Ok(place.line),
                Err(failure) => Err(failure.message),
            })
        };
        iter::from_fn(next).collect()
    }

    #[test]
    fn entries_come_in_order_and_a_line_that_is_wrong_is_among_them() {
        let found = entries(b"http://h/a\n out=\nhttp://h/b\n\n out=x");
        assert_eq!(found, [Err("list:2: the line has no value".to_owned()), Ok(3)]);
    }

    #[test]
    fn a_list_that_is_none_does_not_fill_the_memory() {
        let mut text = b"http://h/a\n".to_vec();
        text.resize(text.len() + LONGEST_LINE, b'x');
        text.extend(b"\nhttp://h/b");
        let found = entries(&text);
        assert!(matches!(&found[..], [Ok(1), Ok(2), Ok(3)]), "as long as may be: {found:?}");
        text.insert(20, b'x');
        let found = entries(&text);
        assert!(matches!(&found[..], [Ok(1), Err(_), Ok(3)]), "{found:?}");
    }
}
