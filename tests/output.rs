//! What scripts rely on: exit codes, `--json`, and that nothing a server says reaches the terminal raw.

use haul::{Finished, KIB, MIB, TestEnv, at_once, serve};
use serde_json::Value;
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);

#[track_caller]
fn one_line(said: &Finished) {
    assert_eq!(said.stderr.lines().count(), 1, "{said}");
}

#[test]
fn code_2_is_a_wrong_command_line_and_asks_nobody() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    for args in [
        &[][..],
        &["nonsense"],
        &["ftp://127.0.0.1/f"],
        &["--no-such-option", &url],
        &["-j", "0", &url],
        &["-j", "many", &url],
        &["-s", "100000", &url],
        &["-s", "32K", &url],
        &["--range", "5-4", &url],
        &["--range", "-0", &url],
        &["-H", "no colon", &url],
        &["-H", "Range: bytes=0-1", &url],
        &["-H", "X: a\r\nY: b", &url],
        &["--max-wait", "soon", &url],
        &["--force", "--skip-existing", &url],
        &["-o", "one", &url, &url],
        &[&url, "status"],
    ] {
        let env = TestEnv::new(&[]);
        let said = env.run(args);
        assert_eq!(said.code, 2, "{said}");
        one_line(&said);
        assert_eq!(env.names(), <[&str; 0]>::default());
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn the_manual_and_the_completions_are_printed() {
    let env = TestEnv::new(&[OBJECT]);
    for (args, begins, has) in [
        (&["man"][..], ".ie", ".SH EXAMPLES"),
        (&["man", "status"], ".ie", "haul\\-status"),
        (&["completions", "bash"], "_haul()", "--segment-size"),
        (&["completions", "zsh"], "#compdef haul", "--segment-size"),
    ] {
        let said = env.ask(args).expect(0);
        assert!(said.stdout.starts_with(begins) && said.stdout.contains(has), "{said}");
    }
    one_line(&env.ask(&["man", "fetch"]).expect(2));
    for name in env.ask(&["man", "--list"]).expect(0).stdout.lines() {
        env.ask(&["man", name]).expect(0);
    }
}

#[test]
fn code_3_is_a_network_or_server_that_failed_for_too_long() {
    let status = |code| Resource::new(OBJECT).fault(When::Always, Fault::Status(code));
    let server = [500, 502, 503, 504, 429, 408]
        .into_iter()
        .fold(Server::builder(), |server, code| server.resource(&format!("/{code}/f"), status(code)));
    let server = server.start();
    for code in [500, 502, 503, 504, 429, 408] {
        let before = server.requests();
        let said = TestEnv::new(&[]).run(&["-q", "--retries", "1", &server.url(&format!("/{code}/f"))]);
        assert_eq!(said.code, 3, "{code}: {said}");
        one_line(&said.says(&code.to_string()));
        assert_eq!(server.requests() - before, 2, "{code}");
    }
    // Nobody listens on the port of a server that has stopped.
    server.stop();
    one_line(&TestEnv::new(&[]).run(&["-q", "--retries", "1", &server.url("/f")]).expect(3));
}

#[test]
fn code_4_is_a_server_that_said_no_and_is_not_asked_again() {
    at_once([400, 401, 403, 404, 405, 410, 451, 501, 505], |code| {
        let server = serve(Resource::new(OBJECT).fault(When::Always, Fault::Status(code)));
        let env = TestEnv::new(&[]);
        let said = env.run(&["-q", &server.url("/f")]);
        assert_eq!(said.code, 4, "{code}: {said}");
        one_line(&said.says(&code.to_string()).says(&server.url("/f")));
        assert_eq!(server.requests(), 1, "{code}");
        assert_eq!(env.names(), <[&str; 0]>::default());
    });
}

#[test]
fn events_are_one_object_a_line_with_the_contracts_fields() {
    let server = serve(Resource::new(OBJECT).rate(6 * MIB));
    let env = TestEnv::new(&[OBJECT]);
    let url = server.url("/f?sig=1");
    let said = env.run(&["--json", "-j", "2", "-s", "64K", &url]).expect(0);
    let events = said.events();
    let shown = server.url("/f?[hidden]");
    assert!(events.iter().all(|event| event["url"] == shown), "{said}");
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("start", "done"));
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| *kind == "progress"), "{kinds:?}");

    let start = &events[0];
    let segments = OBJECT.len.div_ceil(64 * KIB);
    assert_eq!((&start["length"], &start["segment_size"]), (&OBJECT.len.into(), &(64 * KIB).into()));
    assert_eq!((&start["segments"], &start["resumed_bytes"]), (&segments.into(), &0.into()));
    assert_eq!(start["jobs"], 2);
    assert!(
        start["validator"].as_str().is_some_and(|validator| validator.contains("\"1-c00005\"")),
        "{start}"
    );

    let done = &events[events.len() - 1];
    assert_eq!((&done["bytes"], &done["retries"]), (&OBJECT.len.into(), &0.into()));
    assert!(done["bytes_fetched"].as_u64() >= Some(OBJECT.len), "{done}");
    assert_eq!(done["requests"], server.requests());
    assert!(done["path"].as_str().is_some_and(|path| path.ends_with('f')), "{done}");

    let progress = said.all("progress");
    assert!(!progress.is_empty());
    let number =
        |event: &Value, name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event}"));
    assert!(progress.is_sorted_by_key(|event| number(event, "bytes")), "{said}");
    for event in &progress {
        assert_eq!(event["total"], OBJECT.len);
        assert!(number(event, "bytes") <= OBJECT.len && number(event, "connections") <= 3, "{event}");
        number(event, "rate");
    }
    let most = number(done, "elapsed_ms") / 200 + 1;
    assert!(progress.len() as u64 <= most, "{} in {done}", progress.len());
}

#[test]
fn events_tell_of_retries_and_errors() {
    let server = serve(Resource::new(OBJECT).fault(When::From(1), Fault::Status(500)));
    let said =
        TestEnv::new(&[]).run(&["--json", "-j", "2", "-s", "64K", "--retries", "1", &server.url("/f")]);
    let said = said.expect(3);
    for retry in said.all("retry") {
        assert!(retry["segment"].is_u64() && retry["wait_ms"].is_u64(), "{retry}");
        assert!(retry["reason"].as_str().is_some_and(|reason| reason.contains("500")), "{retry}");
    }
    assert!(!said.all("retry").is_empty());
    let error = said.event("error");
    assert_eq!((&error["code"], &error["kind"]), (&3.into(), &"network".into()));
    assert!(error["message"].as_str().is_some_and(|message| said.stderr.contains(message)), "{said}");
    assert_eq!(said.events().last(), Some(&error));
}

/// Of what servers can put into headers: C1 controls that terminals obey, and a reversal of the line.
const EVIL: &str = "\u{9b}31m\u{202e}evil\u{9d}0;x\u{9c}";

#[track_caller]
fn assert_harmless(text: &str) {
    let evil = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{2028}".contains(c);
    assert!(!text.contains(evil), "{text:?}");
}

#[test]
fn h79_nothing_that_a_server_says_reaches_the_terminal_raw() {
    let tagged = || Resource::new(OBJECT).etag(&format!("\"{EVIL}\""));
    let encoded = Fault::Header("Content-Encoding".to_owned(), EVIL.to_owned());
    let server = Server::start([
        ("/f", tagged()),
        ("/digest/f", tagged().header("Repr-Digest", EVIL).header("Content-Encoding", EVIL)),
        ("/late/f", tagged().fault(When::From(1), encoded)),
        ("/moved/f", Resource::redirecting(302, &format!("/{EVIL}"))),
        ("/named/f", tagged().header("Content-Disposition", &format!("attachment; filename=\"{EVIL}\""))),
        (
            "/cut/f",
            tagged().fault(When::Always, Fault::Head(format!("HTTP/1.1 200 {EVIL}\r\n{EVIL}\r\n\r\n"))),
        ),
    ]);
    at_once(["/f", "/digest/f", "/late/f", "/moved/f", "/named/f", "/cut/f"], |path| {
        let url = server.url(path);
        let args = ["-v", "-s", "64K", "-j", "2", "--retries", "1", "-o", "f", &url];
        let plain = TestEnv::new(&[OBJECT]).run(&args);
        let json = TestEnv::new(&[OBJECT]).run(&[&["--json"], &args[..]].concat());
        assert!([0, 3, 4].contains(&plain.code) && json.code == plain.code, "{path}: {plain}");
        let info = TestEnv::new(&[]).ask(&["info", "-v", "--retries", "1", &url]);
        let info_json = TestEnv::new(&[]).ask(&["info", "--json", "--retries", "1", &url]);
        for said in [plain, json, info, info_json] {
            assert_harmless(&said.stdout);
            assert_harmless(&said.stderr);
        }
    });
}

#[test]
fn h79_what_the_user_typed_is_not_obeyed_either() {
    let said = TestEnv::new(&[]).run(&["\u{1b}]0;x\u{7}"]).expect(2);
    assert_harmless(&said.stderr);
    let said = TestEnv::new(&[]).run(&["-o", "\u{1b}[31m/", "http://127.0.0.1:9/"]).expect(7);
    assert_harmless(&said.stderr);
    let server = serve(Resource::new(OBJECT).no_ranges());
    for name in [EVIL, "\u{1b}[31m\u{7f}\n"] {
        for args in [&["-v"][..], &["--json"], &["--progress", "plain"]] {
            let env = TestEnv::new(&[OBJECT]).target(name);
            let said = env.run(&[args, &["-o", name, &server.url("/f")]].concat()).expect(0);
            assert_harmless(&said.stdout);
            assert_harmless(&said.stderr);
            // What is escaped for the terminal is whole for a program.
            said.all("done").iter().for_each(|done| assert_eq!(done["path"], *name));
            assert_eq!(env.names(), [name]);
        }
    }
}

#[test]
fn h79_no_field_of_a_server_fills_the_screen() {
    // Two of them in one head are under its limit of 64 KiB.
    let long = "x".repeat(30_000);
    let server = Server::start([
        ("/digest/f", Resource::new(OBJECT).header("Repr-Digest", &long).header("Content-Encoding", &long)),
        (
            "/named/f",
            Resource::new(OBJECT).header("Content-Disposition", &format!("attachment; filename={long}")),
        ),
        ("/tag/f", Resource::new(OBJECT).etag(&format!("\"{long}\""))),
        ("/moved/f", Resource::redirecting(302, &format!("ftp://{long}/"))),
    ]);
    at_once(["/digest/f", "/named/f", "/tag/f", "/moved/f"], |path| {
        for args in [&["info", "-v"][..], &["info", "--json"], &["-v", "-o", "f"], &["--json", "-o", "f"]] {
            let said = TestEnv::new(&[]).ask(&[args, &[&server.url(path)]].concat());
            assert!([0, 4].contains(&said.code), "{}", said.code);
            let longest = said.stdout.lines().chain(said.stderr.lines()).map(str::len).max();
            assert!(longest.is_some_and(|length| length < 4096), "{path} {args:?}: {longest:?}");
        }
    });
}

#[test]
fn info_says_what_the_server_offers_for_one_byte() {
    let server = Server::start([
        ("/f", Resource::redirecting(302, "/node?sig=1")),
        ("/node", Resource::new(OBJECT).etag("\"v1\"")),
        ("/whole", Resource::new(OBJECT).no_ranges()),
    ]);
    let env = TestEnv::new(&[]);
    let said = env.ask(&["info", "--json", &server.url("/f")]).expect(0);
    let info: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&info["length"], &info["ranges"]), (&OBJECT.len.into(), &true.into()));
    assert_eq!(
        (&info["resumable"], &info["final_url"]),
        (&true.into(), &server.url("/node?[hidden]").into())
    );
    assert_eq!(server.log().last().and_then(|seen| seen.range), Some((0, 0)));
    let said = env.ask(&["info", "--json", &server.url("/whole")]).expect(0);
    let info: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&info["ranges"], &info["resumable"]), (&false.into(), &false.into()));
    env.ask(&["info", &server.url("/gone")]).expect(4);
    assert_eq!(env.names(), <[&str; 0]>::default());
}
