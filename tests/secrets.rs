//! Secrets stay where they belong: in requests to their origin. A *canary* is put into every place that can hold
//! a secret, every way a run can end is taken, and everything that a run leaves is searched.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use haul::{Finished, MIB, Running, SEGMENT, TestEnv, at_once, serve};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Server, When};
use tls::TlsServer;

#[path = "support/haul.rs"]
mod haul;
mod support;
mod tls;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
/// In every secret. No other text of ours has it.
const CANARY: &str = "canary";
/// And what the Basic scheme makes of one at the start of a user's name.
const BASIC: &str = "Y2FuYXJ5";

/// With a canary as user, password, query and fragment.
fn sung(url: &str) -> String {
    let url = url.replace("://", "://canary-user:canary-password@");
    format!("{url}?sig=canary-query#canary-fragment")
}

/// One way to end.
struct Case {
    args: Vec<String>,
    code: i32,
    variables: Vec<(&'static str, String)>,
    /// Something under the target's name before.
    taken: bool,
    /// Interrupted when some bytes are there.
    interrupted: bool,
}

impl Case {
    fn new(code: i32, url: &str) -> Self {
        let args = vec![sung(url)];
        Self { args, code, variables: vec![], taken: false, interrupted: false }
    }

    fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn run(&self, env: &TestEnv, more: &[&str]) -> Finished {
        let usual = ["-v", "-s", "64K", "-j", "2", "--retries", "1", "-H", "X-Key: canary-header"];
        let args: Vec<&str> =
            usual.into_iter().chain(["-H", "@headers"]).chain(more.iter().copied()).collect();
        let args: Vec<&str> = args.into_iter().chain(self.args.iter().map(String::as_str)).collect();
        let mut command = env.command(&args);
        command.stdout(Stdio::piped()).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let running = Running::of(env, command, &args, true);
        if self.interrupted {
            running.wait_for_bytes(SEGMENT);
            running.signal(Signal::INT);
        }
        running.wait()
    }
}

#[track_caller]
fn assert_silent(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.to_lowercase().contains(CANARY) && !text.contains(BASIC), "{what}: {text}");
}

/// Nothing that was said, and nothing that lies in the folder, has a canary.
#[track_caller]
fn assert_nothing_sings(env: &TestEnv, said: &[&Finished]) {
    for said in said {
        assert_silent("stdout", said.stdout.as_bytes());
        assert_silent("stderr", said.stderr.as_bytes());
    }
    for name in env.names().iter().filter(|name| *name != "headers") {
        assert_silent("a name", name.as_bytes());
        assert_silent(name, &env.read(name));
        let mut attributes = [0; 4096];
        // File systems without extended attributes have nothing in them.
        let length = rustix::fs::listxattr(env.path(name), &mut attributes).unwrap_or(0);
        let names = String::from_utf8_lossy(&attributes[..length]);
        assert!(!names.contains("user."), "{name} has {names}");
    }
}

#[test]
fn h73_h74_no_secret_is_said_or_stored_however_a_run_ends() {
    every_ending(&["--json"]);
}

#[test]
fn h73_h74_no_secret_is_said_to_a_person_either() {
    every_ending(&[]);
}

fn every_ending(how: &[&str]) {
    let server = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/proxied/f", Resource::new(OBJECT)),
        ("/401/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(401))),
        ("/500/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(500))),
        (
            "/wait/f",
            Resource::new(OBJECT).fault(
                When::Always,
                Fault::StatusWith(503, vec![("Retry-After".to_owned(), "100000".to_owned())]),
            ),
        ),
        ("/cut/f", Resource::new(OBJECT).fault(When::Always, Fault::CutAfter(0))),
        ("/noise/f", Resource::new(OBJECT).fault(When::Always, Fault::Head("noise\r\n\r\n".to_owned()))),
        ("/slow/f", Resource::new(OBJECT).rate(MIB)),
        ("/new/f", Resource::new(OBJECT).then_becomes(When::From(1), Content::new(2, OBJECT.len), "\"2\"")),
        ("/stream/f", Resource::new(OBJECT).no_ranges().no_etag().no_last_modified()),
        ("/file/f", Resource::redirecting(302, "file:///canary-location")),
        ("/loop/f", Resource::redirecting(302, "/loop/f?canary-location")),
        ("/bad/f", Resource::redirecting(302, "http://[canary-location")),
        ("/no-head", Resource::new(OBJECT).head_status(403)),
    ]);
    let at = |path: &str| server.url(path);
    let moved = at("/f?canary-location").replace("://", "://canary-location:canary-location@");
    server.replace("/moved/f", Resource::redirecting(302, &moved));
    // A port that nobody listens on: its server has stopped.
    let gone = { serve(Resource::new(OBJECT)).url("/f") };
    let proxy = |url: &str| url.replace("://", "://canary-user:canary-password@").replace("/f", "");
    let head = sung(&at("/f"));
    let no_head = sung(&at("/no-head"));
    let ftp = sung("ftp://127.0.0.1/f");
    let cases = [
        Case::new(0, &at("/f")),
        Case::new(0, &at("/moved/f")),
        Case::new(0, &at("/stream/f")),
        Case::new(0, &at("/f")).with(&["--head-url", &head]),
        Case::new(0, &at("/proxied/f")).variable("HTTP_PROXY", &proxy(&at("/f"))),
        Case::new(2, &at("/f")).with(&["-H", "canary"]),
        Case::new(2, &at("/f")).with(&["-H", "X-Key: canary\r\nX-Other: canary"]),
        Case::new(2, &at("/f")).with(&["-H", "X-Key: canary\n"]),
        Case::new(2, &at("/f")).with(&["--restart=X-Key: canary"]),
        Case::new(2, &at("/f")).with(&["--timeout", &head]),
        Case::new(2, &at("/f")).with(&["X-Key: canary"]),
        Case::new(2, &at("/f")).with(&[&ftp]),
        Case::new(2, &at("/f")).with(&["--head-url", &ftp]),
        Case::new(3, &at("/500/f")),
        Case::new(3, &at("/wait/f")),
        Case::new(3, &at("/cut/f")),
        Case::new(3, &at("/noise/f")),
        Case::new(3, &gone),
        Case::new(3, &at("/f").replace("http:", "https:")).with(&["--timeout", "1s"]),
        Case::new(3, &at("/f")).variable("HTTP_PROXY", &proxy(&gone)),
        Case::new(3, &at("/f")).variable("ALL_PROXY", &proxy(&gone).replace("http:", "socks5:")),
        Case::new(3, &at("/f").replace("http:", "https:")).variable("HTTPS_PROXY", &proxy(&gone)),
        Case::new(4, &at("/gone/f")),
        Case::new(4, &at("/401/f")),
        Case::new(4, &at("/file/f")),
        Case::new(4, &at("/loop/f")),
        Case::new(4, &at("/bad/f")),
        Case::new(4, &at("/f")).with(&["--head-url", &no_head]),
        Case::new(4, &at("/f")).with(&["--range", "99999999999-"]),
        Case::new(4, &at("/gone/f")).variable("HTTP_PROXY", &proxy(&at("/f"))),
        Case::new(5, &at("/new/f")).with(&["--on-change", "fail"]),
        Case::new(7, &at("/f")).with(&["--max-size", "1M"]),
        Case { taken: true, ..Case::new(7, &at("/f")) },
        Case { interrupted: true, ..Case::new(130, &at("/slow/f")) },
    ];
    // Progress is awaited by its events.
    let possible = |case: &&Case| !case.interrupted || how.contains(&"--json");
    at_once(cases.iter().filter(possible), |case| {
        let env = TestEnv::new(&[OBJECT]);
        env.write("headers", b"# canary\nAuthorization: Bearer canary-file\n");
        if case.taken {
            env.write("f", b"precious");
        }
        let said = case.run(&env, how);
        assert_eq!(said.code, case.code, "{said}");
        let plain = env.ask(&["status", "-v", "f"]);
        let status = env.ask(&["status", "--json", "f"]);
        assert_nothing_sings(&env, &[&said, &plain, &status]);
    });
    // They were sent where they belong.
    let log = server.log();
    assert!(log.iter().any(|seen| seen.header("Authorization") == Some("Bearer canary-file")));
    let proxied = log.iter().filter(|seen| seen.path.contains("proxied"));
    assert!(proxied.clone().count() > 1);
    for seen in proxied {
        assert!(seen.header("Proxy-Authorization").is_some_and(|sent| sent.contains(BASIC)));
    }
}

#[test]
fn h73_h74_no_secret_is_said_by_the_second_process() {
    let server = serve(Resource::new(OBJECT).shared_rate(MIB));
    let env = TestEnv::new(&[OBJECT]);
    env.write("headers", b"X-Other: canary-file\n");
    let url = sung(&server.url("/f"));
    let first = env.spawn(&["--json", "-s", "64K", &url]);
    first.wait_for_bytes(SEGMENT);
    let second = Case::new(8, &server.url("/f")).run(&env, &[]);
    assert_eq!(second.code, 8, "{second}");
    let busy = env.ask(&["status", "--json", "f"]).expect(0);
    assert_nothing_sings(&env, &[&second, &busy]);
    first.signal(Signal::TERM);
    let first = first.wait();
    let cancelled = env.ask(&["cancel", "-v", "f"]).expect(0);
    assert_nothing_sings(&env, &[&first, &cancelled]);
}

#[test]
fn h74_info_says_no_secret() {
    let server = Server::start([("/f", Resource::new(OBJECT))]);
    let moved = server.url("/f?canary").replace("://", "://canary:canary@");
    server.replace("/moved/f", Resource::redirecting(302, &moved));
    let env = TestEnv::new(&[]);
    at_once([("/f", 0), ("/moved/f", 0), ("/gone/f", 4)], |(path, code)| {
        let url = sung(&server.url(path));
        for args in [&["info", &url][..], &["info", "--json", "-v", "-H", "X-Key: canary", &url]] {
            let said = env.ask(args);
            assert_eq!(said.code, code, "{path}");
            assert_nothing_sings(&env, &[&said]);
        }
    });
    // What is too much may be a second URL.
    let said = env.ask(&["info", &server.url("/f"), &sung(&server.url("/f"))]).expect(2);
    assert_nothing_sings(&env, &[&said]);
}

/// Runs with this on stdin.
fn run_with_stdin(env: &TestEnv, args: &[&str], input: &[u8]) -> Finished {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut command = env.command(args);
    command.stdout(Stdio::piped()).stdin(reader);
    let running = Running::of(env, command, args, true);
    writer.write_all(input).expect("a pipe takes a few bytes");
    drop(writer);
    running.wait()
}

#[test]
fn h75_headers_come_from_stdin_as_from_a_file() {
    let server = serve(Resource::new(OBJECT).require_header("X-Key", "s3cret").require_header("X-More", "1"));
    let env = TestEnv::new(&[OBJECT]);
    let args = ["-H", "X-More: 1", "-H", "@-", &server.url("/f")];
    run_with_stdin(&env, &args, b"# of the build machine\nX-Key: s3cret\n").expect(0);
    assert!(server.log().iter().all(|seen| seen.status == 206));
    let env = TestEnv::new(&[]);
    let said = run_with_stdin(&env, &args, b"X-Key: s3cret\ns3cret\n").expect(2).says("stdin: line 2");
    assert!(!said.stderr.contains("s3cret"), "{said}");
    env.run(&["-H", "@-", "-H", "@-", &server.url("/f")]).expect(2).says("@-");
}

#[test]
fn h80_a_header_with_a_line_break_or_a_nul_is_refused_wherever_it_comes_from() {
    let server = serve(Resource::new(OBJECT));
    let url = server.url("/f");
    let env = TestEnv::new(&[]);
    for header in
        ["X: s3cret\r\nY: b", "X: s3cret\n", "X: s3cret\r", "X\r: s3cret", "X\nY: s3cret", "X: \u{7f}s3cret"]
    {
        let said = env.run(&["-H", header, &url]);
        assert!(said.code == 2 && !said.stderr.contains("s3cret"), "{header:?}: {said}");
    }
    for bytes in
        [&b"X: s3cret\r\r\n"[..], b"X: s3cret\rY: b\n", b"X: s3\0cret\n", b"X\0: cret\n", b"X: cret\x1b\n"]
    {
        env.write("headers", bytes);
        let said = env.run(&["-H", "@headers", &url]);
        assert!(said.code == 2 && !said.stderr.contains("cret"), "{bytes:?}: {said}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn h71_no_netrc_is_read() {
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    for name in [".netrc", "_netrc", ".wgetrc", ".curlrc"] {
        env.write(name, b"machine 127.0.0.1 login canary-user password canary-password\ndefault login canary password canary\n");
    }
    let args = ["-s", "64K", &server.url("/f")];
    let mut command = env.command(&args);
    command.stdout(Stdio::piped()).env("HOME", env.path("")).env("NETRC", env.path(".netrc"));
    Running::of(&env, command, &args, true).wait().expect(0);
    assert!(server.log().iter().all(|seen| seen.header("Authorization").is_none()));
}

/// The object as a whole answer; the path `/away` leads elsewhere.
fn https(certificate: &[u8], away: &str) -> TlsServer {
    let away = away.to_owned();
    TlsServer::start(certificate, move |head| {
        if head.contains(" /away") {
            let lines = format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n");
            return format!("{lines}Connection: close\r\n\r\n").into_bytes();
        }
        let body = SMALL.bytes();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    })
}

const SMALL: Content = Content::new(3, 1000);

/// Runs as on a machine that trusts the test's authority.
fn run_trusting(env: &TestEnv, args: &[&str]) -> Finished {
    let mut command = env.command(args);
    command.stdout(Stdio::piped()).env("SSL_CERT_FILE", tls::AUTHORITY);
    Running::of(env, command, args, true).wait()
}

#[test]
fn h83_a_server_that_nobody_vouches_for_gets_no_request() {
    let (here, elsewhere, expired) =
        (https(tls::HERE, ""), https(tls::ELSEWHERE, ""), https(tls::EXPIRED, ""));
    let env = TestEnv::new(&[SMALL]);
    run_trusting(&env, &[&here.url("/f")]).expect(0);
    assert_eq!(here.heads().len(), 1, "trusted, it is asked");
    for server in [&elsewhere, &expired] {
        let env = TestEnv::new(&[]);
        run_trusting(&env, &["-H", "X-Key: canary", &sung(&server.url("/f"))]).expect(4).says("not trusted");
        assert_eq!(env.names(), <[&str; 0]>::default());
    }
    let env = TestEnv::new(&[]);
    let said =
        env.run(&["-v", "-H", "X-Key: canary", &sung(&here.url("/f"))]).expect(4).says_once("not trusted");
    assert_nothing_sings(&env, &[&said]);
    assert_eq!((here.heads().len(), elsewhere.heads().len(), expired.heads().len()), (1, 0, 0));
}

#[test]
fn h30_h31_a_redirect_between_schemes_carries_no_secret_and_never_leaves_https() {
    let plain = serve(Resource::new(OBJECT));
    let down = https(tls::HERE, &plain.url("/f"));
    let env = TestEnv::new(&[]);
    run_trusting(&env, &[&sung(&down.url("/away"))]).expect(4).says("https to http");
    assert_eq!(plain.requests(), 0);
    assert_eq!(down.heads().len(), 1);

    let up = https(tls::HERE, "");
    let server = Server::start([("/f", Resource::redirecting(302, &up.url("/f")))]);
    let env = TestEnv::new(&[SMALL]);
    let args = ["-H", "X-Key: canary", "-H", "Cookie: canary", &sung(&server.url("/f"))];
    run_trusting(&env, &args).expect(0);
    let heads = up.heads();
    assert!(!heads.is_empty());
    heads.iter().for_each(|head| assert_silent("a request to another scheme", head.as_bytes()));
}

#[test]
fn h78_nothing_in_the_folder_of_a_partial_download_is_for_others() {
    use std::os::unix::fs::PermissionsExt;
    let server = serve(Resource::new(OBJECT).shared_rate(MIB));
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["--json", "-s", "64K", &server.url("/f")]);
    running.wait_for_bytes(SEGMENT);
    for name in env.names() {
        let mode = fs::metadata(env.path(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    running.kill9();
}
