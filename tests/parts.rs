//! Parts of an object: one, or several in files of their own.

use std::collections::BTreeSet;

use haul::{KIB, MIB, SEGMENT, TestEnv, at_once, serve};
use serde_json::json;
use support::{Content, Resource};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 3 * MIB + 12_345);

#[test]
fn several_parts_become_files_of_their_own() {
    at_once([Resource::new(OBJECT), Resource::new(OBJECT).no_ranges()], |resource| {
        let server = serve(resource);
        let env = TestEnv::new(&[]);
        let url = server.url("/f");
        env.ask(&["-q", "-s", "64K", "-r", "0-99,100000-400000", "--range", "-5", "-r", "3000000-", &url])
            .expect(0);
        assert_eq!(env.names(), ["f.-5", "f.0-99", "f.100000-400000", "f.3000000-"]);
        for (name, start, end) in [
            ("f.-5", OBJECT.len - 5, OBJECT.len),
            ("f.0-99", 0, 100),
            ("f.100000-400000", 100_000, 400_001),
            ("f.3000000-", 3_000_000, OBJECT.len),
        ] {
            assert!(env.read(name) == OBJECT.slice(start, end), "{name}");
        }
        env.ask(&["-q", "-o", "d/x", "-r", "0-9,20-29", &url]).expect(0);
        assert_eq!((env.read("d/x.0-9"), env.read("d/x.20-29")), (OBJECT.slice(0, 10), OBJECT.slice(20, 30)));
    });
}

#[test]
fn h14_a_suffix_is_resolved_and_never_sent_and_nor_are_two_ranges() {
    let server = serve(Resource::new(OBJECT));
    TestEnv::new(&[]).ask(&["-q", "-r", "-70000,0-99", &server.url("/f")]).expect(0);
    let asked = server.log();
    assert!(!asked.is_empty());
    for seen in asked {
        let range = seen.header("range").unwrap_or_default();
        assert!(!range.starts_with("bytes=-") && !range.contains(','), "{range}");
    }
}

#[test]
fn one_part_that_is_outside_the_object_is_4_and_the_others_come() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[]);
    let beyond = format!("0-9,{}-", OBJECT.len);
    env.ask(&["-r", &beyond, "-r", "-3", &server.url("/f")]).expect(4).says("outside");
    assert_eq!(env.names(), ["f.-3", "f.0-9"]);
}

#[test]
fn events_and_status_say_of_which_part_they_are() {
    let server = serve(Resource::new(OBJECT).rate(256 * KIB));
    let env = TestEnv::new(&[]);
    let args = ["-j", "1", "-s", "64K", "--json", "-r", "0-99,777-2000000", &server.url("/f")];
    let running = env.spawn(&args);
    running.wait_for_bytes(2 * SEGMENT);
    running.kill9();
    let status = env.ask(&["status", "--json", "f.777-2000000"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("it is JSON");
    assert_eq!(status["range"], json!({"start": 777, "end": 2_000_001}));
    assert_eq!((&status["object_length"], &status["length"]), (&OBJECT.len.into(), &1_999_224.into()));
    server.replace("/f", Resource::new(OBJECT));
    let said = env.ask(&[&args[..], &["--skip-existing"]].concat()).expect(0);
    let of: BTreeSet<_> = said.all("done").iter().map(|done| done["range"].to_string()).collect();
    assert_eq!(of, BTreeSet::from(["\"0-99\"".to_owned(), "\"777-2000000\"".to_owned()]), "{said}");
    let start = said.event("start");
    assert!(
        start["resumed_bytes"].as_u64() >= Some(2 * SEGMENT) && start["range"] == "777-2000000",
        "{said}"
    );
    assert!(env.read("f.777-2000000") == OBJECT.slice(777, 2_000_001));
}

#[test]
fn a_checksum_that_is_given_is_the_parts() {
    let server = serve(Resource::new(OBJECT));
    let crc = |bytes: &[u8]| {
        format!("crc32c:{:08x}", crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes))
    };
    for (sum, code) in [(crc(&OBJECT.slice(5, 200_000)), 0), (crc(&OBJECT.bytes()), 6)] {
        let env = TestEnv::part(OBJECT, 5, 200_000);
        env.run(&["-q", "-r", "5-199999", "--checksum", &sum, &server.url("/f")]).expect(code);
    }
}
