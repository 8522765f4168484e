//! What is left of unsynced changes after a power cut: a pure function of the changes and a die.

use std::collections::BTreeMap;
use std::ffi::OsString;

use fastrand::Rng;

/// Disks write whole sectors of this size, or not.
pub(super) const SECTOR: usize = 512;

/// The seed of which nothing survives that was not synced.
pub(super) const NOTHING: u64 = 0;
/// The seed of which everything survives.
pub(super) const EVERYTHING: u64 = u64::MAX;

/// A change to a file since its last sync, in order.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    /// Truncated, grown or reserved: in the journal, and so in order with the other lengths.
    Length(usize),
}

/// A change to the names in a folder since its last sync, in order.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Made { name: OsString, inode: u64 },
    Renamed { from: OsString, to: OsString },
    Removed { name: OsString },
}

pub(super) type Names = BTreeMap<OsString, u64>;

/// How much survives.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    Everything,
    /// What came first, up to a change that is torn.
    Prefix {
        changes: usize,
        sectors: usize,
    },
    /// Some of it, in no order.
    Percent(u8),
}

impl Fate {
    fn new(seed: u64, rng: &mut Rng, changes: usize) -> Self {
        match (seed, rng.u8(0..6)) {
            (NOTHING, _) => Self::Nothing,
            (EVERYTHING, _) => Self::Everything,
            (_, 0) => Self::Nothing,
            (_, 1) => Self::Everything,
            (_, 2 | 3) => Self::Prefix { changes: rng.usize(0..=changes), sectors: rng.usize(0..128) },
            (_, _) => Self::Percent(rng.u8(10..=90)),
        }
    }

    /// Whether the sector of that number within the change of that number is on the disk.
    fn keeps(self, rng: &mut Rng, change: usize, sector: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Prefix { changes, sectors } => change < changes || (change == changes && sector < sectors),
            Self::Percent(percent) => rng.u8(0..100) < percent,
        }
    }
}

/// A file after a power cut.
pub(super) fn content(durable: &[u8], changes: &[Change], seed: u64, rng: &mut Rng) -> Vec<u8> {
    let fate = Fate::new(seed, rng, changes.len());
    let mut disk = durable.to_vec();
    let mut journal_goes_on = true;
    for (index, change) in changes.iter().enumerate() {
        match change {
            Change::Length(length) => {
                journal_goes_on &= fate.keeps(rng, index, 0);
                if journal_goes_on {
                    disk.resize(*length, 0);
                } else if *length < disk.len() {
                    // What was written after this truncation went to blocks that are not the file's.
                    break;
                }
            }
            Change::Write { offset, bytes } => {
                for (sector, (at, some)) in sectors(*offset, bytes).enumerate() {
                    if fate.keeps(rng, index, sector) {
                        put(&mut disk, at, some);
                    }
                }
            }
        }
    }
    disk
}

/// All of it, as the cache has it.
pub(super) fn replay(durable: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut all = durable.to_vec();
    for change in changes {
        match change {
            Change::Length(length) => all.resize(*length, 0),
            Change::Write { offset, bytes } => put(&mut all, *offset, bytes),
        }
    }
    all
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    content.resize(content.len().max(end), 0);
    content[at..end].copy_from_slice(bytes);
}

/// The bytes cut where sectors begin.
pub(super) fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let len = (SECTOR - (offset + at) % SECTOR).min(rest.len());
        let sector = (offset + at, &rest[..len]);
        at += len;
        Some(sector)
    })
}

/// The names in a folder after a power cut. Journals keep their order; `any_order` is a file system without one.
pub(super) fn names(
    durable: &Names,
    changes: &[NameChange],
    seed: u64,
    any_order: bool,
    rng: &mut Rng,
) -> Names {
    let fate = match Fate::new(seed, rng, changes.len()) {
        Fate::Percent(_) if !any_order => Fate::Prefix { changes: rng.usize(0..=changes.len()), sectors: 0 },
        fate => fate,
    };
    let mut names = durable.clone();
    for (index, change) in changes.iter().enumerate() {
        if fate.keeps(rng, index, SECTOR) {
            apply(&mut names, change);
        }
    }
    names
}

pub(super) fn apply(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Made { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Renamed { from, to } => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        NameChange::Removed { name } => {
            names.remove(name);
        }
    }
}
