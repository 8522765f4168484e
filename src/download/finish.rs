//! From a whole part file to a named one, in an order that a power cut may interrupt anywhere.

use std::io;

use super::claimed::Claimed;
use super::files::Files;
use super::hashes_file;
use super::request::{Beside, Existing, Request};
use super::target::Target;
use crate::checksum::Proof;
use crate::error::{Error, ErrorKind, Result};
use crate::store::commit::Durable;
use crate::store::disk::default_mode;
use crate::store::medium::{Entry, Replace};

/// Gives the file, whose data is durable, its name without replacing another (unless that was asked for), and makes
/// the name durable. `proof`: what it was compared with, if anything.
pub(crate) fn finish(
    request: &Request,
    claimed: &Claimed,
    files: &mut Files,
    durable: &Durable,
    proof: Option<&Proof>,
) -> Result<()> {
    let target = &claimed.target;
    files.part.expect_length(files.length)?;
    files.part.set_mode(mode(request, target)?)?;
    let length = files.length;
    if target.entry(&target.part_name())? != Some(Entry::File { inode: files.part.inode()?, length }) {
        return Err(Error::new(ErrorKind::Local, "somebody else replaced the part file")
            .at(target.part_path().display())
            .hint("run the same command again"));
    }
    if request.beside == Beside::Hashes {
        hashes_file::prepare(target, durable.checkpoint(), proof)?;
    }
    if let Some(checkpoint) = &mut files.checkpoint {
        // After a power cut it tells a later run that what has the name is whole (H52). Without it that run only
        // finds the name taken, so its failure is no reason to stop.
        let _ = checkpoint.hard(durable);
    }
    let replace = match request.existing {
        Existing::Replace | Existing::IfNewer | Existing::Repair => Replace::Allowed,
        Existing::Refuse | Existing::Skip => Replace::Never,
    };
    target.folder().rename(&target.part_name(), target.name(), replace).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Error::new(ErrorKind::Local, "has come to exist meanwhile")
                .at(target.path().display())
                .hint("the download is whole: move that file away and run the same command again"),
            io::ErrorKind::Unsupported => Error::new(
                ErrorKind::Local,
                "this file system cannot rename without replacing what may be there",
            )
            .at(target.path().display())
            .hint("the download is whole: run the same command again with --force"),
            _ => Error::io(&target.path(), "give the file its name", error),
        }
    })?;
    settle(request, claimed)
}

/// The target has its name: what is kept beside it is of it, and the names are durable.
pub(crate) fn settle(request: &Request, claimed: &Claimed) -> Result<()> {
    let target = &claimed.target;
    // What is repaired is what it was.
    if request.existing != Existing::Repair {
        hashes_file::settle(target, request.beside)?;
    }
    target.make_names_durable()
}

/// The permissions of a new file; what is repaired keeps its own.
fn mode(request: &Request, target: &Target) -> Result<u32> {
    if request.existing != Existing::Repair {
        return Ok(default_mode());
    }
    let mode = target.folder().read(target.name()).and_then(|medium| medium.mode());
    mode.map_err(|error| Error::io(&target.path(), "look at it", error))
}
