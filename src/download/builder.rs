//! Describes a download, and checks what can be checked without the network.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::request::{Download, Existing, OnChange, Output, Request};
use super::tuning::Tuning;
use crate::error::{Error, ErrorKind, Result};
use crate::range::{MAX_LENGTH, Part, Segments};
use crate::store::disk::SystemDisk;
#[cfg(test)]
use crate::store::medium::Disk;
use crate::store::medium::Durability;
use crate::url::{SafeUrl, printable};

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
    url: String,
    head_url: Option<String>,
    headers: Vec<(String, String)>,
    checksums: Vec<String>,
    request: Request,
}

/// Headers that haul sets, because its promises hang on them.
const OURS: [HeaderName; 13] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::CACHE_CONTROL,
];

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
            output: Output::Proposed,
            dir: PathBuf::from("."),
            jobs: 8,
            segment_size: None,
            headers: HeaderMap::new(),
            part: Part::From(0),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(15),
            retries: 5,
            on_change: OnChange::Restart,
            existing: Existing::Refuse,
            durability: Durability::PowerCut,
            max_wait: Duration::from_secs(600),
            max_size: None,
            ignore_checkpoint: false,
            allow_unvalidated: false,
            checksums: Vec::new(),
            tuning: Tuning::default(),
            disk: Arc::new(SystemDisk),
        };
        Self { url, head_url: None, headers: Vec::new(), checksums: Vec::new(), request }
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

    /// How many ranges are fetched at once, 1 to 256.
    ///
    /// ```
    /// let download = haul::Download::builder("https://example.org/x").jobs(16).build()?;
    /// # Ok::<(), haul::Error>(())
    /// ```
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.request.jobs = jobs;
        self
    }

    /// The unit of the checkpoint in bytes: a power of two from 64 KiB to 1 GiB. By default it follows from the
    /// length, 256 KiB to 64 MiB. A resumed download keeps the one it began with.
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

    /// What the whole target has to come to, `ALGO:VALUE` in hex or base64; may be given more than once. A
    /// `Repr-Digest` that the server sends is compared without being asked for.
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
        let mut request = self.request;
        request.url = SafeUrl::parse(&self.url)?;
        request.head_url = self.head_url.as_deref().map(SafeUrl::parse).transpose()?;
        request.checksums = self.checksums.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        if request.output == Output::Nowhere && !request.checksums.is_empty() {
            return Err(usage("a checksum of what is discarded", "name a file with -o"));
        }
        if !(1..=256).contains(&request.jobs) {
            return Err(usage(format!("{} jobs", request.jobs), "use 1 to 256"));
        }
        if let Some(size) = request.segment_size.filter(|size| Segments::new(0, *size).is_none()) {
            return Err(usage(
                format!("a segment size of {size}"),
                "use a power of two from 64 KiB to 1 GiB",
            ));
        }
        let empty = match request.part {
            Part::From(start) => start >= MAX_LENGTH,
            Part::Span(range) => range.start >= range.end || range.end > MAX_LENGTH,
            Part::Last(count) => count == 0,
        };
        if empty {
            return Err(usage("a part without a byte", "use A-B with A ≤ B, A-, or -N"));
        }
        for (name, value) in &self.headers {
            let (name, value) = custom_header(name, value)?;
            request.headers.append(name, value);
        }
        Ok(Download::new(Arc::new(request)))
    }
}

fn usage(message: impl Into<String>, hint: &str) -> Error {
    Error::new(ErrorKind::Usage, message).hint(hint)
}

fn custom_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let shown = printable(name);
    // The value may be a secret: it is never shown.
    // Spaces around a header are nothing; a line break is an attempt at two, and never silently dropped (H80).
    let padding = [' ', '\t'];
    let name = HeaderName::try_from(name.trim_matches(padding))
        .map_err(|_| usage(format!("'{shown}' is not a header's name"), "write 'Name: value'"))?;
    let mut value = HeaderValue::try_from(value.trim_matches(padding)).map_err(|_| {
        usage(
            format!("the value of header {shown} has a character that cannot be sent"),
            "remove line breaks",
        )
    })?;
    value.set_sensitive(true);
    if OURS.contains(&name) {
        return Err(usage(format!("header {shown} is haul's own"), "leave it out"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: DownloadBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.to_string()
    }

    fn builder() -> DownloadBuilder {
        Download::builder("http://h/x")
    }

    #[test]
    fn bad_input_is_named_with_a_way_out() {
        for (builder, named) in [
            (Download::builder("nonsense"), "nonsense"),
            (Download::builder("file:///etc/passwd"), "http"),
            (builder().head_url("gopher://h/x"), "http"),
            (builder().jobs(0), "0 jobs"),
            (builder().jobs(257), "257 jobs"),
            (builder().segment_size(100_000), "100000"),
            (builder().segment_size(32 << 10), "32768"),
            (builder().part(Part::Last(0)), "part"),
            (builder().part(Part::From(u64::MAX)), "part"),
            (builder().header("a b", "c"), "a b"),
            (builder().header("range", "bytes=0-1"), "range"),
        ] {
            let said = refused(builder);
            assert!(said.contains(named), "{said}");
        }
    }

    #[test]
    fn h80_line_breaks_in_headers_are_refused_and_the_value_is_not_shown() {
        let said = refused(builder().header("X-Key", "s3cret\r\nEvil: yes"));
        assert!(said.contains("X-Key") && !said.contains("s3cret"), "{said}");
        refused(builder().header("X-Key\r\nEvil", "yes"));
        for value in ["s3cret\n", "s3cret\r", "\ns3cret", "s3\0cret", "s3cret\0"] {
            assert!(!refused(builder().header("X-Key", value)).contains("cret"), "{value:?}");
        }
        refused(builder().header("X-Key\n", "yes"));
    }

    #[test]
    fn h74_debug_shows_no_secret() {
        let builder = Download::builder("http://me:hunter2@h/x?sig=hunter2").header("X-Key", "hunter2");
        let builder = builder.head_url("http://me:hunter2@h/x?sig=hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
        let download = builder.build().unwrap();
        assert!(!format!("{download:?}").contains("hunter2"), "{download:?}");
    }
}
