//! The claim on a target: the lock on its checkpoint, and what an earlier run left there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::target::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::store::checkpoint::{Checkpoint, NO_FILE};
use crate::store::commit::{CheckpointFile, Found};
use crate::store::medium::{Entry, Medium};

/// How often something is looked at that another process may be changing.
const LOOKS: u32 = 10;
/// Longer than anybody needs to find out whether a lock is free.
const MOMENT: Duration = Duration::from_millis(5);

/// The lock on a target, and what an earlier run left there.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) target: Target,
    /// The checkpoint file; its lock is held while this lives. `None` where there is none yet.
    medium: Option<Arc<dyn Medium>>,
    pub(crate) left: Option<(CheckpointFile, Box<Checkpoint>)>,
    /// There was a checkpoint that cannot be read.
    pub(crate) unreadable: bool,
}

impl Claimed {
    /// Takes the lock where there is a checkpoint, and reads it. `ignore`: what is there does not count.
    pub(crate) fn new(target: Target, ignore: bool) -> Result<Self> {
        let mut claimed = Self { target, medium: None, left: None, unreadable: false };
        refuse_foreign_part(&claimed.target)?;
        let Some(medium) = checkpoint_file(&claimed.target, ignore)? else { return Ok(claimed) };
        claimed.lock(&medium)?;
        claimed.medium = Some(Arc::clone(&medium));
        if !ignore {
            match CheckpointFile::read(&claimed.target.checkpoint_path(), medium)? {
                (file, Found::Checkpoint(checkpoint)) => claimed.left = Some((file, checkpoint)),
                (_, Found::Unreadable) => claimed.unreadable = true,
            }
        }
        Ok(claimed)
    }

    /// Whether there is a checkpoint file, which is locked then.
    pub(crate) fn is_held(&self) -> bool {
        self.medium.is_some()
    }

    /// The length of the part file that an earlier run left; `None` where there is none that is ours.
    pub(crate) fn part_length(&self) -> Option<u64> {
        self.target.folder().open(&self.target.part_name()).ok()?.len().ok()
    }

    /// Whether the target is the part file of a download that was whole: its process died between the rename
    /// and the end (H52).
    pub(crate) fn is_finished(&self) -> Result<bool> {
        let Some((checkpoint, left)) = &self.left else { return Ok(false) };
        let identity = &left.identity;
        // What is only claimed may be gone with the power, whoever gave the file its name.
        if identity.inode == NO_FILE || !checkpoint.durable().all() {
            return Ok(false);
        }
        let file = Entry::File { inode: identity.inode, length: identity.extent().len() };
        let named = self.target.entry(self.target.name())? == Some(file);
        // Where the name was given by a link, the file may have its old one still.
        let part = self.target.entry(&self.target.part_name())?;
        Ok(named && part.is_none_or(|part| part == file))
    }

    /// The checkpoint file, made and locked if there was none.
    pub(crate) fn medium(&mut self) -> Result<Arc<dyn Medium>> {
        if let Some(medium) = &self.medium {
            return Ok(Arc::clone(medium));
        }
        let path = self.target.checkpoint_path();
        let medium =
            self.target.folder().create(&self.target.checkpoint_name()).map_err(|error| {
                match error.kind() {
                    io::ErrorKind::AlreadyExists => self.locked(),
                    _ => Error::io(&path, "create the checkpoint", error),
                }
            })?;
        self.lock(&medium)?;
        self.medium = Some(Arc::clone(&medium));
        Ok(medium)
    }

    fn lock(&self, medium: &Arc<dyn Medium>) -> Result<()> {
        let path = self.target.checkpoint_path();
        let failed = |error| Error::io(&path, "lock the checkpoint", error);
        if !try_lock(medium.as_ref()).map_err(failed)? {
            return Err(self.locked());
        }
        // Between our open and our lock its owner may have finished and removed it (H59).
        let inode = medium.inode().map_err(failed)?;
        match self.target.entry(&self.target.checkpoint_name())? {
            Some(Entry::File { inode: named, .. }) if named == inode => Ok(()),
            _ => Err(self.locked()),
        }
    }

    fn locked(&self) -> Error {
        Error::new(ErrorKind::Locked, "another process is downloading to it")
            .at(self.target.path().display())
            .hint("wait for it, or choose another name with -o")
    }

    /// Removes part file and checkpoint, which is ours by the lock. The checkpoint goes last: a part file
    /// without one would be nobody's.
    pub(crate) fn remove(&self) -> Result<()> {
        // Without the lock on what has the name now, the files, if there are any, are another process's (H59).
        let Some(medium) = &self.medium else { return Ok(()) };
        let path = self.target.checkpoint_path();
        let ours = medium.inode().map_err(|error| Error::io(&path, "read the checkpoint", error))?;
        match self.target.entry(&self.target.checkpoint_name())? {
            Some(Entry::File { inode, .. }) if inode == ours => {}
            _ => return Ok(()),
        }
        for (name, path) in [
            (self.target.part_name(), self.target.part_path()),
            (self.target.checkpoint_name(), self.target.checkpoint_path()),
        ] {
            match self.target.folder().remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, "remove it", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A part file that we may not even open is not ours to replace or remove, whatever else is said (H77).
fn refuse_foreign_part(target: &Target) -> Result<()> {
    match target.folder().open(&target.part_name()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::io(&target.part_path(), "open the part file", error))
        }
        _ => Ok(()),
    }
}

/// The checkpoint file; `None` where there is none. A part file alone is nobody's and is left alone, unless
/// `ignore` says otherwise.
fn checkpoint_file(target: &Target, ignore: bool) -> Result<Option<Arc<dyn Medium>>> {
    for _ in 0..LOOKS {
        match target.folder().open(&target.checkpoint_name()) {
            Ok(medium) => return Ok(Some(medium)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(&target.checkpoint_path(), "open the checkpoint", error)),
        }
        if ignore || target.entry(&target.part_name())?.is_none() {
            return Ok(None);
        }
        // Another process may have made both since we looked: is it still so (H59)?
    }
    Err(Error::new(ErrorKind::Local, "is there without a checkpoint, so nothing tells what it is")
        .at(target.part_path().display())
        .hint("remove it, or use --restart to replace it"))
}

/// Takes the lock. Who only asks whether it is free has it for a moment, as we do here: that does not count.
pub(crate) fn try_lock(medium: &dyn Medium) -> io::Result<bool> {
    patiently(|| medium.try_lock())
}

fn patiently(mut attempt: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    for _ in 1..LOOKS {
        if attempt()? {
            return Ok(true);
        }
        std::thread::sleep(MOMENT);
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::checkpoint::Identity;
    use crate::store::commit::Snapshot;
    use crate::store::fixture::{SEGMENT, checkpoint};
    use crate::store::medium::Replace;
    use crate::store::part::PartFile;
    use std::ffi::OsStr;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    fn target(dir: &tempfile::TempDir) -> Target {
        Target::of_any_name(&dir.path().join("x")).unwrap()
    }

    #[test]
    fn h59_a_target_is_one_process_s() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Claimed::new(target(&dir), false).unwrap();
        first.medium().unwrap();
        assert_eq!(Claimed::new(target(&dir), false).unwrap_err().kind(), ErrorKind::Locked);
        first.remove().unwrap();
        drop(first);
        assert!(Claimed::new(target(&dir), false).is_ok());
    }

    #[test]
    fn h52_a_file_that_has_both_names_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = target(&dir);
        let medium = target.folder().create(&target.part_name()).unwrap();
        medium.set_len(4 * SEGMENT).unwrap();
        let inode = medium.inode().unwrap();
        let part = PartFile::streamed(&target.part_path(), medium);
        let of = |landed, inode| {
            let checkpoint = checkpoint(landed);
            let identity = Identity { inode, ..checkpoint.identity };
            Checkpoint { identity, ..checkpoint }
        };
        let slots = target.folder().create(&target.checkpoint_name()).unwrap();
        let mut file = CheckpointFile::start(&target.checkpoint_path(), slots, of(0, inode)).unwrap();
        std::fs::hard_link(target.part_path(), target.path()).unwrap();
        let is_finished = || Claimed::new(target.clone(), false).unwrap().is_finished().unwrap();
        assert!(!is_finished(), "not whole");
        file.soft(&Snapshot(Arc::new(of(4, inode)))).unwrap();
        assert!(!is_finished(), "and this may be gone with the power");
        let mut synced = |inode| file.hard(&Snapshot(Arc::new(of(4, inode))).sync(&part).unwrap()).unwrap();
        synced(NO_FILE);
        assert!(!is_finished(), "of no file");
        synced(inode);
        assert!(is_finished());
    }

    #[test]
    fn h59_who_only_looks_at_a_download_is_in_nobodys_way() {
        let mut free = [false, false, true].into_iter();
        assert!(patiently(|| Ok(free.next().unwrap())).unwrap(), "it was another's for a moment");
        let mut asked = 0;
        let taken = patiently(|| {
            asked += 1;
            Ok(false)
        });
        assert_eq!((taken.unwrap(), asked), (false, LOOKS));
    }

    #[test]
    fn h59_a_download_that_starts_or_ends_while_one_looks_is_never_taken_for_a_part_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (ended, downloads) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // Who looks has the lock at times.
                    let Ok(mut claimed) = Claimed::new(target(&dir), true) else { continue };
                    if claimed.medium().is_ok() {
                        let _ = claimed.target.folder().create(&claimed.target.part_name());
                        claimed.remove().unwrap();
                        downloads.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let mut refused = Vec::new();
            while downloads.load(Ordering::Relaxed) < 2000 {
                refused.extend(Claimed::new(target(&dir), false).err());
            }
            ended.store(true, Ordering::Relaxed);
            refused.iter().for_each(|error| assert_eq!(error.kind(), ErrorKind::Locked, "{error}"));
        });
    }

    #[test]
    fn h59_another_processs_files_are_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Claimed::new(target(&dir), false).unwrap();
        first.medium().unwrap();
        // Somebody takes the checkpoint away, and another download begins.
        let folder = first.target.folder();
        folder.rename(&first.target.checkpoint_name(), OsStr::new("away"), Replace::Never).unwrap();
        let mut second = Claimed::new(target(&dir), false).unwrap();
        second.medium().unwrap();
        std::fs::File::create(second.target.part_path()).unwrap();
        first.remove().unwrap();
        assert!(second.target.part_path().exists() && second.target.checkpoint_path().exists());
        second.remove().unwrap();
        assert!(!second.target.part_path().exists() && !second.target.checkpoint_path().exists());
    }

    #[test]
    fn h77_a_checkpoint_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", target(&dir).checkpoint_path()).unwrap();
        assert_eq!(Claimed::new(target(&dir), false).unwrap_err().kind(), ErrorKind::Local);
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_part_file_that_is_nobodys_is_not_touched_unless_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::File::create(target(&dir).part_path()).unwrap();
        assert!(Claimed::new(target(&dir), false).unwrap_err().to_string().contains("--restart"));
        assert!(Claimed::new(target(&dir), true).is_ok());
    }
}
