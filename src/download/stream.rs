//! The single stream: one answer, from its first byte to its last. One that is cut short starts over.

use super::blocking::in_place;
use super::control::Control;
use super::event::Event;
use super::files::Files;
use super::look::Looker;
use super::progress::Phase;
use super::request::OnChange;
use crate::digest::SegmentCrc;
use crate::error::{Error, ErrorKind, Result};
use crate::http::fetch::Body;
use crate::http::retry::{Fault, Stage, Verdict, is_progress, verdict};
use crate::ledger::Ledger;
use crate::object::Object;
use crate::plan::Mismatch;
use crate::range::{ByteRange, Part, Segments};

/// Writes one whole answer to the part file.
pub(crate) struct Stream<'a> {
    looker: Looker<'a>,
    control: &'a Control,
    files: &'a Files,
    /// What is in the file by this attempt.
    written: Written,
}

/// What was written from a file's start on.
pub(crate) struct Written {
    bytes: u64,
    /// Of each segment of the largest size.
    crcs: Vec<u32>,
    crc: SegmentCrc,
}

impl Written {
    fn new() -> Self {
        Self { bytes: 0, crcs: Vec::new(), crc: SegmentCrc::new() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let missing = Segments::MAX_SIZE - self.bytes % Segments::MAX_SIZE;
            let (some, rest) =
                bytes.split_at(usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len()));
            self.crc.update(some);
            self.bytes += some.len() as u64;
            if some.len() as u64 == missing {
                self.crcs.push(self.crc.take());
            }
            bytes = rest;
        }
    }

    /// The record of it; `None` where there are more segments than can be.
    pub(crate) fn into_ledger(mut self) -> Option<Ledger> {
        let segments = Segments::new(self.bytes, Segments::MAX_SIZE)?;
        if self.crcs.len() < segments.count() {
            self.crcs.push(self.crc.take());
        }
        let mut ledger = Ledger::new(segments);
        (0..).zip(self.crcs).for_each(|(index, crc)| ledger.land(index, crc));
        Some(ledger)
    }
}

/// Why an attempt ended without the object.
enum Halt {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The bytes of the object that are wanted, when its length may be unknown.
pub(crate) fn wanted(part: Part, length: Option<u64>) -> Option<ByteRange> {
    match (part, length) {
        (Part::From(0), Some(0)) => Some(ByteRange::new(0, 0)),
        (part, Some(length)) => part.of(length),
        (Part::From(start), None) => Some(ByteRange::new(start, u64::MAX)),
        (Part::Span(range), None) => Some(range),
        (Part::Last(_), None) => None,
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn new(looker: Looker<'a>, control: &'a Control, files: &'a Files) -> Self {
        Self { looker, control, files, written: Written::new() }
    }

    /// Writes the answer, and further ones until one comes to its end. Gives what is in the file, and of which
    /// version it is.
    pub(crate) async fn run(mut self, mut body: Body, first: Object) -> Result<(Written, Object)> {
        let mut now = first.clone();
        let mut failures = 0;
        let mut furthest = 0;
        loop {
            self.written = Written::new();
            self.files.proving.take_back(0);
            let fault = match self.write(body, now.length).await {
                Ok(()) => return Ok((self.written, now)),
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Fault(fault)) => fault,
            };
            // Only bytes that no attempt has brought before are progress (H25).
            let new = self.written.bytes.saturating_sub(furthest);
            failures = if is_progress(new, &fault) { 0 } else { failures };
            furthest = furthest.max(self.written.bytes);
            self.pause_after(&fault, failures).await?;
            failures += 1;
            let (next, object) = self.looker.whole().await?.into_whole()?;
            self.looker.expect_credible(first.validator.as_ref().ok(), &object)?;
            self.looker.expect_consistent(&first, &object)?;
            self.on_other_version(&first, &object)?;
            (body, now) = (next, object);
        }
    }

    /// A stream starts over in any case; with another version that is worth saying, or a reason to stop.
    fn on_other_version(&self, first: &Object, now: &Object) -> Result<()> {
        if first.validator.is_err() || first.validator == now.validator {
            return Ok(());
        }
        let reason = Mismatch::ObjectChanged.to_string();
        if self.looker.request.on_change == OnChange::Fail {
            return Err(Error::new(ErrorKind::Changed, reason).at(self.looker.url));
        }
        self.looker.reporter.event(Event::Restarted { reason });
        Ok(())
    }

    /// Waits until what goes out has made room for so many bytes more.
    async fn make_room(&self, bytes: u64) -> Result<()> {
        let Some(mut outflow) = self.files.outflow() else { return Ok(()) };
        if outflow.room(self.written.bytes + bytes).await {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Local, "nothing takes the bytes"))
    }

    async fn pause_after(&self, fault: &Fault, failures: u32) -> Result<()> {
        let asked = match verdict(fault, Stage::Fetching, failures) {
            Verdict::Stop(kind) => return Err(Error::new(kind, fault.to_string()).at(self.looker.url)),
            Verdict::Throttle(asked) => asked,
            Verdict::Retry | Verdict::Probe | Verdict::Degrade => None,
        };
        self.looker.wait_after(fault, failures, asked).await
    }

    /// Writes what is wanted of one answer.
    async fn write(&mut self, mut body: Body, length: Option<u64>) -> Result<(), Halt> {
        let wanted = wanted(self.looker.request.part, length).ok_or_else(|| self.looker.unwanted(length))?;
        let mut at = 0;
        while at < wanted.end {
            // A stream cannot be asked for again from where it is: while paused, it waits unread.
            self.control.running().await;
            let Some(bytes) = body.chunk().await? else { break };
            let end = at + bytes.len() as u64;
            let (from, to) = (wanted.start.clamp(at, end) - at, wanted.end.clamp(at, end) - at);
            at = end;
            let inside = usize::try_from(from).ok().zip(usize::try_from(to).ok());
            let bytes = inside.map(|(from, to)| bytes.slice(from..to)).unwrap_or_default();
            if bytes.is_empty() {
                continue;
            }
            self.check_size(bytes.len() as u64)?;
            self.make_room(bytes.len() as u64).await?;
            let write = || self.files.part.write_at(&bytes, self.written.bytes);
            in_place(self.files.part.makes_wait(), write).map_err(|error| self.with_room(error))?;
            self.written.add(&bytes);
            self.files.proving.reach(self.written.bytes);
            self.report(length.map(|_| wanted.len()));
        }
        let nothing = self.written.bytes == 0 && wanted.start > 0;
        if nothing || (at < wanted.end && wanted.end != u64::MAX && length.is_some()) {
            return Err(Halt::Error(self.looker.outside()));
        }
        // An earlier attempt may have written more.
        Ok(self.files.part.set_len(self.written.bytes)?)
    }

    /// A body of unknown length ends at the largest size that is allowed, and in any case where the disk would be
    /// full (H82).
    fn check_size(&self, more: u64) -> Result<()> {
        let length = self.written.bytes + more;
        if let Some(most) = self.looker.request.max_size.filter(|most| length > *most) {
            return Err(Error::new(ErrorKind::Local, format!("there are more than {most} bytes"))
                .at(self.looker.url)
                .hint("allow a larger --max-size"));
        }
        match self.files.room {
            Some(room) if length > room => Err(self.with_room(self.files.part.full())),
            _ => Ok(()),
        }
    }

    /// Says how much room there was, where it was not enough.
    fn with_room(&self, error: Error) -> Error {
        match self.files.room.filter(|_| error.is_lack_of_room()) {
            Some(room) => error.hint(format!(
                "{room} bytes were free when it began: make room, or choose another folder with -d"
            )),
            None => error,
        }
    }

    fn report(&self, total: Option<u64>) {
        let phase = if self.control.is_paused() { Phase::Paused } else { Phase::Fetching };
        self.looker.reporter.progress(phase, self.written.bytes, total, self.looker.client.traffic());
        self.looker.reporter.map(Vec::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_of_a_length_that_may_be_unknown() {
        assert_eq!(wanted(Part::From(0), Some(0)), Some(ByteRange::new(0, 0)));
        assert_eq!(wanted(Part::From(3), Some(10)), Some(ByteRange::new(3, 10)));
        assert_eq!(wanted(Part::From(10), Some(10)), None);
        assert_eq!(wanted(Part::From(3), None), Some(ByteRange::new(3, u64::MAX)));
        assert_eq!(wanted(Part::Last(3), None), None);
        let span = ByteRange::new(3, 5);
        assert_eq!(wanted(Part::Span(span), None), Some(span));
    }
}
