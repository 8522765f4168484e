//! Targets that are kept up to date: `--if-newer`, `--set-mtime`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use haul::{Finished, MIB, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OLD: Content = Content::new(1, 3 * MIB + 5);
const NEW: Content = Content::new(2, 4 * MIB + 7);
/// The same length as the old one.
const OTHER: Content = Content::new(3, 3 * MIB + 5);
/// 2020-01-01, when the server's objects are of.
const MODIFIED: Duration = Duration::from_secs(1_577_836_800);
const A_DAY_EARLIER: Duration = Duration::from_secs(1_577_836_800 - 86_400);
const DAY: Duration = Duration::from_secs(86_400);
const DATE: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

/// A folder in which the target may be either of them.
fn folder() -> TestEnv {
    TestEnv::new(&[OLD, NEW, OTHER])
}

/// A folder with the old version, as the server has it.
fn with_old(server: &Server, args: &[&str]) -> TestEnv {
    let env = folder();
    refresh(&env, server, args).expect(0);
    env.assert_whole("f", &OLD);
    env
}

fn refresh(env: &TestEnv, server: &Server, args: &[&str]) -> Finished {
    env.run(&[&["--if-newer", "--no-sync", "--json"], args, &[&server.url("/f")]].concat())
}

/// What tells one file from another, and a file from itself when it was written to.
fn state(env: &TestEnv) -> (u64, SystemTime, Vec<u8>) {
    let metadata = fs::metadata(env.path("f")).expect("the target is there");
    (metadata.ino(), metadata.modified().expect("it has a time"), env.read("f"))
}

#[track_caller]
fn assert_untouched(env: &TestEnv, server: &Server, args: &[&str]) -> support::Seen {
    let before = state(env);
    let said = refresh(env, server, args).expect(0);
    assert_eq!(said.event("done")["outcome"], "not_modified", "{said}");
    assert_eq!(said.event("done")["bytes"], before.2.len() as u64);
    assert_eq!(state(env), before);
    assert_eq!(env.names(), ["f"]);
    server.log().pop().expect("it was asked")
}

#[track_caller]
fn assert_replaced(env: &TestEnv, server: &Server, by: &Content) -> support::Seen {
    let asked = server.log().len();
    let said = refresh(env, server, &[]).expect(0);
    assert_eq!(said.event("done")["outcome"], "downloaded", "{said}");
    env.assert_whole("f", by);
    let mut log = server.log().split_off(asked);
    assert!(log[1..].iter().all(|seen| seen.header("If-None-Match").is_none()), "ranges of what was found");
    log.swap_remove(0)
}

fn set_mtime(env: &TestEnv, since_epoch: Duration) {
    let file = File::options().write(true).open(env.path("f")).expect("the target can be opened");
    file.set_modified(UNIX_EPOCH + since_epoch).expect("its time can be set");
}

#[test]
fn what_is_not_modified_costs_one_request_without_a_byte() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    let seen = assert_untouched(&env, &server, &[]);
    assert_eq!((seen.status, seen.body_bytes), (304, 0));
    assert_eq!(seen.header("If-None-Match"), Some("\"1-300005\""));
    assert_eq!(seen.header("If-Modified-Since"), None, "the tag says it better");
    let said = env.ask(&["--if-newer", &server.url("/f")]).expect(0).says("f: not modified, nothing to do");
    assert_eq!(said.stdout, "");
}

#[test]
fn a_newer_version_replaces_the_target_and_the_next_is_asked_for_by_its_tag() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(NEW));
    let first = assert_replaced(&env, &server, &NEW);
    assert_eq!((first.status, first.header("If-None-Match")), (206, Some("\"1-300005\"")));
    assert_untouched(&env, &server, &[]);
}

#[test]
fn until_the_newer_version_is_whole_the_target_is_the_old_one() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(NEW).rate(MIB / 2));
    let before = state(&env);
    let url = server.url("/f");
    let args = ["--if-newer", "-s", "64K", "-j", "2", "--json", &url];
    let running = env.spawn(&args);
    running.wait_for_bytes(MIB);
    assert_eq!(state(&env), before);
    running.kill9();
    assert_eq!(state(&env), before);
    server.replace("/f", Resource::new(NEW));
    let done = env.run(&args).expect(0).event("done");
    assert!(done["bytes_fetched"].as_u64().is_some_and(|bytes| bytes < NEW.len), "it is resumed: {done}");
    env.assert_whole("f", &NEW);
}

#[test]
fn what_an_earlier_run_left_goes_when_there_is_nothing_newer() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(NEW).rate(MIB / 2));
    let url = server.url("/f");
    let running = env.spawn(&["--if-newer", "-s", "64K", "-j", "2", "--json", &url]);
    running.wait_for_bytes(MIB);
    running.kill9();
    // The new version was taken back.
    server.replace("/f", Resource::new(OLD));
    assert_untouched(&env, &server, &[]);
}

#[test]
fn a_file_of_which_nothing_was_noted_is_asked_for_by_its_own_time() {
    let server = serve(Resource::new(OLD));
    let env = folder();
    env.run(&["--no-sync", &server.url("/f")]).expect(0);
    set_mtime(&env, MODIFIED);
    let seen = assert_untouched(&env, &server, &[]);
    assert_eq!((seen.status, seen.header("If-Modified-Since")), (304, Some(DATE)));
    assert_eq!(seen.header("If-None-Match"), None);
    set_mtime(&env, A_DAY_EARLIER);
    assert_eq!(assert_replaced(&env, &server, &OLD).status, 206);
}

#[test]
fn a_file_that_was_changed_since_is_not_the_version_that_was_noted() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    env.damage("f", 7);
    set_mtime(&env, A_DAY_EARLIER);
    let seen = assert_replaced(&env, &server, &OLD);
    assert_eq!(seen.header("If-None-Match"), None);
}

#[test]
fn a_tag_is_not_taken_to_another_url() {
    let server = Server::start([
        ("/f", Resource::new(OLD).etag("\"same\"")),
        ("/other/f", Resource::new(OTHER).etag("\"same\"").last_modified(SystemTime::now() + DAY)),
    ]);
    let env = with_old(&server, &[]);
    env.run(&["--if-newer", "--no-sync", &server.url("/other/f")]).expect(0);
    env.assert_whole("f", &OTHER);
    assert!(server.log().iter().all(|seen| seen.header("If-None-Match").is_none()));
}

#[test]
fn servers_that_answer_in_full_whatever_they_are_asked_are_compared_with() {
    let deaf = |resource: Resource| resource.fault(When::Always, Fault::IgnorePreconditions);
    let ago = UNIX_EPOCH + A_DAY_EARLIER;
    at_once(
        [
            ("a tag", Resource::new(OLD), Some(Resource::new(OTHER))),
            ("a weak tag", Resource::new(OLD).etag("W/\"1\""), Some(Resource::new(OTHER).etag("W/\"2\""))),
            ("a date", Resource::new(OLD).no_etag(), Some(Resource::new(OTHER).no_etag().last_modified(ago))),
            ("a length", Resource::new(OLD).etag("\"1\""), Some(Resource::new(NEW).etag("\"1\""))),
            ("one stream", Resource::new(OLD).no_ranges(), Some(Resource::new(OTHER).no_ranges())),
        ],
        |(what, old, new)| {
            let server = serve(deaf(old));
            let env = with_old(&server, &[]);
            let seen = assert_untouched(&env, &server, &[]);
            assert!(matches!(seen.status, 200 | 206), "{what}: {}", seen.status);
            let content = if what == "a length" { NEW } else { OTHER };
            server.replace("/f", deaf(new.expect("there is one")));
            assert_replaced(&env, &server, &content);
        },
    );
}

#[test]
fn h02_a_weak_tag_is_good_enough_to_ask_by() {
    let server = serve(Resource::new(OLD).etag("W/\"1\"").no_last_modified());
    let env = with_old(&server, &[]);
    let seen = assert_untouched(&env, &server, &[]);
    assert_eq!((seen.status, seen.header("If-None-Match")), (304, Some("W/\"1\"")));
}

#[test]
fn h05_where_nothing_tells_versions_apart_it_is_fetched() {
    let server = serve(Resource::new(OLD).no_etag().no_last_modified());
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(OTHER).no_etag().no_last_modified());
    assert_replaced(&env, &server, &OTHER);
}

#[test]
fn h23_a_url_whose_signature_does_not_cover_the_question_is_asked_without() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(OLD).refuse_header("If-None-Match", 403));
    let seen = assert_untouched(&env, &server, &[]);
    assert_eq!((seen.status, seen.header("If-None-Match")), (206, None));
}

#[test]
fn h49_a_portal_does_not_replace_the_target() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    server.replace("/f", Resource::new(OLD).fault(When::Always, Fault::Page(NEW)));
    refresh(&env, &server, &[]).expect(3).says("a captive portal");
    env.assert_whole("f", &OLD);
}

#[test]
fn a_target_that_is_not_there_is_fetched_without_a_question() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    assert!(server.log().iter().all(|seen| seen.status == 206));
    env.remove("f");
    refresh(&env, &server, &[]).expect(0);
    assert!(server.log().iter().all(|seen| seen.header("If-None-Match").is_none()));
}

#[test]
fn a_checksum_says_more_than_any_date() {
    let server = serve(Resource::new(OLD));
    let env = with_old(&server, &[]);
    let sum = |content: &Content| format!("crc32c:{:08x}", crc32c(&content.bytes()));
    let asked = server.requests();
    let said = refresh(&env, &server, &["--checksum", &sum(&OLD)]).expect(0);
    assert_eq!((said.event("done")["outcome"].as_str(), server.requests()), (Some("existed"), asked));
    env.damage("f", 7);
    refresh(&env, &server, &["--checksum", &sum(&OLD)]).expect(0);
    env.assert_whole("f", &OLD);
}

fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    }) ^ !0
}

#[test]
fn a_name_that_the_server_proposes_is_kept_up_to_date_as_well() {
    let named = |content| Resource::new(content).header("Content-Disposition", "attachment; filename=f");
    let server = Server::start([("/x", named(OLD))]);
    let env = folder();
    let run = || env.run(&["--if-newer", "--no-sync", "--json", &server.url("/x")]).expect(0);
    run();
    assert_eq!(run().event("done")["outcome"], "not_modified");
    server.replace("/x", named(NEW));
    run();
    env.assert_whole("f", &NEW);
}

#[test]
fn the_target_has_the_servers_time_before_it_has_its_name() {
    for (resource, time) in [
        (Resource::new(OLD), Some(MODIFIED)),
        (Resource::new(OLD).no_ranges(), Some(MODIFIED)),
        (Resource::new(OLD).no_last_modified(), None),
    ] {
        let server = serve(resource);
        let env = folder();
        let said = env.run(&["--set-mtime", &server.url("/f")]).expect(0);
        let (_, mtime, _) = state(&env);
        assert_eq!(time.is_some(), mtime == UNIX_EPOCH + MODIFIED, "{said}");
        assert_eq!(time.is_none(), said.stderr.contains("no Last-Modified"), "{said}");
    }
}

#[test]
fn with_the_servers_time_nothing_has_to_be_noted() {
    let server = serve(Resource::new(OLD).no_etag());
    let env = folder();
    env.run(&["--set-mtime", &server.url("/f")]).expect(0);
    let seen = assert_untouched(&env, &server, &[]);
    assert_eq!((seen.status, seen.header("If-Modified-Since")), (304, Some(DATE)));
}
