//! What proves that the bytes are the right ones: checksums that are given, and digests that servers send (H06).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use haul::{KIB, MIB, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 9 * MIB + 12_345);
const OTHER: Content = Content::new(2, 9 * MIB + 12_345);

fn sha_256(content: &Content) -> Vec<u8> {
    digest(&SHA256, &content.bytes()).as_ref().to_vec()
}

fn given(content: &Content) -> String {
    sha_256(content).iter().fold("sha-256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn repr_digest(content: &Content) -> String {
    let long = digest(&SHA512, &content.bytes());
    format!("sha-256=:{}:, sha-512=:{}:", STANDARD.encode(sha_256(content)), STANDARD.encode(long))
}

fn run(env: &TestEnv, server: &Server, args: &[&str]) -> haul::Finished {
    env.run(&[&["-j", "2", "-s", "64K", "--json"], args, &[&server.url("/f")]].concat())
}

/// In ranges, and in one stream.
fn both() -> [Resource; 2] {
    [Resource::new(OBJECT), Resource::new(OBJECT).no_ranges().chunked()]
}

#[test]
fn h06_what_matches_gets_its_name() {
    at_once(both(), |resource| {
        let server = serve(resource);
        let said = run(&TestEnv::new(&[OBJECT]), &server, &["--checksum", &given(&OBJECT)]).expect(0);
        assert_eq!(said.event("done")["digest"], given(&OBJECT));
    });
}

#[test]
fn h06_what_does_not_match_is_6_and_is_never_resumed_from() {
    at_once(both(), |resource| {
        let server = serve(resource);
        let env = TestEnv::new(&[OBJECT]);
        let said = run(&env, &server, &["--checksum", &given(&OBJECT), "--checksum", &given(&OTHER)]);
        let said = said.expect(6).says("checksum");
        assert_eq!(said.event("error")["kind"], "corrupt");
        assert_eq!(env.read("f.part"), OBJECT.bytes(), "it is kept for a look");
        let said = run(&env, &server, &["--checksum", &given(&OBJECT)]).expect(0);
        assert_eq!(said.event("start")["resumed_bytes"], 0);
    });
}

#[test]
fn h06_a_digest_that_the_server_sends_is_compared_without_being_asked_for() {
    at_once(both(), |resource| {
        let server = serve(resource.clone().header("Repr-Digest", &repr_digest(&OBJECT)));
        let said = run(&TestEnv::new(&[OBJECT]), &server, &[]).expect(0);
        let digest = said.event("done")["digest"].to_string();
        assert!(digest.contains("sha-512:"), "the stronger one: {digest}");
        let server = serve(resource.header("Repr-Digest", &repr_digest(&OTHER)));
        run(&TestEnv::new(&[OBJECT]), &server, &[]).expect(6);
    });
}

#[test]
fn h06_wrong_bytes_under_right_heads_do_not_get_the_name() {
    let wrong = Resource::new(OBJECT).fault(When::NthContaining(0, 9 * MIB), Fault::WrongBytes);
    let server = serve(wrong);
    let env = TestEnv::new(&[OBJECT]);
    run(&env, &server, &["--checksum", &given(&OBJECT)]).expect(6);
    run(&env, &server, &["--checksum", &given(&OBJECT)]).expect(0);
}

#[test]
fn h06_the_digest_of_a_stream_is_that_of_the_version_that_came() {
    let old = Resource::new(OTHER).no_ranges().header("Repr-Digest", &repr_digest(&OTHER)).rate(4 * MIB);
    let server = serve(old);
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["--json", &server.url("/f")]);
    running.wait_for_bytes(64 * KIB);
    let new = Resource::new(OBJECT).no_ranges().header("Repr-Digest", &repr_digest(&OBJECT));
    server.replace("/f", new);
    server.disconnect();
    running.wait().expect(0);
}

#[test]
fn h06_of_a_part_the_digest_of_the_whole_says_nothing() {
    let server = serve(Resource::new(OBJECT).header("Repr-Digest", &repr_digest(&OBJECT)));
    let env = TestEnv::part(OBJECT, 100, 200_000);
    let said = run(&env, &server, &["--range", "100-199999"]).expect(0);
    assert_eq!(said.event("done").get("digest"), None);
}

#[test]
fn h58_a_target_that_is_right_already_is_done() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    env.write("f", &OBJECT.bytes());
    run(&env, &server, &["--checksum", &given(&OBJECT)]).expect(0);
    assert_eq!(server.requests(), 1, "the name that the server proposes is asked for, and nothing else");
    run(&env, &server, &["--checksum", &given(&OTHER)]).expect(7).says("exists already");
    run(&env, &server, &[]).expect(7);
}

#[test]
fn a_checksum_that_is_none_is_a_usage_error() {
    let env = TestEnv::new(&[]);
    for (args, named) in [
        (&["--checksum", "abc"][..], "abc"),
        (&["--checksum", "md4:00"], "md4"),
        (&["--checksum", "sha-256:00"], "32 bytes"),
        (&["-o", "/dev/null", "--checksum", &given(&OBJECT)], "discarded"),
    ] {
        env.run(&[args, &["http://127.0.0.1:9/f"]].concat()).expect(2).says(named);
    }
}
