//! Describes a download.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::fresh_url::FreshUrl;
use super::hosts_file::HostsFile;
use super::name;
use super::pipe::{Piped, Sink};
use super::pool::Pool;
use super::request::{
    Beside, Download, Existing, FileTime, Naming, OfferedMirrors, OnChange, Output, Request, SentDigests,
};
use super::tuning::Tuning;
use super::validate::validated;
use crate::error::Result;
use crate::range::Part;
use crate::store::disk::SystemDisk;
#[cfg(test)]
use crate::store::medium::Disk;
use crate::store::medium::Durability;
use crate::url::SafeUrl;

/// More requests at once than this pay nowhere, unless the user says so.
const MOST_TUNED: usize = 64;

/// Describes a [`Download`]. Every method has the default of the command's option of that name.
///
/// ```
/// use std::time::Duration;
/// let download = haul::Download::builder("https://example.org/disk.img")
///     .output("disk.img")
///     .dir("/tmp")
///     .jobs(16)
///     .segment_size(1 << 20)
///     .header("X-Api-Key", "secret")
///     .timeout(Duration::from_secs(30))
///     .build()?;
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct DownloadBuilder {
    pub(super) url: String,
    pub(super) head_url: Option<String>,
    pub(super) mirrors: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) checksums: Vec<String>,
    pub(super) pool: Option<Pool>,
    pub(super) checksum_file: Option<String>,
    pub(super) request: Request,
}

impl fmt::Debug for DownloadBuilder {
    /// Neither URLs nor headers: nothing here is checked yet, so nobody knows where a secret begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadBuilder").field("output", &self.request.output).finish_non_exhaustive()
    }
}

impl DownloadBuilder {
    pub(super) fn new(url: String) -> Self {
        let placeholder = url::Url::parse("http://localhost/").ok().and_then(SafeUrl::from_url);
        let request = Request {
            url: placeholder.expect("a plain URL"),
            head_url: None,
            mirrors: Vec::new(),
            offered_mirrors: OfferedMirrors::Ignored,
            fresh_url: None,
            output: Output::Proposed,
            dir: PathBuf::from("."),
            jobs: MOST_TUNED,
            segment_size: None,
            headers: HeaderMap::new(),
            part: Part::From(0),
            naming: Naming::Plain,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(15),
            retries: 5,
            on_change: OnChange::Restart,
            existing: Existing::Refuse,
            time: FileTime::Written,
            durability: Durability::PowerCut,
            max_wait: Duration::from_secs(600),
            max_size: None,
            ignore_checkpoint: false,
            allow_unvalidated: false,
            checksums: Vec::new(),
            checksum_list: None,
            sent_digests: SentDigests::Compared,
            beside: Beside::Nothing,
            tuned: true,
            tuning: Tuning::default(),
            hosts: None,
            pool: Pool::new(),
            disk: Arc::new(SystemDisk),
        };
        Self {
            url,
            head_url: None,
            mirrors: Vec::new(),
            headers: Vec::new(),
            checksums: Vec::new(),
            checksum_file: None,
            pool: None,
            request,
        }
    }

    /// The target file; a relative path is taken from [`dir`](Self::dir). By default the name that the server,
    /// or else the URL, proposes.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").output("disk.img").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.request.output = Output::File(path.into());
        self
    }

    /// The target has this name in [`dir`](Self::dir), which may be a stranger's: as one that a server proposes it loses its
    /// folders, controls, leading dots and dashes. If nothing is left of it, it is as if this was not called.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").proposed_name("../disk.img").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn proposed_name(mut self, name: &str) -> Self {
        if let Some(name) = name::safe(name) {
            self.request.output = Output::File(name.into());
        }
        self
    }

    /// Fetches everything and keeps nothing: for measuring.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").discard().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn discard(mut self) -> Self {
        self.request.output = Output::Nowhere;
        self
    }

    /// Writes the bytes to this, in their order, while they are fetched in parallel: at most so many bytes at once
    /// (`window`, at least 1 MiB) are in memory, waiting for those before them. There is no file, and nothing to resume; bytes that
    /// are out cannot be taken back, so that a change of the object is an error then. What is built more than once
    /// writes to the same.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").pipe(std::io::sink(), 64 << 20).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn pipe(mut self, writer: impl std::io::Write + Send + 'static, window: u64) -> Self {
        self.request.output = Output::Piped(Piped { sink: Sink::new(writer), window });
        self
    }

    /// The folder for the target; made if it is missing.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").dir("/tmp").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.request.dir = path.into();
        self
    }

    /// How many ranges are fetched at once, 1 to 256. By default [as many as pay](Self::auto_jobs).
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").jobs(16).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn jobs(mut self, jobs: usize) -> Self {
        (self.request.jobs, self.request.tuned) = (jobs, false);
        self
    }

    /// As many ranges are fetched at once as pay, up to 64: found out while the download runs, by its goodput.
    /// [`remember_hosts`](Self::remember_hosts) makes the next download from the same host begin with what was found.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").auto_jobs().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn auto_jobs(mut self) -> Self {
        (self.request.jobs, self.request.tuned) = (MOST_TUNED, true);
        self
    }

    /// The unit of the checkpoint in bytes: a power of two from 64 KiB to 1 GiB. By default it follows from the
    /// length, 64 KiB to 64 MiB. A resumed download keeps the one it began with.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").segment_size(1 << 20).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.request.segment_size = Some(bytes);
        self
    }

    /// A further request header. It goes to the origin of the URL only, whatever that redirects to.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").header("Authorization", "Bearer abc").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A separately signed URL of the same object for a HEAD request, which is sent first.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").head_url("https://example.org/x?for=head").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn head_url(mut self, url: impl Into<String>) -> Self {
        self.head_url = Some(url.into());
        self
    }

    /// Whom to ask for a fresh URL of the same object when the one at hand is refused (401, 403, 404, 410): it may
    /// have expired. It is a secret like any URL, and what it leads to has to prove itself as anything else: the same
    /// length and validator. The custom headers go there only if it is of the origin that they were given for.
    ///
    /// ```
    /// let signed = || async { Ok::<_, std::io::Error>("https://example.org/x?sig=2".to_owned()) };
    /// let download = haul::Download::builder("https://example.org/x?sig=1").fresh_url(signed).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn fresh_url<F, E>(mut self, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.request.fresh_url = Some(FreshUrl::new(ask));
        self
    }

    /// Another URL of the same object, a mirror; may be given up to seven times. Segments are fetched from all of them, the
    /// most from the fastest, as soon as each has proved that it has the same object: the same length, and the same digest
    /// or strong `ETag`, or else the same bytes in samples. One that fails or lies is asked no more.
    ///
    /// ```
    /// let builder = haul::Download::builder("https://example.org/x").mirror("https://example.net/x");
    /// let download = builder.mirror("https://example.com/x").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn mirror(mut self, url: impl Into<String>) -> Self {
        self.mirrors.push(url.into());
        self
    }

    /// Takes the mirrors that the server offers with its first answer (`Link: <URL>; rel=duplicate`, RFC 6249) beside those of
    /// [`mirror`](Self::mirror), as far as there is room for them: they prove themselves in the same way.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").offered_mirrors().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn offered_mirrors(mut self) -> Self {
        self.request.offered_mirrors = OfferedMirrors::Used;
        self
    }

    /// Only this part of the object.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").part(haul::Part::From(100)).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn part(mut self, part: Part) -> Self {
        self.request.part = part;
        self
    }

    /// Puts the [part](Self::part) behind the target's name, `disk.img.0-99`: for several parts of one object, each in a file
    /// of its own.
    ///
    /// ```
    /// let tail = haul::Download::builder("https://example.org/x").part(haul::Part::Last(100)).part_in_name().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn part_in_name(mut self) -> Self {
        self.request.naming = Naming::WithPart;
        self
    }

    /// How long a connection may take to come about.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let download = haul::Download::builder("https://example.org/x").connect_timeout(Duration::from_secs(5)).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.request.connect_timeout = time;
        self
    }

    /// How long a request may go without a byte; coming about of its connection, if it needs one, included.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let download = haul::Download::builder("https://example.org/x").timeout(Duration::from_secs(30)).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn timeout(mut self, time: Duration) -> Self {
        self.request.timeout = time;
        self
    }

    /// How often a request is repeated without a new byte in between.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").retries(10).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.request.retries = retries;
        self
    }

    /// What to do when the object changes.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").on_change(haul::OnChange::Fail).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn on_change(mut self, what: OnChange) -> Self {
        self.request.on_change = what;
        self
    }

    /// What to do when the target exists.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").existing(haul::Existing::Replace).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn existing(mut self, what: Existing) -> Self {
        self.request.existing = what;
        self
    }

    /// Gives the target the time that the server states as the object's Last-Modified, before it gets its name.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").set_mtime().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn set_mtime(mut self) -> Self {
        self.request.time = FileTime::LastModified;
        self
    }

    /// What the download is safe against.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").durability(haul::Durability::Kill).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn durability(mut self, what: Durability) -> Self {
        self.request.durability = what;
        self
    }

    /// The longest Retry-After that is obeyed; a longer one ends the download.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let download = haul::Download::builder("https://example.org/x").max_wait(Duration::from_secs(60)).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.request.max_wait = time;
        self
    }

    /// Refuses larger objects, and stops bodies that turn out longer, in bytes.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").max_size(1 << 30).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.request.max_size = Some(bytes);
        self
    }

    /// Remembers in that file what number of jobs paid with the host, and begins with that next time. By default
    /// nothing is remembered.
    ///
    /// It is a cache: a file that cannot be read or written is no error. It has the names and ports of at most 256
    /// hosts for at most a month, and nothing of what was fetched from them. Downloads may share it.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").remember_hosts("/tmp/hosts").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn remember_hosts(mut self, file: impl Into<PathBuf>) -> Self {
        self.request.hosts = Some(HostsFile::new(file.into()));
        self
    }

    /// Starts over whatever an earlier run left.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").ignore_checkpoint().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn ignore_checkpoint(mut self) -> Self {
        self.request.ignore_checkpoint = true;
        self
    }

    /// Fetches ranges in parallel even where nothing proves that they are of one version.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").allow_unvalidated().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn allow_unvalidated(mut self) -> Self {
        self.request.allow_unvalidated = true;
        self
    }

    /// What the whole target has to come to, `ALGO:VALUE` in hex or base64; may be given more than once. A digest that
    /// the server sends is compared without being asked for.
    ///
    /// ```
    /// let empty = "sha-256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    /// let download = haul::Download::builder("https://example.org/x").checksum(empty).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn checksum(mut self, checksum: impl Into<String>) -> Self {
        self.checksums.push(checksum.into());
        self
    }

    /// Goes over the connections of this pool, which other downloads share. By default over connections of its own.
    ///
    /// ```
    /// let pool = haul::Pool::new();
    /// let download = haul::Download::builder("https://example.org/x").pool(&pool).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn pool(mut self, pool: &Pool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// A list that has the whole target's checksum, a path or a URL: `SHA256SUMS`, `NAME.sha256`, BSD's format, or a value
    /// alone. The line is the one whose path the URL ends with, else the one of the target's name. A URL is fetched
    /// first; the custom headers go there only if it is of the same origin.
    ///
    /// ```
    /// let builder = haul::Download::builder("https://example.org/x.iso");
    /// let download = builder.checksum_file("https://example.org/SHA256SUMS").build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn checksum_file(mut self, path_or_url: impl Into<String>) -> Self {
        self.checksum_file = Some(path_or_url.into());
        self
    }

    /// Compares nothing with the digests that the server sends: for one that sends wrong ones.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").ignore_digests().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn ignore_digests(mut self) -> Self {
        self.request.sent_digests = SentDigests::Ignored;
        self
    }

    /// Leaves `NAME.hashes` beside the target: a CRC of each segment and what the whole was proved by, from which
    /// [`Verify`](crate::Verify) tells later which bytes are damaged, and [`Existing::Repair`] fetches just those again.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").keep_hashes().build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn keep_hashes(mut self) -> Self {
        self.request.beside = Beside::Hashes;
        self
    }

    /// Runs the engine in a smaller world.
    #[cfg(test)]
    pub(crate) fn tuning(mut self, tuning: Tuning) -> Self {
        self.request.tuning = tuning;
        self
    }

    /// Keeps the files on another disk than this machine's.
    #[cfg(test)]
    pub(crate) fn disk(mut self, disk: impl Disk + 'static) -> Self {
        self.request.disk = Arc::new(disk);
        self
    }

    /// Checks everything that can be checked without the network.
    ///
    /// ```
    /// assert!(haul::Download::builder("https://example.org/x").build().is_ok());
    /// assert!(haul::Download::builder("nonsense").build().is_err());
    /// ```
    pub fn build(self) -> Result<Download> {
        validated(self).map(|request| Download::new(Arc::new(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h74_debug_shows_no_secret() {
        let builder = Download::builder("http://me:hunter2@h/x?sig=hunter2").header("X-Key", "hunter2");
        let builder = builder.head_url("http://me:hunter2@h/x?sig=hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
        let download = builder.build().unwrap();
        assert!(!format!("{download:?}").contains("hunter2"), "{download:?}");
    }
}
