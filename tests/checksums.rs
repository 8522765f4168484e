//! What proves that the bytes are the right ones: checksums that are given, and digests that servers send (H06).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm::{self, Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme, Crc64Xz};
use crc_fast::checksum;
use haul::{KIB, MIB, TestEnv, at_once, serve};
use md5::{Digest, Md5};
use serde_json::Value;
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
    format!("sha-256:{}", hex(sha_256(content)))
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

/// A header that proves the whole object, as the server of `content` sends it, and the algorithm.
type Sent = (&'static str, fn(&[u8]) -> String, &'static str);

const SENT: [Sent; 13] = [
    ("Repr-Digest", |bytes| format!("sha-256=:{}:", base64(&digest(&SHA256, bytes))), "sha-256"),
    ("Digest", |bytes| format!("SHA-512={}", base64(&digest(&SHA512, bytes))), "sha-512"),
    ("X-Goog-Hash", |bytes| format!("crc32c={}", base64(&crc(Crc32Iscsi, bytes)[4..])), "crc32c"),
    ("X-Goog-Hash", |bytes| format!("md5={}", base64(&Md5::digest(bytes))), "md5"),
    ("X-Amz-Checksum-Sha256", |bytes| base64(&digest(&SHA256, bytes)), "sha-256"),
    ("X-Amz-Checksum-Sha1", |bytes| base64(&digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes)), "sha-1"),
    ("X-Amz-Checksum-Crc64nvme", |bytes| base64(&crc(Crc64Nvme, bytes)), "crc64-nvme"),
    ("X-Amz-Checksum-Crc32c", |bytes| base64(&crc(Crc32Iscsi, bytes)[4..]), "crc32c"),
    ("X-Amz-Checksum-Crc32", |bytes| base64(&crc(Crc32IsoHdlc, bytes)[4..]), "crc32"),
    ("X-Oss-Hash-Crc64ecma", |bytes| checksum(Crc64Xz, bytes).to_string(), "crc64-xz"),
    ("X-Cos-Hash-Crc64ecma", |bytes| checksum(Crc64Xz, bytes).to_string(), "crc64-xz"),
    ("X-Ms-Blob-Content-Md5", |bytes| base64(&Md5::digest(bytes)), "md5"),
    ("Docker-Content-Digest", |bytes| format!("sha256:{}", hex(digest(&SHA256, bytes))), "sha-256"),
];

fn base64(bytes: &(impl AsRef<[u8]> + ?Sized)) -> String {
    STANDARD.encode(bytes)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn crc(algorithm: CrcAlgorithm, bytes: &[u8]) -> [u8; 8] {
    checksum(algorithm, bytes).to_be_bytes()
}

#[test]
fn h06_each_header_is_compared_with_the_bytes_in_ranges_and_in_a_stream() {
    const SMALL: Content = Content::new(4, MIB + 12_345);
    let [right, wrong] = [SMALL, SMALL.other()].map(|content| content.bytes());
    let both = [Resource::new(SMALL), Resource::new(SMALL).no_ranges().chunked()];
    let cases = both.into_iter().flat_map(|resource| SENT.map(|sent| (resource.clone(), sent)));
    at_once(cases, |(resource, (name, value, algorithm))| {
        let sending = |value: &str| {
            serve(resource.clone().header("X-Amz-Checksum-Type", "FULL_OBJECT").header(name, value))
        };
        let server = sending(&value(&right));
        let done = run(&TestEnv::new(&[SMALL]), &server, &[]).expect(0).event("done");
        let shown = done["digest"].as_str().unwrap_or_default();
        assert!(shown.starts_with(&format!("{algorithm}:")), "{name}: {done}");
        assert_eq!(done["digest_source"], name.to_lowercase(), "{done}");

        let server = sending(&value(&wrong));
        let env = TestEnv::new(&[SMALL]);
        run(&env, &server, &[]).expect(6).says(&name.to_lowercase()).says("--ignore-digests");
        let done = run(&env, &server, &["--ignore-digests"]).expect(0).event("done");
        assert_eq!((done.get("digest"), &done["digest_source"]), (None, &Value::Null));
    });
}

#[test]
fn h06_content_md5_is_compared_where_the_answer_is_the_whole() {
    let [right, wrong] = [OBJECT, OTHER].map(|content| base64(&Md5::digest(content.bytes())));
    let [ranges, stream] = both();
    for (resource, value, code) in [(&stream, &right, 0), (&stream, &wrong, 6), (&ranges, &wrong, 0)] {
        let server = serve(resource.clone().header("Content-MD5", value));
        run(&TestEnv::new(&[OBJECT]), &server, &[]).expect(code);
    }
    // One answer may have all of a small object.
    let small = Content::new(3, 100 * KIB);
    let md5 = base64(&Md5::digest(small.bytes()));
    let server = serve(Resource::new(small).header("Content-MD5", &md5));
    let done = run(&TestEnv::new(&[small]), &server, &[]).expect(0).event("done");
    assert_eq!(done["digest_source"], "content-md5");
}

#[test]
fn h06_what_a_store_says_of_parts_is_not_of_the_object() {
    let wrong = OTHER.bytes();
    let composite = Resource::new(OBJECT)
        .header("X-Amz-Checksum-Type", "COMPOSITE")
        .header("X-Amz-Checksum-Sha256", &base64(&digest(&SHA256, &wrong)));
    let tag = format!("\"{}-2\"", hex(Md5::digest(&wrong)));
    let multipart = Resource::new(OBJECT).etag(&tag);
    let single = Resource::new(OBJECT).etag(&format!("\"{}\"", hex(Md5::digest(&wrong))));
    for resource in [composite, multipart, single] {
        let done = run(&TestEnv::new(&[OBJECT]), &serve(resource), &[]).expect(0).event("done");
        assert_eq!(done["digest_source"], Value::Null, "{done}");
    }
}

#[test]
fn h06_the_first_hop_of_a_hub_says_what_it_leads_to() {
    for (content, code) in [(OBJECT, 0), (OTHER, 6)] {
        let hop = Resource::redirecting(302, "/f")
            .header("X-Linked-ETag", &format!("\"{}\"", hex(sha_256(&content))))
            .header("X-Linked-Size", &OBJECT.len.to_string());
        let server = Server::start([("/hub/f", hop), ("/f", Resource::new(OBJECT))]);
        let env = TestEnv::new(&[OBJECT]);
        let said = env.run(&["--json", &server.url("/hub/f")]).expect(code);
        if code == 0 {
            assert_eq!(said.event("done")["digest_source"], "x-linked-etag");
        }
    }
}

/// After a resume what an earlier run fetched counts as well.
#[test]
fn h06_what_an_earlier_run_left_is_in_the_digest() {
    at_once([SENT[0], SENT[6], SENT[7]], |(name, value, _)| {
        for (content, code) in [(OBJECT, 0), (OTHER, 6)] {
            let resource = Resource::new(OBJECT)
                .header("X-Amz-Checksum-Type", "FULL_OBJECT")
                .header(name, &value(&content.bytes()));
            let server = serve(resource.clone().rate(2 * MIB));
            let env = TestEnv::new(&[OBJECT]);
            let running = env.spawn(&["-j", "2", "-s", "64K", "--json", &server.url("/f")]);
            running.wait_for_bytes(MIB);
            running.kill9();
            server.replace("/f", resource);
            let said = run(&env, &server, &[]).expect(code);
            assert!(said.event("start")["resumed_bytes"].as_u64() >= Some(MIB), "{said}");
        }
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
    let old = Resource::new(OTHER).no_ranges().header("Repr-Digest", &repr_digest(&OTHER)).rate(MIB / 2);
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

/// What serves this text.
fn a_text(text: &str) -> Resource {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    Resource::new(Content::new(0, 0)).fault(When::Always, Fault::Head(answer))
}

#[test]
fn h06_a_list_has_the_targets_checksum_here_or_at_a_url() {
    let (right, wrong) = (hex(sha_256(&OBJECT)), hex(sha_256(&OTHER)));
    let md5 = hex(Md5::digest(OBJECT.bytes()));
    at_once(
        [
            ("SHA256SUMS", format!("{wrong}  other\n{right} *./f\n"), 0),
            ("SHA256SUMS", format!("{right}  other\n{wrong}  f\n"), 6),
            ("f.sha256", right.clone(), 0),
            ("f.md5", format!("MD5 (f) = {md5}\n"), 0),
        ],
        |(name, text, code)| {
            let server = Server::start([("/f", Resource::new(OBJECT)), (&format!("/{name}"), a_text(&text))]);
            for at_url in [false, true] {
                let env = TestEnv::new(&[OBJECT]);
                env.write(name, text.as_bytes());
                let url = server.url(&format!("/{name}"));
                let list = if at_url { &url } else { name };
                let said = run(&env, &server, &["--checksum-file", list]).expect(code);
                if code == 0 {
                    assert_eq!(said.event("done")["digest_source"], name);
                    let again = run(&env, &server, &["--checksum-file", list]).expect(0).event("done");
                    assert_eq!(
                        again["bytes_fetched"],
                        u64::from(at_url) * text.len() as u64,
                        "it is there already"
                    );
                }
            }
        },
    );
}

#[test]
fn a_list_that_does_not_say_it_is_found_out_before_anything_is_fetched() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[]);
    env.write("SHA256SUMS", format!("{}  other\n", hex(sha_256(&OBJECT))).as_bytes());
    let run = |list: &str| env.run(&["-q", "-o", "f", "--checksum-file", list, &server.url("/f")]);
    run("SHA256SUMS").expect(2).says("SHA256SUMS: has no checksum of f");
    run("no-such-list").expect(7).says("no-such-list");
    assert_eq!(server.requests(), 0);
    run(&server.url("/no-such-list")).expect(4).says("404").says("/no-such-list");
    assert_eq!(server.requests(), 1);
    assert_eq!(env.names(), ["SHA256SUMS"]);
}

#[test]
fn one_list_serves_several_urls() {
    let others = [("a", OBJECT), ("b", OTHER)];
    let server = Server::start([("/a", Resource::new(OBJECT)), ("/b", Resource::new(OTHER))]);
    let env = TestEnv::new(&[OBJECT]).target("a");
    let line = |(name, content): &(&str, Content)| format!("{}  {name}\n", hex(sha_256(content)));
    env.write("SHA256SUMS", others.iter().map(line).collect::<String>().as_bytes());
    env.run(&["--checksum-file", "SHA256SUMS", &server.url("/a"), &server.url("/b")]).expect(0);
    assert_eq!(env.names(), ["SHA256SUMS", "a", "b"]);
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
    for args in [&[][..], &["-o", "f"]] {
        for (content, code) in [(OBJECT, 0), (OTHER, 7)] {
            server.replace("/f", Resource::new(OBJECT).header("Repr-Digest", &repr_digest(&content)));
            let before = server.requests();
            run(&env, &server, args).expect(code);
            assert_eq!(server.requests() - before, 1, "a digest that the server sends will do");
        }
    }
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
