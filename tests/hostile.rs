//! Servers that mean harm. Whatever they send, and however much of it, haul ends by itself, with little memory and
//! few requests, and names nothing that is not whole.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use haul::{TestEnv, at_once};
use raw::{Ask, Cost, MOST_MEMORY, OBJECT, Raw, Script, check, run};

#[path = "support/haul.rs"]
mod haul;
#[path = "hostile/raw.rs"]
mod raw;
mod support;

/// A case: a name, the codes it may end with, how many requests at the most, options, and what the server does.
type Case = (&'static str, &'static [i32], usize, &'static [&'static str], Box<Script>);

fn case(
    name: &'static str,
    codes: &'static [i32],
    requests: usize,
    script: impl Fn(&Ask<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> Case {
    (name, codes, requests, &[], Box::new(script))
}

fn check_all(cases: impl IntoIterator<Item = Case>) {
    at_once(cases, |(name, codes, requests, args, script)| {
        check(name, codes, requests, args, script);
    });
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A whole small answer with so many more fields of so many bytes.
fn fields(ask: &Ask<'_>, count: usize, bytes: usize) -> io::Result<()> {
    let (start, end) = ask.range();
    let field = |number: usize| format!("x-{number:05}: {}\r\n", "v".repeat(bytes.saturating_sub(11)));
    let more: String = (0..count).map(field).collect();
    let (last, total, length) = (end - 1, OBJECT.len, end - start);
    ask.say(format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Range: bytes {start}-{last}/{total}\r\n\
         Content-Length: {length}\r\n{more}\r\n"
    ))?;
    ask.say(OBJECT.slice(start, end))
}

#[test]
fn h81_heads_without_end() {
    check_all([
        case("endless fields", &[3], 2, |ask| {
            ask.say(OK)?;
            ask.for_ever(b"x: y\r\n")
        }),
        case("an endless field", &[3], 2, |ask| {
            ask.say(OK)?;
            ask.say("x: ")?;
            ask.for_ever(b"y")
        }),
        case("an endless name", &[3], 2, |ask| {
            ask.say(OK)?;
            ask.for_ever(b"y")
        }),
        case("an endless reason", &[3], 2, |ask| {
            ask.say("HTTP/1.1 200 ")?;
            ask.for_ever(b"y")
        }),
        case("empty lines", &[3], 2, |ask| ask.for_ever(b"\r\n")),
        case("no HTTP", &[3], 2, |ask| ask.for_ever(b"\0")),
        case("100,000 fields", &[3], 2, |ask| fields(ask, 100_000, 15)),
        case("more bytes than any head has", &[3], 2, |ask| fields(ask, 66, 1000)),
        case("a field more than any head has", &[3], 2, |ask| fields(ask, 98, 20)),
        case("as many fields as a head may have", &[0], 100, |ask| fields(ask, 97, 20)),
        case("as many bytes as a head may have", &[0], 100, |ask| fields(ask, 65, 1000)),
        case("heads without end to eight requests at once", &[3], 100, |ask| {
            if ask.number == 0 {
                return ask.begin();
            }
            ask.say(OK)?;
            ask.say("x: ")?;
            ask.for_ever(b"y")
        }),
    ]);
}

#[test]
fn h49_interim_answers_without_end() {
    // As fast as it goes, an unoptimised haul would be busy with what is there for long after its time is up.
    let flood = |ask: &Ask<'_>| {
        ask.drip(&b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(100), Duration::from_millis(5))
    };
    check_all([
        case("a flood", &[3], 2, flood),
        case("now and then", &[3], 2, |ask| {
            ask.drip(b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(50))
        }),
        case("floods to eight requests at once", &[3], 100, move |ask| {
            if ask.number == 0 { ask.begin() } else { flood(ask) }
        }),
        case("now and then to eight requests at once", &[3], 100, |ask| {
            if ask.number == 0 {
                return ask.begin();
            }
            ask.drip(b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(50))
        }),
        case("a few, and then the object", &[0], 100, |ask| {
            ask.say("HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(32))?;
            ask.proper()
        }),
    ]);
}

#[test]
fn h30_redirects_without_end_and_growing() {
    check_all([
        case("growing", &[4], 11, |ask| {
            let path = ask.head.split(' ').nth(1).unwrap_or("/").to_owned();
            let more = "a".repeat(4000);
            ask.say(format!("HTTP/1.1 302 Found\r\nLocation: {path}{more}\r\nContent-Length: 0\r\n\r\n"))
        }),
        case("60 KiB at once", &[3, 4], 22, |ask| {
            let path = format!("/{}{}", "a".repeat(60_000), ask.number);
            ask.say(format!("HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n"))
        }),
        case("with a body without end", &[4], 11, |ask| {
            ask.say(format!(
                "HTTP/1.1 302 Found\r\nLocation: /{}\r\nContent-Length: 9999999999\r\n\r\n",
                ask.number
            ))?;
            ask.for_ever(b"body")
        }),
    ]);
}

#[test]
fn h82_bodies_without_end() {
    check_all([
        case("until the connection ends", &[7], 1, |ask| {
            ask.say(OK)?;
            ask.say("\r\n")?;
            ask.for_ever(b"body")
        }),
        (
            "tiny chunks",
            &[7],
            1,
            &["--max-size", "64K"],
            Box::new(|ask: &Ask<'_>| {
                ask.say(CHUNKED)?;
                ask.for_ever(b"1\r\nx\r\n")
            }),
        ),
        case("one chunk of 2^64 - 1", &[3, 7], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("ffffffffffffffff\r\n")?;
            ask.for_ever(b"body")
        }),
        case("behind a head that says gzip", &[7], 1, |ask| {
            ask.say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")?;
            ask.for_ever(b"body")
        }),
        case("behind the part that was asked for", &[0], 100, |ask| {
            ask.proper()?;
            ask.for_ever(b"body")
        }),
        case("behind a 304", &[3], 2, |ask| {
            ask.say("HTTP/1.1 304 Not Modified\r\n\r\n")?;
            ask.for_ever(b"body")
        }),
        case("behind a 404", &[4], 1, |ask| {
            ask.say("HTTP/1.1 404 Not Found\r\n\r\n")?;
            ask.for_ever(b"body")
        }),
        case("behind a 416", &[4, 3], 3, |ask| {
            ask.say("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 99999999999\r\n\r\n")?;
            ask.for_ever(b"body")
        }),
    ]);
}

#[test]
fn h33_h82_a_body_without_end_behind_a_head() {
    let script = |ask: &Ask<'_>| {
        if ask.head.starts_with("HEAD") {
            ask.say("HTTP/1.1 200 OK\r\nContent-Length: 12582912\r\nETag: \"1\"\r\n\r\n")?;
            return ask.for_ever(b"body");
        }
        ask.proper()
    };
    let server = Raw::start(script);
    let env = TestEnv::new(&[OBJECT]);
    let head = server.url();
    let Cost { said, memory, .. } = run(&env, &server, &["--head-url", &head]);
    assert!(said.code == 0 && memory < MOST_MEMORY, "{memory}: {said}");
}

#[test]
fn h81_chunks_that_are_none() {
    check_all([
        case("an extension without end", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("1;")?;
            ask.for_ever(b"x")
        }),
        case("extensions without end, chunk after chunk", &[3, 7], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.for_ever(format!("1;{}\r\nx\r\n", "x".repeat(100)).as_bytes())
        }),
        case("2^64", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("10000000000000000\r\n")?;
            ask.for_ever(b"body")
        }),
        case("a size without end", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            // No faster than an unoptimised build reads it, or the time is looked at only now and then.
            ask.drip(&[b'0'; 1024], Duration::from_millis(1))
        }),
        case("a negative size", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("-1\r\n")?;
            ask.for_ever(b"body")
        }),
        case("trailers without end", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("1\r\nx\r\n0\r\n")?;
            ask.for_ever(b"x: y\r\n")
        }),
        case("a trailer without end", &[3], 2, |ask| {
            ask.say(CHUNKED)?;
            ask.say("1\r\nx\r\n0\r\nx: ")?;
            ask.for_ever(b"y")
        }),
    ]);
}

#[test]
fn h44_what_comes_a_byte_at_a_time() {
    let pause = Duration::from_millis(50);
    check_all([
        case("a head", &[3], 2, move |ask| {
            ask.say(OK)?;
            ask.drip(b"x", pause)
        }),
        case("fields", &[3], 2, move |ask| {
            ask.say(OK)?;
            ask.drip(b"x: y\r\n", pause)
        }),
        case("nothing", &[3], 2, |ask| {
            let mut stream = ask.stream;
            stream.read(&mut [0]).and(Err(io::ErrorKind::Other.into()))
        }),
        case("heads to eight requests at once", &[3], 100, move |ask| {
            if ask.number == 0 {
                return ask.begin();
            }
            ask.say(OK)?;
            ask.drip(b"x", pause)
        }),
    ]);
}

#[test]
fn h25_a_byte_an_answer_is_no_progress() {
    let cut = || Err(io::ErrorKind::Other.into());
    check_all([
        case("cut after a byte", &[3], 60, move |ask| {
            let (start, _) = ask.part("1")?;
            ask.say(OBJECT.slice(start, start + 1))?;
            cut()
        }),
        case("a byte where more was asked for, chunk after chunk", &[3], 60, |ask| {
            let (start, _) = ask.range();
            ask.say(format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Range: bytes {start}-{start}/{}\r\n\
                 Content-Length: 1\r\n\r\n",
                OBJECT.len
            ))?;
            ask.say(OBJECT.slice(start, start + 1))
        }),
        case("a stream that gets a byte further each time", &[3], 12, move |ask| {
            ask.say(CHUNKED)?;
            let bytes = vec![b'x'; ask.number + 1];
            ask.say(format!("{:x}\r\n", bytes.len()))?;
            ask.say(bytes)?;
            ask.say("\r\n")?;
            cut()
        }),
        case("another version in every answer", &[0, 3, 5], 60, |ask| {
            let (start, end) = ask.part(&ask.number.to_string())?;
            ask.say(OBJECT.slice(start, end))
        }),
        case("another version in every answer, and never whole", &[3, 5], 60, move |ask| {
            let (start, end) = ask.part(&ask.number.to_string())?;
            ask.say(OBJECT.slice(start, end.min(start + 2000)))?;
            cut()
        }),
    ]);
}

#[test]
fn h20_waits_without_end() {
    let busy =
        |after: &str| format!("HTTP/1.1 503 Busy\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n");
    let case = |name, after: &str| {
        let answer = busy(after);
        case(name, &[3], 2, move |ask| ask.say(&answer))
    };
    check_all([
        case("a second, for ever", "1"),
        case("2^63", "9223372036854775808"),
        case("2^64 - 1", "18446744073709551615"),
        case("2^64", "18446744073709551616"),
        case("more digits than a number has", &"9".repeat(60_000)),
        case("the last day of 9999", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ]);
}

#[test]
fn h35_h82_lengths_that_no_disk_has() {
    let total = |total: u64| {
        move |ask: &Ask<'_>| {
            ask.say(format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Range: bytes 0-65535/{total}\r\n\
                 Content-Length: 65536\r\n\r\n"
            ))?;
            ask.say(OBJECT.slice(0, 65536))
        }
    };
    let whole = |length: &'static str| {
        move |ask: &Ask<'_>| {
            ask.say(format!("{OK}Content-Length: {length}\r\n\r\n"))?;
            ask.for_ever(b"body")
        }
    };
    let unlimited = |(name, codes, requests, _, script): Case| {
        let args: &[&str] = &["--max-size", "16777215T", "-s", "1G"];
        (name, codes, requests, args, script)
    };
    let cases = [
        case("2^53 + 1", &[7], 1, total((1 << 53) + 1)),
        case("4 EiB", &[7], 1, total(1 << 62)),
        case("more than any disk, in as many segments as there can be", &[7], 1, total(1 << 52)),
        case("2^63 - 1", &[7], 1, total((1 << 63) - 1)),
        case("2^63", &[3], 4, total(1 << 63)),
        case("2^64 - 1", &[3], 4, total(u64::MAX)),
        case("2^52 in one stream", &[7], 1, whole("4503599627370496")),
        case("2^63 - 1 in one stream", &[7], 1, whole("9223372036854775807")),
        case("2^63 in one stream", &[3], 2, whole("9223372036854775808")),
        case("2^64 in one stream", &[3], 2, whole("18446744073709551616")),
    ];
    at_once(cases.map(unlimited), |(name, codes, requests, args, script)| {
        let server = Raw::start(script);
        let env = TestEnv::new(&[]);
        let Cost { said, memory, .. } = run(&env, &server, args);
        assert!(codes.contains(&said.code), "{name}: {said}");
        assert!(
            memory < MOST_MEMORY && server.requests() <= requests,
            "{name}: {memory}, {}",
            server.requests()
        );
        assert_eq!(env.names(), <[&str; 0]>::default(), "{name}: {said}");
    });
}

#[test]
fn h81_eight_bodies_as_fast_as_they_come() {
    check("a fast server", &[0], 200, &[], Box::new(|ask: &Ask<'_>| ask.proper()));
}

#[test]
fn h49_a_connection_that_never_comes_about_ends_by_its_own_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    // Nobody accepts: once the queue is full, the kernel leaves further ones without an answer.
    let soon = Duration::from_millis(300);
    let queue: Vec<_> = (0..8192).map_while(|_| TcpStream::connect_timeout(&addr, soon).ok()).collect();
    assert!(queue.len() < 8192, "the queue has an end");
    let url = format!("http://{addr}/f");
    at_once([("1s", "30s", "no connection"), ("30s", "1s", "not a byte")], |(connect, all, why)| {
        let began = Instant::now();
        let args = ["--connect-timeout", connect, "--timeout", all, "--retries", "0", url.as_str()];
        TestEnv::new(&[]).run(&args).expect(3).says(why);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}
