//! Repairs the target: it is taken for a download that was interrupted when it had all but what is damaged.
//!
//! First the target is read against its `NAME.hashes`; then the probe asks for the first bytes that are damaged, and
//! its answer has to be of the object that the hashes are of; only then is a part file made, of what is good, and resumed
//! as any other. The target is replaced at the very end. A process that dies leaves what a later one resumes.

use std::sync::Arc;

use super::audit::audit;
use super::blocking::blocking;
use super::claimed::Claimed;
use super::files::Files;
use super::hashes_file;
use super::progress::Phase;
use super::proof::{algorithms, mismatch};
use super::request::{Existing, OnChange, Request};
use super::session::Session;
use super::target::Target;
use crate::bitmap::Bitmap;
use crate::checksum::Proof;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::range::{ByteRange, Part};
use crate::store::checkpoint::Checkpoint;
use crate::store::hashes::Hashes;
use crate::store::part::PartFile;

/// The way out where only a whole download helps.
const ANEW: &str = "download it again with --force";
/// So much is copied between two looks at whether to stop.
const STEP: u64 = 64 << 20;

/// What a repair starts from.
pub(super) struct Salvage {
    /// The target as it is.
    file: Arc<PartFile>,
    /// What it was.
    was: Ledger,
    pub(super) proof: Option<Proof>,
    /// What is good, in the target or in the part file of an earlier attempt, as claims.
    pub(super) checkpoint: Checkpoint,
    /// Of these, what only the target has.
    copies: Bitmap,
}

impl Session {
    /// Reads the target against what is remembered of it. Gives whether anything has to be done, and what proves it if not.
    pub(super) async fn look_for_damage(&mut self, claimed: &Claimed) -> Result<(bool, Option<Proof>)> {
        let target = &claimed.target;
        let Some(Hashes { checkpoint, proof }) = hashes_file::read(target)? else {
            return match self.prove_existing(target, None).await? {
                Some(proof) => Ok((false, Some(proof))),
                None => Err(self.unknown_damage(target)),
            };
        };
        if checkpoint.identity.validator.is_none() {
            return Err(hopeless(
                target,
                "nothing identified the version of the object that it was downloaded from",
            ));
        }
        let medium = target.folder().read(target.name());
        let medium = medium.map_err(|error| Error::io(&target.path(), "open it", error))?;
        let file = Arc::new(PartFile::streamed(&target.path(), medium));
        let mut expected = self.expected(None);
        expected.extend(proof.clone());
        let (length, segments) = (file.len()?, checkpoint.ledger.segments());
        let report = |read| {
            self.reporter.progress(Phase::Checking, read, Some(segments.length()), self.client.traffic());
        };
        let audit = audit(&file, &checkpoint.ledger, algorithms(&expected), report);
        let audit = self.unless_cancelled(audit).await?;
        if audit.good.all() && length == segments.length() {
            return match mismatch(&audit.found, &expected) {
                Some(proof) => Err(unlike(target, proof)),
                None => {
                    self.reporter.note(format!("nothing of {} is damaged", target.path().display()));
                    Ok((false, expected.into_iter().next()))
                }
            };
        }
        self.tell_of_damage(target, &audit.good);
        let earlier = earlier_attempt(claimed, &checkpoint)?;
        let salvage = Salvage::new(file, checkpoint, proof, &audit.good, &earlier);
        self.request = Arc::new(salvage.request(&self.request));
        self.salvage = Some(salvage);
        Ok((true, None))
    }

    fn tell_of_damage(&self, target: &Target, good: &Bitmap) {
        let (bad, all, name) = (good.len() - good.count(), good.len(), target.path());
        let name = name.display();
        self.reporter.note(match bad {
            0 => format!("{name} is too long"),
            1 => format!("1 of {all} segments of {name} is damaged and fetched again"),
            bad => format!("{bad} of {all} segments of {name} are damaged and fetched again"),
        });
    }

    fn unknown_damage(&self, target: &Target) -> Error {
        let given = !self.request.checksums.is_empty() || self.listed.is_some();
        let kind = if given { ErrorKind::Corrupt } else { ErrorKind::Local };
        let why = if given { "is not what its checksum says, and nothing" } else { "nothing" };
        let message =
            format!("{why} tells which bytes of it are damaged: there is no NAME.hashes of --keep-hashes");
        Error::new(kind, message).at(target.path().display()).hint(ANEW)
    }

    /// In a repair there is no starting over: whatever would have everything fetched again ends it.
    pub(super) fn refuse_to_start_over(&self, kind: ErrorKind, why: &str) -> Result<()> {
        match self.request.existing {
            Existing::Repair => Err(Error::new(kind, format!("cannot be repaired from there: {why}"))
                .at(&self.url)
                .hint(format!("what is damaged stays as it is; {ANEW}"))),
            _ => Ok(()),
        }
    }

    /// Makes the part file of what is good; a later run goes on with it.
    pub(super) async fn salvaged(&mut self, salvage: &Salvage) -> Result<Files> {
        let mut files = self.files_for(salvage).await?;
        let (length, mut copied) = (files.length, files.ledger.bytes());
        for range in salvage.steps() {
            let (to, from) = (Arc::clone(&files.part), Arc::clone(&salvage.file));
            let copy = async { blocking(move || to.copy_from(&from, range)).await };
            self.unless_cancelled(copy).await?;
            copied += range.len();
            self.reporter.progress(Phase::Checking, copied, Some(length), self.client.traffic());
        }
        salvage.copies.ones().for_each(|index| files.ledger.land(index, salvage.was.crc(index)));
        let (snapshot, part) = (files.snapshot(), Arc::clone(&files.part));
        let durable = self.unless_cancelled(async { blocking(move || snapshot.sync(&part)).await }).await?;
        files.checkpoint.iter_mut().try_for_each(|checkpoint| checkpoint.hard(&durable))?;
        // A copy is worth what is read back of it.
        let claims = files.ledger.as_claims();
        files.inherit(claims);
        Ok(files)
    }

    /// The files of an earlier attempt, as far as they serve, or new ones.
    async fn files_for(&mut self, salvage: &Salvage) -> Result<Files> {
        let mut claimed = self.claimed.take().expect("the target is claimed");
        let (request, identity) = (Arc::clone(&self.request), salvage.checkpoint.identity.clone());
        let (claimed, files) = blocking(move || {
            let length = identity.extent().len();
            let files = match Files::reopen(&mut claimed) {
                Ok(None) => Files::fresh(&request, Some(&mut claimed), identity, length),
                Ok(Some(files)) => Ok(files),
                Err(error) => Err(error),
            };
            (claimed, files)
        })
        .await;
        self.claimed = Some(claimed);
        let mut files = files?;
        let there: Vec<_> = files.ledger.complete().ones().collect();
        let kept =
            |index: usize| salvage.checkpoint.ledger.complete().get(index) && !salvage.copies.get(index);
        there.into_iter().filter(|index| !kept(*index)).for_each(|index| files.ledger.lose(index));
        Ok(files)
    }

    /// What was fetched again has to be what it was: else the object is another one, whatever its validator says.
    pub(super) fn expect_repaired(&self) -> Result<()> {
        let Some((salvage, files)) = self.salvage.as_ref().zip(self.files.as_ref()) else { return Ok(()) };
        let same = files.ledger.agreeing_with(Some(&salvage.was));
        if same.all() {
            return Ok(());
        }
        self.refuse_to_start_over(ErrorKind::Changed, "the object has other bytes under the same validator")
    }
}

impl Salvage {
    fn new(
        file: Arc<PartFile>,
        was: Checkpoint,
        proof: Option<Proof>,
        good: &Bitmap,
        earlier: &Bitmap,
    ) -> Self {
        let (mut ledger, mut copies) = (was.ledger.clone(), Bitmap::new(good.len()));
        for index in 0..good.len() {
            match (earlier.get(index), good.get(index)) {
                (true, _) => {}
                (false, true) => copies.set(index),
                (false, false) => ledger.lose(index),
            }
        }
        Self { file, was: was.ledger.clone(), proof, checkpoint: Checkpoint { ledger, ..was }, copies }
    }

    /// The request, of just the part of the object that the target holds.
    fn request(&self, request: &Request) -> Request {
        let (identity, segments) = (&self.checkpoint.identity, self.was.segments());
        let whole = identity.extent() == ByteRange::new(0, identity.total);
        Request {
            part: if whole { Part::From(0) } else { Part::Span(identity.extent()) },
            segment_size: Some(segments.size()),
            on_change: OnChange::Fail,
            ..request.clone()
        }
    }

    /// What is to be copied, in pieces.
    fn steps(&self) -> Vec<ByteRange> {
        let mut others = Bitmap::new(self.copies.len());
        (0..self.copies.len()).filter(|index| !self.copies.get(*index)).for_each(|index| others.set(index));
        let runs = others.clear_runs().map(|run| self.was.segments().bytes(&run));
        let step = usize::try_from(STEP).unwrap_or(usize::MAX);
        let pieces = |run: ByteRange| {
            (run.start..run.end).step_by(step).map(move |at| ByteRange::new(at, run.end.min(at + STEP)))
        };
        runs.flat_map(pieces).collect()
    }
}

/// What the part file of an earlier attempt has of the same object. One of anything else is in the way.
fn earlier_attempt(claimed: &Claimed, was: &Checkpoint) -> Result<Bitmap> {
    let none = Bitmap::new(was.ledger.segments().count());
    let Some((_, left)) = &claimed.left else { return Ok(none) };
    let (mine, theirs) = (&was.identity, &left.identity);
    let same = mine.total == theirs.total
        && mine.extent() == theirs.extent()
        && mine.validator == theirs.validator
        && mine.encoding == theirs.encoding
        && was.ledger.segments() == left.ledger.segments();
    if !same {
        let message = "another download to it was interrupted";
        return Err(Error::new(ErrorKind::Local, message)
            .at(claimed.target.path().display())
            .hint("finish that one, or remove what it left with haul cancel"));
    }
    let there = claimed.part_length() == Some(mine.extent().len());
    Ok(if there { left.ledger.agreeing_with(Some(&was.ledger)) } else { none })
}

fn hopeless(target: &Target, why: &str) -> Error {
    Error::new(ErrorKind::Local, format!("cannot be repaired: {why}")).at(target.path().display()).hint(ANEW)
}

fn unlike(target: &Target, proof: &Proof) -> Error {
    let Proof { checksum, source } = proof;
    let message = format!("no segment is damaged, and its checksum is not {checksum} ({source})");
    Error::new(ErrorKind::Corrupt, message).at(target.path().display()).hint(ANEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{OneFile, SEGMENT, checkpoint};
    use std::path::Path;

    fn bits(set: &[usize]) -> Bitmap {
        let mut bits = Bitmap::new(4);
        set.iter().for_each(|index| bits.set(*index));
        bits
    }

    fn salvage(good: &[usize], earlier: &[usize]) -> Salvage {
        let file = PartFile::streamed(Path::new("/t/x"), OneFile::new(&[]).medium);
        let mut was = checkpoint(4);
        was.ledger = was.ledger.as_claims();
        Salvage::new(Arc::new(file), was, None, &bits(good), &bits(earlier))
    }

    #[test]
    fn what_is_good_anywhere_is_not_fetched_and_what_is_there_is_not_copied() {
        for (good, earlier, claims, copies) in [
            (&[0, 1, 2][..], &[][..], &[0, 1, 2][..], &[0, 1, 2][..]),
            (&[0, 1, 3], &[1, 2], &[0, 1, 2, 3], &[0, 3]),
            (&[], &[3], &[3], &[]),
            (&[], &[], &[], &[]),
        ] {
            let salvage = salvage(good, earlier);
            assert_eq!(salvage.checkpoint.ledger.claims().collect::<Vec<_>>(), claims);
            assert_eq!(salvage.copies.ones().collect::<Vec<_>>(), copies);
        }
    }

    #[test]
    fn neighbours_are_copied_together() {
        let range = |from, to| ByteRange::new(from * SEGMENT, to * SEGMENT);
        assert_eq!(salvage(&[0, 1, 3], &[]).steps(), [range(0, 2), range(3, 4)]);
        assert_eq!(salvage(&[], &[]).steps(), []);
    }
}
