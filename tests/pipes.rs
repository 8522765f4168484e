//! `-o -`: in order while it is fetched in parallel, with a bounded window in memory.

use std::io::Read;
use std::process::{Child, Stdio};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use haul::{KIB, MIB, PATIENCE, TestEnv, at_once, serve};
use support::{Content, Fault, Resource, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
const WINDOW: u64 = MIB;

/// What a run wrote to stdout and stderr, and how it ended.
struct Piped {
    code: Option<i32>,
    bytes: Vec<u8>,
    said: String,
}

fn start(env: &TestEnv, args: &[&str]) -> Child {
    let window: &[&str] = if args.contains(&"--window") { &[] } else { &["--window", "1M"] };
    let mut command = env.command(&[&["-o", "-", "-j", "4"], window, args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("haul starts")
}

/// Reads everything.
fn run(args: &[&str]) -> Piped {
    let env = TestEnv::new(&[]);
    let ended = start(&env, args).wait_with_output().expect("it ends");
    assert!(env.names().is_empty(), "{:?}", env.names());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Piped { code: ended.status.code(), bytes: ended.stdout, said }
}

impl Piped {
    #[track_caller]
    fn expect(self, code: i32, bytes: &[u8]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        assert!(self.bytes == bytes, "{} of {} bytes, or others", self.bytes.len(), bytes.len());
        self
    }

    /// What came out is how the object begins, and not all of it.
    #[track_caller]
    fn expect_beginning(self, code: i32, of: Content) -> Self {
        let whole = of.bytes();
        assert!(!self.bytes.is_empty() && self.bytes.len() < whole.len(), "{} bytes", self.bytes.len());
        let beginning = &whole[..self.bytes.len()];
        self.expect(code, beginning)
    }
}

#[test]
fn bytes_come_in_their_order_while_they_are_fetched_in_parallel() {
    let server = serve(Resource::new(OBJECT).rate(8 * MIB));
    let said = run(&["--json", &server.url("/f")]).expect(0, &OBJECT.bytes()).said;
    assert!(server.peak_concurrent() > 1);
    let events: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("events are on stderr")).collect();
    let done = events.last().unwrap();
    assert_eq!(
        (&done["event"], &done["outcome"], &done["path"]),
        (&"done".into(), &"piped".into(), &().into())
    );
    assert_eq!(done["bytes_fetched"], 12 * MIB + 5);
}

#[test]
fn no_more_is_fetched_than_the_window_has_room_for() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[]);
    let mut haul = start(&env, &["-q", &server.url("/f")]);
    assert!(server.wait_for_body_bytes(WINDOW, PATIENCE) && server.wait_until_idle(PATIENCE));
    // A pipe has room for 64 KiB, and what is out makes room in steps of a segment, which is 64 KiB here.
    assert!(server.body_bytes() <= WINDOW + 128 * KIB, "{}", server.body_bytes());
    let mut bytes = Vec::new();
    haul.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    assert!(haul.wait().unwrap().success() && bytes == OBJECT.bytes());
}

#[test]
fn a_pipe_that_is_closed_ends_it_quietly() {
    at_once([Resource::new(OBJECT), Resource::new(OBJECT).no_ranges()], |resource| {
        let server = serve(resource);
        let env = TestEnv::new(&[]);
        let mut haul = start(&env, &["-v", "--progress", "none", &server.url("/f")]);
        let mut out = haul.stdout.take().unwrap();
        out.read_exact(&mut [0; 1000]).unwrap();
        drop(out);
        let ended = haul.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(141), "{said}");
        assert!(!said.contains("haul: "), "{said}");
    });
}

#[test]
fn h43_what_breaks_off_is_asked_for_again_and_comes_out_once() {
    for fault in
        [Fault::CutAfter(100_000), Fault::ResetAfter(100_000), Fault::Status(503), Fault::Short(70_000)]
    {
        let server = serve(Resource::new(OBJECT).fault(When::Every(3), fault));
        run(&["-q", &server.url("/f")]).expect(0, &OBJECT.bytes());
    }
}

#[test]
fn h01_what_is_out_is_of_one_version() {
    let other = Content::new(2, 12 * MIB + 5);
    let changing = |when| Resource::new(OBJECT).rate(2 * MIB).then_becomes(when, other, "\"2\"");
    let server = serve(changing(When::AfterBytes(3 * MIB)));
    let said = run(&["-q", &server.url("/f")]).expect_beginning(5, OBJECT).said;
    assert!(said.contains("cannot be taken back"), "{said}");
    let server = serve(changing(When::From(1)));
    let ended = run(&["-q", &server.url("/f")]);
    // Whether something was out by then is a matter of moments.
    match ended.code {
        Some(0) => drop(ended.expect(0, &other.bytes())),
        _ => drop(ended.expect_beginning(5, OBJECT)),
    }
}

#[test]
fn h06_the_bytes_are_compared_as_they_go_out() {
    let server = serve(Resource::new(OBJECT));
    let right = sha_256(&OBJECT);
    run(&["--checksum", &right, &server.url("/f")]).expect(0, &OBJECT.bytes());
    let wrong = sha_256(&Content::new(2, 5));
    let said = run(&["-q", "--checksum", &wrong, &server.url("/f")]).expect(6, &OBJECT.bytes()).said;
    assert!(said.contains("throw it away"), "{said}");
    let lying = serve(Resource::new(OBJECT).header("x-goog-hash", "crc32c=AAAAAA=="));
    run(&["-q", &lying.url("/f")]).expect(6, &OBJECT.bytes());
}

/// In the form of `--checksum`.
fn sha_256(content: &Content) -> String {
    format!("sha-256:{}", STANDARD.encode(digest(&SHA256, &content.bytes())))
}

#[test]
fn a_server_without_ranges_is_piped_in_one_stream() {
    for resource in [Resource::new(OBJECT).no_ranges(), Resource::new(OBJECT).no_ranges().chunked()] {
        let server = serve(resource.clone());
        run(&["-q", &server.url("/f")]).expect(0, &OBJECT.bytes());
        let cut = serve(resource.fault(When::Nth(0), Fault::CutAfter(3 * MIB)));
        let said = run(&["-q", &cut.url("/f")]).expect_beginning(3, OBJECT).said;
        assert!(said.contains("cannot be taken back"), "{said}");
    }
    let empty = serve(Resource::new(Content::new(1, 0)));
    run(&["-q", &empty.url("/f")]).expect(0, &[]);
}

#[test]
fn a_part_is_piped_as_well() {
    let server = serve(Resource::new(OBJECT));
    for (range, start, end) in [("100-5000000", 100, 5_000_001), ("-3", OBJECT.len - 3, OBJECT.len)] {
        run(&["-q", "--range", range, &server.url("/f")]).expect(0, &OBJECT.slice(start, end));
    }
}

#[test]
fn what_makes_no_sense_for_a_pipe_is_refused() {
    let server = Server::start([("/f", Resource::new(OBJECT))]);
    let url = server.url("/f");
    run(&["--window", "100K", &url]).expect(2, &[]);
    run(&["--if-newer", &url]).expect(2, &[]);
    run(&["--keep-hashes", &url]).expect(2, &[]);
    run(&[&url, &url]).expect(2, &[]);
    // They would come out mixed.
    run(&["--range", "0-4194303,8388608-", &url]).expect(2, &[]);
    assert_eq!(server.requests(), 0);
}
