//! Servers from which ranges are not to be had, or of no use: one stream, and why is said.

use std::time::Duration;

use haul::{Finished, MIB, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
const OTHER: Content = Content::new(2, 12 * MIB + 5);

fn run(resource: Resource, args: &[&str]) -> (Server, Finished) {
    let server = serve(resource);
    let said = TestEnv::new(&[OBJECT]).run(&[args, &["-s", "64K", &server.url("/f")]].concat()).expect(0);
    (server, said)
}

#[test]
fn h05_h10_h42_what_cannot_be_had_in_ranges_comes_in_one_stream_and_that_is_said() {
    let bare = || Resource::new(OBJECT).no_etag().no_last_modified();
    at_once(
        [
            (Resource::new(OBJECT).no_ranges(), "ignores ranges"),
            (Resource::new(OBJECT).no_ranges().chunked(), "does not say how long"),
            (Resource::new(OBJECT).no_ranges().close_delimited(), "does not say how long"),
            (bare(), "neither ETag nor Last-Modified"),
            (bare().etag("W/\"v1\""), "weak"),
            (bare().no_ranges().chunked(), "neither ETag nor Last-Modified"),
            (Resource::new(OBJECT).no_etag().no_date(), "without Date"),
        ],
        |(resource, why)| {
            let (server, said) = run(resource, &[]);
            let said = said.says_once("cannot be resumed");
            // A body of unknown length without a validator has two reasons: either will do.
            let lengthless = said.stderr.contains("does not say how long");
            assert!(said.stderr.contains(why) || lengthless, "{why}: {said}");
            assert!(
                server.log()[1..].iter().all(|seen| seen.range.is_none()) && server.requests() <= 2,
                "{why}"
            );
        },
    );
}

#[test]
fn a_stream_starts_and_ends_with_its_events() {
    let (_, said) = run(Resource::new(OBJECT).no_ranges(), &["--json"]);
    let start = said.event("start");
    assert_eq!(
        (&start["segments"], &start["jobs"], &start["length"]),
        (&0.into(), &1.into(), &OBJECT.len.into())
    );
    assert_eq!(said.event("done")["bytes"], OBJECT.len);
    let (_, said) = run(Resource::new(OBJECT).no_ranges().chunked(), &["--json"]);
    assert_eq!(said.event("start")["length"], serde_json::Value::Null);
}

#[test]
fn h05_unvalidated_ranges_are_for_who_asks_for_them() {
    let bare = Resource::new(OBJECT).no_etag().no_last_modified().rate(4 * MIB);
    let (server, _) = run(bare, &["--allow-unvalidated", "-j", "3"]);
    assert!(server.peak_concurrent() > 1);
    assert!(server.log().iter().all(|seen| seen.range.is_some() && seen.header("If-Match").is_none()));
}

#[test]
fn h03_a_date_that_is_too_fresh_is_waited_for() {
    let (server, said) = run(Resource::new(OBJECT).no_etag().last_modified_ago(Duration::ZERO), &["--json"]);
    assert_ne!(said.event("start")["segments"], 0);
    assert!(server.log().iter().all(|seen| seen.range.is_some()));
}

#[test]
fn h42_h43_a_stream_that_is_cut_is_never_taken_for_whole() {
    let resources = [
        Resource::new(OBJECT).no_ranges(),
        Resource::new(OBJECT).no_ranges().chunked(),
        Resource::new(OBJECT).no_etag().no_last_modified(),
    ];
    at_once(resources, |resource| {
        for fault in [
            Fault::CutAfter(0),
            Fault::CutAfter(MIB),
            Fault::CutAfter(OBJECT.len - 1),
            Fault::ResetAfter(MIB),
        ] {
            run(resource.clone().fault(When::Before(2), fault), &[]);
        }
    });
}

#[test]
fn h42_a_stream_that_is_always_cut_fails_in_bounded_requests() {
    let server = serve(Resource::new(OBJECT).no_ranges().chunked().fault(When::Always, Fault::CutAfter(MIB)));
    TestEnv::new(&[]).run(&["--retries", "2", &server.url("/f")]).expect(3);
    assert!(server.requests() <= 5, "{}", server.requests());
}

#[test]
fn h05_a_stream_that_is_cut_and_becomes_another_object_is_not_spliced() {
    at_once(
        [Resource::new(OBJECT).no_ranges(), Resource::new(OBJECT).no_etag().no_last_modified()],
        |resource| {
            let changing = resource
                .fault(When::Nth(1), Fault::CutAfter(5 * MIB))
                .fault(When::Nth(0), Fault::CutAfter(MIB));
            let server = serve(changing.then_becomes(When::From(2), OTHER, "\"v2\""));
            TestEnv::new(&[OBJECT, OTHER]).run(&[&server.url("/f")]).expect(0);
        },
    );
}

#[test]
fn h40_an_encoding_is_saved_as_it_is() {
    run(Resource::new(OBJECT).header("Content-Encoding", "gzip"), &["-j", "4"]);
    run(Resource::new(OBJECT).no_ranges().header("Content-Encoding", "gzip"), &[]);
}

#[test]
fn h33_no_head_is_sent_unless_its_url_is_given() {
    let (server, _) = run(Resource::new(OBJECT).head_status(403), &[]);
    assert!(server.log().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn h33_the_head_goes_first_and_to_its_own_url() {
    let server = Server::start([("/f", Resource::new(OBJECT)), ("/head", Resource::new(OBJECT))]);
    let env = TestEnv::new(&[OBJECT]);
    env.run(&["--head-url", &server.url("/head?sig=1"), &server.url("/f")]).expect(0);
    let log = server.log();
    assert_eq!((log[0].method.as_str(), log[0].path.as_str()), ("HEAD", "/head?sig=1"));
    assert!(log[1..].iter().all(|seen| seen.method == "GET" && seen.path == "/f"));
}

#[test]
fn h33_a_head_that_is_refused_or_of_another_object_is_an_error() {
    let refused = Resource::new(OBJECT).head_status(404);
    let server = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/refused", refused),
        ("/other", Resource::new(OTHER).etag("\"other\"")),
    ]);
    for (head, code) in [("/refused", 4), ("/other", 5)] {
        let env = TestEnv::new(&[]);
        env.run(&["--head-url", &server.url(head), &server.url("/f")]).expect(code);
        assert_eq!(env.names(), <[&str; 0]>::default());
    }
}

#[test]
fn h35_an_empty_object_is_an_empty_file_however_it_is_said() {
    let empty = Content::new(0, 0);
    at_once(
        [
            Resource::new(empty),
            Resource::new(empty).no_ranges(),
            Resource::new(empty).no_ranges().chunked(),
            Resource::new(empty).no_ranges().close_delimited(),
            Resource::new(empty).no_etag().no_last_modified(),
        ],
        |resource| {
            let server = serve(resource);
            TestEnv::new(&[empty]).run(&[&server.url("/f")]).expect(0);
        },
    );
}

#[test]
fn h25_the_longest_wait_is_for_waits_that_were_asked_for() {
    let cut = |status: u16, after: &str| {
        let header = vec![("Retry-After".to_owned(), after.to_owned())];
        let resource = Resource::new(OBJECT).no_ranges().fault(When::Nth(0), Fault::CutAfter(MIB));
        resource.fault(When::Nth(1), Fault::StatusWith(status, header))
    };
    run(cut(500, "9"), &["--max-wait", "0s"]);
    let server = serve(cut(503, "9"));
    let said = TestEnv::new(&[OBJECT]).run(&["--max-wait", "8s", &server.url("/f")]).expect(3);
    said.says("come back in 9 s");
}
