//! TLS connections that end, and those after them. Where one ends without saying so, an answer is whole if, and only
//! if, its framing says so (RFC 9112 §9.8).

use std::process::Stdio;

use haul::{Finished, KIB, Running, TestEnv, at_once};
use support::Content;
use tls::TlsServer;

#[path = "support/haul.rs"]
mod haul;
mod support;
mod tls;

const OBJECT: Content = Content::new(5, 300 * KIB + 17);

/// How the end of an answer is told, and what is missing of it.
#[derive(Clone, Copy, Debug)]
struct End {
    framing: &'static str,
    missing: usize,
}

/// The range that is asked for, or the whole object.
fn answer(head: &str, end: End) -> Vec<u8> {
    let range = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let bound = |text: &str| text.trim().parse::<u64>().expect("a number");
    let range = range.map(|range| {
        range.split_once('-').map(|(a, b)| (bound(a), bound(b).min(OBJECT.len - 1))).expect("a range")
    });
    let (first, last) = range.filter(|_| end.framing == "range").unwrap_or((0, OBJECT.len - 1));
    let body = OBJECT.slice(first, last + 1);
    let len = body.len();
    let head = match end.framing {
        "range" => format!(
            "206 Partial Content\r\nETag: \"v\"\r\nContent-Range: bytes {first}-{last}/{}\r\nContent-Length: {len}\r\n",
            OBJECT.len
        ),
        "length" => format!("200 OK\r\nContent-Length: {len}\r\n"),
        "chunked" => "200 OK\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        _ => "200 OK\r\n".to_owned(),
    };
    let body = match end.framing {
        "chunked" => [format!("{len:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat(),
        _ => body,
    };
    let kept = body.len() - end.missing.min(body.len());
    [format!("HTTP/1.1 {head}Connection: close\r\n\r\n").as_bytes(), &body[..kept]].concat()
}

fn run(end: End, notify: bool) -> Finished {
    run_at(&TlsServer::ending(tls::HERE, notify, move |head| answer(head, end)), "2")
}

fn run_at(server: &TlsServer, jobs: &str) -> Finished {
    let env = TestEnv::new(&[OBJECT]);
    let args = ["-j", jobs, "-s", "64K", "--retries", "1", &server.url("/f")];
    let mut command = env.command(&args);
    command.stdout(Stdio::piped()).env("SSL_CERT_FILE", tls::AUTHORITY);
    Running::of(&env, command, &args, true).wait()
}

#[test]
fn h46_an_answer_that_is_whole_by_its_framing_needs_no_close_notify() {
    at_once(["range", "length", "chunked"], |framing| {
        run(End { framing, missing: 0 }, false).expect(0);
    });
}

#[test]
fn h46_an_answer_that_is_not_is_never_taken_for_whole() {
    // Of a chunked one the last chunk alone.
    at_once([("length", 1), ("length", 100_000), ("chunked", 5), ("chunked", 3)], |(framing, missing)| {
        for notify in [false, true] {
            run(End { framing, missing }, notify).expect(3);
        }
    });
    // Nothing but the end of the connection tells the end of this one: without a close_notify it was cut.
    run(End { framing: "the connection", missing: 0 }, false).expect(3);
    run(End { framing: "the connection", missing: 0 }, true).expect(0);
}

#[test]
fn a_new_connection_goes_on_with_the_session_of_the_one_before() {
    // Each answer is a part of what was asked for, and the end of its connection.
    let server = TlsServer::start(tls::HERE, |head| {
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).expect("a range");
        let first: u64 = range.split_once('-').expect("a range").0.parse().expect("a number");
        let last = OBJECT.len.min(first + 100 * KIB) - 1;
        let body = OBJECT.slice(first, last + 1);
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nETag: \"v\"\r\nContent-Range: bytes {first}-{last}/{}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            OBJECT.len,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    });
    run_at(&server, "1").expect(0);
    assert_eq!((server.heads().len(), server.resumed()), (4, 3));
}
