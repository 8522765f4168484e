//! Names and files of one download: the target, and beside it the part file and the checkpoint.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::request::{Existing, Output, Request};
use icu_normalizer::ComposingNormalizerBorrowed as ComposingNormalizer;

use crate::error::{Error, ErrorKind, Result};
use crate::store::checkpoint::Checkpoint;
use crate::store::commit::{CheckpointFile, Found};
use crate::store::disk::SystemDisk;
use crate::store::medium::{Disk, Durability, Entry, Folder, Medium};
use crate::url::is_hidden;

const PART: &str = ".part";
const CHECKPOINT: &str = ".part.ckpt";
/// The longest name that a server may choose: with our longest suffix it fits the usual 255 bytes.
pub(crate) const LONGEST_NAME: usize = 255 - CHECKPOINT.len();

/// How often something is looked at that another process may be changing.
const LOOKS: u32 = 10;
/// Longer than anybody needs to find out whether a lock is free.
const MOMENT: Duration = Duration::from_millis(5);

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
            Output::Proposed | Output::Nowhere => Ok(None),
        }
    }

    /// The target by the name that the server, or else the URL, proposes.
    pub(crate) fn proposed(request: &Request, file_name: Option<&str>) -> Result<Self> {
        Self::new(request, &request.dir.join(proposed_name(request, file_name)))
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
        let name = path.file_name().ok_or_else(not_a_file)?.to_owned();
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
        let name = path
            .file_name()
            .ok_or_else(|| Error::new(ErrorKind::Local, "is not a file's name").at(path.display()))?;
        let stem = [CHECKPOINT, PART].into_iter().find_map(|suffix| strip_suffix(name, suffix));
        let stem = stem.unwrap_or_else(|| name.to_owned());
        Self::existing(&SystemDisk, &folder_of(path), stem, Durability::PowerCut)
    }

    pub(crate) fn folder(&self) -> &dyn Folder {
        self.folder.as_ref()
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

    pub(crate) fn path(&self) -> PathBuf {
        self.path_of(&self.name)
    }

    pub(crate) fn part_path(&self) -> PathBuf {
        self.path_of(&self.part_name())
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.path_of(&self.checkpoint_name())
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

    /// Fails where no file can be made beside it, before anything is asked of a server (H61).
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.folder.check_writable().map_err(|error| Error::io(&self.dir, "write to the folder", error))
    }

    /// Makes durable which names there are.
    pub(crate) fn make_names_durable(&self) -> Result<()> {
        self.folder.sync().map_err(|error| Error::io(&self.path(), "make the name durable", error))
    }

    /// A part file that we may not even open is not ours to replace or remove, whatever else is said (H77).
    fn refuse_foreign_part(&self) -> Result<()> {
        match self.folder.open(&self.part_name()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::io(&self.part_path(), "open the part file", error))
            }
            _ => Ok(()),
        }
    }

    /// The checkpoint file; `None` where there is none. A part file alone is nobody's and is left alone, unless
    /// `ignore` says otherwise.
    fn checkpoint_file(&self, ignore: bool) -> Result<Option<Arc<dyn Medium>>> {
        for _ in 0..LOOKS {
            match self.folder.open(&self.checkpoint_name()) {
                Ok(medium) => return Ok(Some(medium)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&self.checkpoint_path(), "open the checkpoint", error)),
            }
            if ignore || self.entry(&self.part_name())?.is_none() {
                return Ok(None);
            }
            // Another process may have made both since we looked: is it still so (H59)?
        }
        Err(Error::new(ErrorKind::Local, "is there without a checkpoint, so nothing tells what it is")
            .at(self.part_path().display())
            .hint("remove it, or use --restart to replace it"))
    }

    /// Whether the name may be taken at the end (H58). `Ok(false)`: there is a file, and it is to be left.
    pub(crate) fn is_wanted(&self, existing: Existing) -> Result<bool> {
        let taken = |message: &str, hint: &str| {
            Error::new(ErrorKind::Local, message).at(self.path().display()).hint(hint)
        };
        match (self.entry(&self.name)?, existing) {
            (None, _) => Ok(true),
            (Some(Entry::File { .. }), Existing::Replace) => Ok(true),
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

/// The name that a download without a given one has: what the server proposes, else the URL (H60).
pub(crate) fn proposed_name(request: &Request, file_name: Option<&str>) -> String {
    let from_url = request.url.last_component();
    let proposals = [file_name, from_url.as_deref()];
    proposals.into_iter().flatten().find_map(safe_name).unwrap_or_else(|| "index.html".to_owned())
}

/// A server's proposal, made harmless: one visible component that is no option, no hidden file and no device.
pub(crate) fn safe_name(proposal: &str) -> Option<String> {
    let last = proposal.rsplit(['/', '\\']).next().unwrap_or_default();
    // The sanitiser knows most of the characters that nobody sees, but not all.
    let seen: String = last.chars().map(|c| if is_hidden(c) { '_' } else { c }).collect();
    let composed = ComposingNormalizer::new_nfc().normalize(&seen);
    let options =
        sanitise_file_name::Options { length_limit: LONGEST_NAME, ..sanitise_file_name::Options::DEFAULT };
    // Sanitising may bare another dot, and what is bared may be a device's name: until nothing changes.
    let sanitise = |name: &str| sanitise_file_name::sanitise_with_options(name, &options);
    let sanitised = |name: &String| {
        let name = sanitise(trimmed(name));
        // A device is one whatever follows its first dot: `nul.tar.gz` is `nul`.
        let stem = name.split_once('.').filter(|(stem, _)| !stem.is_empty());
        Some(stem.map_or(name.clone(), |(stem, rest)| format!("{}.{rest}", sanitise(stem))))
    };
    let mut before = composed.into_owned();
    let mut tried = std::iter::successors(sanitised(&before), sanitised).take(7);
    let safe = tried.find(|name| mem::replace(&mut before, name.clone()) == *name);
    // What is left of nothing is a placeholder of the sanitiser's.
    safe.filter(|name| trimmed(name) == name && name.chars().any(char::is_alphanumeric))
}

/// Without what hides a file or makes it an option at the front, and what Windows drops at the end.
fn trimmed(name: &str) -> &str {
    name.trim_start_matches(['-', '.', ' ', '~']).trim_end_matches(['.', ' '])
}

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
        claimed.target.refuse_foreign_part()?;
        let Some(medium) = claimed.target.checkpoint_file(ignore)? else { return Ok(claimed) };
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

    /// The length of the part file that an earlier run left; `None` where there is none that is ours.
    pub(crate) fn part_length(&self) -> Option<u64> {
        self.target.folder.open(&self.target.part_name()).ok()?.len().ok()
    }

    /// Whether the target is the part file of a download that was whole: its process died between the rename
    /// and the end (H52).
    pub(crate) fn is_finished(&self) -> Result<bool> {
        let Some((_, left)) = &self.left else { return Ok(false) };
        // A stream's checkpoint tells nothing about its file, and inodes are used again.
        let file = Entry::File { inode: left.identity.inode, length: left.identity.extent().len() };
        let named = !left.identity.extent().is_empty() && self.target.entry(&self.target.name)? == Some(file);
        // Where the name was given by a link, the file may have its old one still.
        let part = self.target.entry(&self.target.part_name())?;
        Ok(named && left.ledger.complete().all() && part.is_none_or(|part| part == file))
    }

    /// The checkpoint file, made and locked if there was none.
    pub(crate) fn medium(&mut self) -> Result<Arc<dyn Medium>> {
        if let Some(medium) = &self.medium {
            return Ok(Arc::clone(medium));
        }
        let path = self.target.checkpoint_path();
        let medium =
            self.target.folder.create(&self.target.checkpoint_name()).map_err(|error| {
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
            match self.target.folder.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, "remove it", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::checkpoint::Identity;
    use crate::store::commit::Snapshot;
    use crate::store::fixture::{SEGMENT, checkpoint};
    use crate::store::medium::Replace;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    #[test]
    fn h60_names_that_servers_propose() {
        for (proposal, name) in [
            ("disk.img", Some("disk.img")),
            ("../../etc/passwd", Some("passwd")),
            ("..\\..\\boot.ini", Some("boot.ini")),
            ("-rf", Some("rf")),
            (".bashrc", Some("bashrc")),
            (":.bashrc", Some("bashrc")),
            ("?-rf", Some("rf")),
            ("a\u{202e}gpj.exe", Some("a_gpj.exe")),
            ("a\u{61c}b\u{feff}.txt", Some("a_b.txt")),
            ("na\u{ef}ve file.txt", Some("na\u{ef}ve file.txt")),
            ("nai\u{308}ve file.txt", Some("na\u{ef}ve file.txt")),
            ("draft.", Some("draft")),
            ("", None),
            (".", None),
            ("..", None),
            ("/", None),
            ("\0\u{1}", None),
        ] {
            assert_eq!(safe_name(proposal).as_deref(), name, "{proposal:?}");
        }
        assert_eq!(safe_name("nul.tar.gz").as_deref(), Some("nul_.tar.gz"));
        assert!(safe_name("con.txt").is_some_and(|name| !name.eq_ignore_ascii_case("con.txt")));
    }

    proptest! {
        #[test]
        fn h60_whatever_is_proposed_a_name_is_one_visible_component(proposal in any::<String>()) {
            if let Some(name) = safe_name(&proposal) {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST_NAME);
                prop_assert!(!name.contains(['/', '\\', '\0']) && !name.contains(char::is_control));
                prop_assert!(!name.starts_with(['-', '.']));
            }
        }
    }

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
        std::fs::File::create(target.path()).unwrap();
        assert_eq!(target.is_wanted(Existing::Refuse).unwrap_err().kind(), ErrorKind::Local);
        assert!(target.is_wanted(Existing::Replace).unwrap());
        assert!(!target.is_wanted(Existing::Skip).unwrap());
        let link = at(&dir, "link").unwrap();
        std::os::unix::fs::symlink("nowhere", link.path()).unwrap();
        assert!(link.is_wanted(Existing::Replace).is_err(), "a dangling link");
        let folder = at(&dir, "d/f").unwrap();
        assert!(folder.is_wanted(Existing::Refuse).unwrap(), "its folder is made");
        assert!(at(&dir, "d").unwrap().is_wanted(Existing::Replace).is_err());
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
        let part = target.folder().create(&target.part_name()).unwrap();
        part.set_len(4 * SEGMENT).unwrap();
        let of_part = |landed| {
            let checkpoint = checkpoint(landed);
            let identity = Identity { inode: part.inode().unwrap(), ..checkpoint.identity };
            Checkpoint { identity, ..checkpoint }
        };
        let slots = target.folder().create(&target.checkpoint_name()).unwrap();
        let mut file = CheckpointFile::start(&target.checkpoint_path(), slots, of_part(0)).unwrap();
        std::fs::hard_link(target.part_path(), target.path()).unwrap();
        assert!(!Claimed::new(target.clone(), false).unwrap().is_finished().unwrap(), "not whole");
        file.soft(&Snapshot(Arc::new(of_part(4)))).unwrap();
        assert!(Claimed::new(target, false).unwrap().is_finished().unwrap());
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
