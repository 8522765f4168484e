//! What to download, and how: a validated request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::builder::DownloadBuilder;
use super::fresh_url::FreshUrl;
use super::handle::Handle;
use super::hosts_file::HostsFile;
use super::inspect::{self, Offer};
use super::list::ListSource;
use super::pipe::Piped;
use super::pool::Pool;
use super::report::Report;
use super::tuning::Tuning;
use crate::checksum::Checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::http::client::ClientOptions;
use crate::http::retry::Fault;
use crate::range::Part;
use crate::store::medium::{Disk, Durability};
use crate::url::SafeUrl;

/// What to do when the object is not the one that the checkpoint is of, or changes during the run.
///
/// ```
/// use haul::{Download, OnChange};
/// let download = Download::builder("https://example.org/x").on_change(OnChange::Fail).build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// Start over with the new version, at most three times a run.
    #[default]
    Restart,
    /// Fail with [`ErrorKind::Changed`](crate::ErrorKind::Changed) and keep what is there.
    Fail,
}

/// What to do when a file has the target's name already.
///
/// ```
/// use haul::{Download, Existing};
/// let download = Download::builder("https://example.org/x").existing(Existing::Skip).build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Fail before anything is fetched.
    #[default]
    Refuse,
    /// Replace it, at the very end and at once.
    Replace,
    /// Leave it and call the download done.
    Skip,
    /// Ask whether there is a newer version, and replace it by that, at the very end and at once.
    IfNewer,
    /// Fetch again what is damaged of it, by what a download with
    /// [`keep_hashes`](crate::DownloadBuilder::keep_hashes) left beside it; replace it at the very end and at once. The
    /// object has to be the one that it was downloaded from: same length, same validator, same bytes.
    Repair,
}

/// What a cancelled download leaves.
///
/// ```
/// # async fn example() -> haul::Result<()> {
/// let handle = haul::Download::builder("https://example.org/x").build()?.start();
/// handle.cancel(haul::Remains::Delete);
/// assert_eq!(handle.await.unwrap_err().kind(), haul::ErrorKind::Cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Part file and checkpoint: the same download, started again, resumes.
    Keep,
    /// Nothing.
    Delete,
}

/// Where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The name that the server, or else the URL, proposes.
    Proposed,
    File(PathBuf),
    Nowhere,
    Piped(Piped),
}

impl Output {
    /// A file, and so with a name, a lock and a checkpoint.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::Proposed | Self::File(_))
    }
}

/// What becomes of mirrors that the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfferedMirrors {
    Used,
    Ignored,
}

/// What becomes of digests that the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentDigests {
    Compared,
    Ignored,
}

/// What time the target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileTime {
    /// When it was written.
    Written,
    /// When the object was, by the server's word.
    LastModified,
}

/// How the target's name comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    Plain,
    /// With the part of the object at its end.
    WithPart,
}

/// What is left beside the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// What is known of each segment.
    Hashes,
}

/// Everything that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) url: SafeUrl,
    pub(crate) head_url: Option<SafeUrl>,
    pub(crate) mirrors: Vec<SafeUrl>,
    pub(crate) offered_mirrors: OfferedMirrors,
    pub(crate) fresh_url: Option<FreshUrl>,
    pub(crate) output: Output,
    pub(crate) dir: PathBuf,
    pub(crate) jobs: usize,
    pub(crate) segment_size: Option<u64>,
    pub(crate) headers: HeaderMap,
    pub(crate) part: Part,
    pub(crate) naming: Naming,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) on_change: OnChange,
    pub(crate) existing: Existing,
    pub(crate) time: FileTime,
    pub(crate) durability: Durability,
    pub(crate) max_wait: Duration,
    pub(crate) max_size: Option<u64>,
    pub(crate) ignore_checkpoint: bool,
    pub(crate) allow_unvalidated: bool,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) checksum_list: Option<ListSource>,
    pub(crate) sent_digests: SentDigests,
    pub(crate) beside: Beside,
    /// `jobs` is only the most: as many as pay.
    pub(crate) tuned: bool,
    pub(crate) tuning: Tuning,
    /// What is remembered of hosts.
    pub(crate) hosts: Option<HostsFile>,
    /// Whose connections it goes over.
    pub(crate) pool: Pool,
    /// Where the target's folder is.
    pub(crate) disk: Arc<dyn Disk>,
}

/// In seconds: nobody waits for longer.
const A_YEAR: u64 = 365 * 24 * 60 * 60;

impl Request {
    pub(crate) fn client_options(&self) -> ClientOptions {
        ClientOptions {
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            custom: self.headers.clone(),
            drip_time: self.tuning.drip_time,
        }
    }

    /// How long to wait before a request is repeated, after so many in a row `in_vain`; `asked` by a
    /// Retry-After. A server that asks for longer than the user allows ends the run, with the time to come back.
    pub(crate) fn wait_after(
        &self,
        fault: &Fault,
        in_vain: u32,
        asked: Option<Duration>,
    ) -> Result<Duration> {
        let wait = self.tuning.backoff.after(in_vain, fastrand::f64()).max(asked.unwrap_or_default());
        if asked.is_none_or(|asked| asked <= self.max_wait) {
            return Ok(wait);
        }
        let hint = match wait.as_secs() {
            ..=A_YEAR => format!("come back in {} s, or allow a longer --max-wait", wait.as_secs()),
            _ => "it does not want to be asked again".to_owned(),
        };
        Err(Error::new(ErrorKind::Network, fault.to_string()).at(&self.url).hint(hint))
    }
}

/// A download that is ready to start: one object, one target.
///
/// ```no_run
/// # async fn example() -> haul::Result<()> {
/// let report = haul::Download::builder("https://example.org/disk.img").jobs(16).build()?.run().await?;
/// println!("{} bytes in {:?}", report.length, report.elapsed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Download(Arc<Request>);

impl Download {
    pub(super) fn new(request: Arc<Request>) -> Self {
        Self(request)
    }

    /// The request alone.
    #[cfg(test)]
    pub(super) fn into_request(self) -> Arc<Request> {
        self.0
    }

    /// Begins to describe a download of `url`, which must be http or https.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/disk.img").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn builder(url: impl Into<String>) -> DownloadBuilder {
        DownloadBuilder::new(url.into())
    }

    /// Starts the download on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let handle = haul::Download::builder("https://example.org/disk.img").build()?.start();
    /// handle.pause();
    /// handle.resume();
    /// let report = handle.await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a download is cancelled when its handle is dropped"]
    pub fn start(self) -> Handle {
        Handle::start(self.0)
    }

    /// Starts the download and waits for its end.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// haul::Download::builder("https://example.org/disk.img").output("/tmp/disk.img").build()?.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run(self) -> Result<Report> {
        self.start().await
    }

    /// The part of the object that it is of; `None`: all of it.
    ///
    /// ```
    /// let tail = haul::Download::builder("https://example.org/x").part(haul::Part::Last(100)).build()?;
    /// assert_eq!(tail.part().map(|part| part.to_string()).as_deref(), Some("-100"));
    /// # Ok::<(), haul::Error>(())
    /// ```
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        Some(self.0.part).filter(|part| *part != Part::From(0))
    }

    /// Asks the server what it offers, for one byte.
    ///
    /// ```no_run
    /// # async fn example() -> haul::Result<()> {
    /// let offer = haul::Download::builder("https://example.org/disk.img").build()?.inspect().await?;
    /// match offer.resume() {
    ///     Ok(validator) => println!("can be resumed, by {validator}"),
    ///     Err(why) => println!("cannot be resumed: {why}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect(&self) -> Result<Offer> {
        inspect::inspect(&self.0).await
    }

    /// The URL without its secrets: no user, no password, no query.
    ///
    /// ```
    /// let download = haul::Download::builder("https://me:pw@example.org/x?sig=1").build()?;
    /// assert_eq!(download.url(), "https://example.org/x?[hidden]");
    /// # Ok::<(), haul::Error>(())
    /// ```
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url.to_string()
    }
}
