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
        match self.mismatch(Arc::clone(&files.part), files.length, &expected).await? {
            Some((found, expected)) => Err(self.refute(&found, &expected).await),
            None => Ok(expected.into_iter().next()),
        }
    }

    /// The checksum by which the file that has the target's name already is what is wanted (H58).
    pub(super) async fn prove_existing(&self, target: &Target) -> Result<Option<Checksum>> {
        let Some(Entry::File { length, .. }) = target.entry(target.name())? else { return Ok(None) };
        let Ok(medium) = target.folder().open(target.name()) else { return Ok(None) };
        let file = Arc::new(PartFile::streamed(&target.path(), medium));
        let expected = &self.request.checksums;
        let mismatch = self.mismatch(file, length, expected).await?;
        Ok(expected.first().filter(|_| mismatch.is_none()).cloned())
    }

    /// The first checksum that the file does not have: what it has instead, and what was expected.
    async fn mismatch(
        &self,
        file: Arc<PartFile>,
        length: u64,
        expected: &[Checksum],
    ) -> Result<Option<(Checksum, Checksum)>> {
        if expected.is_empty() {
            return Ok(None);
        }
        let algorithms = expected.iter().map(Checksum::algorithm).collect();
        let found = self.unless_cancelled(checksums(file, length, algorithms)).await?;
        Ok(found.into_iter().zip(expected.iter().cloned()).find(|(found, expected)| found != expected))
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

/// The checksums of the file's first `length` bytes, which are read once.
async fn checksums(file: Arc<PartFile>, length: u64, algorithms: Vec<Algorithm>) -> Result<Vec<Checksum>> {
    let mut hashers: Vec<_> = algorithms.into_iter().map(Hasher::new).collect();
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < length {
        let piece = ByteRange::new(at, length.min(at + PIECE));
        let file = Arc::clone(&file);
        (hashers, buffer) = blocking(move || {
            file.read(&mut buffer, piece)?;
            hashers.iter_mut().for_each(|hasher| hasher.update(&buffer));
            Ok::<_, Error>((hashers, buffer))
        })
        .await?;
        at = piece.end;
    }
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}
