//! The operating system's folders and files, as a [`Folder`] and a [`Medium`] (Linux).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{
    self as sys, Access, Advice, AtFlags, FallocateFlags, FileType, Mode, OFlags, RenameFlags, XattrFlags,
};
use rustix::io::{Errno, retry_on_intr};

use super::medium::{Disk, Durability, Entry, FileFacts, Folder, Map, Medium, Replace};
use super::window;
use crate::range::ByteRange;

/// The extended attribute that a note is kept in.
const NOTE: &str = "user.haul.version";
/// More than any note has.
const LONGEST_NOTE: usize = 4096;

/// The folders of this machine.
///
/// What a signal interrupts is asked again. Of a name that was to be made, changed or removed it is found out first
/// whether it was; of data that was to be synced nobody can tell, so that is a failure (H50).
#[derive(Debug)]
pub(crate) struct SystemDisk;

/// Asks until it is not interrupted.
fn again<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Disk for SystemDisk {
    fn folder(&self, path: &Path, durability: Durability) -> io::Result<Arc<dyn Folder>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| sys::open(path, flags, Mode::empty()))?;
        Ok(Arc::new(DiskFolder { fd: Arc::new(fd), durability }))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        // One that was made and interrupted is there already, which is as good.
        again(|| std::fs::create_dir(path))
    }
}

/// A folder held open. What is opened in it is synced, or not, as the folder is.
#[derive(Debug)]
struct DiskFolder {
    fd: Arc<OwnedFd>,
    durability: Durability,
}

impl DiskFolder {
    fn open_file(&self, name: &OsStr, flags: OFlags) -> rustix::io::Result<DiskFile> {
        self.open_any(name, flags | OFlags::RDWR | OFlags::NOFOLLOW)
    }

    fn open_any(&self, name: &OsStr, flags: OFlags) -> rustix::io::Result<DiskFile> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = sys::openat(&*self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(DiskFile { file: File::from(fd), folder: None, durability: self.durability })
    }

    fn rename_once(&self, from: &OsStr, to: &OsStr, replace: Replace) -> io::Result<()> {
        if replace == Replace::Allowed {
            return Ok(sys::renameat(&*self.fd, from, &*self.fd, to)?);
        }
        match sys::renameat_with(&*self.fd, from, &*self.fd, to, RenameFlags::NOREPLACE) {
            // The file system does not know the flag: a link does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.rename_by_link(from, to),
            done => Ok(done?),
        }
    }

    fn rename_by_link(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match sys::linkat(&*self.fd, from, &*self.fd, to, AtFlags::empty()) {
            // Nor does it know links.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            done => done?,
        }
        self.remove(from)
    }
}

impl Folder for DiskFolder {
    fn create(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        let create = || self.open_file(name, OFlags::CREATE | OFlags::EXCL);
        let made = match create() {
            // What has the name then may be ours or not: it is not touched.
            Err(Errno::INTR) => {
                create().map_err(|error| if error == Errno::EXIST { Errno::INTR } else { error })
            }
            done => done,
        };
        Ok(Arc::new(made?))
    }

    fn create_unnamed(&self) -> io::Result<Arc<dyn Medium>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        // By the umask.
        let mode = Mode::from_raw_mode(0o666);
        match retry_on_intr(|| sys::openat(&*self.fd, ".", flags, mode)) {
            // Old kernels take it for a folder that is to be written to.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
            opened => {
                let (file, folder) = (File::from(opened?), Some(Arc::clone(&self.fd)));
                Ok(Arc::new(DiskFile { file, folder, durability: self.durability }))
            }
        }
    }

    fn open(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        let file = retry_on_intr(|| self.open_file(name, OFlags::empty()))?;
        let metadata = again(|| file.file.metadata())?;
        if metadata.nlink() == 0 {
            // Removed just now.
            return Err(io::ErrorKind::NotFound.into());
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
        }
        let ours = metadata.is_file() && metadata.nlink() == 1;
        if ours { Ok(Arc::new(file)) } else { Err(io::Error::other("it is not a file of ours")) }
    }

    fn read(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>> {
        let file = retry_on_intr(|| self.open_any(name, OFlags::RDONLY))?;
        let regular = again(|| file.file.metadata())?.is_file();
        if regular { Ok(Arc::new(file)) } else { Err(io::Error::other("it is not a regular file")) }
    }

    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match retry_on_intr(|| sys::statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Entry::File {
                    inode: stat.st_ino,
                    length: u64::try_from(stat.st_size).unwrap_or_default(),
                },
                FileType::Directory => Entry::Folder,
                FileType::Symlink => Entry::Symlink,
                _ => Entry::Other,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr, replace: Replace) -> io::Result<()> {
        let file = self.entry(from)?;
        again(|| match self.rename_once(from, to, replace) {
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted
                    && file.is_some()
                    && self.entry(to)? == file
                    && self.entry(from)?.is_none() =>
            {
                Ok(())
            }
            // It was a link, and that was made.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && file.is_some()
                    && self.entry(to)? == file =>
            {
                self.remove(from)
            }
            done => done,
        })
    }

    fn remove(&self, name: &OsStr) -> io::Result<()> {
        match sys::unlinkat(&*self.fd, name, AtFlags::empty()) {
            Err(Errno::INTR) => match again(|| Ok(sys::unlinkat(&*self.fd, name, AtFlags::empty())?)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            },
            done => Ok(done?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.durability {
            Durability::PowerCut => Ok(retry_on_intr(|| sys::fsync(&*self.fd))?),
            Durability::Kill => Ok(()),
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        match sys::accessat(&*self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
            Err(error @ (Errno::ACCESS | Errno::ROFS)) => Err(error.into()),
            // Whatever else it says (before Linux 5.8, or in a sandbox): making a file will tell.
            _ => Ok(()),
        }
    }

    fn facts(&self, name: &OsStr) -> io::Result<Option<FileFacts>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match retry_on_intr(|| sys::openat(&*self.fd, name, flags, Mode::empty())) {
            Err(Errno::NOENT) => return Ok(None),
            opened => File::from(opened?),
        };
        let metadata = again(|| file.metadata())?;
        let mut note = vec![0; LONGEST_NOTE];
        // A file system without attributes, or a file without this one.
        let length = sys::fgetxattr(&file, NOTE, &mut note[..]).ok();
        let note = length.map(|length| note[..length].to_vec());
        Ok(Some(FileFacts { length: metadata.len(), mtime: metadata.modified()?, note }))
    }

    fn free_space(&self) -> io::Result<u64> {
        let stat = retry_on_intr(|| sys::fstatvfs(&*self.fd))?;
        // ramfs, and whatever is served by a program that does not count, has no blocks at all.
        if stat.f_blocks == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct DiskFile {
    file: File,
    /// Where it is to have its name, if it has none.
    folder: Option<Arc<OwnedFd>>,
    durability: Durability,
}

impl Medium for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(again(|| self.file.metadata())?.len())
    }

    fn inode(&self) -> io::Result<u64> {
        Ok(again(|| self.file.metadata())?.ino())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match retry_on_intr(|| sys::fallocate(&self.file, FallocateFlags::empty(), 0, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn map(&self, range: ByteRange) -> io::Result<Map> {
        match again(|| window::map(&self.file, range)) {
            Ok(map) => Ok(Box::new(map)),
            Err(error) => Err(match Errno::from_io_error(&error) {
                Some(Errno::FAULT) if self.len()? < range.end => {
                    io::Error::new(io::ErrorKind::UnexpectedEof, "somebody else truncated it")
                }
                // The kernel says EFAULT whatever is wrong with a page: a full disk, a quota, the disk itself.
                // NODEV: no maps on this file system; INVAL: no PopulateWrite in this kernel (before 5.14).
                Some(Errno::FAULT | Errno::NODEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    io::ErrorKind::Unsupported.into()
                }
                _ => error,
            }),
        }
    }

    fn start_sync(&self) -> io::Result<()> {
        match self.durability {
            // What it is to drop, it writes back first; dirty pages stay.
            Durability::PowerCut => Ok(sys::fadvise(&self.file, 0, None, Advice::DontNeed)?),
            Durability::Kill => Ok(()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.durability {
            // Not asked again when it was interrupted, which is what std would do: that, too, may be the error of a
            // write that failed before, and is told once.
            Durability::PowerCut => Ok(sys::fdatasync(&self.file)?),
            Durability::Kill => Ok(()),
        }
    }

    fn drop_cache(&self, range: ByteRange) -> io::Result<()> {
        let len = std::num::NonZeroU64::new(range.len());
        Ok(sys::fadvise(&self.file, range.start, len, Advice::DontNeed)?)
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(again(|| self.file.metadata())?.mode() & 0o777)
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        match retry_on_intr(|| sys::fchmod(&self.file, Mode::from_raw_mode(mode))) {
            // The file is ours, so this is a file system without modes.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            done => Ok(done?),
        }
    }

    fn set_mtime(&self, time: SystemTime) -> io::Result<()> {
        again(|| self.file.set_modified(time))
    }

    fn mtime(&self) -> io::Result<SystemTime> {
        again(|| self.file.metadata())?.modified()
    }

    fn set_note(&self, note: &[u8]) -> io::Result<()> {
        Ok(retry_on_intr(|| sys::fsetxattr(&self.file, NOTE, note, XattrFlags::empty()))?)
    }

    fn give_name(&self, name: &OsStr) -> io::Result<()> {
        let folder = self.folder.as_deref().ok_or(io::ErrorKind::Unsupported)?;
        // The way that needs no privilege (open(2), O_TMPFILE).
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        again(|| match sys::linkat(sys::CWD, &own, folder, name, AtFlags::SYMLINK_FOLLOW) {
            // It may have been given it all the same.
            Err(Errno::INTR) if self.file.metadata()?.nlink() > 0 => Ok(()),
            done => Ok(done?),
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        again(|| match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// The mode that a new file has by the process's umask. Read from the kernel: setting the umask to learn it
/// would change it for every thread meanwhile.
pub(crate) fn default_mode() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o077);
    0o666 & !umask
}
