//! Objects that change during the run, and objects that only seem to.

use haul::{Finished, MIB, PATIENCE, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, Version, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OLD: Content = Content::new(1, 24 * MIB + 12_345);
const NEW: Content = Content::new(2, 24 * MIB + 12_345);

fn run(server: &Server, versions: &[Content], args: &[&str]) -> Finished {
    let env = TestEnv::new(versions);
    env.run(&[&["-j", "4", "-s", "64K", "--json", "--no-sync"], args, &[&server.url("/f")]].concat())
}

/// Every way in which the second version of an object can replace the first at the third GET.
fn replaced() -> Vec<(&'static str, Resource, Content)> {
    let at = When::Nth(2);
    let dated = Version::new(NEW).etag(None);
    let day = std::time::Duration::from_secs(86_400);
    let date = dated.last_modified.expect("versions have a date");
    let shorter = Content::new(3, 9 * MIB);
    let longer = Content::new(3, 30 * MIB);
    let tiny = Content::new(3, 1);
    let weak = |tag| dated.clone().etag(Some(tag));
    let ignoring = Resource::new(OLD).fault(When::Always, Fault::IgnorePreconditions);
    vec![
        ("the same length", Resource::new(OLD).then_becomes(at, NEW, "\"v2\""), NEW),
        ("If-Match ignored", ignoring.then_becomes(at, NEW, "\"v2\""), NEW),
        ("shorter", Resource::new(OLD).then_becomes(at, shorter, "\"v2\""), shorter),
        ("longer", Resource::new(OLD).then_becomes(at, longer, "\"v2\""), longer),
        ("tiny", Resource::new(OLD).then_becomes(at, tiny, "\"v2\""), tiny),
        (
            "the same ETag, another length",
            Resource::new(OLD).etag("\"v\"").then_becomes(at, longer, "\"v\""),
            longer,
        ),
        (
            "a later date",
            Resource::new(OLD).no_etag().then_version(at, dated.clone().last_modified(Some(date + day))),
            NEW,
        ),
        (
            "an earlier date",
            Resource::new(OLD).no_etag().then_version(at, dated.clone().last_modified(Some(date - day))),
            NEW,
        ),
        ("another weak tag", Resource::new(OLD).etag("W/\"v1\"").then_version(at, weak("W/\"v2\"")), NEW),
    ]
}

#[test]
fn h01_h02_h03_an_object_that_is_replaced_in_mid_run_is_started_over() {
    at_once(replaced(), |(what, resource, new)| {
        let server = serve(resource);
        let said = run(&server, &[new], &[]);
        assert_eq!(said.code, 0, "{what}: {said}");
        assert_eq!(said.all("restart").len(), 1, "{what}: {said}");
        assert_eq!(said.all("start").len(), 2, "{what}: {said}");
        assert!(server.requests() < 60, "{what}: {}", server.requests());
    });
}

#[test]
fn an_object_that_is_replaced_in_mid_run_is_5_for_who_asked_to_fail() {
    at_once(replaced(), |(what, resource, _)| {
        let server = serve(resource);
        let env = TestEnv::new(&[]);
        let said = env.run(&["-j", "4", "-s", "64K", "--on-change", "fail", &server.url("/f")]);
        assert_eq!(said.code, 5, "{what}: {said}");
        // It may be found out before the first byte.
        if !env.names().is_empty() {
            env.assert_partial();
        }
    });
}

#[test]
fn h01_an_object_that_is_replaced_while_it_is_read_is_not_spliced() {
    at_once([0, 1, 4 * MIB, 12 * MIB, 20 * MIB], |bytes| {
        let server =
            serve(Resource::new(OLD).rate(16 * MIB).then_becomes(When::AfterBytes(bytes), NEW, "\"v2\""));
        run(&server, &[OLD, NEW], &[]).expect(0);
    });
}

#[test]
fn an_object_that_never_rests_is_5() {
    let restless = (1..80).fold(Resource::new(OLD), |resource, nth| {
        resource.then_becomes(When::Nth(nth), Content::new(nth, OLD.len), &format!("\"{nth}\""))
    });
    let server = serve(restless);
    let said = run(&server, &[], &[]).expect(5);
    assert_eq!(said.all("restart").len(), 3, "{said}");
    assert!(server.requests() < 60, "{}", server.requests());
}

#[test]
fn an_object_that_changes_three_times_is_followed() {
    let version = |nth| Content::new(nth, OLD.len);
    let changing = (1..=3).fold(Resource::new(OLD), |resource, nth| {
        resource.then_becomes(When::Nth(nth * 8), version(nth), &format!("\"{nth}\""))
    });
    let server = serve(changing);
    run(&server, &[OLD, version(1), version(2), version(3)], &[]).expect(0);
}

#[test]
fn h07_nodes_with_etags_of_their_own_are_no_change() {
    let node = || Fault::NodeEtag("\"node-b\"".to_owned());
    at_once(
        [
            ("ranges of another node", Resource::new(OLD).refuse_header("If-Match", 412)),
            ("every other request", Resource::new(OLD).fault(When::Every(2), node())),
            ("now and then", Resource::new(OLD).fault(When::Random { seed: 1, percent: 30 }, node())),
            ("mostly", Resource::new(OLD).fault(When::Random { seed: 2, percent: 70 }, node())),
        ],
        |(what, resource)| {
            let server = serve(resource);
            let said = run(&server, &[OLD], &[]);
            assert_eq!(said.code, 0, "{what}: {said}");
            assert!(server.requests() < 60, "{what}: {}", server.requests());
        },
    );
}

#[test]
fn h07_nodes_that_take_turns_are_no_change() {
    // Two requests for each node: a range meets the other one, and so does the look after it.
    let turns = (0..80).filter(|nth| [1, 2].contains(&(nth % 4)));
    let other =
        |resource: Resource, nth| resource.fault(When::Nth(nth), Fault::NodeEtag("\"node-b\"".to_owned()));
    let server = serve(turns.fold(Resource::new(OLD), other));
    TestEnv::new(&[OLD]).run(&["-j", "1", "-s", "64K", "--json", &server.url("/f")]).expect(0);
    assert!(server.requests() < 60, "{}", server.requests());
}

#[test]
fn h07_an_etag_of_every_answer_s_own_is_no_change() {
    let own = (0..80).fold(Resource::new(OLD), |resource, nth| {
        resource.fault(When::Nth(nth), Fault::NodeEtag(format!("\"{nth}\"")))
    });
    let server = serve(own);
    let said = run(&server, &[OLD], &[]);
    // Nothing tells it from an object that never rests; no file of two versions comes of it.
    assert!([0, 5].contains(&said.code), "{said}");
    assert!(server.requests() < 60, "{}", server.requests());
}

#[test]
fn h49_a_portal_in_mid_run_is_a_failure_and_keeps_what_is_there() {
    let portal = serve(Resource::new(OLD).rate(8 * MIB));
    let env = TestEnv::new(&[OLD]);
    let args = ["-j", "4", "-s", "64K", "--retries", "1", &portal.url("/f")];
    let running = env.spawn(&args);
    assert!(portal.wait_for_body_bytes(8 * MIB, PATIENCE));
    // A 200 with a page of its own, for everything.
    portal.replace("/f", Resource::new(OLD).fault(When::Always, Fault::Status(200)));
    portal.disconnect();
    running.wait().expect(3);
    env.assert_partial();
    let held = env.status().bytes();
    assert!(held > 0);
    portal.replace("/f", Resource::new(OLD));
    env.run(&args).expect(0);
}

#[test]
fn h04_an_etag_as_young_as_its_object_is_looked_at_once_more_at_the_end() {
    let young =
        Resource::new(OLD).last_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(1));
    let server = serve(young);
    run(&server, &[OLD], &[]).expect(0);
    assert_eq!(server.log().last().and_then(|seen| seen.range), Some((0, 0)));
}

#[test]
fn h05_without_a_validator_the_length_still_tells_of_a_change() {
    let grown = Content::new(2, OLD.len + 1);
    let bare = |content| Version::new(content).etag(None).last_modified(None);
    let growing = || {
        let resource = Resource::new(OLD).no_etag().no_last_modified();
        serve(resource.then_version(When::Nth(2), bare(grown)))
    };
    let allowed = ["--allow-unvalidated"];
    let said = run(&growing(), &[grown], &allowed).expect(0);
    assert_eq!(said.all("restart").len(), 1, "{said}");
    run(&growing(), &[], &[&allowed[..], &["--on-change", "fail"]].concat()).expect(5);
}

#[test]
fn h05_an_unvalidated_object_that_is_refused_in_mid_run_is_not_started_over_for_ever() {
    let bare = Resource::new(OLD).no_etag().no_last_modified();
    let server =
        serve((0..40).fold(bare, |bare, nth| bare.fault(When::Nth(2 * nth + 1), Fault::Status(404))));
    let said = run(&server, &[OLD], &["--allow-unvalidated"]);
    assert!([0, 4, 5].contains(&said.code), "{said}");
    assert!(server.requests() < 60, "{}", server.requests());
}

#[test]
fn h33_a_head_alone_discards_nothing() {
    let server = serve(Resource::new(OLD).rate(MIB));
    let env = TestEnv::new(&[OLD]);
    let url = server.url("/f");
    let args = ["-j", "4", "-s", "64K", "--json", &url];
    let running = env.spawn(&args);
    running.wait_for_bytes(4 * MIB);
    running.kill9();
    let held = env.status().bytes();
    let lying = Server::start([("/head", Resource::new(NEW))]);
    env.run(&[&args[..], &["--head-url", &lying.url("/head")]].concat()).expect(5).says("HEAD says");
    assert!(env.status().bytes() >= held, "what is there is kept");
    server.replace("/f", Resource::new(OLD));
    env.run(&args).expect(0);
}
