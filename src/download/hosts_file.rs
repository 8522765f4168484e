//! The file in which is remembered what was learned of hosts: a cache, so nothing that goes wrong with it is an
//! error of a download.
//!
//! It is replaced as a whole, by rename, so that no reader sees half of it. Of two that write at once one is not
//! heard, and loses what it learned, no more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::hosts::{Hosts, LONGEST};
use crate::tuner::Learned;

/// Whoever writes for longer was killed.
const WRITING: Duration = Duration::from_secs(60);

/// See the module. All of it may block.
#[derive(Clone, Debug)]
pub(crate) struct HostsFile(PathBuf);

impl HostsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What is known of a host, named as `scheme://name:port`.
    pub(crate) fn recall(&self, host: &str) -> Option<Learned> {
        self.recall_at(host, SystemTime::now())
    }

    /// Takes note. The error is for those who want to know.
    pub(crate) fn learn(&self, host: &str, learned: Learned) -> io::Result<()> {
        self.learn_at(host, learned, SystemTime::now())
    }

    fn recall_at(&self, host: &str, now: SystemTime) -> Option<Learned> {
        self.read().ok()?.recall(host, seconds(now))
    }

    fn learn_at(&self, host: &str, learned: Learned, now: SystemTime) -> io::Result<()> {
        let mut hosts = self.read().unwrap_or_default();
        if hosts.learn(host, learned, seconds(now)) { self.replace(&hosts.format(), now) } else { Ok(()) }
    }

    fn read(&self) -> io::Result<Hosts> {
        // A pipe would make us wait.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.0)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut text = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LONGEST {
            Err(io::Error::other("not a file of ours"))
        } else {
            Ok(Hosts::parse(&text))
        }
    }

    fn being_written(&self) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    fn replace(&self, text: &str, now: SystemTime) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let new = self.being_written();
        let mut file = create(&new, now)?;
        let replaced = file.write_all(text.as_bytes()).and_then(|()| Ok(rustix::fs::rename(&new, &self.0)?));
        if replaced.is_err() {
            // The name is not to stay taken; the error that counts is the first.
            let _ = rustix::fs::unlink(&new);
        }
        replaced
    }
}

/// Fails while another writes.
fn create(path: &Path, now: SystemTime) -> io::Result<File> {
    let made = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made().or_else(|error| {
        let old = path.symlink_metadata()?.modified()?;
        if now.duration_since(old).is_ok_and(|age| age > WRITING) {
            rustix::fs::unlink(path)?;
            made()
        } else {
            Err(error)
        }
    })
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use tempfile::TempDir;

    const HOST: &str = "https://example.org:443";
    const LEARNED: Learned = Learned { jobs: 32, served: Some(40) };

    fn cache() -> (TempDir, HostsFile, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("cache/haul/hosts");
        (folder, HostsFile::new(path.clone()), path)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_was_learned_is_known_next_time_and_only_to_its_user() {
        let (_folder, file, path) = cache();
        let now = SystemTime::now();
        assert_eq!(file.recall_at(HOST, now), None);
        file.learn_at(HOST, LEARNED, now).unwrap();
        assert_eq!(HostsFile::new(path.clone()).recall_at(HOST, now), Some(LEARNED));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(names(path.parent().unwrap()), ["hosts"]);
    }

    #[test]
    fn what_is_no_file_of_ours_is_no_news() {
        let (folder, file, path) = cache();
        let now = SystemTime::now();
        fs::create_dir_all(&path).unwrap();
        assert_eq!(file.recall_at(HOST, now), None);
        assert!(file.learn_at(HOST, LEARNED, now).is_err(), "a folder");
        assert_eq!(names(path.parent().unwrap()), ["hosts"], "nothing is left behind");
        fs::remove_dir(&path).unwrap();
        let pipe = rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        );
        pipe.unwrap();
        assert_eq!(file.recall_at(HOST, now), None, "a pipe");
        file.learn_at(HOST, LEARNED, now).unwrap();
        assert_eq!(file.recall_at(HOST, now), Some(LEARNED), "a pipe is replaced");
        File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert_eq!(file.recall_at(HOST, now), None, "a long file");
        let below = HostsFile::new(folder.path().join("cache/haul/hosts/hosts"));
        assert!(below.learn_at(HOST, LEARNED, now).is_err(), "no folder to be had");
    }

    #[test]
    fn one_that_was_killed_while_it_wrote_is_in_the_way_for_a_minute() {
        let (_folder, file, _) = cache();
        let now = SystemTime::now();
        file.learn_at(HOST, LEARNED, now).unwrap();
        let new = file.being_written();
        File::create(&new).unwrap();
        let other = Learned { jobs: 1, ..LEARNED };
        assert!(file.learn_at(HOST, other, now).is_err());
        assert_eq!(file.recall_at(HOST, now), Some(LEARNED));
        file.learn_at(HOST, other, now + 2 * WRITING).unwrap();
        assert_eq!(file.recall_at(HOST, now), Some(other));
        assert!(!new.exists());
    }

    #[test]
    fn many_that_write_at_once_leave_a_whole_file() {
        let (_folder, file, path) = cache();
        let now = SystemTime::now();
        file.learn_at(HOST, LEARNED, now).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let file = &file;
                scope.spawn(move || {
                    for port in 1..50 {
                        // Who comes second is not heard.
                        let _ = file.learn_at(&format!("http://h{writer}:{port}"), LEARNED, now);
                        assert_eq!(file.recall_at(HOST, now), Some(LEARNED));
                    }
                });
            }
        });
        assert_eq!(names(path.parent().unwrap()), ["hosts"]);
    }
}
