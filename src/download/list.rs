//! The list of checksums that the target is looked up in: a file here, or one that is fetched first.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use reqwest::header::HeaderMap;

use super::blocking::blocking;
use super::look::Looker;
use super::reporter::Reporter;
use super::request::Request;
use super::session::Session;
use super::target::Target;
use crate::checksum::{ChecksumList, NotListed, Proof, ProofSource};
use crate::error::{Error, ErrorKind, Result};
use crate::http::client::Client;
use crate::url::SafeUrl;

/// The most bytes of a list: those of the largest mirrors have a tenth.
const MOST_BYTES: u64 = 16 << 20;

/// Where a list of checksums is.
#[derive(Clone, Debug)]
pub(crate) enum ListSource {
    File(PathBuf),
    Url(SafeUrl),
}

impl ListSource {
    /// What begins as a URL is one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let is_url = ["http://", "https://"]
            .iter()
            .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        if is_url { SafeUrl::parse(text).map(Self::Url) } else { Ok(Self::File(text.into())) }
    }

    /// What the list is called.
    fn name(&self) -> String {
        let name = match self {
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Url(url) => decoded(url).rsplit('/').next().unwrap_or_default().to_owned(),
        };
        if name.is_empty() { self.to_string() } else { name }
    }
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

fn decoded(url: &SafeUrl) -> String {
    percent_decode_str(url.as_url().path()).decode_utf8_lossy().into_owned()
}

impl Session {
    /// Reads the list, if there is one: before anything is fetched, since the target may be there already.
    pub(super) async fn read_list(&mut self) -> Result<()> {
        let Some(source) = &self.request.checksum_list else { return Ok(()) };
        let bytes = match source.clone() {
            ListSource::File(path) => blocking(move || read_file(&path)).await?,
            ListSource::Url(mut url) => {
                let client = self.client.logged_in_at(&mut url);
                let looker = Looker { client: &client, url: &url, ..self.looker() };
                self.unless_cancelled(fetch(&looker)).await?
            }
        };
        self.list = Some(parsed(&bytes, source));
        Ok(())
    }

    /// Looks the target up in the list.
    pub(super) fn look_up(&mut self, target: &Target) -> Result<()> {
        let (Some(list), Some(source)) = (&self.list, &self.request.checksum_list) else { return Ok(()) };
        let name = target.name().to_string_lossy();
        self.listed = Some(looked_up(list, source, &decoded(&self.url), &name)?);
        Ok(())
    }
}

/// Reads a list on its own. `request`: by what it is fetched, where it is at a URL.
pub(crate) async fn read(source: &ListSource, request: Option<&Request>) -> Result<ChecksumList> {
    let bytes = match (source.clone(), request) {
        (ListSource::Url(mut url), Some(request)) => {
            let client = Client::new(request.pool.connections(), &mut url, request.client_options());
            client.set_up(&url).await?;
            let reporter = Reporter::silent();
            let (reporter, condition) = (&reporter, HeaderMap::new());
            let looker = Looker {
                client: &client,
                url: &url,
                request,
                reporter,
                admission: None,
                condition,
                again: false,
            };
            fetch(&looker).await?
        }
        (ListSource::Url(url), None) => {
            return Err(Error::new(ErrorKind::Internal, "nobody is to fetch it").at(url));
        }
        (ListSource::File(path), _) => blocking(move || read_file(&path)).await?,
    };
    Ok(parsed(&bytes, source))
}

/// What a list says of the file that has this path, or name.
pub(crate) fn looked_up(list: &ChecksumList, source: &ListSource, path: &str, name: &str) -> Result<Proof> {
    let found = list.of(path, name).map_err(|why| {
        let message = match why {
            NotListed::Nowhere => format!("has no checksum of {name}"),
            NotListed::Twice => format!("has different checksums of {name}"),
        };
        Error::new(ErrorKind::Usage, message).at(source).hint("use --checksum")
    })?;
    Ok(Proof { checksum: found, source: ProofSource::List(source.name()) })
}

fn parsed(bytes: &[u8], source: &ListSource) -> ChecksumList {
    ChecksumList::parse(&String::from_utf8_lossy(bytes), &source.name())
}

async fn fetch(looker: &Looker<'_>) -> Result<Vec<u8>> {
    let (mut body, _) = looker.whole().await?.into_whole()?;
    let mut bytes = Vec::new();
    let failed =
        |fault| Error::new(ErrorKind::Network, format!("{fault}")).at(looker.url).hint("try again later");
    while let Some(more) = body.chunk().await.map_err(failed)? {
        bytes.extend(more);
        if bytes.len() as u64 > MOST_BYTES {
            return Err(too_long(looker.url));
        }
    }
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::io(path, "read checksums from it", error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES { Err(too_long(path.display())) } else { Ok(bytes) }
}

fn too_long(place: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Local, "is too long to be a list of checksums").at(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_called_by_the_last_part_of_its_path() {
        for (text, name) in [
            ("SHA256SUMS", "SHA256SUMS"),
            ("/tmp/x.iso.sha256", "x.iso.sha256"),
            ("https://h/pub/SHA256%53UMS?sig=1", "SHA256SUMS"),
            ("HTTP://h/", "http://h/"),
        ] {
            assert_eq!(ListSource::parse(text).unwrap().name(), name);
        }
        assert!(ListSource::parse("http://").is_err());
    }
}
