//! A simulated folder: which names its cache and its platters know.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use super::disk::SimulatedDisk;
use super::fault::Op;
use super::file::{self, SimulatedFile};
use super::survival::{NameChange, Names, apply};
use crate::store::medium::{Entry, Folder, Medium, Replace};

/// Both images of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) live: Names,
    pub(super) durable: Names,
    pub(super) unsynced: Vec<NameChange>,
}

impl Listing {
    /// A folder all of which is on the disk.
    pub(super) fn durable(names: Names) -> Self {
        Self { live: names.clone(), durable: names, unsynced: Vec::new() }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        apply(&mut self.live, &change);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.live.clone();
        self.unsynced.clear();
    }

    fn find(&self, name: &OsStr) -> io::Result<u64> {
        self.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn expect_free(&self, name: &OsStr) -> io::Result<()> {
        let taken = self.live.contains_key(name);
        if taken { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }
}

/// An open folder of a simulated disk.
#[derive(Debug)]
pub(super) struct SimulatedFolder {
    pub(super) disk: SimulatedDisk,
    pub(super) inode: u64,
}

impl SimulatedFolder {
    fn act<T>(&self, op: Op, act: impl FnOnce(&mut Listing) -> io::Result<T>) -> io::Result<T> {
        self.disk.on_folder(op, self.inode, act)?
    }
}

impl Folder for SimulatedFolder {
    fn create(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        self.disk.make(Op::Create, self.inode, name).map(|inode| file::open(&self.disk, inode))
    }

    fn create_unnamed(&self) -> io::Result<Arc<dyn Medium>> {
        let inode = self.disk.make_unnamed(self.inode)?;
        Ok(Arc::new(SimulatedFile::new(self.disk.clone(), inode).named_later_in(self.inode)))
    }

    fn open(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        self.act(Op::Open, |listing| listing.find(name)).map(|inode| file::open(&self.disk, inode))
    }

    fn read(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        self.open(name)
    }

    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        let inode = self.act(Op::Entry, |listing| Ok(listing.live.get(name).copied()))?;
        Ok(inode.map(|inode| self.disk.entry(inode)))
    }

    fn rename(&self, from: &OsStr, to: &OsStr, replace: Replace) -> io::Result<()> {
        self.act(Op::Rename, |listing| {
            listing.find(from)?;
            if replace == Replace::Never {
                listing.expect_free(to)?;
            }
            listing.change(NameChange::Renamed { from: from.to_owned(), to: to.to_owned() });
            Ok(())
        })
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.act(Op::Remove, |listing| {
            listing.find(name)?;
            listing.change(NameChange::Removed { name: name.to_owned() });
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.act(Op::SyncFolder, |listing| {
            listing.sync();
            Ok(())
        })
    }

    fn free_space(&self) -> io::Result<u64> {
        self.act(Op::FreeSpace, |_| Ok(()))?;
        Ok(self.disk.room())
    }
}
