//! The seam between the store and the operating system: folders and open files, as far as haul uses them.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::range::ByteRange;

/// Bytes of a file, mapped for writing. What is written is in the file's pages at once.
pub(crate) trait Pages: Send {
    /// Writes bytes, which must fit, from `at` on. `false` where a page was gone (H53): nothing of them counts, what
    /// was written before does, and nothing more can be written.
    fn write(&mut self, at: usize, bytes: &[u8]) -> bool;
}

/// See [`Pages`].
pub(crate) type Map = Box<dyn Pages>;

/// What a download is safe against.
///
/// ```
/// use haul::{Download, Durability};
/// let scratch = Download::builder("https://example.org/x").durability(Durability::Kill).build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: it costs about a second of work.
    #[default]
    PowerCut,
    /// A killed process only: haul never waits for the disk.
    Kill,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File { inode: u64, length: u64 },
    Folder,
    Symlink,
    Other,
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) length: u64,
    pub(crate) mtime: SystemTime,
    /// What was noted beside it, if it may be read.
    pub(crate) note: Option<Vec<u8>>,
}

/// Whether a rename may take a name that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    Never,
    Allowed,
}

/// Where folders are found by their paths.
pub(crate) trait Disk: Send + Sync + Debug {
    /// Opens a folder.
    fn folder(&self, path: &Path, durability: Durability) -> io::Result<Arc<dyn Folder>>;
    /// Makes a folder in one that exists.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open folder: names are looked up in it whatever happens to its own path meanwhile.
pub(crate) trait Folder: Send + Sync + Debug {
    /// A new file of mode 0600; fails where the name is taken, be it by a dangling link (H77).
    fn create(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>>;
    /// A new file that has no name, and is gone when it is closed unless it was given one. `Unsupported` where the
    /// file system has none such.
    fn create_unnamed(&self) -> io::Result<Arc<dyn Medium>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// A file of ours: regular, not a link, one name, our own user's (H77).
    fn open(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>>;
    /// A regular file, whoever's it is, to be read only; a link to one is followed.
    fn read(&self, name: &OsStr) -> io::Result<Arc<dyn Medium>>;
    /// `None` where there is no such name. Links are not followed.
    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>>;
    /// `Unsupported` where the file system cannot do it without replacing.
    fn rename(&self, from: &OsStr, to: &OsStr, replace: Replace) -> io::Result<()>;
    fn remove(&self, name: &OsStr) -> io::Result<()>;
    /// Makes names durable.
    fn sync(&self) -> io::Result<()>;
    /// Fails where no file can be made in it: a permission, a read-only file system.
    fn check_writable(&self) -> io::Result<()> {
        Ok(())
    }
    /// Of a file, whoever's it is; `None` where there is none.
    fn facts(&self, _name: &OsStr) -> io::Result<Option<FileFacts>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Bytes that may still be written to this file system. `Unsupported` where it does not know.
    fn free_space(&self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait Medium: Send + Sync + Debug {
    fn len(&self) -> io::Result<u64>;
    fn inode(&self) -> io::Result<u64>;
    /// Reserves blocks for `len` bytes and makes the file that long. `Unsupported` where the file system
    /// cannot promise blocks.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Maps a page-aligned range with its pages present, so that a truncated file is an error here and not a
    /// signal later (H53). `Unsupported` where the file cannot be mapped, or not now: what is wrong then is what a
    /// positioned write says.
    fn map(&self, range: ByteRange) -> io::Result<Map>;
    /// Has bytes on their way to the disk, so that a sync has less to wait for. A hint.
    fn start_sync(&self) -> io::Result<()> {
        Ok(())
    }
    /// Makes bytes and length durable. After a failure the bytes written before it must be written again:
    /// a later success says nothing about them (H50).
    fn sync_data(&self) -> io::Result<()>;
    /// Drops clean cached pages, so that what is read next comes from the disk.
    fn drop_cache(&self, range: ByteRange) -> io::Result<()>;
    /// Permissions.
    fn mode(&self) -> io::Result<u32>;
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Gives it this time of its last change.
    fn set_mtime(&self, _time: SystemTime) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The time of its last change.
    fn mtime(&self) -> io::Result<SystemTime> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Notes something beside it, where the file system has room for that.
    fn set_note(&self, _note: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Gives a file that was made without a name one in its folder; fails where that is taken.
    fn give_name(&self, _name: &OsStr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes the lock on this file until it is closed; `false` where another process has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// What the kernel knows it by, if it does.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
