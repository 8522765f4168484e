//! Every signal in every phase: it is heard within two seconds, has its exit code, and what is there is kept.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use haul::{MIB, PATIENCE, Running, SEGMENT, TestEnv, at_once, serve};
use rustix::process::Signal;
use support::{Content, Excess, Fault, Resource, Server, When};
use tokio::signal::unix::{SignalKind, signal};

#[path = "support/haul.rs"]
mod haul;
mod support;

const OBJECT: Content = Content::new(1, 8 * MIB + 12_345);
/// What was promised.
const DRAIN: Duration = Duration::from_secs(2);
const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// What the download is doing when the signal comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Probing,
    /// The server said 503 to the probe, and when to come back.
    ToldToWait,
    /// Nobody listens.
    BackingOff,
    Fetching,
    /// In mid-run the server says 503, and when to come back.
    ToldToWaitAmidst,
    /// No answer in mid-run: connections are closed before one comes.
    BackingOffAmidst,
    Stream,
    /// Every connection is open and silent.
    Silent,
    /// What an earlier run left is read back.
    Verifying,
}

const NOTHING_THERE: [Phase; 3] = [Phase::Probing, Phase::ToldToWait, Phase::BackingOff];
const SOMETHING_THERE: [Phase; 6] = [
    Phase::Fetching,
    Phase::ToldToWaitAmidst,
    Phase::BackingOffAmidst,
    Phase::Stream,
    Phase::Silent,
    Phase::Verifying,
];

fn slow() -> Resource {
    Resource::new(OBJECT).rate(2 * MIB)
}

fn come_back() -> Fault {
    Fault::StatusWith(503, vec![("Retry-After".to_owned(), "120".to_owned())])
}

fn resource(phase: Phase) -> Resource {
    match phase {
        Phase::Probing => slow().fault(When::Always, Fault::Mute),
        Phase::ToldToWait => slow().fault(When::Always, come_back()),
        Phase::BackingOff => slow().fault(When::Always, Fault::CloseBeforeHead),
        Phase::Stream => slow().no_ranges(),
        _ => slow(),
    }
}

/// The server's mood once the download is under way.
fn turned(phase: Phase) -> Option<Resource> {
    let fault = match phase {
        Phase::ToldToWaitAmidst => come_back(),
        Phase::BackingOffAmidst => Fault::CloseBeforeHead,
        Phase::Silent => Fault::StallAfter(100),
        _ => return None,
    };
    Some(Resource::new(OBJECT).fault(When::Always, fault))
}

/// Children heed SIGHUP even if we were started to ignore it: what is caught is not inherited as ignored.
fn catch_hangup() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    drop(signal(SignalKind::hangup()).expect("SIGHUP can be caught"));
}

fn args(server: &Server) -> Vec<String> {
    ["-j", "4", "-s", "64K", "--retries", "30", "--json"]
        .into_iter()
        .map(str::to_owned)
        .chain([server.url("/f")])
        .collect()
}

fn spawn<'a>(env: &'a TestEnv, server: &Server) -> Running<'a> {
    let args = args(server);
    env.spawn(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A download in that phase.
fn begun<'a>(phase: Phase, env: &'a TestEnv, server: &Server) -> Running<'a> {
    if phase == Phase::Verifying {
        let before = spawn(env, server);
        before.wait_for_bytes(24 * SEGMENT);
        before.kill9();
        // It cannot end before the signal comes.
        server.replace("/f", Resource::new(OBJECT).fault(When::From(1), Fault::Mute));
        let running = spawn(env, server);
        running.wait_for_event("start");
        return running;
    }
    let requests = server.requests();
    let running = spawn(env, server);
    match phase {
        Phase::Probing => assert!(server.wait_for_requests(requests + 1, PATIENCE)),
        Phase::ToldToWait | Phase::BackingOff => running.wait_for_event("retry"),
        Phase::Stream => running.wait_for_event("progress"),
        _ => running.wait_for_bytes(8 * SEGMENT),
    }
    if let Some(resource) = turned(phase) {
        server.replace("/f", resource);
        server.disconnect();
        let requests = server.requests();
        match phase {
            Phase::Silent => assert!(server.wait_for_requests(requests + 4, PATIENCE)),
            _ => running.wait_for_event("retry"),
        }
    }
    running
}

fn check(phase: Phase, signal: Signal, code: i32) {
    let server = serve(resource(phase));
    let env = TestEnv::new(&[OBJECT]);
    let running = begun(phase, &env, &server);
    let sent = Instant::now();
    running.signal(signal);
    running.wait_until_ended();
    assert!(sent.elapsed() <= DRAIN, "{phase:?}, {signal:?}: {:?}", sent.elapsed());
    let said = running.wait().expect(code);
    assert_eq!(said.event("error")["kind"], "cancelled", "{phase:?}");
    if NOTHING_THERE.contains(&phase) {
        assert_eq!(env.names(), <[&str; 0]>::default(), "{phase:?}");
        return;
    }
    env.assert_partial();
    assert!(server.wait_until_idle(PATIENCE));
    // A stream has nothing to resume by.
    let there = if phase == Phase::Stream { 0 } else { env.status().bytes() };
    server.replace("/f", Resource::new(OBJECT));
    let said = spawn(&env, &server).wait().expect(0);
    assert_eq!(said.event("start")["resumed_bytes"], there, "{phase:?}, {signal:?}");
    assert!(there > 0 || phase == Phase::Stream, "{phase:?}");
}

#[test]
fn h67_every_signal_is_heard_while_there_is_nothing_yet() {
    catch_hangup();
    for (signal, code) in SIGNALS {
        at_once(NOTHING_THERE, |phase| check(phase, signal, code));
    }
}

#[test]
fn h67_every_signal_is_heard_in_every_phase_and_what_is_there_is_resumed() {
    catch_hangup();
    for (signal, code) in SIGNALS {
        at_once(SOMETHING_THERE, |phase| check(phase, signal, code));
    }
}

#[test]
fn h67_stopped_for_longer_than_its_timeouts_it_goes_on_where_it_was() {
    // While it stands still its connections stay open, or go; the times are its own: nothing is held against it.
    at_once([false, true], |cut| {
        let server = serve(slow());
        let env = TestEnv::new(&[OBJECT]);
        let limits = ["--timeout", "1s", "--retries", "1"];
        let running =
            env.spawn(&[&limits[..], &["-j", "4", "-s", "64K", "--json", &server.url("/f")]].concat());
        for _ in 0..2 {
            // Every one of them has had bytes since it was stopped last.
            assert!(server.wait_for_body_bytes(server.body_bytes() + 16 * SEGMENT, PATIENCE));
            running.signal(Signal::STOP);
            if cut {
                server.disconnect();
            }
            // Its timeouts pass.
            thread::sleep(Duration::from_millis(1700));
            running.signal(Signal::CONT);
        }
        let said = running.wait().expect(0);
        assert!(said.all("retry").len() <= 16, "{said}");
        assert!(said.event("done")["bytes_fetched"].as_u64().expect("a number") < 2 * OBJECT.len, "{said}");
    });
}

#[test]
fn h67_stopped_while_it_waits_for_an_answer_it_asks_again() {
    // The answer was on its way and its connection is gone; so is the patience with it.
    let server = Server::builder()
        .resource("/f", Resource::new(OBJECT).fault(When::Before(4), Fault::Mute))
        .max_connections(64, Excess::Close)
        .start();
    let env = TestEnv::new(&[OBJECT]);
    let running = env.spawn(&["-s", "64K", "--timeout", "1s", "--json", &server.url("/f")]);
    for round in 1..=3 {
        assert!(server.wait_for_requests(round, PATIENCE));
        running.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(1200));
        running.signal(Signal::CONT);
    }
    running.wait().expect(0);
}

/// Connects each who comes with a server. Ends when the listener is of no use any more, or with the test.
fn relay(listener: TcpListener, to: SocketAddr) {
    let pipe = |from: io::Result<TcpStream>, to: io::Result<TcpStream>| {
        // Either end may go at any time.
        thread::spawn(move || io::copy(&mut from?, &mut to?));
    };
    thread::spawn(move || {
        for here in listener.incoming().map_while(Result::ok) {
            let Ok(there) = TcpStream::connect(to) else { continue };
            pipe(here.try_clone(), there.try_clone());
            pipe(Ok(there), Ok(here));
        }
    });
}

#[test]
fn h67_stopped_while_it_connects_it_connects_again() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = listener.local_addr().expect("an address");
    // Nobody accepts: once the queue is full, the kernel leaves further ones without an answer.
    let soon = Duration::from_millis(300);
    let queue: Vec<_> = (0..8192).map_while(|_| TcpStream::connect_timeout(&addr, soon).ok()).collect();
    assert!(queue.len() < 8192, "the queue has an end");
    let server = serve(Resource::new(OBJECT));
    let env = TestEnv::new(&[OBJECT]);
    let url = format!("http://{addr}/f");
    let running = env.spawn(&["--connect-timeout", "1s", "--retries", "1", "-o", "f", "--json", &url]);
    // It is on its way: its time begins before its signals are heard of, and ends while it stands still.
    thread::sleep(Duration::from_millis(300));
    running.signal(Signal::STOP);
    thread::sleep(Duration::from_millis(1200));
    drop(queue);
    relay(listener, server.addr());
    running.signal(Signal::CONT);
    let said = running.wait().expect(0);
    assert!(said.all("retry").len() <= 1, "{said}");
}
