//! The object's own proof: checksums that the user gave or the server sends, compared before the file gets its name (H06).

use std::mem;
use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::blocking::blocking;
use super::follow::Follower;
use super::request::{Output, SentDigests};
use super::session::Session;
use super::target::Target;
use crate::checksum::{Algorithm, Checksum, Proof, ProofSource};
use crate::error::{Error, ErrorKind, Result};
use crate::http::probe::probe;
use crate::object::Object;
use crate::range::{ByteRange, Part};
use crate::store::commit::CheckpointFile;
use crate::store::medium::Entry;
use crate::store::part::PartFile;

/// What became of the proof.
pub(super) enum Proved {
    /// It is what it has to be, by this, if by anything.
    By(Option<Proof>),
    /// Some of it is missing again.
    Again,
}

impl Session {
    /// Has computed, while the object's bytes land, what they will be compared with.
    pub(super) fn prove_by(&mut self, object: &Object) {
        let algorithms = algorithms(&self.expected(Some(&object.clone().or_proved_as(self.object.as_ref()))));
        // What is discarded is not compared with anything.
        let compared = self.request.output != Output::Nowhere;
        if let Some(files) = self.files.as_mut().filter(|_| compared) {
            files.prove_by(algorithms);
        }
    }

    /// Compares what is in place with every checksum of it that is known; gives the first.
    pub(super) async fn prove(&mut self) -> Result<Proved> {
        let expected = self.expected(self.object.as_ref());
        let (piped, compared) = (self.is_piped(), self.request.output != Output::Nowhere);
        let nothing = Ok(Proved::By(None));
        let Some(files) = self.files.as_mut().filter(|_| compared) else { return nothing };
        // The end of a pipe is waited for in any case.
        if expected.is_empty() && !piped {
            return nothing;
        }
        let (proving, part, length) = (mem::take(&mut files.proving), Arc::clone(&files.part), files.length);
        let (ledger, wanted) = (files.ledger.clone(), algorithms(&expected));
        let finish = async move { proving.finish(&wanted, &part, length, &ledger).await };
        let found = self.unless_cancelled(finish).await?;
        let expected: Vec<_> = expected.into_iter().filter(|proof| !piped || is_of(&found, proof)).collect();
        match mismatch(&found, &expected) {
            Some(_) if self.distrust_mirrors() => Ok(Proved::Again),
            Some(expected) => Err(self.refute(&found, expected).await),
            None => Ok(Proved::By(expected.into_iter().next())),
        }
    }

    /// What is there is not the object: if any of it came from mirrors that is missing again, and they are asked no more.
    fn distrust_mirrors(&mut self) -> bool {
        let piped = self.is_piped();
        let Some(files) = self.files.as_mut().filter(|_| !piped) else { return false };
        let theirs = files.of_mirrors();
        if theirs.is_empty() {
            return false;
        }
        theirs.into_iter().for_each(|index| files.refute(index));
        Arc::make_mut(&mut self.request).mirrors.clear();
        self.reporter.note(format!(
            "its checksum is wrong: what came from mirrors is fetched again from {} alone",
            self.url
        ));
        true
    }

    /// What proves that the file that has the target's name already is what is wanted (H58); `found` is the object, where
    /// it was looked at already.
    pub(super) async fn prove_existing(
        &self,
        target: &Target,
        found: Option<&Object>,
    ) -> Result<Option<Proof>> {
        let Some(Entry::File { length, .. }) = target.entry(target.name())? else { return Ok(None) };
        let Ok(medium) = target.folder().read(target.name()) else { return Ok(None) };
        let mut expected = self.expected(found.filter(|object| object.length == Some(length)));
        if expected.is_empty() && found.is_none() {
            // Once: that nobody answers is no better than that the name is taken.
            let first = ByteRange::new(0, 1);
            let look = async { Ok(probe(&self.client, &self.url, first, &HeaderMap::new()).await.ok()) };
            let found = self.unless_cancelled(look).await?.map(|probe| probe.object);
            expected = self.expected(found.as_ref().filter(|object| object.length == Some(length)));
        }
        if expected.is_empty() {
            return Ok(None);
        }
        let file = Arc::new(PartFile::streamed(&target.path(), medium));
        let found =
            self.unless_cancelled(Follower::start(file, algorithms(&expected)).finish(length)).await?;
        Ok(if mismatch(&found, &expected).is_none() { expected.into_iter().next() } else { None })
    }

    /// Everything that the object, if it is that, has to come to: what was given before what is sent.
    pub(super) fn expected(&self, object: Option<&Object>) -> Vec<Proof> {
        let given = |checksum: &Checksum| Proof { checksum: checksum.clone(), source: ProofSource::Given };
        // Of a part the digest of the whole says nothing.
        let counts = self.request.part == Part::From(0) && self.request.sent_digests == SentDigests::Compared;
        let sent = object.and_then(|object| object.proof.clone()).filter(|_| counts);
        let kept = self.salvage.as_ref().and_then(|salvage| salvage.proof.clone());
        self.request.checksums.iter().map(given).chain(self.listed.clone()).chain(kept).chain(sent).collect()
    }

    /// What is there is not the object: the part file stays for a look, and no later run resumes from it.
    async fn refute(&mut self, found: &[Checksum], expected: &Proof) -> Error {
        self.files = None;
        let Proof { checksum, source } = expected;
        let found = found.iter().find(|found| found.algorithm() == checksum.algorithm());
        let found = found.map(ToString::to_string).unwrap_or_default();
        let error =
            Error::new(ErrorKind::Corrupt, format!("its checksum is {found}, not {checksum} ({source})"));
        let Some(claimed) = &mut self.claimed else {
            return error.at(&self.url).hint("what came out is not the object: throw it away");
        };
        let (part, path) = (claimed.target.part_path(), claimed.target.checkpoint_path());
        let erased = match claimed.medium() {
            Ok(medium) => blocking(move || CheckpointFile::erase(&path, medium.as_ref())).await,
            Err(error) => Err(error),
        };
        if let Err(error) = erased {
            return error;
        }
        error.at(part.display()).hint(match source {
            ProofSource::Header(_) => {
                "the same command fetches everything again, and --ignore-digests does not mind what the server says"
            }
            ProofSource::Given | ProofSource::List(_) => {
                "check the URL and the checksum; the same command fetches everything again"
            }
        })
    }
}

/// What they are made with, each once.
pub(super) fn algorithms(proofs: &[Proof]) -> Vec<Algorithm> {
    let mut algorithms: Vec<_> = proofs.iter().map(|proof| proof.checksum.algorithm()).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}

/// Whether it was computed what this could be compared with.
fn is_of(found: &[Checksum], proof: &Proof) -> bool {
    found.iter().any(|found| found.algorithm() == proof.checksum.algorithm())
}

/// The first that the file does not have.
pub(super) fn mismatch<'a>(found: &[Checksum], expected: &'a [Proof]) -> Option<&'a Proof> {
    expected.iter().find(|proof| !found.contains(&proof.checksum))
}
