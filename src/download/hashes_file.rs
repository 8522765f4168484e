//! `NAME.hashes`, beside a file that is whole: made at the end of its download, read when it is verified or repaired.

use std::ffi::OsStr;
use std::io;

use super::request::Beside;
use super::target::Target;
use crate::checksum::Proof;
use crate::error::{Error, ErrorKind, Result};
use crate::store::checkpoint::{Checkpoint, MAX_FILE};
use crate::store::disk::default_mode;
use crate::store::hashes::{self, Hashes, Read};
use crate::store::medium::{Medium, Replace};

/// What is remembered of the target; `None` where nothing is.
pub(crate) fn read(target: &Target) -> Result<Option<Hashes>> {
    let path = target.hashes_path();
    let medium = match target.folder().read(&target.hashes_name()) {
        Ok(medium) => medium,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(&path, "open it", error)),
    };
    match judged(medium.as_ref()).map_err(|error| Error::io(&path, "read it", error))? {
        Read::Hashes(hashes) => Ok(Some(*hashes)),
        Read::Newer { version } => {
            let message = format!("has format {version}, of a newer haul");
            Err(Error::new(ErrorKind::Local, message).at(path.display()).hint("use that haul"))
        }
        Read::Invalid => Err(Error::new(ErrorKind::Local, "is damaged, or no file of haul's")
            .at(path.display())
            .hint("remove it; --checksum tells whether the file is right, and --force downloads it again")),
    }
}

fn judged(medium: &dyn Medium) -> io::Result<Read> {
    let mut bytes = vec![0; usize::try_from(medium.len()?.min(MAX_FILE)).unwrap_or(usize::MAX)];
    medium.read_exact_at(&mut bytes, 0)?;
    Ok(hashes::decode(&bytes))
}

/// Fails where the name of what is to be kept is taken by something else, before anything is fetched.
pub(crate) fn expect_free(target: &Target) -> Result<()> {
    match ours(target) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Error::new(ErrorKind::Local, "is there, and no file of haul's")
            .at(target.hashes_path().display())
            .hint("move it away, or leave out --keep-hashes")),
    }
}

/// Writes what is to be kept, durably, under a name of its own: what can go wrong does so before the target has its
/// name.
pub(crate) fn prepare(target: &Target, whole: &Checkpoint, proof: Option<&Proof>) -> Result<()> {
    let (folder, name) = (target.folder(), target.new_hashes_name());
    let written = forget(target, &name).and_then(|()| {
        let medium = folder.create(&name)?;
        medium.write_all_at(&hashes::encode(whole, proof), 0)?;
        medium.set_mode(default_mode())?;
        medium.sync_data()
    });
    written.map_err(|error| Error::io(&target.hashes_path(), "write it", error))
}

/// The target is whole and has its name: what was prepared gets its own, and what was of the file that had the name before
/// goes.
pub(crate) fn settle(target: &Target, beside: Beside) -> Result<()> {
    let name = target.hashes_name();
    let settled = if beside == Beside::Hashes {
        // Never before the file that it is of.
        target.make_names_durable()?;
        target.folder().rename(&target.new_hashes_name(), &name, Replace::Allowed)
    } else if matches!(ours(target), Ok(true)) {
        forget(target, &name)
    } else {
        Ok(())
    };
    settled.map_err(|error| Error::io(&target.hashes_path(), "replace it", error))
}

/// Whether what has the name of hashes is ours to replace or remove; an error where nothing has it.
fn ours(target: &Target) -> io::Result<bool> {
    let medium = target.folder().open(&target.hashes_name())?;
    Ok(judged(medium.as_ref())? != Read::Invalid)
}

fn forget(target: &Target, name: &OsStr) -> io::Result<()> {
    match target.folder().remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
