//! `haul tune`: what is measured, what is recommended, and that it keeps nothing and knows when to stop.

use haul::{Finished, MIB, PATIENCE, Running, TestEnv};
use rustix::process::Signal;
use serde_json::Value;
use support::{Content, Excess, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

/// More than comes in any of these tests.
const OBJECT: Content = Content::new(1, 512 * MIB);

fn env() -> TestEnv {
    TestEnv::new(&[])
}

fn tune(env: &TestEnv, server: &Server, args: &[&str]) -> Finished {
    env.ask(&[&["tune", &server.url("/f")], args].concat())
}

fn answer(finished: &Finished) -> Value {
    assert_eq!(finished.stdout.lines().count(), 1, "{finished}");
    serde_json::from_str(&finished.stdout).expect("tune --json is JSON")
}

fn jobs(answer: &Value) -> Vec<u64> {
    let points = answer["points"].as_array().expect("points is a list");
    points.iter().map(|point| point["jobs"].as_u64().expect("jobs is a number")).collect()
}

/// One connection has half of what the server gives: the knee is where the others have it all.
fn limited() -> Server {
    Server::start([("/f", Resource::new(OBJECT).rate(4 * MIB).shared_rate(8 * MIB))])
}

#[test]
fn the_knee_is_the_fewest_jobs_that_have_what_there_is() {
    let (server, env) = (limited(), env());
    let said =
        tune(&env, &server, &["--json", "-j", "8,1,4", "--time", "1500ms", "--svg", "curve.svg"]).expect(0);
    let answer = answer(&said);
    assert_eq!(jobs(&answer), [1, 4, 8], "ascending: {said}");
    let rate = |point: &Value| point["rate"].as_f64().expect("rate is a number");
    let points = answer["points"].as_array().expect("points is a list");
    let best = points.iter().map(rate).fold(0.0, f64::max);
    let knee = points.iter().find(|point| rate(point) >= 0.95 * best).expect("the best at least");
    assert_eq!(answer["knee"], knee["jobs"], "{said}");
    assert_ne!(answer["knee"], 1, "{said}");
    assert_eq!(
        answer["command"],
        format!("haul --jobs {} {}", answer["knee"], answer["url"].as_str().expect("a URL"))
    );
    assert_eq!((&answer["length"], &answer["ended"]), (&OBJECT.len.into(), &"complete".into()));
    for point in points {
        let (connections, jobs) = (point["connections"].as_u64(), point["jobs"].as_u64());
        assert!(connections <= jobs && connections >= jobs.min(Some(2)), "{said}");
        assert_eq!((&point["throttled"], &point["whole"]), (&0.into(), &false.into()), "{said}");
        assert!(point["received"].as_u64() > Some(0) && point["measured_ms"].as_u64() > Some(0), "{said}");
    }
    // Nothing is kept but the picture that was asked for.
    assert_eq!(env.names(), ["curve.svg"]);
    let svg = String::from_utf8(env.read("curve.svg")).expect("SVG is text");
    assert!(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
}

#[test]
fn a_person_gets_bars_and_a_command_within_forty_columns() {
    let (server, env) = (limited(), env());
    let url = server.url("/f");
    let args = ["tune", &url, "-j", "1,4", "--time", "300ms"];
    let mut command = env.command(&args);
    command.env("COLUMNS", "40").stdout(std::process::Stdio::piped());
    let said = Running::of(&env, command, &args, false).wait().expect(0);
    let bars: Vec<_> =
        said.stdout.lines().filter(|line| line.contains("/s ") && line.contains('█')).collect();
    assert_eq!(bars.len(), 2, "{said}");
    assert!(bars.iter().all(|line| line.chars().count() <= 40), "{said}");
    assert_eq!(bars.iter().filter(|line| line.ends_with(" ◂")).count(), 1, "one knee: {said}");
    assert!(
        said.stdout.lines().any(|line| line.starts_with("  haul --jobs ") && line.ends_with(&url)),
        "{said}"
    );
    assert!(said.stdout.contains("less than a second"), "{said}");
    assert!(!said.stdout.contains('\u{1b}'), "no colour, no cursor: {said}");
    assert_eq!(env.names(), [""; 0]);
}

#[test]
fn h20_it_stops_at_the_first_429_and_recommends_fewer() {
    let resource = Resource::new(OBJECT).rate(2 * MIB);
    let server = Server::builder().resource("/f", resource).max_connections(6, Excess::Status(429)).start();
    let said = tune(&env(), &server, &["--json", "-j", "1,2,12,24", "--time", "600ms"]).expect(0);
    let answer = answer(&said);
    assert_eq!(jobs(&answer), [1, 2, 12], "24 are not tried: {said}");
    assert_eq!((&answer["ended"], &answer["knee"]), (&"throttled".into(), &2.into()), "{said}");
    assert!(answer["reason"].as_str().is_some_and(|why| why.contains("no more than so many")), "{said}");
    assert_ne!(answer["points"][2]["throttled"], 0, "{said}");
}

#[test]
fn h20_a_server_that_wants_to_be_left_alone_is() {
    let busy = Fault::StatusWith(503, vec![("Retry-After".into(), "120".into())]);
    let server = Server::start([("/f", Resource::new(OBJECT).fault(When::Always, busy))]);
    tune(&env(), &server, &[]).expect(3).says("503");
    assert_eq!(server.requests(), 1);
}

#[test]
fn without_ranges_one_point_tells_everything() {
    let server = Server::start([("/f", Resource::new(OBJECT).rate(4 * MIB).no_ranges())]);
    let said = tune(&env(), &server, &["--json", "--time", "600ms"]).expect(0);
    let answer = answer(&said);
    assert_eq!((jobs(&answer), &answer["ended"]), (vec![1], &"stream".into()), "{said}");
    assert!(answer["reason"].as_str().is_some_and(|why| why.contains("ignores ranges")), "{said}");
}

#[test]
fn an_object_that_is_too_small_says_so() {
    let server = Server::start([("/f", Resource::new(Content::new(1, MIB)))]);
    let env = env();
    tune(&env, &server, &["--svg", "curve.svg"]).expect(2).says("too few").says("16 MiB");
    assert_eq!((server.requests(), env.names().len()), (1, 0));
}

#[test]
fn no_more_bytes_are_fetched_than_allowed() {
    let server = Server::start([("/f", Resource::new(OBJECT).shared_rate(64 * MIB))]);
    let said =
        tune(&env(), &server, &["--json", "-j", "2,4", "--time", "1m", "--max-bytes", "32M"]).expect(0);
    let answer = answer(&said);
    let received: u64 = (0..2).map(|at| answer["points"][at]["received"].as_u64().expect("a number")).sum();
    assert!((24 * MIB..256 * MIB).contains(&received), "{said}");
}

#[test]
fn a_signal_ends_it() {
    let (server, env) = (limited(), env());
    let url = server.url("/f");
    let args = ["tune", &url, "--time", "10m"];
    let mut command = env.command(&args);
    command.stdout(std::process::Stdio::piped());
    let running = Running::of(&env, command, &args, false);
    assert!(server.wait_for_requests(1, PATIENCE));
    running.signal(Signal::INT);
    let said = running.wait().expect(130).says_once("stopped");
    assert_eq!(said.stdout, "");
    assert_eq!(env.names(), [""; 0]);
}

#[test]
fn a_wrong_command_line_is_found_before_anything_is_asked() {
    let (server, env) = (limited(), env());
    for args in [["-j", "0"], ["-j", "257"], ["-j", "auto"], ["--time", "0"], ["--max-bytes", "1MB"]] {
        tune(&env, &server, &args).expect(2);
    }
    assert_eq!(server.requests(), 0);
}
