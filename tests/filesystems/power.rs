//! Power cuts under the real command: what was not synced is gone, or some of it is, and what is there afterwards is
//! still one version, or nothing, under the final name (H51, H52).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::disks::Disks;
use crate::haul::{Finished, MIB, PATIENCE, Running, SEGMENT, TestEnv, at_once, serve};
use crate::memory::{Memory, Mounted};
use crate::suite::OBJECT;
use crate::support::content::mix;
use crate::support::{Content, Resource, Server};

/// Downloads that lose power, and how often each does; `HAUL_CUTS` asks for more downloads.
const LIVES: u64 = 10;
const CUTS: u64 = 3;

/// A computer with a disk that is plugged in or not.
struct Computer {
    memory: Memory,
    at: PathBuf,
    mounted: Option<Mounted>,
}

impl Computer {
    fn new(at: PathBuf) -> Self {
        let memory = Memory::new(&[]);
        let mounted = Some(memory.mount(&at));
        Self { memory, at, mounted }
    }

    fn env(&self, content: Content) -> TestEnv {
        TestEnv::new(&[content]).inside(&self.at)
    }

    /// The disk forgets what it was not told to keep, by that chance.
    fn restart(&mut self, seed: u64) {
        self.mounted.take().expect("it is mounted").unmount();
        self.memory.lose_power(seed);
        self.mounted = Some(self.memory.mount(&self.at));
    }
}

/// Runs without the oracle: without power nothing can be seen.
fn run(env: &TestEnv, server: &Server) -> Finished {
    Running::with_stdout(env, &["-j", "4", "-s", "64K", &server.url("/f")], false, Stdio::piped()).wait()
}

/// Under the final name there is all of it, or nothing.
fn check(env: &TestEnv, named: bool) {
    let found = env.names().contains(&"f".to_owned());
    assert!(found || !named, "a download that ended with 0 outlives a power cut");
    if found {
        env.assert_whole("f", &OBJECT);
    }
}

/// One download, cut off at random requests of its file system, to its end.
fn live(at: &Path, seed: u64, requests: u64) {
    let mut computer = Computer::new(at.to_owned());
    let env = computer.env(OBJECT);
    let server = serve(Resource::new(OBJECT).shared_rate(4 * MIB));
    for cut in 0..CUTS {
        let memory = &computer.memory;
        memory.cut_power_at(memory.asked() + mix(seed, cut) % requests);
        let ended = run(&env, &server);
        assert!(ended.code == 0 || computer.memory.is_cut(), "life {seed}, cut {cut}: {ended}");
        assert!([0, 7].contains(&ended.code), "life {seed}, cut {cut}: {ended}");
        computer.restart(mix(seed, 100 + cut));
        check(&env, ended.code == 0);
        if ended.code == 0 {
            return;
        }
    }
    server.replace("/f", Resource::new(OBJECT));
    env.ask(&["-j", "4", "-s", "64K", &server.url("/f")]).expect(0);
    computer.restart(seed);
    check(&env, true);
}

#[test]
fn h51_whatever_a_power_cut_leaves_it_ends_with_the_right_file() {
    let disks = Disks::new();
    // How many requests there are to be cut off at.
    let whole = Computer::new(disks.folder("whole"));
    let server = serve(Resource::new(OBJECT).shared_rate(4 * MIB));
    whole.env(OBJECT).run(&["-j", "4", "-s", "64K", &server.url("/f")]).expect(0);
    let requests = whole.memory.asked();
    let lives = std::env::var("HAUL_CUTS").map_or(LIVES, |lives| lives.parse().expect("a number"));
    let seeds: Vec<u64> = (0..lives).collect();
    // Not all at once: each is as fast as the machine allows.
    for some in seeds.chunks(usize::try_from(LIVES).expect("small")) {
        at_once(some, |seed| live(&disks.folder(&seed.to_string()), *seed, requests));
    }
}

/// Nothing survives that was not synced, but there is a sync a second, and that is gone on from.
#[test]
fn h51_what_was_synced_outlives_a_power_cut() {
    const LARGE: Content = Content::new(4, 16 * MIB);
    let disks = Disks::new();
    let mut computer = Computer::new(disks.folder("disk"));
    let env = computer.env(LARGE);
    let server = serve(Resource::new(LARGE).shared_rate(4 * MIB));
    let args = ["-j", "4", "-s", "64K", "--json", &server.url("/f")];
    let running = Running::with_stdout(&env, &args, false, Stdio::piped());
    assert!(server.wait_for_body_bytes(12 * MIB, PATIENCE));
    computer.memory.cut_power_at(computer.memory.asked());
    running.wait().expect(7);
    // A seed by which nothing survives.
    let seed = (0..1000).find(|seed| mix(*seed, 1).is_multiple_of(6)).expect("one in six");
    computer.restart(seed);
    server.replace("/f", Resource::new(LARGE));
    let resumed = env.ask(&args).expect(0).event("start")["resumed_bytes"].as_u64().expect("a count");
    // How much depends on how busy the machine is: at rest about 8 MiB.
    assert!((SEGMENT..=12 * MIB + SEGMENT).contains(&resumed), "{resumed} of 12 MiB");
    env.assert_whole("f", &LARGE);
}
