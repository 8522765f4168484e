//! Names and files of one download: the target, and beside it the part file and the checkpoint.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::name::{self, CHECKPOINT, HASHES, NEW_HASHES, PART};
use super::request::{Existing, Naming, Output, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::store::disk::SystemDisk;
use crate::store::medium::{Disk, Durability, Entry, FileFacts, Folder};

/// A name in a folder, and the two names beside it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    folder: Arc<dyn Folder>,
    dir: PathBuf,
    name: OsString,
}

impl Target {
    /// The target that the user named; `None` where the name is left to the server.
    pub(crate) fn given(request: &Request) -> Result<Option<Self>> {
        match &request.output {
            Output::File(path) => Self::new(request, &request.dir.join(path)).map(Some),
            Output::Proposed | Output::Nowhere | Output::Piped(_) => Ok(None),
        }
    }

    /// The target by the name that the server, or else the URL, proposes.
    pub(crate) fn proposed(request: &Request, file_name: Option<&str>) -> Result<Self> {
        Self::new(request, &request.dir.join(name::proposed(&request.url, file_name)))
    }

    /// A target at `path`. Its folder is made if it is missing.
    fn new(request: &Request, path: &Path) -> Result<Self> {
        let not_a_file = || {
            Error::new(ErrorKind::Local, "is not a file's name")
                .at(path.display())
                .hint("name a file, or use -d")
        };
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(not_a_file());
        }
        let mut name = path.file_name().ok_or_else(not_a_file)?.to_owned();
        if request.naming == Naming::WithPart {
            name.push(format!(".{}", request.part));
        }
        let dir = folder_of(path);
        let (disk, durability) = (request.disk.as_ref(), request.durability);
        make_folders(disk, &dir, durability).map_err(|error| Error::io(&dir, "make the folder", error))?;
        Self::existing(disk, &dir, name, durability)
    }

    fn existing(disk: &dyn Disk, dir: &Path, name: OsString, durability: Durability) -> Result<Self> {
        let folder =
            disk.folder(dir, durability).map_err(|error| Error::io(dir, "open the folder", error))?;
        Ok(Self { folder, dir: dir.to_owned(), name })
    }

    /// The target whose name, part file or checkpoint `path` is; its folder must exist.
    pub(crate) fn of_any_name(path: &Path) -> Result<Self> {
        let target = Self::of_name(path)?;
        let stem = [CHECKPOINT, PART].into_iter().find_map(|suffix| strip_suffix(&target.name, suffix));
        Ok(Self { name: stem.unwrap_or(target.name), ..target })
    }

    /// The target of just that path; its folder must exist.
    pub(crate) fn of_name(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::new(ErrorKind::Local, "is not a file's name").at(path.display()))?;
        Self::existing(&SystemDisk, &folder_of(path), name.to_owned(), Durability::PowerCut)
    }

    pub(crate) fn folder(&self) -> &dyn Folder {
        self.folder.as_ref()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(crate) fn part_name(&self) -> OsString {
        self.with(PART)
    }

    pub(crate) fn checkpoint_name(&self) -> OsString {
        self.with(CHECKPOINT)
    }

    pub(crate) fn hashes_name(&self) -> OsString {
        self.with(HASHES)
    }

    pub(crate) fn new_hashes_name(&self) -> OsString {
        self.with(NEW_HASHES)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path_of(&self.name)
    }

    pub(crate) fn part_path(&self) -> PathBuf {
        self.path_of(&self.part_name())
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.path_of(&self.checkpoint_name())
    }

    pub(crate) fn hashes_path(&self) -> PathBuf {
        self.path_of(&self.hashes_name())
    }

    /// As a person would write it: nothing before a name in the current folder.
    fn path_of(&self, name: &OsStr) -> PathBuf {
        if self.dir == Path::new(".") { name.into() } else { self.dir.join(name) }
    }

    fn with(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }

    pub(crate) fn entry(&self, name: &OsStr) -> Result<Option<Entry>> {
        self.folder.entry(name).map_err(|error| Error::io(&self.path_of(name), "look at it", error))
    }

    /// What is known of the file that has the name, if there is one and it may be read.
    pub(crate) fn facts(&self) -> Result<Option<FileFacts>> {
        self.folder.facts(&self.name).map_err(|error| Error::io(&self.path(), "look at it", error))
    }

    /// Fails where no file can be made beside it, before anything is asked of a server (H61).
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.folder.check_writable().map_err(|error| Error::io(&self.dir, "write to the folder", error))
    }

    /// Makes durable which names there are.
    pub(crate) fn make_names_durable(&self) -> Result<()> {
        self.folder.sync().map_err(|error| Error::io(&self.path(), "make the name durable", error))
    }

    /// Whether the name may be taken at the end (H58). `Ok(false)`: there is a file, and it is to be left.
    pub(crate) fn is_wanted(&self, existing: Existing) -> Result<bool> {
        let taken = |message: &str, hint: &str| {
            Error::new(ErrorKind::Local, message).at(self.path().display()).hint(hint)
        };
        match (self.entry(&self.name)?, existing) {
            (None, Existing::Repair) => {
                Err(taken("is not there, so nothing of it can be repaired", "download it without repair"))
            }
            (None, _) => Ok(true),
            (Some(Entry::File { .. }), Existing::Replace | Existing::IfNewer | Existing::Repair) => Ok(true),
            (Some(Entry::File { .. }), Existing::Skip) => Ok(false),
            (Some(Entry::File { .. }), Existing::Refuse) => {
                Err(taken("exists already", "use --force to replace it, --skip-existing to leave it, or -o"))
            }
            (Some(Entry::Folder), _) => Err(taken("is a folder", "use -d to download into it, or -o")),
            (Some(Entry::Symlink), _) => Err(taken("is a symbolic link", "name the file that it stands for")),
            (Some(Entry::Other), _) => Err(taken("is not a regular file", "choose another name with -o")),
        }
    }
}

/// Makes a folder and those above it, as far as they are missing. What is durable in a folder is so only if the
/// folder's own name is.
fn make_folders(disk: &dyn Disk, dir: &Path, durability: Durability) -> io::Result<()> {
    let above = folder_of(dir);
    match disk.folder(dir, durability) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && above != dir => {}
        found => return found.map(drop),
    }
    make_folders(disk, &above, durability)?;
    match disk.make_folder(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => disk.folder(&above, durability)?.sync(),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    dir.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(dir).to_owned()
}

fn strip_suffix(name: &OsStr, suffix: &str) -> Option<OsString> {
    let stem = name.to_str()?.strip_suffix(suffix)?;
    (!stem.is_empty()).then(|| stem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(dir: &tempfile::TempDir) -> Target {
        at(dir, "x").unwrap()
    }

    fn at(dir: &tempfile::TempDir, path: &str) -> Result<Target> {
        make_folders(&SystemDisk, &folder_of(&dir.path().join(path)), Durability::Kill).unwrap();
        Target::of_any_name(&dir.path().join(path))
    }

    #[test]
    fn h58_only_a_free_name_or_a_file_that_may_go_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let target = target(&dir);
        assert!(target.is_wanted(Existing::Refuse).unwrap());
        assert_eq!(target.is_wanted(Existing::Repair).unwrap_err().kind(), ErrorKind::Local);
        std::fs::File::create(target.path()).unwrap();
        assert_eq!(target.is_wanted(Existing::Refuse).unwrap_err().kind(), ErrorKind::Local);
        assert!(target.is_wanted(Existing::Replace).unwrap());
        assert!(target.is_wanted(Existing::Repair).unwrap());
        assert!(!target.is_wanted(Existing::Skip).unwrap());
        let link = at(&dir, "link").unwrap();
        std::os::unix::fs::symlink("nowhere", link.path()).unwrap();
        assert!(link.is_wanted(Existing::Replace).is_err(), "a dangling link");
        let folder = at(&dir, "d/f").unwrap();
        assert!(folder.is_wanted(Existing::Refuse).unwrap(), "its folder is made");
        assert!(at(&dir, "d").unwrap().is_wanted(Existing::Replace).is_err());
    }
}
