//! Kills, signals, two processes: nothing is lost, and nothing is fetched again that was complete.

use std::io::Write;
use std::process::Stdio;

use haul::{Finished, KIB, MIB, PATIENCE, Running, SEGMENT, Status, TestEnv, at_once, serve};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;
use support::content::mix;
use support::{Content, Fault, Resource, Server, When};
use tokio::signal::unix::{SignalKind, signal};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 16 * MIB + 12_345);

fn slow() -> Resource {
    Resource::new(OBJECT).rate(MIB)
}

/// Downloads until some segments are complete, and ends it as told.
fn interrupt<'a>(
    env: &'a TestEnv,
    server: &Server,
    end: impl FnOnce(Running<'a>) -> Finished,
) -> (Finished, Status) {
    let running = env.spawn(&["-j", "4", "-s", "64K", "--json", &server.url("/f")]);
    running.wait_for_bytes(16 * SEGMENT);
    let said = end(running);
    env.assert_partial();
    assert!(server.wait_until_idle(PATIENCE));
    let status = env.status();
    assert!(status.bytes() > 0 && status.bytes() < OBJECT.len, "{status:?}");
    (said, status)
}

/// Runs the same command again: it resumes, and asks for nothing that is complete.
fn resume(env: &TestEnv, server: &Server, status: &Status) {
    server.replace("/f", Resource::new(OBJECT));
    let before = server.log().len();
    let said = env.run(&["-j", "4", "-s", "64K", "--json", &server.url("/f")]).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], status.bytes());
    status.assert_only_missing(&server.log()[before..]);
}

#[test]
fn a_killed_download_is_resumed_without_fetching_a_complete_segment_again() {
    let server = serve(slow());
    let env = TestEnv::new(&[OBJECT]);
    let (_, status) = interrupt(&env, &server, Running::kill9);
    resume(&env, &server, &status);
}

/// Children heed SIGHUP even if we were started to ignore it, by nohup or a CI runner: what is ignored stays so
/// across an exec, what is caught does not.
fn catch_hangup() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    drop(signal(SignalKind::hangup()).expect("SIGHUP can be caught"));
}

#[test]
fn h67_a_signal_stops_it_with_its_code_and_keeps_what_is_there() {
    catch_hangup();
    at_once([(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)], |(signal, code)| {
        let server = serve(slow());
        let env = TestEnv::new(&[OBJECT]);
        let (said, status) = interrupt(&env, &server, |running| {
            running.signal(signal);
            running.wait()
        });
        let said = said.expect(code).says_once("run the same command again to resume");
        assert_eq!(said.event("error")["kind"], "cancelled");
        resume(&env, &server, &status);
    });
}

#[test]
fn h67_a_signal_while_probing_or_waiting_leaves_nothing() {
    let server = Server::start([
        ("/f", Resource::new(OBJECT).fault(When::Always, Fault::Mute)),
        ("/busy/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(503))),
        ("/stalled/f", Resource::new(OBJECT).no_ranges().fault(When::Always, Fault::StallAfter(0))),
    ]);
    for (asked, path) in ["/f", "/busy/f", "/stalled/f"].into_iter().enumerate() {
        let env = TestEnv::new(&[]);
        let before = server.requests();
        let running = env.spawn(&[&server.url(path)]);
        assert!(server.wait_for_requests(before + 1, PATIENCE), "{asked}");
        running.signal(Signal::INT);
        running.wait().expect(130).says("nothing to resume");
        assert_eq!(env.names(), <[&str; 0]>::default(), "{path}");
    }
}

#[test]
fn h67_a_signal_ends_the_whole_list() {
    let server = Server::start([("/f", slow()), ("/g", Resource::new(OBJECT))]);
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&[
        "-s",
        "64K",
        "--json",
        "--parallel-downloads",
        "1",
        &server.url("/f"),
        &server.url("/g"),
    ]);
    running.wait_for_bytes(SEGMENT);
    running.signal(Signal::TERM);
    running.wait().expect(143);
    env.assert_partial();
}

#[test]
fn h67_a_second_signal_ends_it_at_once_even_where_nobody_reads_what_it_says() {
    let server = serve(slow());
    let env = TestEnv::new(&[]);
    let (reader, mut full) = std::io::pipe().unwrap();
    fcntl_setfl(&full, OFlags::NONBLOCK).unwrap();
    while full.write(&[b'#'; 4096]).is_ok() {}
    while full.write(b"#").is_ok() {}
    fcntl_setfl(&full, OFlags::empty()).unwrap();
    let running = Running::with_stdout(&env, &["--json", &server.url("/f")], true, Stdio::from(full));
    assert!(server.wait_for_requests(1, PATIENCE));
    // It cannot say that it has begun, nor that it has ended. Two kinds, since equal signals may come as one.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let code = running.wait().code;
    assert!([130, 143].contains(&code), "{code}");
    drop(reader);
}

#[test]
fn h59_the_second_process_on_a_target_ends_with_8_and_the_first_finishes() {
    let server = serve(Resource::new(OBJECT).rate(64 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    let first = env.spawn(&["-s", "64K", "--json", &server.url("/f")]);
    first.wait_for_event("start");
    for args in [vec![], vec!["--restart"], vec!["--force"]] {
        let said = env.ask(&[&args[..], &["-o", "f", &server.url("/f")]].concat());
        assert_eq!(said.code, 8, "{said}");
    }
    env.ask(&["cancel", "f"]).expect(8);
    assert_eq!(env.status().0["active"], true);
    hurry(&server);
    first.wait().expect(0);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn cancel_removes_part_file_and_checkpoint_and_nothing_else() {
    let server = serve(slow());
    let env = TestEnv::new(&[OBJECT]);
    interrupt(&env, &server, Running::kill9);
    env.write("f", b"precious");
    env.ask(&["cancel", "f.part"]).expect(0);
    assert_eq!(env.names(), ["f"]);
    assert_eq!(env.read("f"), b"precious");
    env.ask(&["cancel", "f"]).expect(7);
    env.ask(&["status", "f"]).expect(7);
}

/// What is under way is cut, and what comes then is fast.
fn hurry(server: &Server) {
    server.replace("/f", Resource::new(OBJECT));
    server.disconnect();
}

/// A download that is whole and has no name: a file took it meanwhile.
fn whole_without_a_name(env: &TestEnv, server: &Server) {
    let running =
        Running::with_stdout(env, &["-s", "64K", "--json", &server.url("/f")], false, Stdio::piped());
    running.wait_for_event("start");
    env.write("f", b"in between");
    hurry(server);
    running.wait().expect(7).says("meanwhile");
    assert_eq!(env.names(), ["f", "f.part", "f.part.ckpt"]);
    assert_eq!(env.read("f"), b"in between");
    env.remove("f");
}

#[test]
fn h58_a_name_that_is_taken_meanwhile_is_not_replaced_and_nothing_is_fetched_again() {
    let server = serve(Resource::new(OBJECT).rate(64 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    whole_without_a_name(&env, &server);
    let status = env.status();
    assert_eq!((status.bytes(), status.missing()), (OBJECT.len, vec![]));
    let before = server.body_bytes();
    env.run(&["-s", "64K", &server.url("/f")]).expect(0);
    // The validator is asked for, and what was in the socket is counted.
    assert!(server.body_bytes() - before < 4 * MIB, "{}", server.body_bytes() - before);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "as a crash would leave it")]
fn h52_killed_between_the_name_and_the_end_it_has_nothing_to_do() {
    let server = serve(Resource::new(OBJECT).rate(64 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    whole_without_a_name(&env, &server);
    std::fs::rename(env.path("f.part"), env.path("f")).unwrap();
    let before = server.requests();
    env.run(&["-s", "64K", &server.url("/f")]).expect(0);
    assert_eq!(server.requests(), before);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn h51_twenty_kills_cost_no_more_than_what_was_in_flight() {
    const LARGE: Content = Content::new(9, 64 * MIB);
    const KILLS: u64 = 20;
    let server = serve(Resource::new(LARGE).shared_rate(40 * MIB));
    let env = TestEnv::new(&[LARGE]);
    let args = ["-j", "8", "-s", "64K", "--no-sync", &server.url("/f")];
    let mut last = 0;
    for kill in 0..KILLS {
        let before = server.body_bytes();
        let running = env.spawn(&args);
        let more = 1 + mix(42, kill) % (5 * MIB);
        assert!(server.wait_for_body_bytes(before + more, PATIENCE), "kill {kill}");
        running.kill9();
        assert!(server.wait_until_idle(PATIENCE));
        if env.names().contains(&"f.part.ckpt".to_owned()) {
            let status = env.ask(&["status", "--json", "f"]);
            if status.code == 0 {
                let now = env.status().bytes();
                assert!(now >= last, "kill {kill}: {last} bytes were complete, and now {now}");
                last = now;
            }
        }
    }
    assert!(last > 0);
    env.run(&args).expect(0);
    let bill = server.body_bytes();
    assert!(bill <= LARGE.len + KILLS * 10 * MIB, "{bill} bytes for {}", LARGE.len);
}
