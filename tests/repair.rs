//! A finished file proves itself again: `--keep-hashes`, `haul verify`, and `haul repair`, which fetches only what is
//! damaged and leaves the file as it is until it is whole.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use haul::{Finished, KIB, MIB, PATIENCE, SEGMENT, TestEnv, at_once, serve};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Content, Fault, Resource, Server, Version, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

/// 33 segments, the last of them short.
const OBJECT: Content = Content::new(1, 2 * MIB + 12_345);
const OTHER: Content = OBJECT.other();
/// Its CRC-32C is as good as any.
const CRC: fn(&Content) -> String = |content| {
    format!("crc32c:{:08x}", crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &content.bytes()))
};

/// A file that was downloaded with `--keep-hashes`, and where from.
struct Kept {
    env: TestEnv,
    server: Server,
}

impl Kept {
    fn new() -> Self {
        Self::of(TestEnv::new(&[OBJECT]), Resource::new(OBJECT), &[])
    }

    fn of(env: TestEnv, resource: Resource, args: &[&str]) -> Self {
        let server = serve(resource);
        let keep = ["-q", "-s", "64K", "--keep-hashes"];
        env.run(&[&keep[..], args, &[&server.url("/f")]].concat()).expect(0);
        assert_eq!(env.names(), ["f", "f.hashes"]);
        Self { env, server }
    }

    /// With one byte of each of these segments flipped.
    fn damaged(segments: &[u64]) -> Self {
        let kept = Self::new();
        segments.iter().for_each(|segment| kept.env.damage("f", segment * SEGMENT + 99));
        kept
    }

    fn verify(&self) -> Finished {
        self.env.ask(&["verify", "--json", "f"])
    }

    fn repair(&self, args: &[&str]) -> Finished {
        let url = self.server.url("/f");
        self.env.run(&[&["repair", "--json", "f", &url], args].concat())
    }

    /// It is refused with this code, the file is as it was, and nothing is left beside it.
    #[track_caller]
    fn assert_refused(&self, args: &[&str], code: i32) -> Finished {
        let before = self.env.read("f");
        let said = self.repair(args).expect(code);
        assert!(self.env.read("f") == before && self.env.names() == ["f", "f.hashes"], "{said}");
        said
    }
}

fn answer(said: &Finished) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn ranges(ranges: &[(u64, u64)]) -> Value {
    ranges.iter().map(|(start, end)| json!({"start": start, "end": end})).collect()
}

#[test]
fn a_file_whose_hashes_were_kept_is_verified_segment_by_segment() {
    let kept = Kept::new();
    let said = answer(&kept.verify().expect(0));
    assert_eq!(
        (&said["right"], &said["against"], &said["checked"]),
        (&json!(true), &json!("hashes"), &json!(OBJECT.len))
    );
    [3, 4, 32].into_iter().for_each(|segment| kept.env.damage("f", segment * SEGMENT));
    let said = answer(&kept.verify().expect(6).says("damaged").says("haul repair"));
    assert_eq!(said["right"], false);
    assert_eq!(said["damaged"], ranges(&[(3 * SEGMENT, 5 * SEGMENT), (32 * SEGMENT, OBJECT.len)]));
    let said = kept.env.ask(&["verify", "f"]).expect(6);
    assert!(said.stdout.contains("196608-327679 (128.0 KiB)"), "{said}");
}

#[test]
fn what_is_missing_or_too_much_is_damage() {
    let kept = Kept::new();
    let whole = OBJECT.bytes();
    kept.env.write("f", &whole[..40 * 1024]);
    assert_eq!(answer(&kept.verify().expect(6))["damaged"], ranges(&[(0, OBJECT.len)]));
    kept.env.write("f", &[&whole[..], b"more"].concat());
    assert_eq!(answer(&kept.verify().expect(6))["damaged"], ranges(&[(OBJECT.len, OBJECT.len + 4)]));
}

#[test]
fn what_the_object_was_proved_by_is_kept_and_compared_as_well() {
    let resource = Resource::new(OBJECT).header("X-Amz-Checksum-Type", "FULL_OBJECT");
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &OBJECT.bytes()).to_be_bytes();
    let sent = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc);
    let kept = Kept::of(TestEnv::new(&[OBJECT]), resource.header("X-Amz-Checksum-Crc64nvme", &sent), &[]);
    let digest = &answer(&kept.verify().expect(0))["digests"][0];
    assert_eq!((&digest["right"], &digest["source"]), (&json!(true), &json!("x-amz-checksum-crc64nvme")));
    kept.env.damage("f", 5);
    let digest = &answer(&kept.verify().expect(6))["digests"][0];
    assert_eq!((&digest["right"], &digest["found"]), (&json!(false), &Value::Null));
}

#[test]
fn h06_a_file_is_verified_against_what_is_given() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    env.write("f", &OBJECT.bytes());
    let text = format!("CRC32C (f) = {}\n", CRC(&OBJECT).trim_start_matches("crc32c:"));
    env.write("list", text.as_bytes());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let listed = Resource::new(Content::new(0, 0)).fault(When::Always, Fault::Head(head));
    server.replace("/list", listed);
    let url = server.url("/list");
    let given = [["--checksum", &CRC(&OBJECT)], ["--checksum-file", "list"], ["--checksum-file", &url]];
    for args in given {
        let verify = |name: &str| env.ask(&[&["verify", "--json", name], &args[..]].concat());
        let said = answer(&verify("f").expect(0));
        assert_eq!((&said["against"], &said["digests"][0]["right"]), (&json!("checksums"), &json!(true)));
    }
    env.damage("f", 7);
    for args in given {
        let said = env.ask(&[&["verify", "--json", "f"], &args[..]].concat()).expect(6).says("checksum");
        assert_eq!(answer(&said)["right"], false);
    }
    env.ask(&["verify", "f"]).expect(7).says("nothing to hold it against");
    env.ask(&["verify", "f", "--checksum", "crc32c:1"]).expect(2);
    env.ask(&["verify", "f", "--checksum-file", "no-such-list"]).expect(7);
    env.ask(&["verify", "nothing"]).expect(7).says("nothing");
}

#[test]
fn an_interrupted_download_is_verified_as_far_as_it_is() {
    let server = serve(Resource::new(OBJECT).rate(256 * KIB));
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["-j", "1", "-s", "64K", "--json", &server.url("/f")]);
    running.wait_for_bytes(4 * SEGMENT);
    env.ask(&["verify", "f"]).expect(8).says("another process");
    running.signal(Signal::INT);
    running.wait().expect(130);
    for name in ["f", "f.part"] {
        let said = answer(&env.ask(&["verify", "--json", name]).expect(0));
        assert_eq!((&said["against"], &said["damaged"]), (&json!("checkpoint"), &ranges(&[])));
        assert!(said["checked"].as_u64() >= Some(4 * SEGMENT) && said["missing"] != ranges(&[]), "{said}");
    }
    env.damage("f.part", SEGMENT);
    let said = env.ask(&["verify", "--json", "f"]).expect(6).says("when the download goes on");
    assert_eq!(answer(&said)["damaged"], ranges(&[(SEGMENT, 2 * SEGMENT)]));
    env.ask(&["verify", "f", "--checksum", &CRC(&OBJECT)]).expect(7).says("not whole");
    // A file that has the name is another matter.
    env.write("f", b"old");
    env.ask(&["verify", "f"]).expect(7).says("nothing to hold it against");
    env.ask(&["verify", "f.part"]).expect(6);
}

#[test]
fn only_the_damaged_segment_is_fetched_again() {
    let kept = Kept::damaged(&[7]);
    let (requests, bytes) = (kept.server.requests(), kept.server.body_bytes());
    let said = kept.repair(&[]).expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], OBJECT.len - SEGMENT);
    assert_eq!(said.event("done")["bytes_fetched"], SEGMENT);
    assert_eq!((kept.server.requests() - requests, kept.server.body_bytes() - bytes), (1, SEGMENT));
    assert_eq!(kept.env.names(), ["f", "f.hashes"]);
    kept.verify().expect(0);
}

#[test]
fn whatever_is_damaged_is_repaired_and_permissions_stay() {
    let whole = OBJECT.bytes();
    for (bytes, fetched) in [
        (OBJECT.slice(0, MIB), OBJECT.len - MIB),
        (Vec::new(), OBJECT.len),
        // Nothing is missing: the answer that proves the object has one byte, which nobody waits for.
        ([&whole[..], b"more"].concat(), 0),
    ] {
        let kept = Kept::new();
        kept.env.write("f", &bytes);
        fs::set_permissions(kept.env.path("f"), Permissions::from_mode(0o751)).unwrap();
        let said = kept.repair(&["-j", "1"]).expect(0);
        let received = said.event("done")["bytes_fetched"].as_u64().unwrap();
        assert!((fetched..=fetched.max(1)).contains(&received), "{said}");
        let mode = fs::metadata(kept.env.path("f")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o751);
        kept.verify().expect(0);
    }
}

#[test]
fn what_is_not_damaged_is_left_alone_and_nobody_is_asked() {
    let kept = Kept::new();
    let (requests, before) = (kept.server.requests(), fs::metadata(kept.env.path("f")).unwrap());
    let done = kept.repair(&["--checksum", &CRC(&OBJECT)]).expect(0).event("done");
    assert_eq!((&done["requests"], &done["digest_source"]), (&json!(0), &json!("given")));
    assert_eq!(kept.server.requests(), requests);
    let after = fs::metadata(kept.env.path("f")).unwrap();
    assert_eq!((after.modified().unwrap(), kept.env.names().len()), (before.modified().unwrap(), 2));
    kept.assert_refused(&["--checksum", &CRC(&OTHER)], 6).says("no segment is damaged");
}

#[test]
fn a_part_of_an_object_is_repaired_as_the_part_that_it_is() {
    let args = ["--range", "777-1048576"];
    let kept = Kept::of(TestEnv::part(OBJECT, 777, MIB + 1), Resource::new(OBJECT), &args);
    kept.env.damage("f", 1_000_000);
    assert_eq!(kept.repair(&[]).expect(0).event("done")["bytes_fetched"], MIB + 1 - 777 - 15 * SEGMENT);
}

#[test]
fn h01_another_object_is_refused_and_the_file_stays_as_it_is() {
    let other_length = Content::new(1, OBJECT.len - 1);
    for resource in [
        Resource::new(OTHER),
        Resource::new(OBJECT).etag("\"later\""),
        Resource::new(other_length).version(Version { content: other_length, ..Version::new(OBJECT) }),
    ] {
        let kept = Kept::damaged(&[3]);
        kept.server.replace("/f", resource);
        kept.assert_refused(&[], 5).says("changed").says("--force");
    }
}

#[test]
fn other_bytes_under_the_same_validator_do_not_get_the_name() {
    let kept = Kept::damaged(&[3, 9]);
    kept.server
        .replace("/f", Resource::new(OBJECT).version(Version { content: OTHER, ..Version::new(OBJECT) }));
    kept.repair(&[]).expect(5).says("other bytes");
    // Nor do those that were fetched before it was found out.
    kept.server.replace("/f", Resource::new(OBJECT));
    assert_eq!(kept.repair(&[]).expect(0).event("done")["bytes_fetched"], 2 * SEGMENT);
}

#[test]
fn another_url_proves_that_it_has_the_same_object() {
    for (content, code) in [(OBJECT, 0), (OTHER, 5)] {
        let kept = Kept::damaged(&[3]);
        let same_tag = Resource::new(OBJECT).version(Version { content, ..Version::new(OBJECT) });
        kept.server.replace("/elsewhere", same_tag);
        let said = kept.env.run(&["repair", "--json", "f", &kept.server.url("/elsewhere")]).expect(code);
        if code == 0 {
            assert_eq!(said.event("done")["bytes_fetched"], 2 * SEGMENT, "one of them is the proof");
        }
    }
}

#[test]
fn without_ranges_everything_would_be_fetched_and_that_is_not_repair() {
    let kept = Kept::damaged(&[3]);
    for (resource, code) in [
        (Resource::new(OBJECT).no_ranges(), 4),
        (Resource::new(OBJECT).no_etag().no_last_modified(), 3),
        (Resource::new(OBJECT).fault(When::Always, Fault::Status(404)), 4),
    ] {
        kept.server.replace("/f", resource);
        kept.assert_refused(&["--retries", "0"], code);
    }
    kept.server.replace("/f", Resource::new(OBJECT));
    kept.repair(&[]).expect(0);
}

#[test]
fn without_hashes_it_is_only_told_whether_the_file_is_right() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    let repair = |args: &[&str]| env.run(&[&["repair", "f", &server.url("/f")], args].concat());
    repair(&[]).expect(7).says("is not there");
    env.write("f", &OBJECT.bytes());
    repair(&["--checksum", &CRC(&OBJECT)]).expect(0);
    repair(&[]).expect(7).says("--keep-hashes").says("--force");
    env.damage("f", 5);
    repair(&["--checksum", &CRC(&OBJECT)]).expect(6).says("--keep-hashes").says("--force");
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn what_a_stream_left_is_verified_and_cannot_be_repaired() {
    let kept = Kept::of(TestEnv::new(&[OBJECT]), Resource::new(OBJECT).no_ranges().chunked(), &[]);
    kept.verify().expect(0);
    kept.env.damage("f", 5);
    kept.verify().expect(6);
    kept.assert_refused(&[], 7).says("nothing identified the version");
}

#[test]
fn h63_hashes_that_are_damaged_or_newer_are_not_believed() {
    let kept = Kept::damaged(&[3]);
    let good = kept.env.read("f.hashes");
    for at in [0, 40, good.len() - 1] {
        kept.env.write("f.hashes", &good);
        kept.env.damage("f.hashes", at as u64);
        kept.verify().expect(7).says("f.hashes");
        kept.repair(&[]).expect(7).says("f.hashes");
    }
    let mut newer = good.clone();
    newer[8] = 2;
    kept.env.write("f.hashes", &newer);
    kept.verify().expect(7).says("newer");
    kept.repair(&[]).expect(7).says("newer");
}

#[test]
fn hashes_are_those_of_the_file_beside_them_or_gone() {
    let kept = Kept::new();
    kept.server.replace("/f", Resource::new(OTHER));
    let url = kept.server.url("/f");
    let env = TestEnv::new(&[OTHER]).inside(&kept.env.path(""));
    env.run(&["--force", "--keep-hashes", &url]).expect(0);
    kept.verify().expect(0);
    env.run(&["--force", &url]).expect(0);
    assert_eq!(env.names(), ["f"]);
    // A file of somebody else's that has the name is not touched.
    env.write("f.hashes", b"mine");
    let requests = kept.server.requests();
    env.run(&["--force", "--keep-hashes", "-o", "f", &url]).expect(7).says("f.hashes");
    assert_eq!(kept.server.requests(), requests);
    env.run(&["--force", &url]).expect(0);
    assert_eq!(env.read("f.hashes"), b"mine");
    env.run(&["-o", "/dev/null", "--keep-hashes", &url]).expect(2).says("discarded");
}

#[test]
fn another_download_in_the_way_is_not_thrown_away() {
    let kept = Kept::damaged(&[3]);
    kept.server.replace("/f", Resource::new(OTHER).rate(128 * KIB));
    let running = kept.env.spawn(&["-s", "64K", "--force", "--json", &kept.server.url("/f")]);
    running.wait_for_bytes(SEGMENT);
    kept.repair(&[]).expect(8);
    running.kill9();
    kept.server.replace("/f", Resource::new(OBJECT));
    kept.repair(&[]).expect(7).says("haul cancel");
    kept.env.ask(&["cancel", "f"]).expect(0);
    kept.repair(&[]).expect(0);
}

#[test]
fn h51_a_repair_that_is_killed_leaves_the_file_as_it_is_and_goes_on() {
    let damaged: Vec<u64> = (0..32).step_by(2).collect();
    // Of three segments' worth over two connections one at least is whole.
    at_once([1, 3 * SEGMENT, 5 * SEGMENT], |each| {
        let kept = Kept::damaged(&damaged);
        let start = kept.server.body_bytes();
        kept.server.replace("/f", Resource::new(OBJECT).rate(512 * KIB));
        for _ in 0..3 {
            let before = kept.server.body_bytes();
            let running = kept.env.spawn(&["repair", "-j", "2", "--json", "f", &kept.server.url("/f")]);
            assert!(kept.server.wait_for_body_bytes(before + each, PATIENCE));
            // That the file is as it was is seen here.
            running.kill9();
            assert!(kept.server.wait_until_idle(PATIENCE));
        }
        let before = kept.server.body_bytes();
        kept.server.replace("/f", Resource::new(OBJECT));
        let said = kept.repair(&["-j", "2"]).expect(0);
        let fetched = said.event("done")["bytes_fetched"].as_u64().unwrap();
        assert!(fetched < 16 * SEGMENT || each == 1, "{each}: {said}");
        let twice = before - start + fetched - 16 * SEGMENT;
        assert!(twice <= 3 * 6 * SEGMENT, "{each}: {twice} bytes were fetched twice");
        kept.verify().expect(0);
    });
}
