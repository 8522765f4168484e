//! Why a download failed, in one line that names the thing and the way out.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
///
/// ```
/// fn at_most(jobs: usize) -> haul::Result<haul::Download> {
///     haul::Download::builder("https://example.org/x").jobs(jobs).build()
/// }
/// assert!(at_most(1000).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// What sort of failure it was: what a caller decides by, and what the command's exit code says.
///
/// ```
/// use haul::ErrorKind;
/// /// Whether the same download, started later, may go on.
/// fn worth_another_try(kind: ErrorKind) -> bool {
///     matches!(kind, ErrorKind::Network | ErrorKind::Cancelled | ErrorKind::Locked)
/// }
/// assert!(worth_another_try(ErrorKind::Network));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be meant: a URL that is none, a segment size that is no power of two.
    Usage,
    /// The network or the server failed for too long; running again goes on from what is there.
    Network,
    /// The server said no, and will say so again (401, 403, 404, 410, a redirect that must not be followed).
    Refused,
    /// The object is not the one the download began with.
    Changed,
    /// The bytes do not match their digest.
    Corrupt,
    /// This machine said no: disk full, permission, name taken, not a regular file.
    Local,
    /// Another process is downloading to the same target.
    Locked,
    /// The caller cancelled.
    Cancelled,
    /// A bug in haul.
    Internal,
}

/// A failure: its kind, the (redacted) URL or the path it happened at, and what to do about it.
///
/// `Display` gives one line; the chain of causes is in [`source`](StdError::source).
///
/// ```
/// use haul::{Download, ErrorKind};
/// let error = Download::builder("ftp://example.org/x").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Usage);
/// assert!(error.to_string().contains("http"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<String>,
    hint: Option<String>,
    checkpoint: Option<PathBuf>,
    source: Option<Source>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { kind, message, place: None, hint: None, checkpoint: None, source: None }))
    }

    /// An operating system's error at `path`.
    pub(crate) fn io(path: &Path, doing: &str, error: std::io::Error) -> Self {
        let said = match error.kind() {
            std::io::ErrorKind::StorageFull => "the disk is full".to_owned(),
            std::io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
            std::io::ErrorKind::FileTooLarge => {
                "that is longer than the file system or a limit of this process (ulimit -f) allows".to_owned()
            }
            _ => error.to_string(),
        };
        Self::new(ErrorKind::Local, format!("cannot {doing}: {said}")).at(path.display()).caused_by(error)
    }

    /// Whether there is no room for more: a full disk, a quota.
    pub(crate) fn is_lack_of_room(&self) -> bool {
        let source = self.0.source.as_ref().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        })
    }

    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| place.to_string());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What was fetched is kept. That is the way out, where nothing better is known.
    pub(crate) fn resumable_from(mut self, checkpoint: PathBuf) -> Self {
        self.0.hint.get_or_insert_with(|| "the same command again resumes it".to_owned());
        self.0.checkpoint = Some(checkpoint);
        self
    }

    /// What sort of failure it was.
    ///
    /// ```
    /// let error = haul::Download::builder("https://example.org/x").jobs(0).build().unwrap_err();
    /// assert_eq!(error.kind(), haul::ErrorKind::Usage);
    /// ```
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The checkpoint that the same download, started again, resumes from; `None` where nothing was kept.
    ///
    /// ```
    /// let error = haul::Download::builder("https://example.org/x").jobs(0).build().unwrap_err();
    /// assert_eq!(error.checkpoint(), None, "nothing was fetched");
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Path> {
        self.0.checkpoint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, place, hint, .. } = &*self.0;
        if let Some(place) = place {
            write!(f, "{place}: ")?;
        }
        f.write_str(message)?;
        hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("checkpoint", &self.0.checkpoint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_the_thing_and_the_way_out() {
        let error = Error::new(ErrorKind::Local, "the name is taken").at("/tmp/x").hint("use --force");
        assert_eq!(error.to_string(), "/tmp/x: the name is taken; use --force");
    }

    #[test]
    fn the_first_place_named_is_the_closest_to_the_failure_and_stays() {
        let error = Error::new(ErrorKind::Network, "no answer").at("http://a/").at("http://b/");
        assert_eq!(error.to_string(), "http://a/: no answer");
    }
}
