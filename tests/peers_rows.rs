//! The faults on which other downloaders were seen to leave a corrupt file and say that all is well, to hang, or to
//! retry for ever: a test for each. The file is right here, or the error says what is wrong.

use haul::{MIB, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, Version, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OLD: Content = Content::new(1, 24 * MIB + 12_345);
const NEW: Content = Content::new(2, 24 * MIB + 12_345);

/// As the peers were run.
fn args<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["-j", "4", "-s", "1M", "--json", "--retries", "2"], more, &[url]].concat()
}

fn run(server: &Server, versions: &[Content]) -> haul::Finished {
    TestEnv::new(versions).run(&args(&server.url("/f"), &[]))
}

/// What a run leaves whose server breaks down in its midst.
fn interrupted(server: &Server, env: &TestEnv) {
    server.replace("/f", Resource::new(OLD).fault(When::From(4), Fault::Status(500)));
    env.run(&args(&server.url("/f"), &[])).expect(3).says("resumes");
    env.assert_partial();
    assert!(env.status().bytes() > 0);
}

#[test]
fn no_ranges_at_all() {
    at_once(
        [Resource::new(OLD).no_ranges(), Resource::new(OLD).no_ranges().header("Accept-Ranges", "bytes")],
        |resource| {
            let said = run(&serve(resource), &[OLD]).expect(0);
            assert_eq!(said.all("retry").len(), 0, "{said}");
        },
    );
}

#[test]
fn some_ranged_requests_get_200() {
    at_once([When::Nth(1), When::Nth(3), When::Every(2), When::Every(3), When::From(2)], |when| {
        run(&serve(Resource::new(OLD).fault(when, Fault::IgnoreRange)), &[OLD]).expect(0);
    });
}

#[test]
fn a_206_with_a_wrong_content_range() {
    let lies = ["bytes 0-0/1", "bytes 1-1048576/25178169", "bytes 0-1048575/25178168"];
    let lies = lies.map(|lie| Fault::ContentRange(lie.to_owned()));
    let wrong = [Fault::Shift(1), Fault::Shift(-4096), Fault::NoContentRange, Fault::TwoContentRanges];
    let faults: Vec<_> = lies.into_iter().chain(wrong).collect();
    at_once(
        faults.iter().flat_map(|fault| [(fault, When::Nth(2)), (fault, When::Every(2))]),
        |(fault, when)| {
            let said = run(&serve(Resource::new(OLD).fault(when, fault.clone())), &[OLD]);
            assert_eq!(said.code, 0, "{fault:?}: {said}");
        },
    );
}

#[test]
fn a_206_that_is_shorter_than_asked() {
    at_once([1, 100_000, MIB + 1], |count| {
        let when = if count == 1 { When::Every(5) } else { When::Always };
        let server = serve(Resource::new(OLD).fault(when, Fault::Short(count)));
        run(&server, &[OLD]).expect(0);
        assert!(server.log().iter().all(|seen| seen.range.is_some()), "it is no reason to give ranges up");
        assert!(server.requests() < 400, "{}", server.requests());
    });
}

#[test]
fn replaced_in_mid_download_and_the_etag_changes() {
    at_once([true, false], |checked| {
        let replaced = || {
            let before = Resource::new(OLD).then_becomes(When::Nth(3), NEW, "\"v2\"");
            if checked { before } else { before.fault(When::Always, Fault::IgnorePreconditions) }
        };
        let server = serve(replaced());
        run(&server, &[NEW]).expect(0);
        assert!(server.requests() < 60, "{}", server.requests());
        let server = serve(replaced());
        TestEnv::new(&[]).run(&args(&server.url("/f"), &["--on-change", "fail"])).expect(5);
    });
}

#[test]
fn replaced_in_mid_download_without_validators_and_of_the_same_size() {
    let bare = |content| Version::new(content).etag(None).last_modified(None);
    at_once([When::Nth(1), When::AfterBytes(MIB), When::AfterBytes(OLD.len / 2)], |when| {
        let server = serve(Resource::new(OLD).version(bare(OLD)).then_version(when, bare(NEW)));
        run(&server, &[OLD, NEW]).expect(0);
        // And where the connection is cut, so that somebody has to ask again.
        let cut = Resource::new(OLD).version(bare(OLD)).then_version(When::Nth(1), bare(NEW));
        run(&serve(cut.fault(When::Nth(0), Fault::CutAfter(OLD.len / 2))), &[NEW]).expect(0);
    });
}

#[test]
fn replaced_between_runs() {
    let dated = |content| Version::new(content).etag(None);
    let bare = |content| Version::new(content).etag(None).last_modified(None);
    let (server, env) = (serve(Resource::new(OLD)), TestEnv::new(&[NEW]));
    interrupted(&server, &env);
    server.replace("/f", Resource::new(NEW));
    let url = server.url("/f");
    env.run(&args(&url, &["--on-change", "fail"])).expect(5);
    env.run(&args(&url, &[])).expect(0);
    for weaker in [dated(NEW), bare(NEW)] {
        let env = TestEnv::new(&[NEW]);
        interrupted(&server, &env);
        server.replace("/f", Resource::new(NEW).version(weaker));
        // Nothing proves that this is not a captive portal.
        env.run(&args(&url, &[])).expect(3).says("--restart");
        env.assert_partial();
        env.run(&args(&url, &["--restart"])).expect(0);
    }
}

#[test]
fn the_state_file_is_lost_and_the_data_kept() {
    let (server, env) = (serve(Resource::new(OLD)), TestEnv::new(&[OLD]));
    interrupted(&server, &env);
    env.remove("f.part.ckpt");
    server.replace("/f", Resource::new(OLD));
    let url = server.url("/f");
    env.run(&args(&url, &[])).expect(7).says("--restart");
    env.run(&args(&url, &["--restart"])).expect(0);
}

/// A disk with room for half of it: files may not be longer here. (A small file system is one of the suites that
/// need more than Rust.)
#[test]
fn disk_full() {
    let server = serve(Resource::new(OLD));
    let half = format!("ulimit -f {} && exec \"$0\" \"$@\"", OLD.len / 2 / 512);
    let env = TestEnv::new(&[OLD]).through(&["/bin/sh", "-c", &half]);
    env.run(&args(&server.url("/f"), &[])).expect(7);
    assert!(env.names().is_empty(), "{:?}", env.names());
    assert!(server.requests() <= 1, "{}", server.requests());
}

#[test]
fn a_finished_file_is_run_again() {
    let (server, env) = (serve(Resource::new(OLD)), TestEnv::new(&[OLD]));
    let url = server.url("/f");
    env.run(&args(&url, &[])).expect(0);
    let requests = server.requests();
    env.run(&args(&url, &["-o", "f"])).expect(7).says("exists");
    assert_eq!(server.requests(), requests + 1, "what its digest is, is asked, and no more");
    env.run(&args(&url, &["--force"])).expect(0);
}
