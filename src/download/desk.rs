//! Where small files are written and given their names, many at a time, by a thread or a few.
//!
//! To hand something over to a thread and back costs as much as a small file. Here those that come while others are
//! written are written after them by the same thread; and where they are to survive a power cut, all of them wait for the
//! disk together: once for what is in them, once for their names.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::target::Target;
use crate::checksum::{Checksum, Proof};
use crate::error::Result;
use crate::store::medium::Medium;

/// As many are written together, at the most; so many that wait are worth another thread.
const BATCH: usize = 64;
const MOST_THREADS: usize = 4;

/// See the module. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Sheet>,
    threads: usize,
}

/// A file that is to be.
#[derive(Debug)]
pub(super) struct Paper {
    pub(super) target: Target,
    pub(super) bytes: Vec<Bytes>,
    /// What they have to come to.
    pub(super) expected: Vec<Proof>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Filed {
    /// It has its name. An error says why that may not be durable.
    Named(Result<()>),
    /// Nothing is left of it.
    Not,
}

impl Desk {
    /// Has a file compared with what it has to come to, written, and named.
    pub(super) async fn file(&self, paper: Paper) -> Filed {
        let (reply, answer) = oneshot::channel();
        if self.lock().add(Sheet { paper, file: None, reply }) {
            let desk = self.clone();
            tokio::task::spawn_blocking(move || desk.work());
        }
        // A thread that panics does not answer.
        answer.await.unwrap_or(Filed::Not)
    }

    /// Works until nothing waits.
    fn work(&self) {
        let _at_work = AtWork(self);
        while let Some(sheets) = self.lock().take() {
            file_together(sheets);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether another thread is wanted.
    fn add(&mut self, sheet: Sheet) -> bool {
        self.waiting.push(sheet);
        let wanted = self.threads == 0 || (self.waiting.len() >= BATCH && self.threads < MOST_THREADS);
        self.threads += usize::from(wanted);
        wanted
    }

    /// The next; where there are none the thread is not there any more.
    fn take(&mut self) -> Option<Vec<Sheet>> {
        let many = self.waiting.len().min(BATCH);
        self.threads -= usize::from(many == 0);
        (many > 0).then(|| self.waiting.drain(..many).collect())
    }
}

/// A thread that panics is not there any more.
struct AtWork<'a>(&'a Desk);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().threads -= 1;
        }
    }
}

/// A file at work.
#[derive(Debug)]
struct Sheet {
    paper: Paper,
    /// Without a name yet.
    file: Option<Arc<dyn Medium>>,
    reply: oneshot::Sender<Filed>,
}

/// Each step for all of them, and then the next.
fn file_together(mut sheets: Vec<Sheet>) {
    step(&mut sheets, Sheet::write);
    // All of it is on its way before any of it is waited for.
    sheets.iter().for_each(Sheet::start_sync);
    step(&mut sheets, Sheet::sync);
    step(&mut sheets, Sheet::name);
    let mut durable: Option<PathBuf> = None;
    for Sheet { paper: Paper { target, .. }, reply, .. } in sheets {
        let folder = target.dir();
        let named = if durable.as_deref() == Some(folder) { Ok(()) } else { target.make_names_durable() };
        durable = named.is_ok().then(|| folder.to_owned());
        // Whoever asked may be gone.
        let _ = reply.send(Filed::Named(named));
    }
}

fn step(sheets: &mut Vec<Sheet>, act: fn(&mut Sheet) -> Option<()>) {
    for failed in sheets.extract_if(.., |sheet| act(sheet).is_none()) {
        // Whoever asked may be gone.
        let _ = failed.reply.send(Filed::Not);
    }
}

impl Sheet {
    fn write(&mut self) -> Option<()> {
        let Paper { target, bytes, expected } = &self.paper;
        let is_right = |proof: &Proof| proof.checksum == Checksum::of(proof.checksum.algorithm(), bytes);
        let right = expected.iter().all(is_right);
        self.file = if right { write(target, bytes).ok() } else { None };
        self.file.as_ref().map(|_| ())
    }

    fn start_sync(&self) {
        // A hint: that it is not taken changes nothing.
        self.file.iter().for_each(|file| drop(file.start_sync()));
    }

    fn sync(&mut self) -> Option<()> {
        self.file.as_ref()?.sync_data().ok()
    }

    fn name(&mut self) -> Option<()> {
        // Closed when it has its name: thousands may wait.
        self.file.take()?.give_name(self.paper.target.name()).ok()
    }
}

fn write(target: &Target, bytes: &[Bytes]) -> io::Result<Arc<dyn Medium>> {
    let file = target.folder().create_unnamed()?;
    let mut at = 0;
    for piece in bytes {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(file)
}
