//! Several processes on one target, and who looks at it meanwhile.

#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ::haul::{Download, ErrorKind, Partial, Phase, Remains};
use haul::{KIB, MIB, PATIENCE, Running, SEGMENT, TestEnv, serve};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 4 * MIB + 12_345);

/// Does something in the end, come what may.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

fn start<'a>(env: &'a TestEnv, args: &[&str]) -> Running<'a> {
    Running::with_stdout(env, args, false, Stdio::piped())
}

#[test]
fn h59_of_many_that_start_at_once_exactly_one_downloads_and_the_others_end_with_8() {
    // With its name known before the network is asked, and known only from the answer.
    for known in [true, false] {
        let server = serve(Resource::new(OBJECT).rate(256 * KIB).latency(Duration::from_millis(200)));
        let env = TestEnv::new(&[OBJECT]);
        let url = server.url("/f");
        let mut args = vec!["-j", "4", "-s", "64K", &url];
        args.extend(known.then_some(["-o", "f"]).into_iter().flatten());
        let running: Vec<_> = (0..8).map(|_| start(&env, &args)).collect();
        let ended: Vec<_> = thread::scope(|scope| {
            let waiting: Vec<_> = running.into_iter().map(|one| scope.spawn(|| one.wait())).collect();
            // The winner is slow until the others have looked.
            assert!(server.wait_for_requests(if known { 1 } else { 8 }, PATIENCE));
            while waiting.iter().filter(|one| one.is_finished()).count() < 7 {
                thread::sleep(Duration::from_millis(5));
            }
            server.replace("/f", Resource::new(OBJECT));
            server.disconnect();
            waiting.into_iter().map(|one| one.join().expect("it is waited for")).collect()
        });
        let mut codes: Vec<_> = ended.iter().map(|ended| ended.code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 8, 8, 8, 8, 8, 8, 8], "{known}: {ended:#?}");
        assert_eq!(env.names(), ["f"]);
        env.assert_whole("f", &OBJECT);
    }
}

#[test]
fn h59_one_that_looks_while_another_ends_comes_to_a_proper_end() {
    // The first is at its end when the others look: of their order, any comes up in some round.
    const SMALL: Content = Content::new(2, 3 * SEGMENT);
    let server = serve(Resource::new(SMALL));
    for round in 0..6 {
        let env = TestEnv::new(&[SMALL]);
        let url = server.url("/f");
        let running: Vec<_> = (0..5)
            .map(|number| {
                thread::sleep(Duration::from_millis(number * (2 + 3 * round)));
                start(&env, &["-s", "64K", "-o", "f", &url])
            })
            .collect();
        let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
        assert_eq!(ended.iter().filter(|ended| ended.code == 0).count(), 1, "{ended:#?}");
        assert!(ended.iter().all(|ended| [0, 7, 8].contains(&ended.code)), "{ended:#?}");
        let nobodys = |said: &haul::Finished| said.stderr.contains("without a checkpoint");
        assert!(!ended.iter().any(nobodys), "{ended:#?}");
        env.assert_whole("f", &SMALL);
    }
}

#[test]
fn h59_status_is_in_no_downloads_way() {
    let server = serve(Resource::new(OBJECT).rate(32 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    let args = ["-s", "64K", "--json", &server.url("/f")];
    let running = env.spawn(&args);
    running.wait_for_bytes(4 * SEGMENT);
    running.kill9();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // There is nothing at the end.
                    let _ = Partial::open(env.path("f"));
                }
            });
        }
        // Should something be wrong, the others end as well.
        let _guard = OnDrop(|| ended.store(true, Ordering::Relaxed));
        for _ in 0..8 {
            let running = env.spawn(&args);
            running.wait_for_event("start");
            running.signal(Signal::INT);
            running.wait().expect(130);
        }
        server.replace("/f", Resource::new(OBJECT));
        env.run(&args).expect(0);
    });
}

#[test]
fn status_knows_whether_a_process_is_downloading_whoever_else_asks() {
    let server = serve(Resource::new(OBJECT).rate(256 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["-s", "64K", "--json", &server.url("/f")]);
    running.wait_for_bytes(SEGMENT);
    let all_say = |active| {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let partial = Partial::open(env.path("f")).expect("there is one");
                        assert_eq!(partial.active, active);
                    }
                });
            }
        });
    };
    all_say(true);
    running.kill9();
    all_say(false);
}

#[test]
fn h62_who_looks_at_the_name_sees_nothing_or_all_of_it() {
    let server = Server::builder().resource("/f", Resource::new(OBJECT)).shared_rate(8 * MIB).start();
    let env = TestEnv::new(&[OBJECT]);
    let wanted = OBJECT.bytes();
    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = 0;
            while !ended.load(Ordering::Relaxed) {
                if let Ok(bytes) = fs::read(env.path("f")) {
                    assert!(bytes == wanted, "{} bytes under the name", bytes.len());
                    seen += 1;
                }
                thread::yield_now();
            }
            seen
        });
        // Should something be wrong, it ends as well.
        let watched = OnDrop(|| ended.store(true, Ordering::Relaxed));
        let args = ["-j", "4", "-s", "64K", &server.url("/f")];
        for kill in 1..4 {
            let running = env.spawn(&args);
            assert!(server.wait_for_body_bytes(kill * MIB / 2, PATIENCE));
            running.kill9();
        }
        env.run(&args).expect(0);
        // Once more over a file that is there: it is the old one, or the new one.
        env.run(&[&args[..], &["--force"]].concat()).expect(0);
        drop(watched);
        watch.join().expect("only whole files are seen")
    });
    assert!(seen > 0);
}

/// A download that is whole and has no name yet, because a file had it.
fn nameless(env: &TestEnv, server: &Server) {
    let running = start(env, &["-s", "64K", "--json", &server.url("/f")]);
    running.wait_for_event("start");
    env.write("f", b"in between");
    server.replace("/f", Resource::new(OBJECT));
    server.disconnect();
    running.wait().expect(7);
    env.remove("f");
}

#[test]
fn h52_only_the_part_file_itself_is_taken_for_the_finished_file() {
    for what in ["itself", "a copy", "shorter", "beside a part file"] {
        let server = serve(Resource::new(OBJECT).rate(64 * KIB));
        let env = TestEnv::new(&[OBJECT]);
        nameless(&env, &server);
        let (part, named) = (env.path("f.part"), env.path("f"));
        match what {
            "a copy" => drop((fs::copy(&part, &named).unwrap(), fs::remove_file(&part).unwrap())),
            _ => fs::rename(&part, &named).unwrap(),
        }
        match what {
            "shorter" => fs::File::options().write(true).open(&named).unwrap().set_len(5).unwrap(),
            "beside a part file" => drop(fs::copy(&named, &part).unwrap()),
            _ => {}
        }
        let (requests, args) = (server.requests(), ["-s", "64K", &server.url("/f")]);
        let before = env.read("f");
        if what == "itself" {
            env.run(&args).expect(0);
            assert_eq!((server.requests(), env.names()), (requests, vec!["f".to_owned()]));
        } else {
            start(&env, &args).wait().expect(7).says("exists already");
            assert!(env.read("f") == before, "{what}");
        }
    }
}

/// The library's way to cancel: `Delete` while the server has not even answered.
#[tokio::test]
async fn h67_cancelled_while_probing_it_deletes_what_an_earlier_run_left() {
    let server = serve(Resource::new(OBJECT).rate(32 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    for earlier in [false, true] {
        if earlier {
            server.replace("/f", Resource::new(OBJECT).rate(32 * KIB));
            let running = env.spawn(&["-s", "64K", "--json", &server.url("/f")]);
            running.wait_for_bytes(4 * SEGMENT);
            running.kill9();
            env.assert_partial();
        }
        server.replace("/f", Resource::new(OBJECT).fault(When::Always, Fault::Mute));
        let requests = server.requests();
        let handle = Download::builder(server.url("/f")).output(env.path("f")).build().unwrap().start();
        while server.requests() == requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(handle.progress().borrow().phase, Phase::Probing);
        handle.cancel(Remains::Delete);
        assert_eq!(handle.await.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(env.names(), <[&str; 0]>::default(), "{earlier}");
    }
}
