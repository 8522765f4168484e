//! A file system in the test's own memory, by FUSE: it loses what was not synced when its power is cut, fails where it is
//! told to, and lacks what others lack.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{BackgroundSession, Config, Errno, MountOption, Session};

use super::fuse::Served;
use crate::support::content::mix;

/// The unit in which unsynced data survives a power cut, or does not.
const PAGE: usize = 4096;

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Create,
    Write,
    Allocate,
    /// A length or a mode.
    Set,
    Sync,
    SyncFolder,
    Rename,
    Link,
    Unlink,
}

/// What a file system may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No blocks can be reserved.
    Reserving,
    /// Files cannot be mapped.
    Maps,
    /// `RENAME_NOREPLACE` is not known.
    RenameFlags,
    Links,
    Locks,
    /// It does not say how much room there is.
    Room,
    Modes,
    /// Files are no longer than 4 GiB - 1.
    LongFiles,
}

/// As FAT32, by a driver that knows no rename flags (H56).
pub const FAT: &[Lack] = &[Lack::Reserving, Lack::RenameFlags, Lack::Links, Lack::Modes, Lack::LongFiles];

/// One that fails: the `from`-th request of that kind, from 0, and those after it, so many.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    pub op: Op,
    pub from: u64,
    pub times: u64,
    pub errno: Errno,
    /// It is done all the same.
    pub done: bool,
}

/// A request that waits for its answer.
struct Held(Box<dyn FnOnce(&mut State) + Send>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// A file: what it holds, and what of that a power cut leaves.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub bytes: Vec<u8>,
    pub mode: u16,
    synced: Vec<u8>,
    /// Pages in which the two may differ.
    unsynced: BTreeSet<usize>,
}

impl File {
    pub fn set_len(&mut self, len: usize) {
        let (from, to) = (len.min(self.bytes.len()), len.max(self.bytes.len()));
        self.bytes.resize(len, 0);
        self.unsynced.extend(from / PAGE..to.div_ceil(PAGE));
    }

    pub fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if end > self.bytes.len() {
            self.set_len(end);
        }
        self.bytes[offset..end].copy_from_slice(data);
        self.unsynced.extend(offset / PAGE..end.div_ceil(PAGE));
    }

    pub fn sync(&mut self) {
        let (bytes, synced) = (&self.bytes, &mut self.synced);
        synced.resize(bytes.len(), 0);
        for page in std::mem::take(&mut self.unsynced) {
            copy_page(bytes, synced, page);
        }
    }

    /// What the disk holds after a power cut: what was synced, and of the rest what chance has it.
    fn after_power_cut(mut self, chance: &mut impl FnMut() -> bool) -> Self {
        if chance() {
            self.synced.resize(self.bytes.len(), 0);
        }
        for page in std::mem::take(&mut self.unsynced) {
            if chance() {
                copy_page(&self.bytes, &mut self.synced, page);
            }
        }
        self.bytes.clone_from(&self.synced);
        self
    }
}

fn copy_page(from: &[u8], to: &mut [u8], page: usize) {
    let start = (page * PAGE).min(to.len());
    let end = (start + PAGE).min(to.len());
    let there = end.min(from.len()).max(start);
    to[start..there].copy_from_slice(&from[start.min(from.len())..there.min(from.len())]);
    to[there..end].fill(0);
}

type Names = BTreeMap<OsString, u64>;

/// A name that came to stand for something, or for nothing; a rename is two that happen at once.
type Change = Vec<(OsString, Option<u64>)>;

#[derive(Debug)]
pub struct State {
    lacks: &'static [Lack],
    pub files: BTreeMap<u64, File>,
    pub names: Names,
    synced_names: Names,
    /// What the folder has not been synced with, in order.
    unsynced_names: Vec<Change>,
    next: u64,
    failing: Vec<Failing>,
    /// Requests of that kind are not answered, from that number on.
    holding: Option<(Op, u64)>,
    held: Vec<Held>,
    counts: BTreeMap<Op, u64>,
    asked: u64,
    cut_at: Option<u64>,
    pub is_cut: bool,
}

impl State {
    /// Begins one request. Some fail, and all do without power. Gives the error of one that is done all the same.
    pub fn begin(&mut self, op: Op) -> Result<Option<Errno>, Errno> {
        self.is_cut |= self.cut_at == Some(self.asked);
        if self.is_cut {
            return Err(Errno::EIO);
        }
        self.asked += 1;
        let count = self.counts.entry(op).or_default();
        let number = *count;
        *count += 1;
        let fails = |failing: &&Failing| {
            failing.op == op && (failing.from..failing.from.saturating_add(failing.times)).contains(&number)
        };
        match self.failing.iter().find(fails) {
            Some(failing) if !failing.done => Err(failing.errno),
            failing => Ok(failing.map(|failing| failing.errno)),
        }
    }

    /// Does what changes something.
    pub fn change<T>(
        &mut self,
        op: Op,
        change: impl FnOnce(&mut Self) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let late = self.begin(op)?;
        let done = change(self)?;
        late.map_or(Ok(done), Err)
    }

    fn holds(&self, op: Op) -> bool {
        let so_far = self.counts.get(&op).copied().unwrap_or(0);
        self.holding.is_some_and(|(held, from)| held == op && so_far >= from)
    }

    pub fn lacks(&self, what: Lack) -> bool {
        self.lacks.contains(&what)
    }

    pub fn file(&mut self, number: u64) -> Result<&mut File, Errno> {
        self.files.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub fn create(&mut self, name: &OsStr, mode: u16) -> u64 {
        self.next += 1;
        self.files.insert(self.next, File { mode, ..File::default() });
        self.name(vec![(name.to_owned(), Some(self.next))]);
        self.next
    }

    /// Makes changes to names, all at once.
    pub fn name(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.unsynced_names.push(change);
    }

    pub fn sync_names(&mut self) {
        self.unsynced_names.clear();
        self.synced_names.clone_from(&self.names);
    }

    /// Without power nothing changes any more; what is left is what the disk has.
    fn lose_power(&mut self, seed: u64) {
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            mix(seed, drawn)
        };
        // Sometimes nothing of what was not synced survives, sometimes all, and mostly some.
        let odds = [0, 100, 50, 50, 10, 90][usize::try_from(draw() % 6).expect("small")];
        let mut chance = || draw() % 100 < odds;
        let survives = self.unsynced_names.iter().take_while(|_| chance()).count();
        for change in self.unsynced_names.drain(..).take(survives) {
            apply(&mut self.synced_names, &change);
        }
        self.names.clone_from(&self.synced_names);
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        let files = std::mem::take(&mut self.files).into_iter().filter(|(number, _)| named.contains(number));
        self.files = files.map(|(number, file)| (number, file.after_power_cut(&mut chance))).collect();
        (self.is_cut, self.cut_at) = (false, None);
    }
}

fn apply(names: &mut Names, change: &Change) {
    for (name, number) in change {
        match number {
            Some(number) => names.insert(name.clone(), *number),
            None => names.remove(name),
        };
    }
}

/// The file system. It outlives its mounts.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something is held.
    held: Condvar,
}

impl Memory {
    pub fn new(lacks: &'static [Lack]) -> Self {
        let state = State {
            lacks,
            files: BTreeMap::new(),
            names: Names::new(),
            synced_names: Names::new(),
            unsynced_names: Vec::new(),
            next: 1,
            failing: Vec::new(),
            holding: None,
            held: Vec::new(),
            counts: BTreeMap::new(),
            asked: 0,
            cut_at: None,
            is_cut: false,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), held: Condvar::new() }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn fail(&self, failing: Failing) {
        self.state().failing.push(failing);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().failing.clear();
    }

    /// Answers a request: now, or once nothing is held any more.
    pub fn answer(&self, op: Op, answer: impl FnOnce(&mut State) + Send + 'static) {
        let mut state = self.state();
        if state.holds(op) {
            state.held.push(Held(Box::new(answer)));
            self.0.held.notify_all();
        } else {
            answer(&mut state);
        }
    }

    /// Syncs, of files or of the folder, are not answered from number `from` on, counted from 0.
    pub fn hold(&self, op: Op, from: u64) {
        self.state().holding = Some((op, from));
    }

    /// Whether one was held within that time.
    pub fn wait_until_held(&self, time: Duration) -> bool {
        let none = |state: &mut State| state.held.is_empty();
        let waited = self.0.held.wait_timeout_while(self.state(), time, none);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// What is held is answered, and nothing is held any more.
    pub fn release(&self) {
        let mut state = self.state();
        state.holding = None;
        for Held(answer) in std::mem::take(&mut state.held) {
            answer(&mut state);
        }
    }

    /// What a file holds, whatever the kernel remembers of it.
    pub fn stored(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let number = state.names.get(OsStr::new(name))?;
        Some(state.files[number].bytes.clone())
    }

    /// How many requests it has begun that change something.
    pub fn asked(&self) -> u64 {
        self.state().asked
    }

    /// From that request on everything fails.
    pub fn cut_power_at(&self, request: u64) {
        self.state().cut_at = Some(request);
    }

    pub fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// What a power cut leaves is all there is from now on. Nothing may be mounted.
    pub fn lose_power(&self, seed: u64) {
        self.state().lose_power(seed);
    }

    /// # Panics
    /// Where FUSE is not to be had.
    pub fn mount(&self, at: &Path) -> Mounted {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("memory".to_owned())];
        let session = Session::new(Served(self.clone()), at, &config).expect("/dev/fuse can be used");
        Mounted(Some(session.spawn().expect("a thread can be made")))
    }
}

/// A mount; gone when it is dropped.
pub struct Mounted(Option<BackgroundSession>);

impl Mounted {
    /// # Panics
    /// While somebody uses it.
    pub fn unmount(mut self) {
        let session = self.0.take().expect("it is mounted");
        session.umount_and_join().expect("nobody uses it any more");
    }
}
