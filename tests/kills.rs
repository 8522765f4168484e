//! `kill -9` over and over, at moments that differ: while it starts, while it fetches, while it reads back what an
//! earlier run left, and at the very end, between sync, rename and unlink. After every kill the name is free or
//! the object's, and nothing that was complete is missing; in the end comes the bill.
//!
//! `just kills-fast 1000 [SEED]` for more of them, or others.

#![expect(clippy::print_stdout, reason = "the bill, for who asks for it")]

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use haul::{KIB, MIB, PATIENCE, TestEnv, at_once};
use support::content::mix;
use support::{Content, Resource, Server};

#[path = "support/haul.rs"]
mod haul;
mod support;

const LENGTH: u64 = 4 * MIB + 4321;
/// Bytes per second of one object: it takes a third of a second.
const RATE: u64 = 12 * MIB;
/// The most that a kill may cost: four segments in flight, what landed in the last 50 ms, what is in sockets.
const COST: u64 = 768 * KIB;
const LANES: u64 = 2;

/// When the kill comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the start of the process.
    Starting(Duration),
    /// When the server has sent so many bytes more.
    Fetching(u64),
    /// So long after its first request, when it reads back what it has.
    Resuming(Duration),
    /// So long after the last byte was sent: syncing, most of the time.
    Ending(Duration),
    /// As soon as the name is there.
    Named,
}

struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.thrown += 1;
        mix(self.seed, self.thrown) % most
    }

    fn moment(&mut self) -> Moment {
        let micros = |micros| Duration::from_micros(micros);
        match self.below(10) {
            0..2 => Moment::Starting(micros(self.below(60_000))),
            2..5 => Moment::Fetching(1 + self.below(MIB)),
            5..7 => Moment::Resuming(micros(self.below(15_000))),
            7 => Moment::Ending(micros(self.below(20_000))),
            _ => Moment::Named,
        }
    }
}

#[test]
fn h51_h52_kills_at_any_moment_cost_no_wrong_byte_and_few_twice() {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (kills, seed) = (number("HAUL_KILLS", 100), number("HAUL_SEED", 1));
    at_once(0..LANES, |lane| Siege::new(seed + lane).run(kills / LANES));
}

struct Siege {
    dice: Dice,
    kills: u64,
    /// Of these, after the name was there and before the process had ended.
    named: u64,
    objects: u64,
    twice: u64,
}

impl Siege {
    fn new(seed: u64) -> Self {
        Self { dice: Dice { seed, thrown: 0 }, kills: 0, named: 0, objects: 0, twice: 0 }
    }

    fn run(mut self, kills: u64) {
        while self.kills < kills {
            self.one_object(kills);
            self.objects += 1;
        }
        let Self { kills, named, objects, twice, .. } = self;
        let each = twice / KIB / kills;
        println!(
            "{kills} kills, {named} of them after the rename; {objects} objects; {each} KiB a kill sent twice"
        );
        assert!(twice <= kills * COST, "{twice} bytes were sent twice for {kills} kills");
    }

    /// Downloads one object, under kills as long as some are left.
    fn one_object(&mut self, most: u64) {
        let content = Content::new(1 + self.objects, LENGTH);
        let server = Server::builder().resource("/f", Resource::new(content)).shared_rate(RATE).start();
        let env = TestEnv::new(&[content]);
        let args = ["-j", "4", "-s", "64K", &server.url("/f")];
        let mut complete = 0;
        let mut whole = false;
        while !whole {
            let running = env.spawn(&args);
            // Where only the end is missing, it is let come to it half of the time.
            let named = env.path("f").exists();
            if self.kills < most && !(named && self.dice.below(2) == 0) {
                wait_for(self.dice.moment(), &server, &env);
                // The oracle: the name is as it was, or it is the object's.
                let ended = running.kill9();
                assert!([0, -9].contains(&ended.code), "{ended}");
                self.kills += u64::from(ended.code != 0);
                self.named += u64::from(ended.code != 0 && !named && env.path("f").exists());
            } else {
                running.wait().expect(0);
            }
            assert!(server.wait_until_idle(PATIENCE));
            complete = in_place(&env, complete);
            // A later run finds its end.
            whole = env.names() == ["f"];
        }
        env.assert_whole("f", &content);
        self.twice += server.body_bytes().saturating_sub(LENGTH);
    }
}

fn wait_for(moment: Moment, server: &Server, env: &TestEnv) {
    let (requests, bytes) = (server.requests(), server.body_bytes());
    let until = Instant::now() + PATIENCE;
    let named = || env.path("f").exists();
    // What ends before its moment ends whole: the name tells.
    let poll = |reached: &dyn Fn() -> bool| {
        while !reached() && !named() {
            assert!(Instant::now() < until, "{moment:?} does not come");
            sleep(Duration::from_micros(200));
        }
    };
    match moment {
        Moment::Starting(time) => sleep(time),
        Moment::Fetching(more) => poll(&|| server.body_bytes() >= bytes + more),
        Moment::Resuming(time) => {
            poll(&|| server.requests() > requests);
            sleep(time);
        }
        Moment::Ending(time) => {
            poll(&|| server.body_bytes() >= LENGTH && server.requests() > requests && is_complete(env));
            sleep(time);
        }
        Moment::Named => poll(&|| false),
    }
}

/// Bytes in place, which are no fewer than before.
fn in_place(env: &TestEnv, before: u64) -> u64 {
    if !env.path("f.part").exists() {
        return if env.path("f").exists() { LENGTH } else { before };
    }
    let status = env.ask(&["status", "--json", "f"]);
    // A kill in the midst of the very first commit leaves a checkpoint without a slot.
    let now = if status.code == 0 { env.status().bytes() } else { 0 };
    assert!(now >= before, "{before} bytes were in place, and now {now}");
    now
}

fn is_complete(env: &TestEnv) -> bool {
    let status = env.ask(&["status", "--json", "f"]);
    status.stdout.contains("\"missing\":[]")
}
