//! Whole downloads over a simulated disk, and the oracle that judges them.
//!
//! The server is a real one on loopback, the engine is the whole engine with small measures; only the disk is not.

use std::env;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::builder::DownloadBuilder;
use super::report::Report;
use super::request::{Download, Existing};
use super::tuning::Tuning;
use crate::digest::crc32c;
use crate::error::Result;
use crate::http::retry::Backoff;
use crate::store::checkpoint::{Checkpoint, Commit, Slot, decode};
use crate::store::simulated::{Image, SimulatedDisk};
use crate::support::{Content, Resource, Server};

pub(super) const SEGMENT: u64 = 64 << 10;
/// Eight segments, the last of them short.
pub(super) const OBJECT: Content = Content::new(1, 8 * SEGMENT - 1000);
/// Another version, of the same length.
pub(super) const LATER: Content = Content::new(2, 8 * SEGMENT - 1000);
/// Longer than any run takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// So slow that there are some commits while the object comes.
pub(super) const RATE: u64 = 24 << 20;

/// A server, and a runtime to download with.
pub(super) struct World {
    pub(super) server: Server,
    runtime: Runtime,
    options: fn(DownloadBuilder) -> DownloadBuilder,
    /// Every run finds the server as the first one did.
    renewed: Option<Resource>,
    target: &'static str,
    /// The versions of the object that the target may be.
    versions: Vec<Content>,
    /// What has the target's name before.
    old: Option<Vec<u8>>,
    /// What is in the folder at the end.
    names: &'static [&'static str],
    /// Segments whose claims were false from the start.
    spoiled: Vec<usize>,
    before: Option<Image>,
}

impl World {
    pub(super) fn new(resource: Resource) -> Self {
        Self {
            server: Server::start([("/f", resource)]),
            runtime: Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            options: |builder| builder,
            renewed: None,
            target: "/x",
            versions: vec![OBJECT],
            old: None,
            names: &["x"],
            spoiled: Vec::new(),
            before: None,
        }
    }

    /// The same options for every run.
    pub(super) fn options(mut self, options: fn(DownloadBuilder) -> DownloadBuilder) -> Self {
        self.options = options;
        self
    }

    /// The object changes in the midst of every run.
    pub(super) fn changing(mut self, resource: Resource, versions: [Content; 2]) -> Self {
        self.renewed = Some(resource);
        self.versions = versions.to_vec();
        self
    }

    /// The folders of this path are to be made.
    pub(super) fn target(mut self, target: &'static str) -> Self {
        self.target = target;
        self
    }

    /// It is this that is served.
    pub(super) fn object(mut self, object: Content) -> Self {
        self.versions = vec![object];
        self
    }

    /// From now on the server has another version, and only that one counts.
    pub(super) fn becomes(mut self, resource: Resource, version: Content) -> Self {
        self.server.replace("/f", resource);
        self.versions = vec![version];
        self
    }

    /// A file has the target's name already.
    pub(super) fn with_old(mut self, bytes: &[u8]) -> Self {
        let disk = self.disk();
        disk.put(&self.target[1..], bytes.to_vec());
        self.before = Some(disk.cut());
        self.old = Some(bytes.to_vec());
        self
    }

    /// Hashes are kept beside the target.
    pub(super) fn keeping_hashes(mut self) -> Self {
        self.names = &["x", "x.hashes"];
        self.options(DownloadBuilder::keep_hashes)
    }

    /// The target is there with its hashes, and these segments of it are damaged.
    pub(super) fn damaged(mut self, segments: &[usize]) -> Self {
        let disk = self.disk();
        let ended = self.run_with(&disk, DownloadBuilder::keep_hashes);
        assert!(ended.is_ok(), "{ended:?}");
        let mut bytes = disk.bytes(self.target).expect("it is whole");
        segments.iter().for_each(|segment| bytes[segment * usize::try_from(SEGMENT).unwrap() + 7] ^= 1);
        disk.put(&self.target[1..], bytes.clone());
        (self.before, self.old, self.names) = (Some(disk.cut()), Some(bytes), &["x", "x.hashes"]);
        self.options(|builder| builder.existing(Existing::Repair))
    }

    /// An earlier run was killed in the midst, with at least so many segments in place.
    pub(super) fn half_done(mut self, least: usize) -> Self {
        let all = usize::try_from(self.versions[0].len.div_ceil(SEGMENT)).unwrap();
        for change in 12.. {
            let disk = self.disk();
            disk.cut_before(change);
            let ended = self.run(&disk);
            let image = disk.image().unwrap_or_else(|| panic!("it ended with {ended:?} before that many"));
            let claimed = self.newest(&image.kept());
            if claimed.is_some_and(|found| (least..all).contains(&found.ledger.complete().count())) {
                self.before = Some(image);
                break;
            }
        }
        self
    }

    /// The first claimed segments of the half-done download are not what they were written as.
    pub(super) fn spoil(mut self, segments: usize) -> Self {
        let disk = self.disk();
        let claims: Vec<usize> =
            self.newest(&disk).expect("it is half done").ledger.claims().take(segments).collect();
        let mut part = disk.bytes("/x.part").expect("it is half done");
        for segment in &claims {
            part[segment * usize::try_from(SEGMENT).unwrap() + 7] ^= 1;
        }
        disk.put("x.part", part);
        self.before = Some(disk.cut());
        self.spoiled = claims;
        self
    }

    /// The disk before a run.
    pub(super) fn disk(&self) -> SimulatedDisk {
        self.before.as_ref().map_or_else(SimulatedDisk::new, Image::kept)
    }

    /// The command, once.
    pub(super) fn run(&self, disk: &SimulatedDisk) -> Result<Report> {
        self.run_with(disk, |builder| builder)
    }

    pub(super) fn run_with(
        &self,
        disk: &SimulatedDisk,
        more: impl FnOnce(DownloadBuilder) -> DownloadBuilder,
    ) -> Result<Report> {
        if let Some(resource) = &self.renewed {
            self.server.replace("/f", resource.clone());
        }
        let builder = Download::builder(self.server.url("/f")).jobs(2).segment_size(SEGMENT).tuning(small());
        let builder = builder.output(self.target).disk(disk.clone());
        let download = more((self.options)(builder)).build().unwrap();
        self.runtime.block_on(async { timeout(PATIENCE, download.start()).await.expect("it ends in time") })
    }

    fn folder(&self) -> &str {
        self.target.rsplit_once('/').expect("it is absolute").0
    }

    /// Nothing is wrong under the final name, whatever else there is: the old file, one version, or nothing.
    /// Gives whether it is the object.
    #[track_caller]
    pub(super) fn assert_right_name(&self, disk: &SimulatedDisk) -> bool {
        let Some(found) = disk.bytes(self.target) else {
            assert_eq!(self.old, None, "the old file is gone");
            return false;
        };
        if self.old.as_ref() == Some(&found) {
            return false;
        }
        let whole = self.versions.iter().any(|version| version.bytes() == found);
        assert!(whole, "{} wrong bytes under the final name", found.len());
        true
    }

    /// The oracle: exit 0 and one version, or another code and the final name untouched.
    #[track_caller]
    pub(super) fn assert_oracle(&self, disk: &SimulatedDisk, ended: &Result<Report>) {
        let whole = self.assert_right_name(disk);
        assert_eq!(whole, ended.is_ok(), "{ended:?}");
    }

    /// The same command again ends well, with nothing beside the target. `any_order`: there was no journal.
    #[track_caller]
    pub(super) fn assert_ends_well(&self, disk: &SimulatedDisk, any_order: bool) -> Option<Report> {
        let mut ended = self.run(disk);
        if let Err(error) = &ended {
            let said = error.to_string();
            // Without a journal the part file may have got its name and the checkpoint not: it is nobody's.
            if any_order && said.contains("without a checkpoint") {
                ended = self.run_with(disk, DownloadBuilder::ignore_checkpoint);
            }
            let over = disk.names(self.folder()) == self.names;
            if over && said.contains("exists already") && self.assert_right_name(disk) {
                return None;
            }
        }
        assert!(ended.is_ok(), "{ended:?}");
        self.assert_oracle(disk, &ended);
        assert_eq!(disk.names(self.folder()), self.names);
        ended.ok()
    }

    /// What a hard slot claims, the disk holds.
    #[track_caller]
    pub(super) fn assert_claims_hold(&self, disk: &SimulatedDisk) {
        for checkpoint in self.hard_slots(disk) {
            let part = disk.on_disk(checkpoint.identity.inode).unwrap_or_default();
            let segments = checkpoint.ledger.segments();
            for index in checkpoint.ledger.claims().filter(|index| !self.spoiled.contains(index)) {
                let range = segments.range(index);
                let bytes = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                let found = part.get(bytes).map(crc32c);
                assert_eq!(found, Some(checkpoint.ledger.crc(index)), "a hard slot claims segment {index}");
            }
        }
    }

    fn slots(&self, disk: &SimulatedDisk) -> Vec<Slot> {
        let Some(bytes) = disk.bytes(&format!("{}.part.ckpt", self.target)) else { return Vec::new() };
        vec![decode(&bytes), decode(&bytes[bytes.len() / 2..])]
    }

    fn hard_slots(&self, disk: &SimulatedDisk) -> Vec<Checkpoint> {
        let hard = self.slots(disk).into_iter().filter_map(|slot| match slot {
            Slot::Valid { commit: Commit::Hard, checkpoint, .. } => Some(*checkpoint),
            _ => None,
        });
        hard.collect()
    }

    /// What a resume would go by.
    fn newest(&self, disk: &SimulatedDisk) -> Option<Checkpoint> {
        let valid = self.slots(disk).into_iter().filter_map(|slot| match slot {
            Slot::Valid { generation, checkpoint, .. } => Some((generation, *checkpoint)),
            _ => None,
        });
        valid.max_by_key(|(generation, _)| *generation).map(|(_, checkpoint)| checkpoint)
    }
}

/// A number from the environment.
pub(super) fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// The same, where an object of that size comes at once.
pub(super) fn at_once() -> Tuning {
    Tuning { first_span: OBJECT.len, at_once: OBJECT.len + 1, ..small() }
}

/// Says how to see a failure again.
pub(super) struct Replay {
    pub(super) cut: u64,
    pub(super) seed: u64,
    pub(super) what: String,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { cut, seed, what } = self;
            let test = thread::current().name().unwrap_or_default().to_owned();
            eprintln!("{what} again: HAUL_CUT={cut} HAUL_SEED={seed} cargo test --lib {test}");
        }
    }
}

/// A world for half a MiB.
pub(super) fn small() -> Tuning {
    Tuning {
        first_span: SEGMENT,
        at_once: 0,
        least_span: SEGMENT,
        least_steal: Duration::from_millis(2),
        silence: Duration::from_secs(1),
        tick: Duration::from_millis(1),
        backoff: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(2) },
        soft_interval: Duration::from_millis(1),
        hard_interval: Duration::from_millis(2),
        ..Tuning::default()
    }
}
