//! A download in a process of its own, so that it can be killed: the example runs itself again.

use std::env;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};

use haul::Download;

/// The hidden first argument of a child.
const CHILD: &str = "--child";

/// A child that downloads. It ends with its owner.
#[derive(Debug)]
pub(crate) struct Downloader(Child);

impl Downloader {
    /// Starts the download of `url` to `target`, or its resumption.
    pub(crate) fn start(url: &str, target: &Path, jobs: usize) -> io::Result<Self> {
        Command::new(env::current_exe()?)
            .args([CHILD, url])
            .arg(target)
            .arg(jobs.to_string())
            // A proxy would not find this machine's loopback.
            .envs([("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")])
            .spawn()
            .map(Self)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// SIGKILL: no handler runs, nothing is cleaned up. Whether it came before the end.
    pub(crate) fn kill(mut self) -> io::Result<bool> {
        self.0.kill()?;
        Ok(self.0.wait()?.code().is_none())
    }
}

impl Drop for Downloader {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a child: downloads, and ends with the child's exit code. `None` in the parent.
#[expect(clippy::print_stderr, reason = "an example says why it failed")]
pub(crate) fn main() -> Option<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [flag, url, target, jobs] = arguments.as_slice() else { return None };
    if flag != CHILD {
        return None;
    }
    let ended = download(url, target, jobs.parse().unwrap_or(0));
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}

fn download(url: &str, target: &str, jobs: usize) -> haul::Result<()> {
    let download = Download::builder(url).output(target).jobs(jobs).build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(download.run()).map(drop)
}
