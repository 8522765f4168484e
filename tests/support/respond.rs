//! Says an answer: bytes onto a socket, at the rates and with the endings that were asked for.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::answer::{Answer, Ending, Piece};
use super::log::Entry;
use super::pace::{Pace, slice};
use super::served::Served;

/// The most that goes into one unpaced write, and into one chunk.
const LONGEST_WRITE: u64 = 512 * 1024;

/// Lets sleepers sleep, until the server stops.
#[derive(Default, Debug)]
pub struct Stop {
    stopping: Mutex<bool>,
    bell: Condvar,
}

impl Stop {
    /// Wakes all sleepers, now and in future.
    pub fn ring(&self) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    /// Whether it rang.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until then; an error when the server stops first.
    pub fn sleep_until(&self, at: Instant) -> io::Result<()> {
        let time = at.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Ok(());
        }
        let lock = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.bell.wait_timeout_while(lock, time, |stopping| !*stopping);
        let (stopping, _) = woken.unwrap_or_else(PoisonError::into_inner);
        if *stopping { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// The bucket over the whole server.
#[derive(Debug)]
pub struct SharedPace {
    rate: u64,
    pace: Mutex<Pace>,
}

impl SharedPace {
    /// A bucket of this rate in bytes per second.
    pub fn new(rate: u64) -> Self {
        Self { rate, pace: Mutex::new(Pace::new(Instant::now())) }
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a response goes through.
#[derive(Debug)]
pub struct Line<'a> {
    /// Where to.
    pub stream: &'a TcpStream,
    /// Ends its sleeps.
    pub stop: &'a Stop,
    /// Its place in the log.
    pub entry: &'a Entry<'a>,
    /// What the body bytes are counted for; none for an answer without a resource.
    pub served: Option<&'a Served>,
    /// The bucket of the connection.
    pub pace: &'a mut Pace,
    /// The bucket of the server.
    pub shared: Option<&'a SharedPace>,
}

/// Sends an answer; true when the connection is good for another request.
pub fn respond(line: Line<'_>, answer: &Answer) -> io::Result<bool> {
    let left = match (answer.ending, answer.limit, answer.drip) {
        // Silence is part of the answer.
        (Ending::Silence, ..) => u64::MAX,
        (_, Some(limit), None) => limit.min(answer.len()),
        _ => answer.len(),
    };
    Responder { line, drip: None, left }.respond(answer)
}

/// One response on its way.
struct Responder<'a> {
    line: Line<'a>,
    drip: Option<(u64, Pace)>,
    /// Body bytes to come; at 0 the request counts as answered.
    left: u64,
}

impl Responder<'_> {
    fn respond(&mut self, answer: &Answer) -> io::Result<bool> {
        self.line.entry.status(answer.status);
        self.leave_at_end();
        self.write_all(answer.head.as_bytes())?;
        // A cut after the whole body is one before the last chunk.
        let complete = self.body(answer)? && answer.limit.is_none_or(|limit| limit > answer.len());
        if answer.chunked && complete {
            self.write_all(b"0\r\n\r\n")?;
        }
        match answer.ending {
            Ending::KeepAlive => Ok(true),
            Ending::Close | Ending::Reset => Ok(false),
            Ending::Silence => self.outwait().map(|()| false),
        }
    }

    fn leave_at_end(&self) {
        if self.left == 0 {
            self.line.entry.leave();
        }
    }

    /// What is not body.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.line.stream;
        stream.write_all(bytes)
    }

    /// Whether the whole body went out.
    fn body(&mut self, answer: &Answer) -> io::Result<bool> {
        let mut left = answer.limit.unwrap_or(u64::MAX);
        for piece in &answer.body {
            let now = piece.len().min(left);
            self.piece(piece, 0, now, answer.chunked)?;
            left -= now;
            if now == piece.len() {
                continue;
            }
            let Some(rate) = answer.drip else {
                return Ok(false);
            };
            self.drip = Some((rate, Pace::new(Instant::now())));
            self.piece(piece, now, piece.len(), answer.chunked)?;
            left = u64::MAX;
        }
        Ok(true)
    }

    /// The bytes `from..to` of a piece, in slices that suit the rate.
    fn piece(&mut self, piece: &Piece, mut from: u64, to: u64, chunked: bool) -> io::Result<()> {
        while from < to {
            let count = self.paced(to - from)?;
            if chunked {
                self.write_all(format!("{count:x}\r\n").as_bytes())?;
            }
            self.write(piece, from, count)?;
            if chunked {
                self.write_all(b"\r\n")?;
            }
            from += count;
        }
        Ok(())
    }

    /// Waits until a slice may go, and says how long it is.
    fn paced(&mut self, left: u64) -> io::Result<u64> {
        let resource = self.line.served.map(Served::resource);
        let own = resource.and_then(|resource| resource.rate);
        let group = resource.and_then(|resource| resource.shared_rate);
        let server = self.line.shared.map(|shared| shared.rate);
        let drip = self.drip.as_ref().map(|(rate, _)| *rate);
        let rates = [own, group, server, drip];
        let Some(lowest) = rates.into_iter().flatten().min() else {
            return Ok(left.min(LONGEST_WRITE));
        };
        let count = slice(lowest).min(left);
        let now = Instant::now();
        let mut at = own.map_or(now, |rate| self.line.pace.reserve(now, rate, count));
        if let (Some(rate), Some(served)) = (group, self.line.served) {
            at = at.max(served.pace().reserve(now, rate, count));
        }
        if let Some(shared) = self.line.shared {
            at = at.max(shared.lock().reserve(now, shared.rate, count));
        }
        if let Some((rate, pace)) = &mut self.drip {
            at = at.max(pace.reserve(now, *rate, count));
        }
        self.line.stop.sleep_until(at)?;
        Ok(count)
    }

    /// Writes `count` bytes of a piece, counted even where the socket fails on the way.
    fn write(&mut self, piece: &Piece, from: u64, count: u64) -> io::Result<()> {
        self.line.entry.count(count);
        self.line.served.inspect(|served| served.count(count));
        self.left -= count;
        self.leave_at_end();
        let mut done = 0;
        let result = loop {
            if done == count {
                break Ok(());
            }
            match self.write_some(piece, from + done, count - done) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => done += sent,
                Err(error) => break Err(error),
            }
        };
        self.line.entry.uncount(count - done);
        self.line.served.inspect(|served| served.uncount(count - done));
        result
    }

    fn write_some(&self, piece: &Piece, from: u64, count: u64) -> io::Result<u64> {
        let mut stream = self.line.stream;
        let sent = match piece {
            Piece::Text(text) => {
                let from = usize::try_from(from).expect("text is in memory");
                let end = from + usize::try_from(count).expect("text is in memory");
                stream.write(&text[from..end])?
            }
            Piece::Content(pattern, range) => {
                stream.write_vectored(&pattern.window(range.start + from, count))?
            }
        };
        Ok(sent as u64)
    }

    /// Reads until the client closes or the server shuts the socket down.
    fn outwait(&self) -> io::Result<()> {
        let mut stream = self.line.stream;
        io::copy(&mut stream, &mut io::sink()).map(drop)
    }
}
