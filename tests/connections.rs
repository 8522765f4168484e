//! Connections: made early, and not waited for when another one will do better.

use haul::{MIB, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB);

/// A time-out that no test waits for.
const NEVER: [&str; 2] = ["--timeout", "10m"];

#[test]
fn a_connection_that_falls_silent_is_not_waited_for() {
    at_once([0, 1, 3], |silent| {
        let stalls = Fault::StallAfter(100_000);
        let server = serve(Resource::new(OBJECT).fault(When::Nth(silent), stalls));
        let env = TestEnv::new(&[OBJECT]);
        let args = ["-j", "4", "--json", &server.url("/f")];
        let done = env.run(&[&NEVER[..], &args].concat()).expect(0).event("done");
        assert_eq!(done["retries"], 0, "it is no failure");
    });
}

#[test]
fn when_all_fall_silent_new_ones_are_made() {
    at_once([1, 4], |jobs: u64| {
        let server = serve(Resource::new(OBJECT).fault(When::Before(jobs), Fault::StallAfter(100_000)));
        let env = TestEnv::new(&[OBJECT]);
        let done = env
            .run(&[&NEVER[..], &["-j", &jobs.to_string(), "--json", &server.url("/f")]].concat())
            .expect(0);
        assert_eq!(done.event("done")["retries"], 0);
        // Not a byte that came is fetched again; but one worker may take over what another is about to get.
        assert!(jobs > 1 || done.event("done")["bytes_fetched"] == OBJECT.len, "{done}");
    });
}

#[test]
fn connections_are_made_while_the_first_answer_is_awaited() {
    let server = serve(Resource::new(OBJECT).fault(When::Always, Fault::Mute));
    let env = TestEnv::new(&[]);
    env.run(&["-j", "4", "--timeout", "3s", "--retries", "0", &server.url("/f")]).expect(3);
    assert_eq!((server.connections(), server.requests()), (4, 1));
}

#[test]
fn h73_jobs_that_paid_are_remembered_for_the_next_download_and_no_secret() {
    let server = serve(Resource::new(OBJECT).rate(MIB));
    let cache = tempfile::tempdir().unwrap();
    let variable = format!("XDG_CACHE_HOME={}", cache.path().display());
    let url = server.url("/f?canary").replace("://", "://canary:canary@");
    let jobs = || {
        let env = TestEnv::new(&[OBJECT]).through(&["env", &variable]);
        let args = ["--jobs", "auto", "--json", "-H", "X-Key: canary", &url];
        env.run(&args).expect(0).event("start")["jobs"].as_u64()
    };
    jobs();
    let remembered = std::fs::read_to_string(cache.path().join("haul/hosts")).unwrap();
    assert!(!remembered.contains("canary") && !remembered.contains("/f"), "{remembered}");
    let line = remembered.lines().find(|line| line.contains(&server.addr().to_string())).expect(&remembered);
    let number = line.split("jobs=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(number.is_some_and(|number: u64| number > 1), "each connection has its rate: {line}");
    assert_eq!(jobs(), number);
}

#[test]
fn h25_a_server_that_falls_silent_on_every_connection_is_given_up() {
    at_once([(1, 0), (1, 100), (4, 0), (4, 900)], |(jobs, bytes): (u64, u64)| {
        // The probe brings something, so that there are workers whose connections fall silent.
        let stalls = Fault::StallAfter(bytes);
        let server = serve(Resource::new(OBJECT).fault(When::From(1), stalls));
        let env = TestEnv::new(&[OBJECT]);
        let args = ["-j", &jobs.to_string(), "--timeout", "4s", "--retries", "1", &server.url("/f")];
        env.run(&args).expect(3).says("not a byte for 4s");
        assert!(server.requests() < 40, "{}", server.requests());
    });
}
