//! One request of the file system fails, once or from then on: the run ends with 0, or with 7 and what is there is of
//! use.

use std::process::Stdio;

use fuser::Errno;

use crate::disks::Disks;
use crate::haul::{MIB, Running, TestEnv, at_once, serve};
use crate::memory::{Failing, Lack, Memory, Op};
use crate::suite::OBJECT;
use crate::support::Resource;

const FOREVER: u64 = u64::MAX;

struct Case {
    failing: Failing,
    code: i32,
    /// What is said of it.
    says: &'static str,
}

const fn case(op: Op, from: u64, times: u64, errno: Errno, code: i32, says: &'static str) -> Case {
    Case { failing: Failing { op, from, times, errno, done: false }, code, says }
}

/// Interrupted, which is no reason to end: it is asked again.
const fn interrupted(op: Op, from: u64) -> Case {
    case(op, from, 1, Errno::EINTR, 0, "")
}

/// The same, and it was done: nobody can tell but by looking.
const fn done(op: Op, from: u64, code: i32, says: &'static str) -> Case {
    Case { failing: Failing { op, from, times: 1, errno: Errno::EINTR, done: true }, code, says }
}

const FULL: &str = "the disk is full";
const QUOTA: &str = "the disk quota is used up";
const BROKEN: &str = "Input/output error";

/// The first file is the checkpoint, the second the part file; that one is reserved first. The first write and the
/// first sync are the checkpoint's, and so on.
const CASES: &[Case] = &[
    case(Op::Create, 0, 1, Errno::EACCES, 7, "create the checkpoint"),
    case(Op::Create, 0, 1, Errno::ENOSPC, 7, FULL),
    case(Op::Create, 1, 1, Errno::EDQUOT, 7, QUOTA),
    case(Op::Create, 1, 1, Errno::EIO, 7, "create the part file"),
    case(Op::Allocate, 0, FOREVER, Errno::ENOSPC, 7, FULL),
    case(Op::Allocate, 0, FOREVER, Errno::EDQUOT, 7, QUOTA),
    case(Op::Allocate, 0, FOREVER, Errno::EIO, 7, BROKEN),
    case(Op::Allocate, 1, FOREVER, Errno::ENOSPC, 7, FULL),
    case(Op::Write, 0, FOREVER, Errno::ENOSPC, 7, FULL),
    case(Op::Write, 5, FOREVER, Errno::ENOSPC, 7, FULL),
    case(Op::Write, 9, FOREVER, Errno::EDQUOT, 7, QUOTA),
    case(Op::Write, 30, FOREVER, Errno::EIO, 7, BROKEN),
    case(Op::Sync, 0, 1, Errno::EIO, 7, BROKEN),
    case(Op::Sync, 1, 1, Errno::EIO, 0, "fetched again"),
    case(Op::Sync, 1, FOREVER, Errno::EIO, 7, "the disk fails"),
    case(Op::Sync, 2, 1, Errno::EIO, 0, ""),
    case(Op::SyncFolder, 0, 1, Errno::EIO, 7, "make the name durable"),
    case(Op::SyncFolder, 1, 1, Errno::EIO, 7, "make the name durable"),
    case(Op::Set, 0, 1, Errno::EIO, 7, "set the mode"),
    case(Op::Rename, 0, 1, Errno::EIO, 7, "give the file its name"),
    case(Op::Rename, 0, 1, Errno::EACCES, 7, "give the file its name"),
    case(Op::Rename, 0, 1, Errno::ENOSPC, 7, FULL),
    case(Op::Unlink, 0, 1, Errno::EIO, 0, "something is left beside it"),
    case(Op::Write, 1, 3, Errno::EINTR, 0, ""),
    case(Op::Write, 5, 3, Errno::EINTR, 0, ""),
    interrupted(Op::Create, 0),
    interrupted(Op::Create, 1),
    interrupted(Op::Allocate, 0),
    interrupted(Op::Allocate, 1),
    interrupted(Op::Set, 0),
    interrupted(Op::Sync, 0),
    // Nobody knows what is on the disk then (H50).
    case(Op::Sync, 1, 1, Errno::EINTR, 0, "fetched again"),
    case(Op::Sync, 1, FOREVER, Errno::EINTR, 7, "the disk fails"),
    interrupted(Op::Sync, 2),
    interrupted(Op::SyncFolder, 0),
    interrupted(Op::SyncFolder, 1),
    interrupted(Op::Rename, 0),
    interrupted(Op::Unlink, 0),
    // What has the name may be anybody's.
    done(Op::Create, 0, 7, "Interrupted"),
    done(Op::Create, 1, 7, "Interrupted"),
    done(Op::Rename, 0, 0, ""),
    done(Op::Unlink, 0, 0, ""),
];

#[test]
fn h50_h54_whatever_fails_is_said_and_the_next_run_ends_with_the_right_file() {
    let disks = Disks::new();
    at_once(CASES.iter().zip(0..), |(case, number): (&Case, u64)| {
        let at = disks.folder(&number.to_string());
        let memory = Memory::new(&[]);
        let _mounted = memory.mount(&at);
        memory.fail(case.failing);
        let env = TestEnv::new(&[OBJECT]).inside(&at);
        let server = serve(Resource::new(OBJECT).shared_rate(2 * MIB));
        let args = ["-j", "4", "-s", "64K", &server.url("/f")];
        // The oracle by hand: after the rename the file has its name, whatever fails then.
        let ended = Running::with_stdout(&env, &args, false, Stdio::piped()).wait();
        assert_eq!(ended.code, case.code, "{:?}: {ended}", case.failing);
        let ended = if case.says.is_empty() { ended } else { ended.says_once(case.says) };
        if env.names().contains(&"f".to_owned()) {
            env.assert_whole("f", &OBJECT);
            assert!(
                case.code == 0 || case.failing.op == Op::SyncFolder,
                "{:?}: it has its name: {ended}",
                case.failing
            );
        }
        memory.heal();
        server.replace("/f", Resource::new(OBJECT));
        if env.names() != ["f"] {
            env.ask(&args).expect(0);
        }
        env.assert_whole("f", &OBJECT);
        assert_eq!(env.names(), ["f"], "{:?}", case.failing);
        assert!(memory.stored("f") == Some(OBJECT.bytes()), "{:?}: only the cache has it", case.failing);
    });
}

/// Where a link and the end of the old name make a rename, either may be interrupted, done or not.
#[test]
fn h54_a_rename_in_two_steps_is_interrupted() {
    let disks = Disks::new();
    let cases = [(Op::Link, false), (Op::Link, true), (Op::Unlink, false), (Op::Unlink, true)];
    at_once(cases.into_iter().zip(0..), |((op, done), number): (_, u64)| {
        let at = disks.folder(&number.to_string());
        let memory = Memory::new(&[Lack::RenameFlags]);
        let _mounted = memory.mount(&at);
        memory.fail(Failing { op, from: 0, times: 1, errno: Errno::EINTR, done });
        let env = TestEnv::new(&[OBJECT]).inside(&at);
        let server = serve(Resource::new(OBJECT));
        env.run(&["-s", "64K", &server.url("/f")]).expect(0);
        assert_eq!(env.names(), ["f"], "{op:?}, {done}");
    });
}

/// Without a rename that does not replace, a link gives the name. Between that and the end of the old name there are two.
#[test]
fn h52_a_file_that_has_both_names_is_finished() {
    let disks = Disks::new();
    let at = disks.folder("linked");
    let memory = Memory::new(&[Lack::RenameFlags]);
    let _mounted = memory.mount(&at);
    memory.fail(Failing { op: Op::Unlink, from: 0, times: 1, errno: Errno::EIO, done: false });
    let env = TestEnv::new(&[OBJECT]).inside(&at);
    let server = serve(Resource::new(OBJECT));
    env.ask(&[&server.url("/f")]).expect(7);
    assert_eq!(env.names(), ["f", "f.part", "f.part.ckpt"]);
    env.assert_whole("f", &OBJECT);
    let before = server.requests();
    env.run(&[&server.url("/f")]).expect(0);
    assert_eq!((server.requests(), env.names().len()), (before, 1));
}
