//! A server of raw bytes, and what a run of haul against it costs.

#![allow(unreachable_pub, reason = "a module of a test binary")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::haul::{Finished, KIB, MIB, TestEnv};
use crate::support::Content;

/// Anonymous memory that no server may make haul use more of, whatever the number of connections.
pub const MOST_MEMORY: u64 = 64 * MIB;
/// Any of these runs ends in far less, even on a busy machine; a server that holds haul holds it for ever.
const MOST_TIME: Duration = Duration::from_secs(40);

pub const OBJECT: Content = Content::new(1, 12 * MIB);

/// One request, and the socket to say anything on.
pub struct Ask<'a> {
    pub stream: &'a TcpStream,
    pub head: String,
    /// How many came before it, on any connection.
    pub number: usize,
}

impl Ask<'_> {
    /// The asked range, half-open, cut at the object's end.
    pub fn range(&self) -> (u64, u64) {
        let lower = self.head.to_lowercase();
        let value = lower.split("range: bytes=").nth(1).and_then(|rest| rest.split("\r\n").next());
        let (first, last) = value.and_then(|value| value.split_once('-')).unwrap_or(("0", ""));
        let last = last.parse().unwrap_or(u64::MAX - 1);
        (first.parse().unwrap_or(0), OBJECT.len.min(last + 1))
    }

    pub fn say(&self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let mut stream = self.stream;
        stream.write_all(bytes.as_ref())
    }

    /// Until the client goes, some 16 MB a second: without a pause a few of these leave no time for anything else.
    pub fn for_ever(&self, piece: &[u8]) -> io::Result<()> {
        let mut many = piece.repeat((16 << 10) / piece.len() + 1);
        many.truncate(many.len() / piece.len() * piece.len());
        self.drip(&many, Duration::from_millis(1))
    }

    /// The same, a piece at a time.
    pub fn drip(&self, piece: &[u8], pause: Duration) -> io::Result<()> {
        loop {
            self.say(piece)?;
            thread::sleep(pause);
        }
    }

    /// The head of a proper 206, and the range that it is of.
    pub fn part(&self, tag: &str) -> io::Result<(u64, u64)> {
        let (start, end) = self.range();
        let (last, total, length) = (end - 1, OBJECT.len, end - start);
        self.say(format!(
            "HTTP/1.1 206 Partial Content\r\nETag: \"{tag}\"\r\nContent-Range: bytes {start}-{last}/{total}\r\n\
             Content-Length: {length}\r\n\r\n"
        ))?;
        Ok((start, end))
    }

    /// A proper beginning, and the end of the connection: as many requests as there may be follow at once.
    pub fn begin(&self) -> io::Result<()> {
        self.part("1")?;
        self.say(OBJECT.slice(0, MIB)).and(Err(io::ErrorKind::Other.into()))
    }

    pub fn proper(&self) -> io::Result<()> {
        let (start, end) = self.part("1")?;
        self.say(OBJECT.slice(start, end))
    }
}

pub type Script = dyn Fn(&Ask<'_>) -> io::Result<()> + Send + Sync;

/// A server of raw bytes: whatever the script says, to each request.
pub struct Raw {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accept: Option<JoinHandle<()>>,
}

struct Shared {
    script: Box<Script>,
    stop: AtomicBool,
    requests: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Raw {
    pub fn start(script: impl Fn(&Ask<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            stop: AtomicBool::default(),
            requests: AtomicUsize::default(),
            open: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        let accept = thread::spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.stop.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&theirs);
                theirs.open.lock().expect("no panic").extend(stream.try_clone());
                threads.push(thread::spawn(move || shared.serve(&stream)));
            }
            theirs.hang_up();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        Self { addr, shared, accept: Some(accept) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/f", self.addr)
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = stream;
        let mut head = Vec::new();
        let mut byte = [0];
        while reader.read(&mut byte).is_ok_and(|count| count == 1) {
            head.extend(byte);
            if head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&std::mem::take(&mut head)).into_owned();
                let number = self.requests.fetch_add(1, Ordering::Relaxed);
                // An error is a client that has had enough.
                if (self.script)(&Ask { stream, head, number }).is_err() {
                    break;
                }
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn hang_up(&self) {
        for stream in self.open.lock().expect("no panic").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Only a connection wakes an accept.
        let _ = TcpStream::connect(self.addr);
        self.accept.take().map(JoinHandle::join);
    }
}

/// What a run took.
pub struct Cost {
    pub said: Finished,
    /// The most anonymous memory, in bytes.
    pub memory: u64,
    pub time: Duration,
}

/// Runs haul against the server and looks at its memory all the while.
pub fn run(env: &TestEnv, server: &Raw, args: &[&str]) -> Cost {
    let url = server.url();
    let usual = [
        ["-j", "8"],
        ["-s", "64K"],
        ["--timeout", "1s"],
        ["--retries", "1"],
        ["--max-size", "16M"],
        ["-o", "f"],
    ];
    let usual = usual.into_iter().filter(|[option, _]| !args.contains(option)).flatten();
    let args: Vec<&str> = usual.chain(args.iter().copied()).chain([url.as_str()]).collect();
    let began = Instant::now();
    let running = env.spawn(&args);
    let pid = running.pid();
    let over = AtomicBool::new(false);
    let (said, memory) = thread::scope(|scope| {
        let watch = scope.spawn(|| most_memory(pid, &over));
        let said = running.wait();
        over.store(true, Ordering::Relaxed);
        (said, watch.join().expect("no panic"))
    });
    Cost { said, memory, time: began.elapsed() }
}

/// The most anonymous memory that haul has until it is over.
fn most_memory(pid: u32, over: &AtomicBool) -> u64 {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(anonymous_memory(pid).unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    most
}

/// Nothing while the process is not haul yet: spawning returns when the kernel is about to give the child memory of
/// its own, and until then it counts ours. Nothing either when haul is gone and its number is a thread's of ours.
fn anonymous_memory(pid: u32) -> Option<u64> {
    let is_haul = || fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("haul"));
    if !is_haul() {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).filter(|_| is_haul())?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * KIB)
}

/// It ended with one of these codes, in time, with little memory, and was asked at most so often.
#[track_caller]
pub fn check(name: &str, codes: &[i32], requests: usize, args: &[&str], script: Box<Script>) -> Finished {
    let server = Raw::start(script);
    let env = TestEnv::new(&[OBJECT]);
    let Cost { said, memory, time } = run(&env, &server, args);
    assert!(codes.contains(&said.code), "{name}: {said}");
    assert!(memory < MOST_MEMORY, "{name}: {memory} bytes: {said}");
    assert!(time < MOST_TIME, "{name}: {time:?}: {said}");
    assert!(server.requests() <= requests, "{name}: {} requests: {said}", server.requests());
    said
}
