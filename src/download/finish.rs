//! From a whole part file to a named one, in an order that a power cut may interrupt anywhere.

use std::io;

use super::claimed::Claimed;
use super::files::Files;
use super::request::{Existing, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::store::commit::Durable;
use crate::store::disk::default_mode;
use crate::store::medium::{Entry, Replace};

/// Gives the file, whose data is durable, its name without replacing another (unless that was asked for), and makes
/// the name durable.
pub(crate) fn finish(
    request: &Request,
    claimed: &Claimed,
    files: &mut Files,
    durable: &Durable,
) -> Result<()> {
    let target = &claimed.target;
    files.part.expect_length(files.length)?;
    files.part.set_mode(default_mode())?;
    let length = files.length;
    if target.entry(&target.part_name())? != Some(Entry::File { inode: files.part.inode()?, length }) {
        return Err(Error::new(ErrorKind::Local, "somebody else replaced the part file")
            .at(target.part_path().display())
            .hint("run the same command again"));
    }
    if let Some(checkpoint) = &mut files.checkpoint {
        // After a power cut it tells a later run that what has the name is whole (H52). Without it that run only
        // finds the name taken, so its failure is no reason to stop.
        let _ = checkpoint.hard(durable);
    }
    let replace = match request.existing {
        Existing::Replace | Existing::IfNewer => Replace::Allowed,
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
    target.make_names_durable()
}
