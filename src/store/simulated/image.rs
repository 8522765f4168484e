//! What a power cut freezes, and the disk that is there when the power is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;

use super::disk::{Node, ROOT, SimulatedDisk};
use super::file::Content;
use super::folder::Listing;
use super::survival::{self, Change};

/// What the disk and its cache held when the power went.
#[derive(Clone, Debug)]
pub(crate) struct Image(Arc<BTreeMap<u64, Frozen>>);

#[derive(Debug)]
pub(super) enum Frozen {
    File { durable: Vec<u8>, changes: Vec<Change> },
    Folder(Listing),
}

impl Image {
    pub(super) fn new(frozen: BTreeMap<u64, Frozen>) -> Self {
        Self(Arc::new(frozen))
    }

    /// The disk after a mere crash: the cache outlives it.
    pub(crate) fn kept(&self) -> SimulatedDisk {
        self.survivor(survival::EVERYTHING, false)
    }

    /// The disk when the power is back. The seed decides what survived; 0: nothing but what was synced. `any_order`: the file system has no journal that keeps the order of names.
    pub(crate) fn survivor(&self, seed: u64, any_order: bool) -> SimulatedDisk {
        let mut rng = Rng::with_seed(seed);
        let mut nodes = BTreeMap::new();
        for (inode, frozen) in self.0.iter() {
            let node = match frozen {
                Frozen::File { durable, changes } => {
                    Node::File(Content::durable(survival::content(durable, changes, seed, &mut rng)))
                }
                Frozen::Folder(Listing { durable, unsynced, .. }) => Node::Folder(Listing::durable(
                    survival::names(durable, unsynced, seed, any_order, &mut rng),
                )),
            };
            nodes.insert(*inode, node);
        }
        let named = reachable(&nodes);
        nodes.retain(|inode, _| named.contains(inode));
        SimulatedDisk::of(nodes)
    }
}

fn reachable(nodes: &BTreeMap<u64, Node>) -> BTreeSet<u64> {
    let mut found = BTreeSet::from([ROOT]);
    let mut folders = vec![ROOT];
    while let Some(inode) = folders.pop() {
        if let Some(Node::Folder(listing)) = nodes.get(&inode) {
            folders.extend(listing.live.values());
            found.extend(listing.live.values());
        }
    }
    found
}
