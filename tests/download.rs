//! Downloads from servers that behave: what is asked for, what arrives, under which name.

use std::time::Duration;

use haul::{KIB, MIB, PATIENCE, SEGMENT, TestEnv, at_once, serve};
use rustix::process::Signal;
use support::{Content, Excess, Resource, Seen, Server};

#[path = "support/haul.rs"]
mod haul;
mod support;

/// More than the first span of 8 MiB, so that there are ranges for several workers.
const OBJECT: Content = Content::new(1, 24 * MIB + 12_345);
const SMALL: Content = Content::new(2, 3 * MIB + 77);

/// Requests that a later one took a part of: they were given up, and their connections with them.
fn stolen_from(log: &[Seen]) -> usize {
    let holds = |a: &Seen, b: &Seen| {
        let ((first, last), (start, _)) = (a.range?, b.range?);
        Some(first < start && start <= last)
    };
    let given_up = |(index, seen): &(usize, &Seen)| {
        log[index + 1..].iter().any(|later| holds(seen, later) == Some(true))
    };
    log.iter().enumerate().filter(given_up).count()
}

#[test]
fn a_file_arrives_whole_under_the_urls_name() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    env.run(&[&server.url("/f")]).expect(0);
    assert_eq!(env.names(), ["f"]);
}

#[test]
fn nothing_is_on_stdout_and_the_summary_on_stderr_unless_quiet() {
    let server = serve(Resource::new(SMALL));
    let url = server.url("/f");
    let said = TestEnv::new(&[SMALL]).run(&[&url]).expect(0).says_once("3.0 MiB");
    assert_eq!(said.stdout, "");
    let said = TestEnv::new(&[SMALL]).run(&["-q", &url]).expect(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
}

#[test]
fn exactly_as_many_requests_at_once_as_jobs() {
    const LARGE: Content = Content::new(3, 96 * MIB);
    at_once([1, 3, 8], |jobs| {
        // So slow that no lease ends and none is divided while we look.
        let server = serve(Resource::new(LARGE).rate(MIB / 2));
        let env = TestEnv::new(&[LARGE]);
        let running = env.spawn(&["-j", &jobs.to_string(), "-s", "64K", "--no-sync", &server.url("/f")]);
        assert!(server.wait_for_requests(jobs, PATIENCE));
        let sent = server.body_bytes();
        assert!(server.wait_for_body_bytes(sent + MIB / 2, PATIENCE));
        assert_eq!(server.peak_concurrent(), jobs, "{jobs} jobs");
        running.signal(Signal::INT);
        running.wait().expect(130);
    });
}

#[test]
fn a_worker_keeps_its_connection_for_all_its_spans() {
    for jobs in [1, 4] {
        let server = serve(Resource::new(OBJECT));
        let env = TestEnv::new(&[OBJECT]);
        env.run(&["-j", &jobs.to_string(), "-s", "64K", &server.url("/f")]).expect(0);
        let given_up = stolen_from(&server.log());
        // One that comes back a moment after it is asked for has been replaced meanwhile.
        let most = jobs + 1 + u64::try_from(given_up).unwrap();
        assert!(server.requests() > usize::try_from(jobs).unwrap(), "{}", server.requests());
        assert!(server.connections() <= most, "{} connections, {given_up} given up", server.connections());
    }
}

#[test]
fn a_good_run_asks_for_no_byte_twice_but_what_was_taken_over() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    let said = env.run(&["-j", "1", "-s", "64K", "--json", &server.url("/f")]).expect(0);
    let done = said.event("done");
    assert_eq!(done["bytes_fetched"], OBJECT.len);
    assert_eq!(done["bytes"], OBJECT.len);
    assert_eq!(done["requests"], server.requests());
    assert_eq!(server.body_bytes(), OBJECT.len);
    let mut at = 0;
    for (first, last) in server.log().iter().filter_map(|seen| seen.range) {
        assert_eq!(first, at);
        at = last + 1;
    }
    assert_eq!(at, OBJECT.len);
}

#[test]
fn h01_every_range_after_the_probe_is_pinned_to_the_etag() {
    let server = serve(Resource::new(OBJECT).etag("\"v1\""));
    TestEnv::new(&[OBJECT]).run(&["-j", "4", "-s", "64K", &server.url("/f")]).expect(0);
    let log = server.log();
    assert!(log.len() > 3);
    assert!(log.iter().all(|seen| seen.range.is_some()), "{log:#?}");
    for seen in &log[1..] {
        assert_eq!(seen.header("If-Match"), Some("\"v1\""), "{seen:?}");
        assert_eq!(seen.header("If-Range"), None);
    }
}

#[test]
fn h02_h03_without_a_strong_etag_ranges_are_pinned_to_the_date() {
    for resource in [Resource::new(OBJECT).no_etag(), Resource::new(OBJECT).etag("W/\"v1\"")] {
        let server = serve(resource);
        TestEnv::new(&[OBJECT]).run(&["-j", "4", "-s", "64K", &server.url("/f")]).expect(0);
        let log = server.log();
        assert!(log.len() > 3);
        for seen in &log[1..] {
            assert_eq!(seen.header("If-Unmodified-Since"), Some("Wed, 01 Jan 2020 00:00:00 GMT"), "{seen:?}");
            assert_eq!((seen.header("If-Match"), seen.header("If-Range")), (None, None));
        }
    }
}

#[test]
fn h40_h41_every_request_asks_for_identity_and_all_are_alike() {
    let server = serve(Resource::new(OBJECT));
    TestEnv::new(&[OBJECT]).run(&["-j", "4", "-s", "64K", "-H", "X-Mine: 1", &server.url("/f")]).expect(0);
    let log = server.log();
    let alike = |seen: &Seen| {
        let varies = |name: &str| ["range", "if-match"].contains(&name.to_lowercase().as_str());
        seen.headers.iter().filter(|(name, _)| !varies(name)).cloned().collect::<Vec<_>>()
    };
    for seen in &log {
        assert_eq!(seen.header("Accept-Encoding"), Some("identity"));
        assert_eq!(seen.header("Cache-Control"), Some("no-transform"));
        assert_eq!(seen.header("X-Mine"), Some("1"));
        assert_eq!((seen.header("Expect"), seen.header("Referer")), (None, None));
        assert_eq!(alike(seen), alike(&log[0]));
    }
}

#[test]
fn h35_every_length_arrives() {
    let lengths = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT - 1, 3 * SEGMENT, 3 * SEGMENT + 1];
    let around_the_first_span = [8 * MIB - 1, 8 * MIB, 8 * MIB + 1];
    for length in lengths.into_iter().chain(around_the_first_span) {
        let content = Content::new(length, length);
        let server =
            Server::start([("/f", Resource::new(content)), ("/whole/f", Resource::new(content).no_ranges())]);
        for path in ["/f", "/whole/f"] {
            let env = TestEnv::new(&[content]);
            env.run(&["-s", "64K", "--no-sync", &server.url(path)]).expect(0);
            assert_eq!(env.names(), ["f"], "{length}");
        }
    }
}

#[test]
fn segments_are_as_large_as_asked_and_by_default_by_length() {
    let server = serve(Resource::new(SMALL));
    for (option, size) in [(vec![], SEGMENT), (vec!["-s", "1M"], MIB), (vec!["-s", "256KiB"], 256 * KIB)] {
        let url = server.url("/f");
        let start =
            TestEnv::new(&[SMALL]).run(&[&option[..], &["--json", &url]].concat()).expect(0).event("start");
        assert_eq!(start["segment_size"], size);
        assert_eq!(start["segments"], SMALL.len.div_ceil(size));
    }
}

#[test]
fn a_part_of_the_object_whether_the_server_knows_ranges_or_not() {
    let server = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/whole/f", Resource::new(OBJECT).no_ranges()),
        ("/chunked/f", Resource::new(OBJECT).no_ranges().chunked()),
    ]);
    let len = OBJECT.len;
    for (range, start, end) in [
        ("100-70000", 100, 70_001),
        ("0-0", 0, 1),
        ("9000000-", 9_000_000, len),
        ("-1", len - 1, len),
        ("-3000000", len - 3_000_000, len),
        ("-999999999", 0, len),
        ("5-999999999", 5, len),
    ] {
        for path in ["/f", "/whole/f", "/chunked/f"] {
            // The end of a body of unknown length is known too late.
            if path == "/chunked/f" && range.starts_with('-') {
                continue;
            }
            let env = TestEnv::part(OBJECT, start, end);
            let said = env.run(&["-s", "64K", "--no-sync", "--range", range, &server.url(path)]);
            assert_eq!(said.code, 0, "{range} of {path}: {said}");
        }
    }
}

#[test]
fn a_part_outside_the_object_is_refused() {
    let server =
        Server::start([("/f", Resource::new(SMALL)), ("/whole/f", Resource::new(SMALL).no_ranges())]);
    for path in ["/f", "/whole/f"] {
        for range in [format!("{}-", SMALL.len), format!("{}-{}", SMALL.len, SMALL.len + 5)] {
            let env = TestEnv::new(&[]);
            env.run(&["--range", &range, &server.url(path)]).expect(4).says("outside");
            assert_eq!(env.names(), <[&str; 0]>::default(), "{range} of {path}");
        }
    }
}

#[test]
fn the_end_of_a_body_of_unknown_length_cannot_be_told_and_that_is_said() {
    let server = serve(Resource::new(SMALL).no_ranges().chunked());
    let env = TestEnv::new(&[]);
    let said = env.run(&["--range", "-5", &server.url("/f")]).expect(4).says("length");
    assert!(!said.stderr.contains("outside"), "{said}");
    assert_eq!(env.names(), <[&str; 0]>::default());
}

#[test]
fn h34_ranges_are_found_out_and_not_believed() {
    let denies = Resource::new(OBJECT).header("Accept-Ranges", "none");
    let claims = Resource::new(OBJECT).no_ranges().header("Accept-Ranges", "bytes");
    let server = Server::start([("/f", denies), ("/g/f", claims)]);
    let said = TestEnv::new(&[OBJECT]).run(&["--json", &server.url("/f")]).expect(0);
    assert_ne!(said.event("start")["segments"], 0);
    let said = TestEnv::new(&[OBJECT]).run(&["--json", &server.url("/g/f")]).expect(0);
    assert_eq!(said.event("start")["segments"], 0);
}

#[test]
fn to_dev_null_everything_is_fetched_in_parallel_and_nothing_kept() {
    let server = serve(Resource::new(OBJECT).rate(8 * MIB));
    let env = TestEnv::new(&[]);
    let said = env.ask(&["-o", "/dev/null", "-j", "4", "-s", "64K", "--json", &server.url("/f")]).expect(0);
    let done = said.event("done");
    assert_eq!((&done["bytes"], &done["path"]), (&OBJECT.len.into(), &serde_json::Value::Null));
    assert!(server.peak_concurrent() > 1);
    assert_eq!(env.names(), <[&str; 0]>::default());
}

#[test]
fn h82_larger_objects_are_refused_and_longer_bodies_stopped() {
    let server = Server::start([
        ("/f", Resource::new(SMALL)),
        ("/whole/f", Resource::new(SMALL).no_ranges()),
        ("/chunked/f", Resource::new(SMALL).no_ranges().chunked()),
    ]);
    let (exact, less) = (SMALL.len.to_string(), (SMALL.len - 1).to_string());
    for path in ["/f", "/whole/f", "/chunked/f"] {
        TestEnv::new(&[SMALL]).run(&["--max-size", &exact, &server.url(path)]).expect(0);
        TestEnv::new(&[]).run(&["--max-size", &less, &server.url(path)]).expect(7).says("--max-size");
    }
    let env = TestEnv::new(&[]);
    env.run(&["--max-size", "1M", &server.url("/f")]).expect(7);
    assert_eq!(env.names(), <[&str; 0]>::default());
    TestEnv::part(SMALL, 0, 1000)
        .run(&["--max-size", "1000", "--range", "0-999", &server.url("/f")])
        .expect(0);
}

#[test]
fn several_urls_are_all_fetched_and_the_first_failure_is_the_exit_code() {
    let gone = Resource::new(SMALL).fault(support::When::Always, support::Fault::Status(410));
    let server = Server::start([("/a", Resource::new(SMALL)), ("/b", gone), ("/c", Resource::new(OBJECT))]);
    let env = TestEnv::new(&[]);
    let [a, b, c] = ["/a", "/b", "/c"].map(|path| server.url(path));
    // Port 9 discards: nobody listens there.
    env.ask(&[&a, &b, "http://127.0.0.1:9/", &c, "--retries", "0"]).expect(4).says("410");
    assert_eq!(env.names(), ["a", "c"]);
    env.assert_whole("a", &SMALL);
    env.assert_whole("c", &OBJECT);
}

#[test]
fn h47_servers_that_allow_few_connections_are_enough() {
    at_once([Excess::Close, Excess::Status(503)], |excess| {
        let resource = Resource::new(OBJECT).latency(Duration::from_millis(20));
        let server = Server::builder().resource("/f", resource).max_connections(2, excess).start();
        let said = TestEnv::new(&[OBJECT]).run(&["-j", "8", "-s", "64K", &server.url("/f")]);
        assert_eq!(said.code, 0, "{excess:?}: {said}");
    });
}
