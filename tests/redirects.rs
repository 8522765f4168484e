//! Redirects, and the secrets that must not follow them.

use haul::{MIB, PATIENCE, SEGMENT, TestEnv, at_once, serve};
use rustix::process::Signal;
use support::{Content, Fault, Resource, Seen, Server, When};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 12 * MIB + 5);
const SECRET: &str = "hunter2canary";

fn to(server: &Server, path: &str) -> Vec<Seen> {
    server.log().into_iter().filter(|seen| seen.path.starts_with(path)).collect()
}

#[test]
fn h30_every_redirect_is_followed_relative_to_where_it_is() {
    at_once([301, 302, 303, 307, 308], |status| {
        let server = Server::start([
            ("/a/f", Resource::redirecting(status, "../b/x?y=1")),
            ("/b/x", Resource::redirecting(status, "/c")),
            ("/c", Resource::new(OBJECT)),
        ]);
        let env = TestEnv::new(&[OBJECT]);
        let said = env.run(&["-s", "64K", "-j", "2", &server.url("/a/f")]);
        assert_eq!(said.code, 0, "{status}: {said}");
    });
}

#[test]
fn h30_ten_hops_are_followed_and_eleven_are_not() {
    for (hops, code) in [(10, 0), (11, 4)] {
        let start = (0..hops).fold(Server::builder(), |server, hop| {
            server.resource(&format!("/{hop}/f"), Resource::redirecting(302, &format!("/{}/f", hop + 1)))
        });
        let server = start.resource(&format!("/{hops}/f"), Resource::new(OBJECT)).start();
        TestEnv::new(&[OBJECT]).run(&[&server.url("/0/f")]).expect(code);
    }
}

#[test]
fn h30_redirects_that_lead_nowhere_are_refused_at_once() {
    let server = Server::start([
        ("/self/f", Resource::redirecting(302, "/self/f")),
        ("/a/f", Resource::redirecting(301, "/b/f")),
        ("/b/f", Resource::redirecting(307, "/a/f")),
        ("/none/f", Resource::new(OBJECT).fault(When::Always, Fault::Status(302))),
        ("/file/f", Resource::redirecting(302, "file:///etc/passwd")),
        ("/ftp/f", Resource::redirecting(302, "ftp://127.0.0.1/f")),
        ("/bad/f", Resource::redirecting(302, "http://")),
    ]);
    for path in ["/self/f", "/a/f", "/none/f", "/file/f", "/ftp/f", "/bad/f"] {
        let env = TestEnv::new(&[]);
        let said = env.run(&[&server.url(path)]);
        assert_eq!(said.code, 4, "{path}: {said}");
        assert_eq!(env.names(), <[&str; 0]>::default());
    }
    assert!(server.requests() <= 8, "{}", server.requests());
}

#[test]
fn h32_ranges_are_asked_for_where_the_redirect_led() {
    let server =
        Server::start([("/f", Resource::redirecting(302, "/node")), ("/node", Resource::new(OBJECT))]);
    TestEnv::new(&[OBJECT]).run(&["-s", "64K", "-j", "4", &server.url("/f")]).expect(0);
    assert_eq!(to(&server, "/f").len(), 1);
    assert!(to(&server, "/node").len() > 1);
}

#[test]
fn h32_a_node_that_refuses_is_left_for_the_original_url() {
    at_once([401, 403, 404, 410], |status| {
        let tired = Resource::new(OBJECT).fault(When::Nth(1), Fault::Status(status));
        let server = Server::start([("/f", Resource::redirecting(302, "/node")), ("/node", tired)]);
        TestEnv::new(&[OBJECT]).run(&["-s", "64K", "-j", "2", &server.url("/f")]).expect(0);
        assert_eq!(to(&server, "/f").len(), 2, "{status}");
    });
}

#[test]
fn h32_an_expired_node_is_replaced_by_the_one_that_the_original_names_now() {
    let expiring = Resource::new(OBJECT).fault(When::From(1), Fault::Status(403));
    let slow = expiring.rate(4 * MIB);
    let server = Server::start([
        ("/f", Resource::redirecting(302, "/old")),
        ("/old", slow),
        ("/new", Resource::new(OBJECT)),
    ]);
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["-s", "64K", "-j", "2", &server.url("/f")]);
    assert!(server.wait_for_requests(2, PATIENCE));
    server.replace("/f", Resource::redirecting(302, "/new"));
    running.wait().expect(0);
    assert!(!to(&server, "/new").is_empty());
}

/// A server that wants credentials, and another one to which it redirects.
fn two_origins() -> (Server, Server) {
    let theirs = serve(Resource::new(OBJECT));
    let ours = Server::start([
        ("/f", Resource::redirecting(302, "/same/f").require_header("X-Key", SECRET)),
        ("/same/f", Resource::redirecting(302, &theirs.url("/f")).require_header("X-Key", SECRET)),
    ]);
    (ours, theirs)
}

#[test]
fn h31_h70_no_secret_crosses_to_another_origin() {
    let (ours, theirs) = two_origins();
    let url = ours.url("/f").replace("http://", &format!("http://me:{SECRET}@"));
    let (key, cookie) = (format!("X-Key: {SECRET}"), format!("Cookie: id={SECRET}"));
    let env = TestEnv::new(&[OBJECT]);
    env.run(&["-s", "64K", "-j", "4", "-H", &key, "-H", &cookie, &url]).expect(0);
    let log = theirs.log();
    assert!(log.len() > 1);
    for seen in log {
        let text = format!("{:?}", seen.headers);
        assert!(!text.contains(SECRET) && seen.header("Authorization").is_none(), "{text}");
        assert_eq!((seen.header("X-Key"), seen.header("Referer")), (None, None));
    }
    // hunter2canary, by the user me.
    let basic = Some("Basic bWU6aHVudGVyMmNhbmFyeQ==");
    assert_eq!(ours.requests(), 2, "once for each hop");
    for seen in ours.log() {
        assert_eq!(
            (seen.header("Authorization"), seen.header("X-Key")),
            (basic, Some(SECRET)),
            "{}",
            seen.path
        );
    }
}

#[test]
fn h31_the_authorization_header_of_the_user_stays_with_the_origin() {
    let (ours, theirs) = two_origins();
    let args = [
        "-H",
        &format!("Authorization: Bearer {SECRET}"),
        "-H",
        &format!("x-key: {SECRET}"),
        &ours.url("/f"),
    ];
    TestEnv::new(&[OBJECT]).run(&args).expect(0);
    assert!(theirs.log().iter().all(|seen| seen.header("Authorization").is_none()));
    assert!(
        ours.log().iter().all(|seen| seen.header("Authorization").is_some_and(|sent| sent.contains(SECRET)))
    );
}

#[test]
fn h31_credentials_are_sent_with_every_range_of_their_own_origin() {
    let node = Resource::new(OBJECT).require_header("X-Key", SECRET);
    let server = Server::start([("/f", Resource::redirecting(307, "/node")), ("/node", node)]);
    let key = format!("X-Key: {SECRET}");
    TestEnv::new(&[OBJECT]).run(&["-s", "64K", "-j", "4", "-H", &key, &server.url("/f")]).expect(0);
    assert!(to(&server, "/node").iter().all(|seen| seen.status == 206));
}

/// Every kind of secret that a user can give.
fn secrets() -> Vec<String> {
    ["Authorization: Bearer ", "Cookie: id=", "X-Key: ", "Proxy-Authorization: Basic ", "Referer: http://h/"]
        .iter()
        .flat_map(|header| ["-H".to_owned(), format!("{header}{SECRET}")])
        .collect()
}

#[track_caller]
fn assert_ignorant(server: &Server) {
    assert!(server.requests() > 0);
    for seen in server.log() {
        let text = format!("{} {:?}", seen.path, seen.headers);
        assert!(!text.contains(SECRET) && seen.header("Authorization").is_none(), "{text}");
    }
}

#[track_caller]
fn assert_told(seen: &[Seen]) {
    assert!(!seen.is_empty());
    for seen in seen {
        for name in ["Authorization", "Cookie", "X-Key", "Proxy-Authorization", "Referer"] {
            let sent: Vec<_> =
                seen.headers.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)).collect();
            assert!(sent.len() == 1 && sent[0].1.contains(SECRET), "{name}: {:?}", seen.headers);
        }
    }
}

/// The same port of another address: 127.0.0.0/8 is all loopback.
fn other_host_of(server: &Server, resources: [(&str, Resource); 1]) -> Server {
    Server::builder()
        .bind((std::net::Ipv4Addr::new(127, 0, 0, 2), server.addr().port()).into())
        .resources(resources)
        .start()
}

#[test]
fn h31_h70_no_secret_goes_to_another_host_on_the_same_port_not_even_with_ranges() {
    let ours = Server::start([("/none", Resource::new(OBJECT))]);
    let theirs = other_host_of(&ours, [("/f", Resource::new(OBJECT))]);
    ours.replace("/f", Resource::redirecting(307, &theirs.url("/f")));
    let secrets = secrets();
    let args: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let url = ours.url("/f").replace("http://", &format!("http://{SECRET}:{SECRET}@"));
    TestEnv::new(&[OBJECT]).run(&[&args[..], &["-s", "64K", "-j", "4", &url]].concat()).expect(0);
    assert!(theirs.requests() > 2);
    assert_ignorant(&theirs);
    assert_told(&ours.log());
}

#[test]
fn h31_back_at_the_origin_the_secrets_are_sent_again() {
    let ours = Server::start([("/node", Resource::new(OBJECT))]);
    let theirs = serve(Resource::redirecting(302, &ours.url("/node")));
    ours.replace("/f", Resource::redirecting(302, &theirs.url("/f")));
    let secrets = secrets();
    let args: Vec<&str> = secrets.iter().map(String::as_str).collect();
    TestEnv::new(&[OBJECT]).run(&[&args[..], &["-s", "64K", "-j", "4", &ours.url("/f")]].concat()).expect(0);
    assert_ignorant(&theirs);
    assert!(ours.requests() > 3);
    assert_told(&ours.log());
}

#[test]
fn h31_a_user_that_a_location_names_is_nobody() {
    let theirs = serve(Resource::new(OBJECT));
    let named = |url: &str| url.replace("http://", "http://admin:admin@");
    let ours = Server::start([("/f", Resource::redirecting(302, &named(&theirs.url("/f"))))]);
    ours.replace("/own/f", Resource::redirecting(302, &named(&ours.url("/f"))));
    let url = ours.url("/own/f").replace("http://", "http://me:pw@");
    TestEnv::new(&[OBJECT]).run(&["-s", "64K", &url]).expect(0);
    assert!(theirs.log().iter().all(|seen| seen.header("Authorization").is_none()));
    for seen in ours.log() {
        let sent: Vec<_> =
            seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Authorization")).collect();
        // me:pw.
        assert!(sent.len() == 1 && sent[0].1 == "Basic bWU6cHc=", "{sent:?}");
    }
}

#[test]
fn h31_h33_a_head_url_of_another_origin_gets_its_own_login_and_no_header_of_ours() {
    let ours = serve(Resource::new(OBJECT));
    let theirs =
        Server::start([("/f", Resource::redirecting(302, "/same/f")), ("/same/f", Resource::new(OBJECT))]);
    let secrets = secrets();
    let args: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let head = theirs.url("/f").replace("http://", "http://me:pw@");
    let url = ours.url("/f");
    TestEnv::new(&[OBJECT]).run(&[&args[..], &["--head-url", &head, &url]].concat()).expect(0);
    let log = theirs.log();
    assert_eq!(log.len(), 2);
    for seen in log {
        assert_eq!(seen.header("Authorization"), Some("Basic bWU6cHc="), "{}", seen.path);
        assert!(!format!("{:?}", seen.headers).contains(SECRET), "{:?}", seen.headers);
    }
    assert_told(&ours.log());
}

#[test]
fn h31_a_head_url_that_redirects_takes_no_login_along() {
    let theirs = serve(Resource::new(OBJECT));
    let ours = Server::start([
        ("/f", Resource::new(OBJECT)),
        ("/head", Resource::redirecting(302, &theirs.url("/f"))),
    ]);
    let with =
        |user: &str, path: &str| ours.url(path).replace("http://", &format!("http://{user}:{SECRET}@"));
    TestEnv::new(&[OBJECT]).run(&["--head-url", &with("head", "/head"), &with("get", "/f")]).expect(0);
    assert_eq!(theirs.log().len(), 1);
    assert!(theirs.log().iter().all(|seen| seen.header("Authorization").is_none()));
    // head:hunter2canary and get:hunter2canary, each once.
    for (path, basic) in
        [("/head", "Basic aGVhZDpodW50ZXIyY2FuYXJ5"), ("/f", "Basic Z2V0Omh1bnRlcjJjYW5hcnk=")]
    {
        for seen in to(&ours, path) {
            let sent: Vec<_> =
                seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Authorization")).collect();
            assert!(sent.len() == 1 && sent[0].1 == basic, "{path}: {sent:?}");
        }
    }
}

#[test]
fn h72_no_referer_is_sent() {
    let theirs = serve(Resource::new(OBJECT));
    let ours = Server::start([
        ("/f", Resource::redirecting(302, "/same/f")),
        ("/same/f", Resource::redirecting(302, &theirs.url("/f"))),
    ]);
    TestEnv::new(&[OBJECT]).run(&["-s", "64K", "-j", "4", &format!("{}?sig=1", ours.url("/f"))]).expect(0);
    for seen in ours.log().iter().chain(&theirs.log()) {
        assert_eq!(seen.header("Referer"), None, "{}", seen.path);
    }
}

#[test]
fn h73_h74_secrets_are_in_no_output_and_in_no_file() {
    let slow = Resource::new(OBJECT).rate(MIB);
    let server = Server::start([
        ("/f", slow),
        ("/moved/f", Resource::redirecting(302, &format!("/f?sig={SECRET}"))),
        ("/cut/f", Resource::new(OBJECT).fault(When::Always, Fault::CutAfter(0))),
        ("/loop/f", Resource::redirecting(302, &format!("/loop/f?sig={SECRET}"))),
    ]);
    let header = format!("X-Key: {SECRET}");
    at_once(["/gone/f", "/cut/f", "/loop/f", "/f", "/moved/f"], |path| {
        let url = server.url(&format!("{path}?sig={SECRET}#{SECRET}"));
        let url = url.replace("http://", &format!("http://me{SECRET}:{SECRET}@"));
        let env = TestEnv::new(&[OBJECT]);
        let running = env.spawn(&["-v", "--json", "--retries", "1", "-s", "64K", "-H", &header, &url]);
        if ["/f", "/moved/f"].contains(&path) {
            running.wait_for_bytes(SEGMENT);
            running.signal(Signal::INT);
        }
        let said = running.wait();
        assert!(said.code != 0 && !said.stdout.is_empty() && !said.stderr.is_empty(), "{said}");
        let asked = env.ask(&["status", "-v", "f"]);
        let info = env.ask(&["info", "-v", "--retries", "1", &url]);
        for text in [&said.stdout, &said.stderr, &asked.stdout, &asked.stderr, &info.stdout, &info.stderr] {
            assert!(!text.contains(SECRET), "{path}: {text}");
        }
        for name in env.names().iter().filter(|name| name.ends_with("ckpt")) {
            let bytes = env.read(name);
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{path}");
        }
    });
}
