//! Whether there is something newer than the file that is there (RFC 9110 §13.1), and what a file is left with so that
//! this can be asked.

use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::blocking::blocking;
use super::report::{Outcome, Report};
use super::request::{Existing, FileTime};
use super::session::Session;
use super::target::Target;
use crate::edition::{Kept, Newness, Note, source_digest};
use crate::error::{Error, Result};
use crate::http::headers::condition;
use crate::http::probe::{Answer, Probe};

impl Session {
    /// Looks at the file that is to be kept up to date, if there is one. Where it has to have a checksum, that decides:
    /// a report, if it has it; and it is fetched, whatever its age, if not.
    pub(super) async fn look_at_kept(&mut self, target: &Target) -> Result<Option<Report>> {
        self.kept = None;
        if self.request.existing != Existing::IfNewer {
            return Ok(None);
        }
        let Some(kept) = self.kept(target)? else { return Ok(None) };
        if !self.expected(None).is_empty() {
            let proof = self.prove_existing(target, None).await?;
            return Ok(proof.map(|proof| self.report(Outcome::Existed, kept.length, Some(proof))));
        }
        self.kept = Some(kept);
        Ok(None)
    }

    fn kept(&self, target: &Target) -> Result<Option<Kept>> {
        let Some(facts) = target.facts()? else { return Ok(None) };
        let note = facts.note.as_deref().and_then(Note::decode);
        let edition =
            note.and_then(|note| note.of(facts.length, facts.mtime, &source_digest(&self.source())));
        Ok(Some(Kept { length: facts.length, mtime: facts.mtime, edition }))
    }

    /// What the first request asks by. Later ones are for bytes of what it found.
    pub(super) fn condition(&self) -> HeaderMap {
        let kept = self.kept.as_ref().filter(|_| self.files.is_none());
        kept.map(|kept| condition(&kept.condition())).unwrap_or_default()
    }

    /// The report, where the answer is nothing newer than the file that is there.
    pub(super) fn not_modified(&self, probe: &Probe) -> Result<Option<Report>> {
        let Some(kept) = self.kept.as_ref().filter(|_| self.files.is_none()) else { return Ok(None) };
        let newness = match probe.answer {
            Answer::NotModified => Newness::Same,
            Answer::Part(_) | Answer::Whole(_) => kept.against(&probe.object.edition, probe.object.length),
        };
        match newness {
            Newness::Newer => return Ok(None),
            Newness::Suspect => return Err(self.looker().suspect().hint("try again later, or with --force")),
            Newness::Same => {}
        }
        // What an earlier run had begun to fetch is of no version that there is.
        if let Some(claimed) = &self.claimed {
            Self::tidy_up(&self.reporter, claimed);
        }
        Ok(Some(self.report(Outcome::NotModified, kept.length, None)))
    }

    /// Gives the part file, which is whole and durable, the time and the note that the target is to have. A file is no
    /// worse without.
    pub(super) async fn mark(&self) {
        let (Some(files), Some(object)) = (&self.files, &self.object) else { return };
        let (part, length, edition) = (Arc::clone(&files.part), files.length, object.edition.clone());
        let time = edition.modified.filter(|_| self.request.time == FileTime::LastModified);
        if time.is_none() && self.request.time == FileTime::LastModified {
            self.reporter.note("the server sends no Last-Modified: the file has the time of its download");
        }
        let notes = self.request.existing == Existing::IfNewer;
        let source = source_digest(&self.source());
        let marked = blocking(move || {
            time.map_or(Ok(()), |time| part.set_mtime(time))?;
            if notes && let Some(note) = (Note { length, mtime: part.mtime()?, source, edition }).encode() {
                // Where there is no room for it the file's own time has to do.
                let _ = part.set_note(note.as_bytes());
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = marked.await {
            self.reporter.note(error.to_string());
        }
    }
}
