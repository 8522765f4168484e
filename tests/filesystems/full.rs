//! Disks that are full, get full, or turn out to be smaller than they said.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use nix::mount::{MsFlags, mount};

use crate::disks::{Disks, mount_at, run};
use crate::haul::{KIB, MIB, Running, TestEnv, at_once, serve};
use crate::suite::OBJECT;
use crate::support::{Content, Fault, Resource, Server, When};

/// More than any of the small file systems here.
const HUGE: Content = Content::new(5, 600 * MIB);

/// A new folder on it, and what may be made there.
fn env(folder: &Path, content: Content) -> TestEnv {
    let at = folder.join("d");
    fs::create_dir(&at).expect("a folder can be made");
    TestEnv::new(&[content]).inside(&at)
}

#[test]
fn h54_a_disk_that_is_too_small_is_said_before_anything_is_kept() {
    let disks = Disks::new();
    let disk = |kind, mib| disks.disk(kind, mib).at;
    let small = [
        disk("ext4", 16),
        disk("ext2", 16),
        disk("xfs", 320),
        disk("btrfs", 128),
        disks.in_memory("tmpfs", "size=4m"),
    ];
    at_once(small, |at| {
        let env = env(&at, Content::new(0, 0));
        let server = serve(Resource::new(HUGE).fault(When::Always, Fault::StallAfter(MIB)));
        env.run(&[&server.url("/f")]).expect(7).says_once("the disk is full").says("bytes are free");
        assert!(env.names().is_empty(), "{}: {:?}", at.display(), env.names());
    });
}

/// Nobody knows the length, so it is found out by the way.
#[test]
fn h54_a_disk_that_a_stream_fills_up_ends_it() {
    let disks = Disks::new();
    let small = [disks.disk("ext4", 8).at, disks.in_memory("tmpfs", "size=4m")];
    at_once(small, |at| {
        let env = env(&at, HUGE);
        let server = serve(Resource::new(HUGE).chunked().no_ranges());
        let said = env.run(&[&server.url("/f")]).expect(7);
        said.says_once("the disk is full").says("bytes were free when it began");
        // It cannot be gone on with, and would leave no room for anything else.
        assert_eq!(env.names(), <[&str; 0]>::default(), "{}", at.display());
    });
}

/// Where blocks cannot be reserved, somebody else may take them; with room again it goes on.
#[test]
fn h54_a_disk_that_somebody_else_fills_up_meanwhile_ends_it_and_with_room_it_goes_on() {
    let disks = Disks::new();
    let at = disks.disk("ext2", 16).at;
    let env = env(&at, OBJECT);
    let server = serve(Resource::new(OBJECT).rate(256 * KIB));
    let args = ["-j", "4", "-s", "64K", "--json", &server.url("/f")];
    let running = env.spawn(&args);
    running.wait_for_bytes(4 * 64 * KIB);
    fill(&env.path("other"));
    server.replace("/f", Resource::new(OBJECT));
    server.disconnect();
    running.wait().expect(7).says_once("the disk is full");
    env.remove("other");
    let resumed = env.run(&args).expect(0).event("start")["resumed_bytes"].as_u64();
    assert!(resumed.is_some_and(|bytes| bytes >= 4 * 64 * KIB), "{resumed:?}");
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file can be made");
    for piece in [1 << 20, 1 << 12] {
        while file.write_all(&vec![1; piece]).is_ok() {}
    }
}

/// The file system believes in blocks that the file under it has no room for: what was written is lost when it is
/// written back, which only a sync says, and only once (H50, H53 `reflink_full`).
#[test]
fn h50_a_disk_whose_own_disk_is_full_gives_no_name_to_what_it_lost() {
    let disks = Disks::new();
    at_once([("ext4", 64), ("xfs", 320), ("btrfs", 128)], |(kind, mib)| {
        let store = disks.folder(&format!("store-{kind}"));
        mount_at("tmpfs", "tmpfs", &store, "size=400m");
        let image = disks.image(&store, kind, mib);
        let stat = rustix::fs::statvfs(&store).expect("it can be looked at");
        let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
        resize(&store, used + 8 * MIB);
        let object = Content::new(6, 24 * MIB + 77);
        let env = env(&image.at, object);
        let server = serve(Resource::new(object).shared_rate(24 * MIB));
        let args = ["-j", "4", "-s", "64K", &server.url("/f")];
        // The file system itself may be lost on the way, so it is looked at only when it is back.
        let ended = Running::with_stdout(&env, &args, false, Stdio::piped()).wait().expect(7);
        image.unmount();
        resize(&store, 400 * MIB);
        image.mount();
        assert!(!env.names().contains(&"f".to_owned()), "{kind}: {ended}");
        let again = env.ask(&args).expect(0);
        image.unmount();
        image.mount();
        if let Some(difference) = object.difference(&env.path("f")) {
            panic!("{kind}: {difference}: {again}");
        }
    });
}

/// Another size for a file system in memory.
fn resize(at: &Path, bytes: u64) {
    let (none, size) = (None::<&str>, format!("size={bytes}"));
    mount(none, at, none, MsFlags::MS_REMOUNT, Some(size.as_str())).expect("it can have another size");
}

#[test]
fn h54_a_quota_is_said_as_such() {
    let disks = Disks::new();
    let at = disks.disk("btrfs", 320).at;
    let folder = at.join("d");
    let [whole, part] = [&at, &folder].map(|path| path.to_str().expect("UTF-8"));
    run("btrfs", &["quota", "enable", whole]);
    run("btrfs", &["subvolume", "create", part]);
    run("btrfs", &["qgroup", "limit", "4M", part]);
    let server = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/stream/f", Resource::new(HUGE).chunked().no_ranges()),
    ]);
    let env = TestEnv::new(&[OBJECT]).inside(&folder);
    env.run(&[&server.url("/f")]).expect(7).says_once("quota");
    assert!(env.names().is_empty(), "{:?}", env.names());
    env.run(&[&server.url("/stream/f")]).expect(7).says_once("quota");
    assert!(env.names().is_empty(), "{:?}", env.names());
}
