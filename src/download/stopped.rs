//! A process that stands still for longer than any time it keeps (H67). One cannot stop oneself and look on, so the test
//! runs itself once more.

use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::request::Download;
use super::simulation::{OBJECT, SEGMENT, small};
use super::tuning::Tuning;
use crate::store::simulated::SimulatedDisk;
use crate::support::{Resource, Server};

/// Tells the second run what to fetch.
const URL: &str = "HAUL_STOPPED_URL";
/// Every time that it keeps.
const TIME: Duration = Duration::from_millis(400);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn h67_stopped_for_longer_than_every_time_it_keeps_it_goes_on() {
    if let Ok(url) = env::var(URL) {
        return download(&url);
    }
    // What comes while it stands still is less than a drip.
    let server = Server::start([("/f", Resource::new(OBJECT).rate(600))]);
    let name = thread::current().name().expect("tests have names").to_owned();
    let mut child = Command::new(env::current_exe().expect("it runs"))
        .args([&name, "--exact", "--nocapture"])
        .env(URL, server.url("/f"))
        .stdout(Stdio::null())
        .spawn()
        .expect("it can be run again");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("not 0");
    assert!(server.wait_for_requests(1, PATIENCE));
    for requests in [2, 3] {
        // At least one request is under way, and another follows when its time is over.
        kill_process(pid, Signal::STOP).expect("a child can be signalled");
        thread::sleep(2 * TIME);
        if requests == 3 {
            server.replace("/f", Resource::new(OBJECT));
        }
        kill_process(pid, Signal::CONT).expect("a child can be signalled");
        assert!(server.wait_for_requests(requests, PATIENCE), "{requests} requests");
    }
    let ended = child.wait().expect("a child can be waited for");
    assert!(ended.success(), "{ended}");
}

/// The second run: with little patience.
fn download(url: &str) {
    let disk = SimulatedDisk::new();
    let builder = Download::builder(url).jobs(2).segment_size(SEGMENT).output("/x").retries(20);
    let builder = builder.connect_timeout(TIME).timeout(TIME).disk(disk.clone());
    let download =
        builder.tuning(Tuning { drip_time: TIME, ..small() }).build().expect("it is well described");
    let began = Instant::now();
    let ended = Runtime::new().expect("a runtime").block_on(download.run());
    assert!(ended.is_ok(), "{ended:?}");
    assert!(disk.bytes("/x") == Some(OBJECT.bytes()), "another object");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}
