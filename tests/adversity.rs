//! What others do to our files while we work, and what servers say when they say it twice.

#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use haul::{MIB, PATIENCE, Running, SEGMENT, TestEnv, serve};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Server, Version, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 8 * MIB + 12_345);
const OTHER: Content = Content::new(2, 8 * MIB + 12_345);

const ARGS: [&str; 5] = ["-j", "2", "-s", "64K", "--json"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ARGS[..], more].concat()
}

#[test]
fn h59_the_loser_of_a_race_to_start_leaves_the_winners_files_alone() {
    // Both have probed before either makes its files.
    let server = serve(Resource::new(OBJECT).rate(4 * MIB).latency(Duration::from_millis(300)));
    let env = TestEnv::new(&[OBJECT]);
    let url = server.url("/f");
    let start = || Running::with_stdout(&env, &with(&[&url]), false, Stdio::piped());
    let mut codes = [start(), start()].map(|running| running.wait().code);
    codes.sort_unstable();
    assert_eq!(codes, [0, 8]);
    env.assert_whole("f", &OBJECT);
}

#[test]
fn another_urls_proof_is_owed_until_it_is_there() {
    let server = serve(Resource::new(OBJECT).rate(MIB));
    let env = TestEnv::new(&[OTHER]);
    let running = env.spawn(&with(&[&server.url("/f")]));
    running.wait_for_bytes(8 * SEGMENT);
    running.signal(Signal::INT);
    running.wait().expect(130);
    let same_tag = Version::new(OBJECT).etag.expect("a tag");
    // The probe is answered; the request for the proof is cut short.
    let cut = Resource::new(OTHER).etag(&same_tag).fault(When::Nth(1), Fault::CutAfter(100));
    server.replace("/other/f", cut);
    env.run(&with(&[&server.url("/other/f")])).expect(0);
    env.assert_whole("f", &OTHER);
}

#[test]
fn h49_a_captive_portal_does_not_become_the_rest_of_a_stream() {
    let portal = Content::new(7, 5);
    let becomes = Version::new(portal).etag(None).last_modified(None);
    let resource = Resource::new(OBJECT).no_ranges().fault(When::Nth(0), Fault::CutAfter(MIB));
    let server = serve(resource.then_version(When::From(1), becomes));
    TestEnv::new(&[OBJECT]).run(&with(&[&server.url("/f")])).expect(3).says("captive portal");
}

#[test]
fn another_version_in_a_stream_is_5_where_that_was_asked_for() {
    let resource = || Resource::new(OBJECT).no_ranges().fault(When::Nth(0), Fault::CutAfter(MIB));
    let changing = || serve(resource().then_becomes(When::From(1), OTHER, "\"w\""));
    let server = changing();
    TestEnv::new(&[OBJECT]).run(&with(&["--on-change", "fail", &server.url("/f")])).expect(5);
    let server = changing();
    let env = TestEnv::new(&[OTHER]);
    let said = env.run(&with(&[&server.url("/f")])).expect(0);
    assert_eq!(said.all("restart").len(), 1);
}

#[test]
fn a_length_that_is_said_only_sometimes_is_no_contradiction() {
    let server = serve(Resource::new(OBJECT).no_ranges().chunked().fault(When::Nth(0), Fault::CutAfter(MIB)));
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&with(&[&server.url("/f")]));
    assert!(server.wait_for_requests(1, PATIENCE));
    server.replace("/f", Resource::new(OBJECT).no_ranges());
    running.wait().expect(0);
}

/// A download that has begun and is slow.
fn begun(server: &Server, env: &TestEnv, meddle: impl FnOnce()) -> haul::Finished {
    let running = env.spawn(&with(&[&server.url("/f")]));
    running.wait_for_bytes(8 * SEGMENT);
    meddle();
    running.wait()
}

#[test]
fn h65_a_part_file_that_somebody_replaces_does_not_get_the_name() {
    let server = serve(Resource::new(OBJECT).rate(4 * MIB));
    let env = TestEnv::new(&[OBJECT]);
    let said = begun(&server, &env, || {
        fs::remove_file(env.path("f.part")).expect("there is a part file");
        env.write("f.part", b"foreign");
    });
    said.expect(7).says("part file");
    assert_eq!(env.read("f.part"), b"foreign");
}

#[test]
fn h65_a_part_file_that_somebody_cuts_in_mid_run_does_not_get_the_name() {
    let server = serve(Resource::new(OBJECT).rate(2 * MIB));
    let env = TestEnv::new(&[OBJECT]);
    let said = begun(&server, &env, || {
        let part = OpenOptions::new().write(true).open(env.path("f.part")).expect("there is a part file");
        part.set_len(0).expect("it can be cut");
    });
    // 7 where no window was open on what was cut; else the kernel ends the process (docs/guarantees.md).
    assert_ne!(said.code, 0, "{said}");
}

#[test]
fn h13_an_answer_that_is_longer_than_asked_and_then_silent_holds_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/f", listener.local_addr().expect("its address"));
    let env = TestEnv::part(OBJECT, 0, 100_000);
    let running = env.spawn(&["-j", "1", "-s", "64K", "--range", "0-99999", &url]);
    let (mut client, _) = listener.accept().expect("haul connects");
    let mut request = [0; 4096];
    assert!(client.read(&mut request).expect("a request") > 0);
    let total = OBJECT.len;
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"v\"\r\nContent-Length: 200000\r\n\
         Content-Range: bytes 0-199999/{total}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).expect("haul reads");
    // What was asked for, and no more of what was announced, while the connection stays open.
    client.write_all(&OBJECT.slice(0, 100_000)).expect("haul reads");
    running.wait().expect(0);
    drop(client);
}

#[test]
fn a_part_that_begins_where_a_stream_ends_is_outside_the_object() {
    let content = Content::new(3, 100);
    let server = serve(Resource::new(content).no_ranges().chunked());
    TestEnv::new(&[]).run(&with(&["--range", "100-", &server.url("/f")])).expect(4).says("outside");
    TestEnv::part(content, 99, 100).run(&with(&["--range", "99-", &server.url("/f")])).expect(0);
}
