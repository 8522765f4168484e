//! What a file system refuses, and how that is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::mount::{MsFlags, mount};

use crate::disks::Disks;
use crate::haul::{MIB, TestEnv, serve};
use crate::memory::{FAT, Lack, Memory};
use crate::suite::OBJECT;
use crate::support::{Content, Fault, Resource, Server, When};

#[test]
fn h61_a_read_only_file_system_is_said_before_anything_is_asked_for() {
    let disks = Disks::new();
    let at = disks.in_memory("tmpfs", "size=64m");
    TestEnv::new(&[]).inside(&at).write("g", b"there");
    let none = None::<&str>;
    mount(none, &at, none, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).expect("it can be made read-only");
    let server = Server::start([("/f", Resource::new(OBJECT)), ("/g", Resource::new(OBJECT))]);
    let env = TestEnv::new(&[OBJECT]).inside(&at);
    env.run(&[&server.url("/f")]).expect(7).says_once("Read-only file system");
    env.run(&["-o", "f", &server.url("/f")]).expect(7).says_once("Read-only file system");
    env.run(&["--restart", "--force", &server.url("/g")]).expect(7).says_once("Read-only file system");
    assert_eq!(server.requests(), 0);
    env.ask(&["-o", "g", "--skip-existing", &server.url("/g")]).expect(0);
}

#[test]
fn h61_a_folder_without_permission_is_said_before_anything_is_asked_for() {
    let disks = Disks::new();
    let at = disks.folder("locked");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o555)).expect("a mode can be set");
    let server = serve(Resource::new(OBJECT));
    // Root without its capabilities is an owner like others.
    let env = TestEnv::new(&[OBJECT]).inside(&at).through(&["/usr/bin/setpriv", "--bounding-set=-all"]);
    env.run(&[&server.url("/f")]).expect(7).says_once("Permission denied");
    assert_eq!((server.requests(), env.names().len()), (0, 0));
}

/// FAT32 has no longer files, and says so before anything is kept.
#[test]
fn h56_an_object_that_is_longer_than_files_can_be_is_refused() {
    let disks = Disks::new();
    let at = disks.folder("fat");
    let _mounted = Memory::new(FAT).mount(&at);
    let server = Server::start([
        ("/f", Resource::new(Content::new(3, 4 << 30)).fault(When::Always, Fault::StallAfter(MIB))),
        ("/small/f", Resource::new(OBJECT)),
    ]);
    let env = TestEnv::new(&[OBJECT]).inside(&at);
    env.run(&[&server.url("/f")]).expect(7).says_once("longer than the file system");
    assert!(env.names().is_empty(), "{:?}", env.names());

    // No rename that would not replace, and no links: not without being told.
    let refused = env.run(&[&server.url("/small/f")]).expect(7).says_once("--force");
    env.assert_partial();
    assert!(refused.stderr.contains("without replacing"), "{refused}");
    let before = server.body_bytes();
    env.run(&["--force", &server.url("/small/f")]).expect(0);
    assert!(server.body_bytes() - before < 4 * MIB, "it was whole");
    assert_eq!(env.names(), ["f"]);
}

/// Two processes could not be kept apart.
#[test]
fn h59_where_nothing_can_be_locked_nothing_is_downloaded() {
    let disks = Disks::new();
    let at = disks.folder("unlocked");
    let _mounted = Memory::new(&[Lack::Locks]).mount(&at);
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]).inside(&at);
    env.run(&[&server.url("/f")]).expect(7).says_once("cannot lock the checkpoint");
    assert!(!env.names().contains(&"f".to_owned()));
}
