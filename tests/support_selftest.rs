//! The test server itself: what it promises the other tests.

#![expect(clippy::disallowed_methods, reason = "files of the test's own")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::{Content, Excess, Fault, Resource, Seen, Server, Version, When};

mod support;

/// Longer than any working run takes; only a broken one waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
const OBJECT: Content = Content::new(7, 300_000);

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// How the connection ended, where it was read to its end.
    end: Option<ErrorKind>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

/// Sends a request on a connection of its own and reads to the end.
fn ask(server: &Server, method: &str, path: &str, headers: &[&str]) -> Reply {
    let mut stream = connect(server);
    send(&mut stream, method, path, &[headers, &["Connection: close"]].concat());
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let status = head.split(' ').nth(1).map_or(0, |word| word.parse().expect("a status"));
    Reply { status, head, body: bytes[split..].to_vec(), end }
}

fn get(server: &Server, path: &str, headers: &[&str]) -> Reply {
    ask(server, "GET", path, headers)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &[&str]) {
    let lines = [&["Host: test"], headers, &["", ""]].concat().join("\r\n");
    let request = format!("{method} {path} HTTP/1.1\r\n{lines}");
    // A server that closed already shows when its answer is read.
    let _ = stream.write_all(request.as_bytes());
}

fn one(resource: Resource) -> Server {
    Server::start([("/f", resource)])
}

fn faulty(fault: Fault) -> Server {
    one(Resource::new(OBJECT).fault(When::Always, fault))
}

#[test]
fn content_is_a_function_of_the_offset() {
    let whole = OBJECT.bytes();
    for (start, end) in [(0, 1), (65_530, 65_540), (65_537, 65_538), (100_001, 299_999)] {
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        assert_eq!(OBJECT.slice(start, end), whole[range]);
    }
    assert_ne!(Content::new(8, 300_000).bytes(), whole);
    assert_ne!(OBJECT.slice(0, 64), OBJECT.slice(1 << 32, (1 << 32) + 64));
}

#[test]
fn difference_names_the_first_wrong_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object");
    let mut bytes = OBJECT.bytes();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(OBJECT.difference(&path), None);
    std::fs::write(&path, &bytes[..299_999]).unwrap();
    assert_eq!(OBJECT.difference(&path).unwrap(), "length 299999, not 300000");
    bytes[200_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let difference = OBJECT.difference(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(difference.contains("offset 200000 of 300000"), "{difference}");
    assert!(OBJECT.difference(&path).unwrap().contains("cannot be read"));
}

#[test]
fn dates_round_trip() {
    use support::date::{format, parse};
    for seconds in [0, 784_111_777, 951_782_400, 1_577_836_800, 4_102_444_799] {
        let text = format(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(parse(&text), Some(seconds), "{text}");
    }
    let known = std::time::UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(format(known), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(parse("yesterday"), None);
}

#[test]
fn whole_object_with_its_headers() {
    let server = one(Resource::new(OBJECT).etag("\"v1\"").header("Content-Disposition", "x"));
    let reply = get(&server, "/f?signed=1", &[]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, OBJECT.bytes());
    assert_eq!(reply.header("Content-Length"), Some("300000"));
    assert_eq!(reply.header("ETag"), Some("\"v1\""));
    assert_eq!(reply.header("Last-Modified"), Some("Wed, 01 Jan 2020 00:00:00 GMT"));
    assert_eq!(reply.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(reply.header("Content-Disposition"), Some("x"));
    assert!(reply.header("Date").is_some());
    assert_eq!(get(&server, "/g", &[]).status, 404);
}

#[test]
fn head_has_no_body() {
    let server = one(Resource::new(OBJECT));
    let reply = ask(&server, "HEAD", "/f", &[]);
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(reply.header("Content-Length"), Some("300000"));
    server.replace("/f", Resource::new(OBJECT).head_status(403));
    assert_eq!(ask(&server, "HEAD", "/f", &[]).status, 403);
    assert_eq!(get(&server, "/f", &[]).status, 200);
    assert_eq!(server.requests(), 1);
}

#[test]
fn ranges() {
    let server = one(Resource::new(OBJECT));
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("65536-131071", 65_536, 131_072),
        ("299990-", 299_990, 300_000),
        ("299990-999999", 299_990, 300_000),
        ("-10", 299_990, 300_000),
        ("-999999", 0, 300_000),
    ] {
        let reply = get(&server, "/f", &[&format!("Range: bytes={range}")]);
        assert_eq!(reply.status, 206, "{range}");
        let claim = format!("bytes {start}-{}/300000", end - 1);
        assert_eq!(reply.header("Content-Range"), Some(claim.as_str()));
        assert_eq!(reply.body, OBJECT.slice(start, end), "{range}");
    }
    for ignored in ["bytes=5-4", "bytes=0-1,4-5", "lines=0-1", "bytes=x-"] {
        assert_eq!(get(&server, "/f", &[&format!("Range: {ignored}")]).status, 200, "{ignored}");
    }
    for beyond in ["bytes=300000-", "bytes=300000-300001", "bytes=-0"] {
        let reply = get(&server, "/f", &[&format!("Range: {beyond}")]);
        assert_eq!(reply.status, 416);
        assert_eq!(reply.header("Content-Range"), Some("bytes */300000"));
    }
    let empty = one(Resource::new(Content::new(1, 0)));
    assert_eq!(get(&empty, "/f", &["Range: bytes=0-0"]).status, 416);
    assert_eq!(get(&empty, "/f", &[]).header("Content-Length"), Some("0"));
}

#[test]
fn preconditions() {
    let server = one(Resource::new(OBJECT).etag("\"v1\""));
    let status = |header: &str| get(&server, "/f", &[header, "Range: bytes=0-9"]).status;
    assert_eq!(status("If-Match: \"v1\""), 206);
    assert_eq!(status("If-Match: \"v0\", \"v1\""), 206);
    assert_eq!(status("If-Match: *"), 206);
    assert_eq!(status("If-Match: \"v2\""), 412);
    assert_eq!(status("If-Match: W/\"v1\""), 412);
    assert_eq!(status("If-None-Match: W/\"v1\""), 304);
    assert_eq!(status("If-None-Match: \"v2\""), 206);
    assert_eq!(status("If-Modified-Since: Wed, 01 Jan 2020 00:00:00 GMT"), 304);
    assert_eq!(status("If-Modified-Since: Tue, 31 Dec 2019 23:59:59 GMT"), 206);
    assert_eq!(status("If-Unmodified-Since: Wed, 01 Jan 2020 00:00:00 GMT"), 206);
    assert_eq!(status("If-Unmodified-Since: Tue, 31 Dec 2019 23:59:59 GMT"), 412);
    assert_eq!(status("If-Range: \"v1\""), 206);
    assert_eq!(status("If-Range: \"v2\""), 200);
    assert_eq!(status("If-Range: Wed, 01 Jan 2020 00:00:00 GMT"), 206);
    server.replace("/f", Resource::new(OBJECT).etag("W/\"v1\""));
    let weak = get(&server, "/f", &["If-Match: W/\"v1\""]);
    assert_eq!(weak.status, 412);
}

#[test]
fn credentials_redirects_and_refused_headers() {
    let secret = Resource::new(OBJECT).require_header("Authorization", "Bearer x");
    let signed = Resource::new(OBJECT).refuse_header("If-Match", 403);
    let moved = Resource::redirecting(302, "/signed");
    let server = Server::start([("/secret", secret), ("/signed", signed), ("/moved", moved)]);
    assert_eq!(get(&server, "/secret", &[]).status, 401);
    assert_eq!(get(&server, "/secret", &["authorization: Bearer x"]).status, 200);
    assert_eq!(get(&server, "/signed", &["If-Match: *"]).status, 403);
    let reply = get(&server, "/moved", &[]);
    assert_eq!((reply.status, reply.header("Location")), (302, Some("/signed")));
}

#[test]
fn framings_of_a_200() {
    let server = one(Resource::new(Content::new(1, 5)).no_ranges().chunked());
    let reply = get(&server, "/f", &["Range: bytes=0-1"]);
    assert_eq!((reply.status, reply.header("Content-Length")), (200, None));
    assert_eq!(reply.header("Accept-Ranges"), None);
    let chunk = [b"5\r\n".as_slice(), &Content::new(1, 5).bytes(), b"\r\n0\r\n\r\n"].concat();
    assert_eq!(reply.body, chunk);
    server.replace("/f", Resource::new(OBJECT).close_delimited());
    let reply = get(&server, "/f", &[]);
    assert_eq!((reply.header("Content-Length"), reply.header("Connection")), (None, Some("close")));
    assert_eq!(reply.body, OBJECT.bytes());
}

#[test]
fn a_connection_serves_several_requests() {
    let server = one(Resource::new(Content::new(1, 3)));
    let mut stream = connect(&server);
    for _ in 0..3 {
        send(&mut stream, "GET", "/f", &[]);
        let mut bytes = Vec::new();
        while !bytes.ends_with(&Content::new(1, 3).bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
    }
    assert_eq!((server.connections(), server.requests()), (1, 3));
}

#[test]
fn wrong_ranges() {
    let ask = |fault| get(&faulty(fault), "/f", &["Range: bytes=100-199"]);
    let claims = |fault| {
        let reply = ask(fault);
        (reply.status, reply.headers("Content-Range").join(" + "), reply.body)
    };
    let right = OBJECT.slice(100, 200);
    let claim = |status, range: &str, body: &[u8]| (status, range.to_owned(), body.to_vec());
    assert_eq!(claims(Fault::IgnoreRange), claim(200, "", &OBJECT.bytes()));
    let whole = claim(200, "bytes 100-199/300000", &OBJECT.bytes());
    assert_eq!(claims(Fault::WholeWithContentRange), whole);
    assert_eq!(claims(Fault::PartAs200), claim(200, "bytes 100-199/300000", &right));
    assert_eq!(claims(Fault::NoContentRange), claim(206, "", &right));
    let shifted = claim(206, "bytes 107-206/300000", &OBJECT.slice(107, 207));
    assert_eq!(claims(Fault::Shift(7)), shifted);
    assert_eq!(claims(Fault::ContentRange("nonsense".into())), claim(206, "nonsense", &right));
    let two = "bytes 100-199/300000 + bytes 101-200/300000";
    assert_eq!(claims(Fault::TwoContentRanges), claim(206, two, &right));
    assert_eq!(claims(Fault::UnknownTotal), claim(206, "bytes 100-199/*", &right));
    assert_eq!(claims(Fault::Total(1)), claim(206, "bytes 100-199/1", &right));
    let short = claim(206, "bytes 100-109/300000", &right[..10]);
    assert_eq!(claims(Fault::Short(10)), short);
    let long = claim(206, "bytes 100-209/300000", &OBJECT.slice(100, 210));
    assert_eq!(claims(Fault::Long(10)), long);
    let multipart = ask(Fault::Multipart);
    assert!(multipart.header("Content-Type").unwrap().starts_with("multipart/byteranges"));
    assert!(multipart.body.windows(100).any(|window| window == right));
}

#[test]
fn wrong_heads_and_bytes() {
    let ask = |fault| get(&faulty(fault), "/f", &["Range: bytes=100-199", "If-Match: \"v9\""]);
    assert_eq!(ask(Fault::NodeEtag("\"v9\"".into())).header("ETag"), Some("\"v9\""));
    assert_eq!(ask(Fault::Etag("\"v9\"".into())).status, 412);
    assert_eq!(ask(Fault::IgnorePreconditions).status, 206);
    let ask = |fault| get(&faulty(fault), "/f", &["Range: bytes=100-199"]);
    assert_eq!(ask(Fault::Etag("\"v9\"".into())).headers("ETag"), ["\"v9\""]);
    let wrong = ask(Fault::WrongBytes);
    assert_eq!((wrong.status, wrong.body.len()), (206, 100));
    assert_ne!(wrong.body, OBJECT.slice(100, 200));
    assert_eq!(ask(Fault::Encoding("gzip")).header("Content-Encoding"), Some("gzip"));
    assert_eq!(ask(Fault::LengthLie(-1)).header("Content-Length"), Some("99"));
    let tail = ask(Fault::Tail(5));
    assert_eq!((tail.header("Content-Length"), tail.body.len()), (Some("100"), 105));
    let both = ask(Fault::LengthAndChunked);
    assert_eq!(both.header("Content-Length"), Some("100"));
    assert_eq!(both.header("Transfer-Encoding"), Some("chunked"));
    assert!(ask(Fault::Interim(3)).head.starts_with("HTTP/1.1 103"));
    let busy = vec![("Retry-After".to_owned(), "1".to_owned()), ("Date".to_owned(), "x".to_owned())];
    let busy = ask(Fault::StatusWith(503, busy));
    assert_eq!((busy.status, busy.header("Retry-After")), (503, Some("1")));
    assert_eq!(busy.headers("Date"), ["x"]);
    assert_eq!(ask(Fault::Status(304)).header("Content-Length"), None);
    assert_eq!(ask(Fault::Head("HTTP/1.1 999 No\r\n\r\n".into())).status, 999);
}

#[test]
fn interrupted_bodies() {
    let range = &["Range: bytes=100-199"];
    for ending in [Fault::CutAfter(10), Fault::CutAfter(0), Fault::CutAfter(100)] {
        let expected = if let Fault::CutAfter(count) = ending { count } else { 0 };
        let reply = get(&faulty(ending), "/f", range);
        assert_eq!(reply.end, None, "a cut is a FIN");
        assert_eq!(reply.body, OBJECT.slice(100, 100 + expected));
        assert_eq!(reply.header("Content-Length"), Some("100"));
    }
    let reply = get(&faulty(Fault::ResetAfter(10)), "/f", range);
    assert_eq!(reply.end, Some(ErrorKind::ConnectionReset));
    let reply = get(&faulty(Fault::DripAfter(90, 1000)), "/f", range);
    assert_eq!((reply.body, reply.end), (OBJECT.slice(100, 200), None));
    let reply = get(&faulty(Fault::CloseBeforeHead), "/f", range);
    assert_eq!((reply.status, reply.end), (0, None));
}

#[test]
fn rates_change_no_byte() {
    let server = one(Resource::new(OBJECT).rate(3_000_000).shared_rate(4_000_000).latency(PATIENCE / 6000));
    assert_eq!(get(&server, "/f", &[]).body, OBJECT.bytes());
}

#[test]
fn stalls_and_silence_end_with_the_server() {
    for fault in [Fault::StallAfter(10), Fault::Mute, Fault::DripAfter(10, 1)] {
        let server = faulty(fault);
        let mut stream = connect(&server);
        send(&mut stream, "GET", "/f", &[]);
        assert!(server.wait_for_requests(1, PATIENCE));
        drop(server);
        let mut bytes = Vec::new();
        // FIN or RST, but not the timeout.
        let end = stream.read_to_end(&mut bytes).map_err(|error| error.kind());
        assert!(!matches!(end, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)));
        assert!(bytes.len() < 1000);
    }
}

#[test]
fn drop_does_not_wait_for_a_client_that_does_not_read() {
    let server = one(Resource::new(Content::new(1, 1 << 40)));
    let mut stream = connect(&server);
    send(&mut stream, "GET", "/f", &[]);
    assert!(server.wait_for_body_bytes(1, PATIENCE));
    drop(server);
}

#[test]
fn faults_apply_when_they_should() {
    let status = |n| Fault::Status(n);
    let scripted = Resource::new(OBJECT)
        .fault(When::Nth(0), status(500))
        .fault(When::Before(2), status(501))
        .fault(When::NthContaining(1, 50), status(502))
        .fault(When::Containing(299_999), status(504))
        .fault(When::Every(5), status(505))
        .fault(When::From(6), status(506));
    let server = one(scripted);
    let asked = ["0-9", "40-59", "50-50", "50-50", "51-51", "0-9", "299000-", "0-9"];
    let expected = [500, 501, 502, 206, 505, 206, 504, 506];
    // 1 and 2 contain byte 50: the second of them is hit. 4 is the fifth.
    for (range, status) in asked.into_iter().zip(expected) {
        ask(&server, "HEAD", "/f", &[]);
        let reply = get(&server, "/f", &[&format!("Range: bytes={range}")]);
        assert_eq!(reply.status, status, "{range}");
    }
    let random = |seed| {
        let server = one(Resource::new(OBJECT).fault(When::Random { seed, percent: 50 }, status(500)));
        (0..20).map(|_| get(&server, "/f", &["Range: bytes=0-0"]).status).collect::<Vec<_>>()
    };
    assert_eq!(random(1), random(1));
    assert_ne!(random(1), random(2));
    assert!(random(1).contains(&206) && random(1).contains(&500));
}

#[test]
fn the_object_changes() {
    let next = Content::new(8, 300_001);
    let after = Version::new(Content::new(9, 10)).etag(Some("\"v2\"")).last_modified(None);
    let server = one(Resource::new(OBJECT)
        .etag("\"v1\"")
        .then_becomes(When::AfterBytes(200), next, "\"v2\"")
        .then_version(When::Nth(4), after));
    let part = |pin: &str| get(&server, "/f", &["Range: bytes=0-199", &format!("If-Match: {pin}")]);
    assert_eq!(part("\"v1\"").body, OBJECT.slice(0, 200));
    assert_eq!(part("\"v1\"").status, 412);
    let reply = part("\"v2\"");
    assert_eq!((reply.status, reply.body), (206, next.slice(0, 200)));
    assert_eq!(ask(&server, "HEAD", "/f", &[]).header("Content-Length"), Some("300001"));
    let modified = get(&server, "/f", &[]);
    assert_eq!(modified.header("Last-Modified"), Some("Thu, 02 Jan 2020 00:00:00 GMT"));
    let reply = part("\"v2\"");
    assert_eq!(reply.header("Last-Modified"), None);
    assert_eq!(reply.body, Content::new(9, 10).bytes());
}

#[test]
fn the_log_tells_what_was_asked() {
    let server = one(Resource::new(OBJECT));
    get(&server, "/f", &["Range: bytes=10-19", "X-Canary: 1"]);
    get(&server, "/f?x", &["Range: bytes=299990-400000"]);
    get(&server, "/none", &[]);
    let log = server.log();
    let brief = |seen: &Seen| (seen.connection, seen.number, seen.range, seen.status, seen.body_bytes);
    assert_eq!(brief(&log[0]), (0, 0, Some((10, 19)), 206, 10));
    assert_eq!(brief(&log[1]), (1, 1, Some((299_990, 400_000)), 206, 10));
    assert_eq!(log[0].header("x-canary"), Some("1"));
    assert_eq!((log[1].path.as_str(), log[1].method.as_str()), ("/f?x", "GET"));
    assert_eq!(log[2].status, 404);
    assert_eq!(server.peak_concurrent(), 1);
    assert!(server.wait_until_idle(PATIENCE));
    assert_eq!(server.body_bytes(), 20 + log[2].body_bytes);
    assert!(!server.wait_for_requests(4, Duration::ZERO));
}

#[test]
fn connections_above_the_limit() {
    for excess in [Excess::Close, Excess::Status(503)] {
        let resource = Resource::new(OBJECT).fault(When::Nth(0), Fault::StallAfter(0));
        let server = Server::builder().resource("/f", resource).max_connections(1, excess).start();
        let mut first = connect(&server);
        send(&mut first, "GET", "/f", &[]);
        assert!(server.wait_for_requests(1, PATIENCE));
        let reply = get(&server, "/f", &[]);
        assert_eq!(reply.status, if excess == Excess::Close { 0 } else { 503 });
    }
}

#[test]
fn a_server_comes_back_on_its_port() {
    let server = one(Resource::new(OBJECT));
    let mut idle = connect(&server);
    let addr = server.addr();
    get(&server, "/f", &[]);
    server.stop();
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(addr).is_err());
    assert_eq!(server.requests(), 1);
    let again = Server::start_on(addr, [("/f", Resource::new(OBJECT))]);
    assert_eq!(get(&again, "/f", &[]).status, 200);
}
