//! The disk itself: what is on it, what was asked of it, when it fails, and when its power goes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use super::fault::{DiskFault, Op};
use super::file::Content;
use super::folder::{Listing, SimulatedFolder};
use super::image::{Frozen, Image};
use super::survival::NameChange;
use crate::store::medium::{Disk, Durability, Entry, Folder, Medium};

#[derive(Debug)]
pub(super) enum Node {
    File(Content),
    Folder(Listing),
}

pub(super) const ROOT: u64 = 1;

/// A disk; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    nodes: BTreeMap<u64, Node>,
    log: Vec<(Op, u64)>,
    faults: Vec<DiskFault>,
    failed: u64,
    /// How many changes were begun.
    changes: u64,
    /// The power goes before the change of this number, counted from 0.
    cut: Option<u64>,
    /// The same, counted from the next rename.
    cut_after_rename: Option<u64>,
    image: Option<Image>,
    /// Bytes that may still be written, as it says.
    room: u64,
    rng: Rng,
}

impl SimulatedDisk {
    pub(crate) fn new() -> Self {
        Self::of(BTreeMap::from([(ROOT, Node::Folder(Listing::default()))]))
    }

    pub(super) fn of(nodes: BTreeMap<u64, Node>) -> Self {
        Self(Arc::new(Mutex::new(State {
            nodes,
            log: Vec::new(),
            faults: Vec::new(),
            failed: 0,
            changes: 0,
            cut: None,
            cut_after_rename: None,
            image: None,
            room: 1 << 40,
            rng: Rng::with_seed(0),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes before the change of this number, counted from 0: it and all that follows fails.
    pub(crate) fn cut_before(&self, change: u64) {
        self.state().cut = Some(change);
    }

    /// The same, counted from after the next rename.
    pub(crate) fn cut_after_rename(&self, change: u64) {
        self.state().cut_after_rename = Some(change);
    }

    /// What the power cut froze, if it came.
    pub(crate) fn image(&self) -> Option<Image> {
        self.state().image.clone()
    }

    /// What would be frozen if the power were cut now.
    pub(crate) fn still(&self) -> Image {
        self.state().still()
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self) -> Image {
        let mut state = self.state();
        state.freeze();
        state.image.clone().expect("just frozen")
    }

    pub(crate) fn fail(&self, fault: DiskFault) {
        self.state().faults.push(fault);
    }

    /// So much room there is.
    pub(crate) fn has_room(&self, bytes: u64) {
        self.state().room = bytes;
    }

    pub(super) fn room(&self) -> u64 {
        self.state().room
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.failed = 0;
    }

    /// How many operations were made to fail.
    pub(crate) fn failed(&self) -> u64 {
        self.state().failed
    }

    /// What was asked, in order.
    pub(crate) fn log(&self) -> Vec<Op> {
        self.state().log.iter().map(|(op, _)| *op).collect()
    }

    /// A new file, open.
    pub(crate) fn file(&self, name: &str) -> Arc<dyn Medium> {
        self.root().create(OsStr::new(name)).expect("the name is free")
    }

    pub(crate) fn root(&self) -> Arc<dyn Folder> {
        Arc::new(SimulatedFolder { disk: self.clone(), inode: ROOT })
    }

    /// Puts a file there, or other bytes in it, durably.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let known = state.listing(ROOT).live.get(OsStr::new(name)).copied();
        let inode = known.unwrap_or_else(|| state.free_inode());
        state.nodes.insert(inode, Node::File(Content::durable(bytes)));
        let listing = state.listing(ROOT);
        listing.live.insert(name.into(), inode);
        listing.durable.insert(name.into(), inode);
    }

    /// What every process sees under a path.
    pub(crate) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let inode = self.find(Path::new(path)).ok()?;
        self.content_of(inode, Content::live)
    }

    /// What the platters hold of the file of that number.
    pub(crate) fn on_disk(&self, inode: u64) -> Option<Vec<u8>> {
        self.content_of(inode, |content| content.on_disk().to_vec())
    }

    fn content_of<T>(&self, inode: u64, look: impl FnOnce(&Content) -> T) -> Option<T> {
        match self.state().nodes.get(&inode)? {
            Node::File(content) => Some(look(content)),
            Node::Folder(_) => None,
        }
    }

    /// The names in a folder.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let Ok(inode) = self.find(Path::new(path)) else { return Vec::new() };
        let mut state = self.state();
        state.listing(inode).live.keys().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.state();
        let mut at = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Some(Node::Folder(listing)) = state.nodes.get_mut(&at) else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *listing.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// A name in a folder for something new.
    pub(super) fn make(&self, op: Op, folder: u64, name: &OsStr) -> io::Result<u64> {
        let mut state = self.state();
        state.enter(op, folder)?;
        let inode = state.free_inode();
        let listing = state.listing(folder);
        if listing.live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        listing.change(NameChange::Made { name: name.to_owned(), inode });
        let node = match op {
            Op::MakeFolder => Node::Folder(Listing::default()),
            _ => Node::File(Content::durable(Vec::new())),
        };
        state.nodes.insert(inode, node);
        Ok(inode)
    }

    /// A new file that no name stands for.
    pub(super) fn make_unnamed(&self, folder: u64) -> io::Result<u64> {
        let mut state = self.state();
        state.enter(Op::CreateUnnamed, folder)?;
        let inode = state.free_inode();
        state.nodes.insert(inode, Node::File(Content::durable(Vec::new())));
        Ok(inode)
    }

    pub(super) fn entry(&self, inode: u64) -> Entry {
        match &self.state().nodes[&inode] {
            Node::File(content) => Entry::File { inode, length: content.len() as u64 },
            Node::Folder(_) => Entry::Folder,
        }
    }

    pub(super) fn on_file<T>(
        &self,
        op: Op,
        inode: u64,
        act: impl FnOnce(&mut Content) -> T,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.enter(op, inode)?;
        Ok(act(state.content(inode)))
    }

    pub(super) fn on_folder<T>(
        &self,
        op: Op,
        inode: u64,
        act: impl FnOnce(&mut Listing) -> T,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.enter(op, inode)?;
        Ok(act(state.listing(inode)))
    }

    /// What happens to a file without being asked for.
    pub(super) fn anyway(&self, inode: u64, act: impl FnOnce(&mut Content)) {
        act(self.state().content(inode));
    }

    pub(super) fn anyway_by_chance(&self, inode: u64, act: impl FnOnce(&mut Content, &mut Rng)) {
        let mut state = self.state();
        let mut rng = state.rng.fork();
        act(state.content(inode), &mut rng);
    }
}

impl State {
    fn enter(&mut self, op: Op, inode: u64) -> io::Result<()> {
        if op.changes() && self.image.is_none() {
            if self.cut == Some(self.changes) {
                self.freeze();
            } else {
                self.changes += 1;
            }
            if op == Op::Rename
                && let Some(change) = self.cut_after_rename.take()
            {
                self.cut = Some(self.changes + change);
            }
        }
        if self.image.is_some() {
            return Err(io::Error::other("the power is cut"));
        }
        self.log.push((op, inode));
        let names = match &self.nodes[&ROOT] {
            Node::Folder(root) => &root.live,
            Node::File(_) => unreachable!("the root is a folder"),
        };
        for fault in self.faults.iter_mut().filter(|fault| fault.op == op) {
            if fault.file.is_some_and(|file| names.get(OsStr::new(file)) != Some(&inode)) {
                continue;
            }
            let hit = fault.from == 0 && fault.to > 0;
            (fault.from, fault.to) = (fault.from.saturating_sub(1), fault.to.saturating_sub(1));
            if hit {
                self.failed += 1;
                return Err(fault.errno.into());
            }
        }
        Ok(())
    }

    fn freeze(&mut self) {
        self.image = Some(self.still());
    }

    fn still(&self) -> Image {
        let frozen = self.nodes.iter().map(|(inode, node)| {
            let frozen = match node {
                Node::File(content) => {
                    Frozen::File { durable: content.on_disk().to_vec(), changes: content.changes() }
                }
                Node::Folder(listing) => Frozen::Folder(listing.clone()),
            };
            (*inode, frozen)
        });
        Image::new(frozen.collect())
    }

    /// Numbers are used again, as real ones are.
    fn free_inode(&self) -> u64 {
        (ROOT + 1..1 << 20).find(|inode| !self.nodes.contains_key(inode)).expect("there are many")
    }

    fn content(&mut self, inode: u64) -> &mut Content {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(content)) => content,
            _ => panic!("inode {inode} is no file"),
        }
    }

    fn listing(&mut self, inode: u64) -> &mut Listing {
        match self.nodes.get_mut(&inode) {
            Some(Node::Folder(listing)) => listing,
            _ => panic!("inode {inode} is no folder"),
        }
    }
}

impl Disk for SimulatedDisk {
    fn folder(&self, path: &Path, _durability: Durability) -> io::Result<Arc<dyn Folder>> {
        self.state().enter(Op::OpenFolder, ROOT)?;
        let inode = self.find(path)?;
        self.state().nodes.get(&inode).filter(|node| matches!(node, Node::Folder(_))).map_or_else(
            || Err(io::ErrorKind::NotADirectory.into()),
            |_| Ok(Arc::new(SimulatedFolder { disk: self.clone(), inode }) as Arc<dyn Folder>),
        )
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let above = self.find(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        self.make(Op::MakeFolder, above, name).map(drop)
    }
}
