//! A simulated file: its cache, its platters, and what lies between.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use rustix::fs::{MemfdFlags, memfd_create};

use super::disk::SimulatedDisk;
use super::fault::Op;
use super::survival::{Change, NameChange, SECTOR, replay, sectors};
use crate::range::ByteRange;
use crate::store::medium::{Map, Medium, Pages};
use crate::store::window;

const PAGE: usize = 4096;

/// Both images of a file.
#[derive(Debug)]
pub(super) struct Content {
    live: File,
    durable: Vec<u8>,
    /// Since the last sync; without what was written through maps, which only the live image shows.
    unsynced: Vec<Change>,
    /// Pages whose sync failed, as the cache has them: the kernel takes them for clean, and a later sync
    /// does not write them (H50).
    lost: BTreeMap<usize, Vec<u8>>,
    locked: bool,
}

impl Content {
    /// A file all of which is on the disk.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        let live: File = memfd_create("haul", MemfdFlags::CLOEXEC).expect("memory is to be had").into();
        live.write_all_at(&bytes, 0).expect("memory is to be had");
        Self { live, durable: bytes, unsynced: Vec::new(), lost: BTreeMap::new(), locked: false }
    }

    pub(super) fn live(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.live.read_exact_at(&mut bytes, 0).expect("memory can be read");
        bytes
    }

    pub(super) fn on_disk(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn len(&self) -> usize {
        to_usize(self.live.metadata().expect("memory has a length").len())
    }

    fn set_len(&mut self, len: usize) {
        self.live.set_len(len as u64).expect("memory is to be had");
        self.unsynced.push(Change::Length(len));
        self.lost.retain(|page, _| page * PAGE < len);
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        self.live.write_all_at(bytes, offset as u64).expect("memory is to be had");
        self.dirty(offset..offset + bytes.len());
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Written to again, a lost page goes to the disk with the next sync.
    fn dirty(&mut self, range: Range<usize>) {
        self.lost.retain(|page, _| (page + 1) * PAGE <= range.start || page * PAGE >= range.end);
    }

    /// The cache's content, but for the pages that only the cache has.
    fn syncable(&self) -> Vec<u8> {
        let live = self.live();
        let mut synced = live.clone();
        for (page, lost) in &self.lost {
            let range = page * PAGE..((page + 1) * PAGE).min(live.len());
            if live.get(range.clone()) == Some(lost) {
                synced[range.clone()].fill(0);
                let kept = self.durable.get(range.start..range.end.min(self.durable.len())).unwrap_or(&[]);
                synced[range.start..range.start + kept.len()].copy_from_slice(kept);
            }
        }
        synced
    }

    fn sync(&mut self) {
        self.durable = self.syncable();
        self.unsynced.clear();
        let live = self.live();
        self.lost.retain(|page, lost| live.get(page_range(*page, live.len())) == Some(lost));
    }

    /// A sync that fails: some pages got there, the others are in the cache only, and clean.
    fn fail_sync(&mut self, rng: &mut Rng) {
        let (live, synced) = (self.live(), self.syncable());
        self.durable.resize(live.len(), 0);
        for page in 0..live.len().div_ceil(PAGE) {
            let range = page_range(page, live.len());
            if synced[range.clone()] == self.durable[range.clone()] {
                continue;
            }
            if rng.u8(0..4) == 0 {
                self.durable[range.clone()].copy_from_slice(&synced[range]);
            } else {
                self.lost.insert(page, live[range].to_vec());
            }
        }
        self.unsynced.clear();
    }

    /// Drops clean pages: what was lost shows.
    fn drop_cache(&mut self, range: Range<usize>) {
        let len = self.len();
        let pages: Vec<usize> = self.lost.keys().copied().collect();
        for page in pages {
            let bytes = page_range(page, len);
            if range.start <= bytes.start && bytes.end <= range.end {
                let kept = self.durable.get(bytes.clone()).unwrap_or(&[]);
                self.live.write_all_at(kept, bytes.start as u64).expect("memory is to be had");
                self.lost.remove(&page);
            }
        }
    }

    /// Everything that happened since the last sync, through maps, too.
    pub(super) fn changes(&self) -> Vec<Change> {
        let synced = self.syncable();
        let mut changes = self.unsynced.clone();
        let mut known = replay(&self.durable, &changes);
        known.resize(synced.len(), 0);
        for (at, sector) in sectors(0, &synced) {
            if known[at..at + sector.len()] != *sector {
                changes.push(Change::Write { offset: at, bytes: sector.to_vec() });
            }
        }
        changes
    }
}

fn page_range(page: usize, len: usize) -> Range<usize> {
    (page * PAGE).min(len)..((page + 1) * PAGE).min(len)
}

pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("test files are small")
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
    /// The folder that it may be given a name in.
    folder: Option<u64>,
    /// The lock on the file is this handle's.
    locks: AtomicBool,
}

impl SimulatedFile {
    pub(super) fn new(disk: SimulatedDisk, inode: u64) -> Self {
        const { assert!(PAGE.is_multiple_of(SECTOR)) };
        Self { disk, inode, folder: None, locks: AtomicBool::new(false) }
    }

    pub(super) fn named_later_in(mut self, folder: u64) -> Self {
        self.folder = Some(folder);
        self
    }

    fn act<T>(&self, op: Op, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        self.disk.on_file(op, self.inode, act)
    }
}

impl Medium for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.act(Op::Length, |content| content.len() as u64)
    }

    fn inode(&self) -> io::Result<u64> {
        self.act(Op::Inode, |_| self.inode)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.act(Op::Allocate, |content| {
            if to_usize(len) > content.len() {
                content.set_len(to_usize(len));
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.act(Op::SetLength, |content| content.set_len(to_usize(len)))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.act(Op::Read, |content| content.live.read_exact_at(buffer, offset))?
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.act(Op::Write, |content| content.write(bytes, to_usize(offset)));
        if written.is_err() {
            // A write that fails may have written some.
            self.disk.anyway(self.inode, |content| {
                content.write(&bytes[..bytes.len() / 2], to_usize(offset));
            });
        }
        written
    }

    fn map(&self, range: ByteRange) -> io::Result<Map> {
        let map = self.act(Op::Map, |content| {
            let mapped = window::map(&content.live, range);
            if mapped.is_ok() {
                // Its pages are present and writable: dirty, whatever is written to them.
                content.dirty(to_usize(range.start)..to_usize(range.end));
            }
            mapped
        })??;
        Ok(Box::new(SimulatedMap { disk: self.disk.clone(), inode: self.inode, map: Box::new(map) }))
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.act(Op::Sync, Content::sync);
        if synced.is_err() {
            self.disk.anyway_by_chance(self.inode, Content::fail_sync);
        }
        synced
    }

    fn drop_cache(&self, range: ByteRange) -> io::Result<()> {
        self.act(Op::DropCache, |content| content.drop_cache(to_usize(range.start)..to_usize(range.end)))
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(0)
    }

    fn set_mode(&self, _mode: u32) -> io::Result<()> {
        self.act(Op::SetMode, |_| ())
    }

    fn give_name(&self, name: &OsStr) -> io::Result<()> {
        let folder = self.folder.ok_or(io::ErrorKind::Unsupported)?;
        self.disk.on_folder(Op::GiveName, folder, |listing| {
            listing.expect_free(name)?;
            listing.change(NameChange::Made { name: name.to_owned(), inode: self.inode });
            Ok(())
        })?
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.act(Op::Lock, |content| {
            let free = !content.locked;
            if free {
                content.locked = true;
                self.locks.store(true, Ordering::Relaxed);
            }
            free
        })
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        if *self.locks.get_mut() {
            self.disk.anyway(self.inode, |content| content.locked = false);
        }
    }
}

/// A real map of the live image.
struct SimulatedMap {
    disk: SimulatedDisk,
    inode: u64,
    map: Map,
}

impl Pages for SimulatedMap {
    fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        self.disk.on_file(Op::Page, self.inode, |_| ()).is_ok() && self.map.write(at, bytes)
    }
}

/// A handle like any other.
pub(super) fn open(disk: &SimulatedDisk, inode: u64) -> Arc<dyn Medium> {
    Arc::new(SimulatedFile::new(disk.clone(), inode))
}
