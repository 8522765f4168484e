//! The object's own proof: a checksum that the user gave or the server sends, compared before the file gets its
//! name (H06).

use std::sync::Arc;

use super::blocking::blocking;
use super::session::Session;
use super::target::Target;
use crate::checksum::{Algorithm, Checksum, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::range::{ByteRange, Part};
use crate::store::commit::CheckpointFile;
use crate::store::medium::Entry;
use crate::store::part::PartFile;

/// Between pieces of this size one may cancel.
const PIECE: u64 = 8 << 20;

impl Session {
    /// Compares what is in place with every checksum of it that is known; gives the one that was used.
    pub(super) async fn prove(&mut self) -> Result<Option<Checksum>> {
        let whole = self.request.part == Part::From(0);
        let sent = self.object.as_ref().and_then(|object| object.digest.clone()).filter(|_| whole);
        let expected: Vec<_> = self.request.checksums.iter().cloned().chain(sent).collect();
        let Some(files) = self.files.as_ref().filter(|_| self.claimed.is_some()) else { return Ok(None) };
        for expected in &expected {
            let hash = checksum(Arc::clone(&files.part), files.length, expected.algorithm());
            let found = self.unless_cancelled(hash).await?;
            if found != *expected {
                return Err(self.refute(&found, expected).await);
            }
        }
        Ok(expected.into_iter().next())
    }

    /// The checksum by which the file that has the target's name already is what is wanted (H58).
    pub(super) async fn prove_existing(&self, target: &Target) -> Result<Option<Checksum>> {
        let Some(Entry::File { length, .. }) = target.entry(target.name())? else { return Ok(None) };
        let Ok(medium) = target.folder().open(target.name()) else { return Ok(None) };
        let file = Arc::new(PartFile::streamed(&target.path(), medium));
        for expected in &self.request.checksums {
            let hash = checksum(Arc::clone(&file), length, expected.algorithm());
            if self.unless_cancelled(hash).await? != *expected {
                return Ok(None);
            }
        }
        Ok(self.request.checksums.first().cloned())
    }

    /// What is there is not the object: the part file stays for a look, and no later run resumes from it.
    async fn refute(&mut self, found: &Checksum, expected: &Checksum) -> Error {
        self.files = None;
        let Some(claimed) = &mut self.claimed else { return Error::new(ErrorKind::Internal, "no files") };
        let (part, path) = (claimed.target.part_path(), claimed.target.checkpoint_path());
        let erased = match claimed.medium() {
            Ok(medium) => blocking(move || CheckpointFile::erase(&path, medium.as_ref())).await,
            Err(error) => Err(error),
        };
        if let Err(error) = erased {
            return error;
        }
        Error::new(ErrorKind::Corrupt, format!("its checksum is {found}, not {expected}"))
            .at(part.display())
            .hint("check the URL and the checksum; the same command fetches everything again")
    }
}

/// The checksum of the file's first `length` bytes.
async fn checksum(part: Arc<PartFile>, length: u64, algorithm: Algorithm) -> Result<Checksum> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < length {
        let piece = ByteRange::new(at, length.min(at + PIECE));
        let part = Arc::clone(&part);
        (hasher, buffer) = blocking(move || {
            part.read(&mut buffer, piece)?;
            hasher.update(&buffer);
            Ok::<_, Error>((hasher, buffer))
        })
        .await?;
        at = piece.end;
    }
    Ok(hasher.finish())
}
