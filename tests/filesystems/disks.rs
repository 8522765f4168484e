//! Real file systems, on loop devices over files in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// A mount namespace of the calling thread's own, with a folder in memory. Threads and processes that it starts are
/// in it as well; when the last of them is gone the kernel takes the mounts, and the loop devices under them, away,
/// however the test ended.
#[derive(Debug)]
pub struct Disks {
    root: TempDir,
}

impl Disks {
    /// # Panics
    /// Without root.
    pub fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace: these tests are for root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts can be private");
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let disks = Self { root };
        mount_at("tmpfs", "tmpfs", disks.root.path(), "size=2g");
        disks
    }

    /// A folder for a mount, or a file's name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A new, empty folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a folder can be made");
        path
    }

    /// A file system in memory without a disk under it.
    pub fn in_memory(&self, kind: &str, options: &str) -> PathBuf {
        let at = self.folder(kind);
        mount_at(kind, kind, &at, options);
        at
    }

    /// A file system of so many MiB in a sparse file in that folder.
    pub fn image(&self, folder: &Path, kind: &str, mib: u64) -> Image {
        let file = folder.join(format!("{kind}.img"));
        let empty = fs::File::create(&file).expect("an image can be made");
        empty.set_len(mib << 20).expect("a sparse file can be that long");
        let force = if kind.starts_with("ext") { "-F" } else { "-f" };
        run(&format!("mkfs.{kind}"), &["-q", force, file.to_str().expect("UTF-8")]);
        let image = Image { file, at: self.folder(kind) };
        image.mount();
        image
    }

    /// The same, in memory.
    pub fn disk(&self, kind: &str, mib: u64) -> Image {
        self.image(self.root.path(), kind, mib)
    }

    /// An overlay over an empty folder.
    pub fn overlay(&self) -> PathBuf {
        let [lower, upper, work] =
            ["lower", "upper", "work"].map(|name| self.folder(name).display().to_string());
        self.in_memory("overlay", &format!("lowerdir={lower},upperdir={upper},workdir={work}"))
    }
}

impl Drop for Disks {
    /// A folder that is mounted on could not be removed.
    fn drop(&mut self) {
        let _ = umount2(self.root.path(), MntFlags::MNT_DETACH);
    }
}

/// A file system in a file.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    /// Where it is mounted.
    pub at: PathBuf,
}

impl Image {
    /// The loop device goes with the mount.
    pub fn mount(&self) {
        let [file, at] = [&self.file, &self.at].map(|path| path.to_str().expect("UTF-8"));
        run("mount", &["-o", "loop", file, at]);
    }

    pub fn unmount(&self) {
        nix::mount::umount(&self.at).expect("nobody uses it any more");
    }
}

/// Mounts something.
pub fn mount_at(kind: &str, source: &str, at: &Path, options: &str) {
    mount(Some(source), at, Some(kind), MsFlags::empty(), Some(options))
        .unwrap_or_else(|error| panic!("{kind} cannot be mounted: {error}"));
}

/// Runs a command that has to succeed.
pub fn run(command: &str, args: &[&str]) {
    let ended =
        Command::new(command).args(args).output().unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(ended.status.success(), "{command} {args:?}: {}", String::from_utf8_lossy(&ended.stderr));
}
