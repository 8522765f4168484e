//! Several URLs for one target: mirrors that are good, slow, of another object, that fail, and that lie.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use crc_fast::{CrcAlgorithm, checksum};
use haul::{Finished, MIB, TestEnv, at_once, serve};
use support::{Content, Excess, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
/// The same length, other bytes.
const OTHER: Content = Content::new(2, 12 * MIB + 5);
const SECRET: &str = "hunter2canary";

/// The URL that is given: slow enough for mirrors to matter.
fn given() -> Server {
    serve(Resource::new(OBJECT).shared_rate(2 * MIB))
}

fn run(given: &Server, mirrors: &[&Server], args: &[&str]) -> Finished {
    let urls: Vec<String> = mirrors.iter().map(|mirror| format!("--mirror={}", mirror.url("/f"))).collect();
    let mirrors: Vec<&str> = urls.iter().map(String::as_str).collect();
    let always = ["-j", "6", "-s", "64K", "--no-sync", "-v"];
    TestEnv::new(&[OBJECT]).run(&[&always, args, &mirrors[..], &[&given.url("/f")]].concat())
}

/// Body bytes that came from there beside looks and samples.
fn brought(server: &Server) -> u64 {
    server.body_bytes().saturating_sub(MIB / 2)
}

#[test]
fn segments_come_from_all_mirrors_and_the_most_from_the_fastest() {
    let fast = serve(Resource::new(OBJECT).shared_rate(8 * MIB));
    let (given, slow) = (given(), serve(Resource::new(OBJECT).shared_rate(MIB)));
    run(&given, &[&slow, &fast], &[]).expect(0);
    let [given, slow, fast] = [&given, &slow, &fast].map(Server::body_bytes);
    assert!(given > 0 && slow > 0, "{given} {slow} {fast}");
    assert!(fast > given + slow, "{given} {slow} {fast}");
}

#[test]
fn a_mirror_of_another_object_is_not_mixed_with() {
    let longer = Content::new(1, OBJECT.len + 1);
    at_once(
        [
            ("another length", Resource::new(longer), "another length"),
            ("other bytes", Resource::new(OTHER), "another one"),
            ("other bytes, no tag", Resource::new(OTHER).no_etag(), "another one"),
            ("no ranges", Resource::new(OBJECT).no_ranges(), "does not answer ranges"),
            ("gone", Resource::new(OBJECT).fault(When::Always, Fault::Status(404)), "404"),
        ],
        |(what, resource, why)| {
            let (given, mirror) = (serve(Resource::new(OBJECT).shared_rate(8 * MIB)), serve(resource));
            let said = run(&given, &[&mirror], &[]).expect(0).says_once("a mirror is not used");
            assert!(said.stderr.contains(why), "{what}: {said}");
            assert!(brought(&mirror) == 0 || what == "no ranges", "{what}: {}", mirror.body_bytes());
        },
    );
}

#[test]
fn a_mirror_with_another_tag_proves_itself_by_samples() {
    for resource in
        [Resource::new(OBJECT).etag("\"mirror\""), Resource::new(OBJECT).no_etag().no_last_modified()]
    {
        let (given, mirror) = (given(), serve(resource));
        run(&given, &[&mirror], &[]).expect(0);
        assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
    }
}

#[test]
fn a_mirror_that_turns_bad_is_dropped_and_its_work_done_by_others() {
    let half = When::AfterBytes(3 * MIB);
    let short = |resource: Resource| resource.fault(When::Always, Fault::Short(MIB / 2));
    at_once(
        [
            ("404", Resource::new(OBJECT).fault(half, Fault::Status(404))),
            ("403", Resource::new(OBJECT).fault(half, Fault::Status(403))),
            ("500", Resource::new(OBJECT).fault(half, Fault::Status(500))),
            ("503", Resource::new(OBJECT).fault(half, Fault::Status(503))),
            ("the whole", Resource::new(OBJECT).fault(half, Fault::IgnoreRange)),
            ("shifted", Resource::new(OBJECT).fault(half, Fault::Shift(1))),
            ("another version", Resource::new(OBJECT).then_becomes(half, OTHER, "\"v2\"")),
            ("cut", Resource::new(OBJECT).fault(half, Fault::CutAfter(0))),
        ],
        |(what, resource)| {
            let (given, mirror) = (given(), serve(short(resource)));
            let said = run(&given, &[&mirror], &[]);
            assert_eq!(said.code, 0, "{what}: {said}");
            let for_good = !["500", "503", "cut", "shifted"].contains(&what);
            assert!(!for_good || said.stderr.contains("it is asked no more"), "{what}: {said}");
            assert!(brought(&mirror) > MIB, "{what}: {}", mirror.body_bytes());
        },
    );
}

#[test]
fn a_mirror_that_lies_is_caught_and_everything_of_it_fetched_again() {
    let half = When::AfterBytes(3 * MIB);
    let lying =
        Resource::new(OBJECT).fault(half, Fault::WrongBytes).fault(When::Always, Fault::Short(MIB / 2));
    let (given, mirror) = (given(), serve(lying));
    run(&given, &[&mirror], &[]).expect(0).says_once("it sent other bytes");
    assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
}

#[test]
fn while_the_given_url_has_trouble_the_mirrors_go_on() {
    let ailing = Resource::new(OBJECT).shared_rate(MIB).fault(When::Nth(0), Fault::Short(MIB / 4));
    let ailing = (1..5).fold(ailing, |resource, nth| resource.fault(When::Nth(nth), Fault::Status(500)));
    let (given, mirror) = (serve(ailing), serve(Resource::new(OBJECT).shared_rate(4 * MIB)));
    run(&given, &[&mirror], &[]).expect(0);
    assert!(brought(&mirror) > 6 * MIB, "{}", mirror.body_bytes());
}

#[test]
fn h31_secrets_of_the_given_url_do_not_go_to_a_mirror() {
    let (given, mirror) = (given(), serve(Resource::new(OBJECT)));
    let env = TestEnv::new(&[OBJECT]);
    let header = format!("X-Key: {SECRET}");
    let login = |url: String, user: &str| url.replace("http://", &format!("http://{user}:{SECRET}@"));
    let (url, mirrored) = (login(given.url("/f"), "me"), mirror.url("/f"));
    env.run(&["-s", "64K", "-H", &header, "--mirror", &mirrored, &url]).expect(0);
    assert!(mirror.log().len() > 1);
    for seen in mirror.log() {
        let text = format!("{:?}", seen.headers);
        assert!(!text.contains(SECRET) && seen.header("Authorization").is_none(), "{text}");
    }
}

#[test]
fn where_the_given_url_has_nothing_a_mirror_takes_its_place() {
    for fault in [Fault::Status(404), Fault::Status(500)] {
        let nowhere = serve(Resource::new(OBJECT).fault(When::Always, fault));
        let (one, two) = (given(), given());
        let said = run(&nowhere, &[&one, &two], &[]).expect(0).says_once("is asked in its place");
        assert!(brought(&one) > 0 && brought(&two) > 0, "{said}");
    }
}

#[test]
fn where_the_given_url_turns_bad_the_mirrors_go_on_without_it() {
    let half = When::AfterBytes(3 * MIB);
    for fault in [Fault::Status(404), Fault::Status(500), Fault::Status(418)] {
        let turning = Resource::new(OBJECT).shared_rate(6 * MIB).fault(half, fault.clone());
        let (given, mirror) = (serve(turning.fault(When::Always, Fault::Short(MIB / 2))), given());
        let said = run(&given, &[&mirror], &["--retries", "2"]).expect(0);
        // Nobody waits for a source that may come back.
        let for_good = fault != Fault::Status(500);
        assert!(!for_good || said.stderr.contains("the mirrors go on without it"), "{said}");
        assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
    }
}

#[test]
fn h06_what_samples_miss_the_checksum_finds_and_the_given_url_has_it() {
    let wrong_once = Resource::new(OBJECT)
        .fault(When::Nth(8), Fault::WrongBytes)
        .fault(When::Always, Fault::Short(MIB / 8));
    let bytes = OBJECT.bytes();
    for checksum in [
        format!("sha-256:{}", STANDARD.encode(digest(&SHA256, &bytes))),
        format!("crc32c:{:08x}", checksum(CrcAlgorithm::Crc32Iscsi, &bytes)),
    ] {
        let (given, mirror) = (given(), serve(wrong_once.clone()));
        let said = run(&given, &[&mirror], &["--checksum", &checksum]).expect(0);
        let found = ["its checksum is wrong", "it sent other bytes"];
        assert!(found.iter().any(|found| said.stderr.contains(found)), "{said}");
    }
}

#[test]
fn a_part_comes_from_mirrors_as_well() {
    let (given, mirror) = (given(), serve(Resource::new(OBJECT).etag("\"mirror\"")));
    let env = TestEnv::part(OBJECT, MIB, 11 * MIB);
    let range = format!("{MIB}-{}", 11 * MIB - 1);
    let mirrored = format!("--mirror={}", mirror.url("/f"));
    env.run(&["-s", "64K", "--no-sync", "-r", &range, &mirrored, &given.url("/f")]).expect(0);
    assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
}

#[test]
fn what_is_kept_of_a_download_from_mirrors_is_of_the_given_url() {
    let (given, mirror) = (given(), serve(Resource::new(OBJECT).etag("\"mirror\"")));
    let env = TestEnv::new(&[OBJECT]);
    let mirrored = format!("--mirror={}", mirror.url("/f"));
    let url = given.url("/f");
    env.run(&["-s", "64K", "--no-sync", "--keep-hashes", &mirrored, &url]).expect(0);
    assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
    env.damage("f", 5 * MIB);
    env.ask(&["verify", "f"]).expect(6);
    let before = given.body_bytes();
    env.ask(&["repair", "f", &url]).expect(0);
    env.assert_whole("f", &OBJECT);
    assert!(given.body_bytes() - before <= MIB, "{}", given.body_bytes() - before);
}

#[test]
fn urls_with_tabs_between_them_are_mirrors() {
    let (given, env) = (given(), TestEnv::new(&[]));
    let server = Server::start([("/g/f", Resource::new(OBJECT))]);
    env.write("list", format!("{}\t{}\n out=it\n", given.url("/f"), server.url("/g/f")).as_bytes());
    env.ask(&["-s", "64K", "--no-sync", "-i", "list"]).expect(0);
    env.assert_whole("it", &OBJECT);
    assert!(brought(&server) > MIB, "{}", server.body_bytes());
}

#[test]
fn each_host_has_its_own_number_of_requests() {
    let (given, mirror) = (given(), serve(Resource::new(OBJECT).rate(MIB)));
    run(&given, &[&mirror], &["--per-host", "2"]).expect(0);
    // One that was just let go of is on its way still.
    let peaks = (given.peak_concurrent(), mirror.peak_concurrent());
    assert!(peaks.0 <= 3 && peaks.1 <= 3, "{peaks:?}");
}

#[test]
fn a_mirror_that_serves_few_is_asked_for_few_and_goes_on() {
    let mirror = Server::builder()
        .resource("/f", Resource::new(OBJECT).shared_rate(4 * MIB))
        .max_connections(2, Excess::Status(503));
    let (given, mirror) = (given(), mirror.start());
    let said = run(&given, &[&mirror], &[]).expect(0);
    assert!(!said.stderr.contains("it is asked no more"), "{said}");
    assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
}

#[test]
fn what_is_piped_comes_from_mirrors_and_a_lie_is_an_error() {
    let env = TestEnv::new(&[]);
    let pipe = |mirror: Resource| {
        let (given, mirror) = (given(), serve(mirror));
        let mirrored = format!("--mirror={}", mirror.url("/f"));
        let args = ["-o", "-", "-j", "4", "--window", "1M", &mirrored, &given.url("/f")];
        (env.command(&args).output().expect("haul runs"), brought(&mirror))
    };
    let (out, brought) = pipe(Resource::new(OBJECT));
    assert!(out.status.success() && out.stdout == OBJECT.bytes());
    assert!(brought > MIB, "{brought}");
    let lying = Resource::new(OBJECT).fault(When::AfterBytes(3 * MIB), Fault::WrongBytes);
    let (out, _) = pipe(lying.fault(When::Always, Fault::Short(MIB / 2)));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(6) && said.contains("cannot be taken back"), "{said}");
}

#[test]
fn mirrors_that_the_server_offers_are_asked_where_that_is_wanted() {
    let mirror = serve(Resource::new(OBJECT));
    let offer =
        format!("<{}>; rel=duplicate; pri=1, <{}>; rel=describedby", mirror.url("/f"), mirror.url("/no"));
    let given = serve(Resource::new(OBJECT).shared_rate(2 * MIB).header("Link", &offer));
    run(&given, &[], &[]).expect(0);
    assert_eq!(mirror.requests(), 0, "nobody asked for it");
    let secret = format!("X-Key: {SECRET}");
    run(&given, &[], &["--offered-mirrors", "-H", &secret]).expect(0);
    assert!(brought(&mirror) > MIB, "{}", mirror.body_bytes());
    assert!(!format!("{:?}", mirror.log()).contains(SECRET));
}

#[test]
fn a_metalink_file_names_files_their_hashes_and_where_they_are() {
    let gone = serve(Resource::new(OBJECT).fault(When::Always, Fault::Status(404)));
    let (one, two) = (given(), given());
    let sum = digest(&SHA256, &OBJECT.bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let describe = |sum: &str, size: u64| {
        format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"../../.d/-x.iso\"><size>{size}</size>\
             <hash type=\"sha-256\">{sum}</hash><url priority=\"1\">{}</url><url>{}</url><url>{}</url></file>\
             <file name=\"y\"><url>{}</url></file></metalink>",
            gone.url("/f"),
            one.url("/f"),
            two.url("/f"),
            one.url("/f"),
        )
    };
    let env = TestEnv::new(&[]);
    env.write("a.meta4", describe(&sum, OBJECT.len).as_bytes());
    env.ask(&["-s", "64K", "--no-sync", "a.meta4"]).expect(0);
    assert_eq!(env.names(), ["a.meta4", "x.iso", "y"]);
    env.assert_whole("x.iso", &OBJECT);
    assert!(brought(&two) > MIB, "{}", two.body_bytes());
    env.ask(&["a.meta4", "-o", "z"]).expect(2);
    for wrong in [describe("00", OBJECT.len), "<x/>".to_owned()] {
        env.write("b.meta4", wrong.as_bytes());
        env.ask(&["b.meta4"]).expect(2);
    }
    env.write("c.meta4", describe(&sum, OBJECT.len - 1).replace("-x.iso", "c.iso").as_bytes());
    env.ask(&["c.meta4"]).expect(7).says("max-size");
}
