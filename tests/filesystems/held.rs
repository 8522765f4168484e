//! A signal while the disk does not answer a sync: the command has ended within two seconds all the same, and what it
//! left is gone on from.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::disks::Disks;
use crate::haul::{Finished, MIB, PATIENCE, Running, SEGMENT, TestEnv, at_once, serve};
use crate::memory::{Memory, Op};
use crate::support::{Content, Resource, Server};

/// What was promised.
const DRAIN: Duration = Duration::from_secs(2);
/// There long before the first hard commit is due.
const SMALL: Content = Content::new(7, 3 * SEGMENT + 5);
/// So slow that a hard commit comes in its midst.
const LARGE: Content = Content::new(8, 8 * MIB);

/// Which sync is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Of the data, in mid-run: whoever writes waits as well.
    Commit,
    /// Of the checkpoint, in mid-run.
    CommitOfSlot,
    /// Of the data, when all of it is there.
    Last,
    /// Of the checkpoint, right before the name is given.
    LastOfSlot,
    /// Of the folder, when the file has its name.
    Name,
}

impl Moment {
    const ALL: [Self; 5] = [Self::Commit, Self::CommitOfSlot, Self::Last, Self::LastOfSlot, Self::Name];

    /// The first sync is of the new checkpoint, then there are two a commit; the folder's first is of the new names.
    fn held(self) -> (Op, u64) {
        match self {
            Self::Commit | Self::Last => (Op::Sync, 1),
            Self::CommitOfSlot | Self::LastOfSlot => (Op::Sync, 2),
            Self::Name => (Op::SyncFolder, 1),
        }
    }

    fn object(self) -> Content {
        if matches!(self, Self::Commit | Self::CommitOfSlot) { LARGE } else { SMALL }
    }
}

/// No process can end while the kernel waits for our answer.
struct Answered<'a>(&'a Memory);

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn stopped(moment: Moment, memory: &Memory, env: &TestEnv, args: &[&str], signal: Signal) -> Finished {
    let (op, from) = moment.held();
    memory.hold(op, from);
    let running = Running::with_stdout(env, args, false, Stdio::piped());
    let answered = Answered(memory);
    assert!(memory.wait_until_held(PATIENCE), "{moment:?}");
    let sent = Instant::now();
    running.signal(signal);
    running.wait_until_ended();
    assert!(sent.elapsed() <= DRAIN, "{moment:?}, {signal:?}: {:?}", sent.elapsed());
    drop(answered);
    running.wait()
}

fn go_on(moment: Moment, env: &TestEnv, server: &Server, args: &[&str]) {
    let object = moment.object();
    let before = server.log().len();
    if moment == Moment::Name {
        // It has its name, whole: there is nothing to do.
        env.assert_whole("f", &object);
        env.ask(args).expect(0);
        assert_eq!(server.log().len(), before);
        return;
    }
    env.assert_partial();
    assert!(server.wait_until_idle(PATIENCE));
    let status = env.status();
    server.replace("/f", Resource::new(object));
    let said = env.run(args).expect(0);
    assert!(status.bytes() > 0, "{moment:?}");
    assert_eq!(said.event("start")["resumed_bytes"], status.bytes(), "{moment:?}");
    if matches!(moment, Moment::Last | Moment::LastOfSlot) {
        assert_eq!(status.bytes(), object.len, "{moment:?}");
        let fetched = said.event("done")["bytes_fetched"].as_u64();
        assert!(fetched <= Some(1), "{moment:?}: only whether it is still the same: {said}");
    } else {
        status.assert_only_missing(&server.log()[before..]);
    }
}

#[test]
fn h67_a_signal_is_heard_while_the_disk_does_not_answer() {
    let disks = Disks::new();
    let signals = [(Signal::INT, 130), (Signal::TERM, 143)];
    let cases = signals.into_iter().flat_map(|signal| Moment::ALL.map(|moment| (moment, signal)));
    at_once(cases, |(moment, (signal, code))| {
        let at = disks.folder(&format!("{moment:?}-{code}"));
        let memory = Memory::new(&[]);
        let _mounted = memory.mount(&at);
        let object = moment.object();
        let env = TestEnv::new(&[object]).inside(&at);
        let resource = Resource::new(object);
        let server = serve(if object == LARGE { resource.shared_rate(2 * MIB) } else { resource });
        let args = ["-j", "4", "-s", "64K", "--json", &server.url("/f")];
        let said = stopped(moment, &memory, &env, &args, signal).expect(code);
        // Where all writers wait for the disk nobody is left to say so.
        assert!(moment == Moment::Commit || said.event("error")["kind"] == "cancelled", "{moment:?}: {said}");
        go_on(moment, &env, &server, &args);
        assert_eq!(env.names(), ["f"], "{moment:?}");
    });
}
