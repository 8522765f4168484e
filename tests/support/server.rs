//! The server: an accept loop, a thread for each connection, and a bounded end.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::answer::{Answer, Ending, answer, plain};
use super::log::{Log, Seen};
use super::pace::Pace;
use super::request::Request;
use super::resource::Resource;
use super::respond::{self, Line, SharedPace, Stop};
use super::served::Served;

/// What happens to a connection above the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// It is accepted and closed at once: the client sees FIN, or RST if it sent already.
    Close,
    /// Its first request gets this status, then it is closed. That request does not count as a GET of
    /// its resource.
    Status(u16),
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    accept: Mutex<Option<JoinHandle<()>>>,
}

/// Options of a server.
#[derive(Debug)]
pub struct Builder {
    resources: HashMap<String, Arc<Served>>,
    limit: Option<(usize, Excess)>,
    shared_rate: Option<u64>,
    addr: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    resources: Mutex<HashMap<String, Arc<Served>>>,
    limit: Option<(usize, Excess)>,
    pace: Option<SharedPace>,
    log: Log,
    stop: Stop,
    /// The sockets of the open connections, to shut them down from outside.
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Server {
    /// Serves these on a free port of 127.0.0.1.
    pub fn start<'a>(resources: impl IntoIterator<Item = (&'a str, Resource)>) -> Self {
        Self::builder().resources(resources).start()
    }

    /// The same on a given address, so that a server can come back where another one was.
    pub fn start_on<'a>(addr: SocketAddr, resources: impl IntoIterator<Item = (&'a str, Resource)>) -> Self {
        Self::builder().resources(resources).bind(addr).start()
    }

    /// A server with options.
    pub fn builder() -> Builder {
        Builder {
            resources: HashMap::new(),
            limit: None,
            shared_rate: None,
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// The URL of a path that starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves another resource under this path from the next request on; its counters start at 0.
    pub fn replace(&self, path: &str, resource: Resource) {
        lock(&self.shared.resources).insert(path.to_owned(), Arc::new(Served::new(resource)));
    }

    /// All requests in the order of their arrival.
    pub fn log(&self) -> Vec<Seen> {
        self.shared.log.read().seen.clone()
    }

    /// How many GETs met a fault, or were the first to meet another version; of what is served now.
    pub fn struck(&self) -> u64 {
        lock(&self.shared.resources).values().map(|served| served.struck()).sum()
    }

    /// Body bytes over all responses, without chunk framing. Never less than what clients have received, and
    /// exact for complete responses. For a client that went early it is more: what was left in the
    /// socket buffers counts, too (up to several MiB on loopback), and for a moment one slice
    /// (64 KiB where there is a rate, else 512 KiB) that the socket has yet to take.
    pub fn body_bytes(&self) -> u64 {
        self.shared.log.read().body_bytes
    }

    /// GETs that arrived, on any path.
    pub fn requests(&self) -> usize {
        self.shared.log.read().gets
    }

    /// Connections ever accepted.
    pub fn connections(&self) -> u64 {
        self.shared.log.read().connections
    }

    /// The most requests that were being answered at the same time. A request counts from its arrival to
    /// the write of its last bytes, so that a client never seems to run more at once than it does. One that
    /// a client gave up counts until the server notices.
    pub fn peak_concurrent(&self) -> usize {
        self.shared.log.read().peak
    }

    /// Waits for the n-th GET (counted from 1) to arrive; false when the time was over first.
    pub fn wait_for_requests(&self, n: usize, timeout: Duration) -> bool {
        self.shared.log.wait(timeout, |state| state.gets >= n)
    }

    /// Waits until [`Self::body_bytes`] reaches `n`; false when the time was over first.
    pub fn wait_for_body_bytes(&self, n: u64, timeout: Duration) -> bool {
        self.shared.log.wait(timeout, |state| state.body_bytes >= n)
    }

    /// Waits until no request is being answered; false when the time was over first.
    pub fn wait_until_idle(&self, timeout: Duration) -> bool {
        self.shared.log.wait(timeout, |state| state.answering == 0)
    }

    /// Cuts every open connection, as a restart of the network would; the server goes on.
    pub fn disconnect(&self) {
        self.shared.disconnect();
    }

    /// Stops listening, cuts all connections and waits for their threads. The log stays readable.
    ///
    /// # Panics
    /// When a thread of the server panicked, so that the test fails.
    pub fn stop(&self) {
        let Some(accept) = lock(&self.accept).take() else {
            return;
        };
        self.shared.stop.ring();
        // Only a connection wakes an accept. If none can be made, accept is failing by itself.
        let _ = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1));
        if let Err(panic) = accept.join()
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Builder {
    /// Serves this under a path, with its query or without.
    pub fn resource(self, path: &str, resource: Resource) -> Self {
        self.resources([(path, resource)])
    }

    /// Serves all of these.
    pub fn resources<'a>(mut self, all: impl IntoIterator<Item = (&'a str, Resource)>) -> Self {
        let served = |(path, resource): (&str, _)| (path.to_owned(), Arc::new(Served::new(resource)));
        self.resources.extend(all.into_iter().map(served));
        self
    }

    /// At most n connections at once.
    pub fn max_connections(mut self, n: usize, excess: Excess) -> Self {
        self.limit = Some((n, excess));
        self
    }

    /// At most so many body bytes per second over all connections.
    pub fn shared_rate(mut self, bytes_per_second: u64) -> Self {
        self.shared_rate = Some(bytes_per_second);
        self
    }

    /// Listens here instead of on a free port.
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Listens.
    ///
    /// # Panics
    /// When the address is taken, or no thread is to be had.
    pub fn start(self) -> Server {
        let listener = TcpListener::bind(self.addr).expect("the address can be bound");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            resources: Mutex::new(self.resources),
            limit: self.limit,
            pace: self.shared_rate.map(SharedPace::new),
            log: Log::default(),
            stop: Stop::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let accept = spawn("accept", move || accept_loop(&listener, &accepting));
        Server { shared, addr, accept: Mutex::new(Some(accept)) }
    }
}

impl Shared {
    fn disconnect(&self) {
        for stream in lock(&self.open).values() {
            // An error says that the client was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// By the whole target, else without its query.
    fn find(&self, target: &str) -> Option<Arc<Served>> {
        let resources = lock(&self.resources);
        let path = target.split('?').next().unwrap_or(target);
        resources.get(target).or_else(|| resources.get(path)).cloned()
    }
}

/// Connections are entered in `open` here alone, so that none is missed at the end.
fn accept_loop(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.stop.is_stopping() {
            break;
        }
        match accepted {
            Ok((stream, _)) => threads.extend(admit(stream, shared)),
            // Out of descriptors: pause, so that this is no busy loop until there are some.
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
        for finished in threads.extract_if(.., |thread| thread.is_finished()) {
            join(finished);
        }
    }
    shared.disconnect();
    threads.into_iter().for_each(join);
}

fn join(thread: JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// A thread for the connection, unless there are too many.
fn admit(stream: TcpStream, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let number = shared.log.connected();
    let mut open = lock(&shared.open);
    let excess = shared.limit.filter(|(limit, _)| open.len() >= *limit).map(|(_, excess)| excess);
    if excess == Some(Excess::Close) {
        return None;
    }
    open.insert(number, stream.try_clone().ok()?);
    let shared = Arc::clone(shared);
    Some(spawn("connection", move || {
        let mut connection = Connection { stream: &stream, number, excess, shared: &shared };
        // An error is a client that went, or the server's end.
        let _ = connection.run();
        lock(&shared.open).remove(&number);
    }))
}

struct Connection<'a> {
    stream: &'a TcpStream,
    number: u64,
    excess: Option<Excess>,
    shared: &'a Shared,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut pace = Pace::new(Instant::now());
        while let Some(request) = Request::read(self.stream)? {
            let served = self.shared.find(&request.target);
            let alive = match (served, self.excess) {
                (Some(served), None) => self.serve(&request, &served, &mut pace)?,
                (_, Some(Excess::Status(status))) => self.refuse(&request, status, &mut pace)?,
                _ => self.refuse(&request, 404, &mut pace)?,
            };
            if !alive || self.excess.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn serve(&self, request: &Request, served: &Served, pace: &mut Pace) -> io::Result<bool> {
        let turn = served.turn(request);
        let seen = Seen { number: turn.number, range: turn.range, ..self.seen(request) };
        let answer = answer(request, &turn);
        let latency = turn.resource.latency;
        self.respond(seen, &answer, Some(served), pace, latency)
    }

    fn refuse(&self, request: &Request, status: u16, pace: &mut Pace) -> io::Result<bool> {
        let answer = plain(request, status);
        self.respond(self.seen(request), &answer, None, pace, Duration::ZERO)
    }

    fn respond(
        &self,
        seen: Seen,
        answer: &Answer,
        served: Option<&Served>,
        pace: &mut Pace,
        latency: Duration,
    ) -> io::Result<bool> {
        let Shared { log, stop, pace: shared, .. } = self.shared;
        let entry = log.enter(seen);
        if answer.ending != Ending::Reset {
            Request::finish(self.stream)?;
        }
        stop.sleep_until(Instant::now() + latency)?;
        let (stream, entry, shared) = (self.stream, &entry, shared.as_ref());
        let line = Line { stream, stop, entry, served, pace, shared };
        respond::respond(line, answer)
    }

    fn seen(&self, request: &Request) -> Seen {
        Seen {
            connection: self.number,
            number: 0,
            method: request.method.clone(),
            path: request.target.clone(),
            headers: request.headers.clone(),
            range: request.range().map(|range| range.asked(0)),
            status: 0,
            body_bytes: 0,
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    // Small stacks: tests open hundreds of connections.
    let builder = thread::Builder::new().name(format!("server-{name}")).stack_size(256 * 1024);
    builder.spawn(run).expect("a thread is to be had")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
