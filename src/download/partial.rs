//! What a partial download holds, and how to be rid of it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::claimed::{Claimed, try_lock};
use super::target::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Validator;
use crate::range::ByteRange;
use crate::store::commit::{CheckpointFile, Found};

/// A download that has not ended yet: what its checkpoint says.
///
/// ```no_run
/// let partial = haul::Partial::open("disk.img")?;
/// println!("{} of {} bytes", partial.in_place, partial.length);
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Partial {
    /// The target: the name that the file will have.
    pub target: PathBuf,
    /// Bytes in the target when it is whole.
    pub length: u64,
    /// The bytes of the object that the target will hold; none where the object's length was not known.
    pub part: ByteRange,
    /// Bytes of the whole object; 0 where that was not known.
    pub object_length: u64,
    /// Bytes in place, as far as the checkpoint says. They are checked when the download goes on.
    pub in_place: u64,
    /// The unit of the checkpoint in bytes.
    pub segment_size: u64,
    /// How many segments there are.
    pub segments: usize,
    /// The bytes of the target that are missing, in order.
    pub missing: Vec<ByteRange>,
    /// By what it can be resumed; `None`: it will start over.
    pub validator: Option<Validator>,
    /// Where it comes from: scheme, host and path.
    pub source: String,
    /// When the checkpoint was written.
    pub saved_at: SystemTime,
    /// Whether a process is downloading to it right now.
    pub active: bool,
}

impl Partial {
    /// Reads the checkpoint of the download to `target`, the name that the file will have. (Its `.part` or
    /// `.part.ckpt` will do as well.)
    pub fn open(target: impl AsRef<Path>) -> Result<Self> {
        let target = Target::of_any_name(target.as_ref())?;
        let path = target.checkpoint_path();
        let open =
            || target.folder().open(&target.checkpoint_name()).map_err(|error| missing(&target, error));
        // The lock, if it is free, is given back at once: a download that starts now must not find it taken.
        let locked = try_lock(open()?.as_ref());
        let active = !locked.map_err(|error| Error::io(&path, "lock the checkpoint", error))?;
        let medium = open()?;
        let (_, found) = CheckpointFile::read(&path, medium)?;
        let Found::Checkpoint(checkpoint) = found else {
            let error = Error::new(ErrorKind::Local, "the checkpoint cannot be read").at(path.display());
            return Err(error.hint("the download will start over, or remove it with haul cancel"));
        };
        let (identity, ledger) = (checkpoint.identity, checkpoint.ledger);
        let segments = ledger.segments();
        Ok(Self {
            target: target.path(),
            length: segments.length(),
            part: identity.extent(),
            object_length: identity.total,
            in_place: ledger.bytes(),
            segment_size: segments.size(),
            segments: segments.count(),
            missing: ledger.complete().clear_runs().map(|run| segments.bytes(&run)).collect(),
            validator: identity.validator,
            source: identity.source,
            saved_at: SystemTime::UNIX_EPOCH + Duration::from_secs(checkpoint.saved_at),
            active,
        })
    }

    /// Removes part file and checkpoint of the download to `target`. Fails where there is none, and where a
    /// process is downloading to it right now.
    ///
    /// ```no_run
    /// haul::Partial::remove("disk.img")?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn remove(target: impl AsRef<Path>) -> Result<()> {
        let target = Target::of_any_name(target.as_ref())?;
        if target.entry(&target.checkpoint_name())?.is_none() {
            return Err(missing(&target, io::ErrorKind::NotFound.into()));
        }
        Claimed::new(target, true)?.remove()
    }
}

fn missing(target: &Target, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Local, "there is no partial download of it")
            .at(target.path().display())
            .hint("name the file that a download was to become"),
        _ => Error::io(&target.checkpoint_path(), "open the checkpoint", error),
    }
}
