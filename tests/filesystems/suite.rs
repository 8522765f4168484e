//! What every file system has to be good for (H57).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;

use crate::haul::{Finished, KIB, MIB, PATIENCE, Running, SEGMENT, TestEnv, at_once, serve};
use crate::support::{Content, Resource, Server};

pub const OBJECT: Content = Content::new(1, 6 * MIB + 12_345);
const OTHER: Content = Content::new(2, 300 * KIB);

/// Everything, at the same time, each in an empty folder of its own.
pub fn suite(folder: impl Fn(&str) -> PathBuf + Sync) {
    type Case = (&'static str, fn(&TestEnv));
    let cases: [Case; 6] = [
        ("whole", whole),
        ("killed", |env| interrupted(env, Running::kill9)),
        ("stopped", |env| interrupted(env, stopped)),
        ("replaced", replaced),
        ("taken", taken_meanwhile),
        ("stream", stream),
    ];
    let cases = cases.map(|(name, case)| (TestEnv::new(&[OBJECT]).inside(&folder(name)), case));
    at_once(cases, |(env, case)| case(&env));
}

fn whole(env: &TestEnv) {
    let server = serve(Resource::new(OBJECT));
    let said = env.run(&["-j", "4", "-s", "64K", "--json", &server.url("/f")]).expect(0);
    assert_eq!(said.event("done")["bytes"], OBJECT.len);
    assert_eq!(env.names(), ["f"]);
}

fn stream(env: &TestEnv) {
    let server = serve(Resource::new(OBJECT).chunked().no_ranges());
    env.run(&[&server.url("/f")]).expect(0);
    assert_eq!(env.names(), ["f"]);
}

fn stopped(running: Running<'_>) -> Finished {
    running.signal(Signal::INT);
    running.wait().expect(130)
}

/// It goes on where it was, and asks for nothing that is complete.
fn interrupted<'a>(env: &'a TestEnv, end: impl FnOnce(Running<'a>) -> Finished) {
    let server = serve(Resource::new(OBJECT).rate(MIB));
    let args = ["-j", "4", "-s", "64K", "--json", &server.url("/f")];
    let running = env.spawn(&args);
    running.wait_for_bytes(16 * SEGMENT);
    end(running);
    env.assert_partial();
    assert!(server.wait_until_idle(PATIENCE));
    let status = env.status();
    server.replace("/f", Resource::new(OBJECT));
    let before = server.log().len();
    let said = env.run(&args).expect(0);
    assert!(status.bytes() > 0);
    assert_eq!(said.event("start")["resumed_bytes"], status.bytes());
    status.assert_only_missing(&server.log()[before..]);
    assert_eq!(env.names(), ["f"]);
}

fn replaced(env: &TestEnv) {
    let server = Server::start([("/f", Resource::new(OBJECT)), ("/other/f", Resource::new(OTHER))]);
    env.write("f", b"precious");
    env.run(&[&server.url("/f")]).expect(7).says("exists already");
    assert_eq!(env.names(), ["f"]);
    env.run(&["--force", &server.url("/f")]).expect(0);
    assert_eq!(env.names(), ["f"]);
    env.ask(&["--force", &server.url("/other/f")]).expect(0);
    env.assert_whole("f", &OTHER);
}

/// A name that is taken during the download is not replaced; when it is free the download has it at once.
fn taken_meanwhile(env: &TestEnv) {
    let server = serve(Resource::new(OBJECT).rate(64 * KIB));
    let args = ["-s", "64K", "--json", &server.url("/f")];
    let running = Running::with_stdout(env, &args, false, Stdio::piped());
    running.wait_for_event("start");
    env.write("f", b"in between");
    server.replace("/f", Resource::new(OBJECT));
    server.disconnect();
    running.wait().expect(7).says("meanwhile");
    assert_eq!(env.names(), ["f", "f.part", "f.part.ckpt"]);
    assert_eq!(env.read("f"), b"in between");
    env.remove("f");
    env.run(&args).expect(0);
    assert_eq!(env.names(), ["f"]);
}

/// A new folder in that one.
pub fn inside(folder: &Path) -> impl Fn(&str) -> PathBuf + Sync {
    |name| {
        let path = folder.join(name);
        std::fs::create_dir(&path).expect("a folder can be made");
        path
    }
}
