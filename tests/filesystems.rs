//! The command on real file systems, and on one that loses power: `just filesystems`. Needs root, /dev/fuse, loop
//! devices, and mkfs of ext4, xfs and btrfs; what is missing is a failure.

#![cfg(feature = "real-filesystems")]
#![allow(unreachable_pub, reason = "modules of a test binary")]

use std::sync::Mutex;

use disks::Disks;
use memory::{Lack, Memory};
use suite::{inside, suite};

#[path = "filesystems/disks.rs"]
mod disks;
#[path = "filesystems/faults.rs"]
mod faults;
#[path = "filesystems/full.rs"]
mod full;
#[path = "filesystems/fuse.rs"]
mod fuse;
#[path = "support/haul.rs"]
mod haul;
#[path = "filesystems/held.rs"]
mod held;
#[path = "filesystems/memory.rs"]
mod memory;
#[path = "filesystems/power.rs"]
mod power;
#[path = "filesystems/refusals.rs"]
mod refusals;
#[path = "filesystems/suite.rs"]
mod suite;
mod support;

#[test]
fn h57_ext4() {
    let disks = Disks::new();
    suite(inside(&disks.disk("ext4", 64).at));
}

/// No extents: its blocks cannot be reserved (H55).
#[test]
fn h57_ext2() {
    let disks = Disks::new();
    suite(inside(&disks.disk("ext2", 64).at));
}

#[test]
fn h57_xfs() {
    let disks = Disks::new();
    suite(inside(&disks.disk("xfs", 320).at));
}

#[test]
fn h57_btrfs() {
    let disks = Disks::new();
    suite(inside(&disks.disk("btrfs", 320).at));
}

#[test]
fn h57_tmpfs() {
    let disks = Disks::new();
    suite(inside(&disks.in_memory("tmpfs", "size=64m")));
}

/// It says that it has room for nothing, and has no end.
#[test]
fn h57_ramfs() {
    let disks = Disks::new();
    suite(inside(&disks.in_memory("ramfs", "")));
}

#[test]
fn h57_overlay() {
    let disks = Disks::new();
    suite(inside(&disks.overlay()));
}

/// Every folder is a file system of its own.
fn served(lacks: &'static [Lack]) {
    let disks = Disks::new();
    let mounted = Mutex::new(Vec::new());
    suite(|name| {
        let at = disks.folder(name);
        mounted.lock().expect("no panic").push(Memory::new(lacks).mount(&at));
        at
    });
}

#[test]
fn h57_fuse() {
    served(&[]);
}

#[test]
fn h55_fuse_without_reserving_and_without_counting() {
    served(&[Lack::Reserving, Lack::Room]);
}

#[test]
fn h55_fuse_without_maps() {
    served(&[Lack::Maps]);
}

#[test]
fn h58_fuse_with_links_and_no_way_to_rename_without_replacing() {
    served(&[Lack::RenameFlags, Lack::Modes]);
}
