//! How servers are asked, for every command that asks one: headers, patience, connections.
//!
//! What may be a secret is never shown: no header's value, no URL of a proxy, no password.

use std::cell::OnceCell;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use haul::{Download, DownloadBuilder, Family, Network, Pool};

use super::args::{ManyArgs, NetworkArgs, RequestArgs, Secret};
use super::exit::Failure;
use super::headers::{BadLine, header, header_lines};
use super::output;
use super::values::{Jobs, Resolved};

/// The word that reads headers from stdin.
pub(crate) const STDIN_HEADERS: &str = "@-";

/// What the options come to, for any number of URLs.
#[derive(Debug)]
pub(crate) struct Requests {
    headers: Vec<(String, String)>,
    pool: Pool,
}

/// The headers that stdin has, read when they are asked for first: it can be read only once.
#[derive(Default)]
pub(crate) struct StdinHeaders(OnceCell<Vec<(String, String)>>);

impl fmt::Debug for StdinHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StdinHeaders([hidden])")
    }
}

impl StdinHeaders {
    fn get(&self) -> Result<Vec<(String, String)>, Failure> {
        if let Some(headers) = self.0.get() {
            return Ok(headers.clone());
        }
        let headers = header_file("stdin", |bytes| io::stdin().read_to_end(bytes))?;
        Ok(self.0.get_or_init(|| headers).clone())
    }
}

impl Requests {
    pub(crate) fn resolve(arguments: &RequestArgs, stdin: &StdinHeaders) -> Result<Self, Failure> {
        Ok(Self { headers: all_headers(arguments, stdin)?, pool: Pool::over(network(&arguments.network)?) })
    }

    /// With no more of them at once.
    pub(crate) fn limited(mut self, many: &ManyArgs) -> Self {
        if let Some(requests) = many.per_host {
            self.pool = self.pool.requests_per_host(requests);
        }
        if let Jobs::Fixed(downloads) = many.parallel_downloads {
            self.pool = self.pool.downloads_per_host(downloads);
        }
        self
    }

    /// A request for that URL, not yet checked.
    pub(crate) fn described(&self, url: &Secret, arguments: &RequestArgs) -> DownloadBuilder {
        let builder = Download::builder(&url.0)
            .pool(&self.pool)
            .connect_timeout(arguments.connect_timeout)
            .timeout(arguments.timeout)
            .retries(arguments.retries)
            .max_wait(arguments.max_wait);
        let builder = self.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        match &arguments.head_url {
            Some(url) => builder.head_url(&url.0),
            None => builder,
        }
    }
}

/// One request for that URL, not yet checked.
pub(crate) fn described(url: &Secret, arguments: &RequestArgs) -> Result<DownloadBuilder, Failure> {
    warn(arguments);
    Ok(Requests::resolve(arguments, &StdinHeaders::default())?.described(url, arguments))
}

/// Says what is given up.
pub(crate) fn warn(arguments: &RequestArgs) {
    if arguments.network.insecure {
        output::stderr(
            "warning: --insecure: certificates are not checked, so that anyone on the way can change the bytes",
        );
    }
}

/// Those of all `-H`, in order, and what other options put into headers.
fn all_headers(arguments: &RequestArgs, stdin: &StdinHeaders) -> Result<Vec<(String, String)>, Failure> {
    let mut all = typed_headers(&arguments.headers, stdin)?;
    let mut add = |name: &str, value: String| all.push((name.to_owned(), value));
    if let Some(Secret(text)) = &arguments.user {
        let login = match text.strip_prefix('@') {
            Some(path) => first_line(Path::new(path))?,
            None => text.clone(),
        };
        if !login.contains(':') {
            return Err(Failure::usage("--user takes NAME:PASSWORD, or @FILE that begins with it"));
        }
        add("Authorization", format!("Basic {}", BASE64_STANDARD.encode(login)));
    }
    if let Some(path) = &arguments.bearer_file {
        add("Authorization", format!("Bearer {}", first_line(path)?));
    }
    if let Some(Secret(page)) = &arguments.referer {
        add("Referer", page.clone());
    }
    Ok(all)
}

/// The headers of all `-H`. Neither a value nor a line that is no header is ever shown.
fn typed_headers(typed: &[Secret], stdin: &StdinHeaders) -> Result<Vec<(String, String)>, Failure> {
    if typed.iter().filter(|text| text.0 == STDIN_HEADERS).count() > 1 {
        return Err(Failure::usage("-H @- twice: stdin can be read only once"));
    }
    let read = |Secret(text): &Secret| match text.strip_prefix('@') {
        Some(_) if text == STDIN_HEADERS => stdin.get(),
        Some(path) => header_file(path, |bytes| File::open(path)?.read_to_end(bytes)),
        None => match header(text) {
            Some(header) => Ok(vec![header]),
            None => Err(Failure::usage("-H takes 'Name: value', or @FILE with one a line")),
        },
    };
    typed.iter().map(read).collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
}

fn header_file(
    place: &str,
    read: impl FnOnce(&mut Vec<u8>) -> io::Result<usize>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut bytes = Vec::new();
    read(&mut bytes).map_err(|error| Failure::io(place, "read headers from it", &error))?;
    header_lines(&bytes)
        .map_err(|BadLine { number, why }| Failure::usage(format!("{place}: line {number} {why}")))
}

fn network(arguments: &NetworkArgs) -> Result<Network, Failure> {
    let NetworkArgs { proxy, cacert, cert, key, insecure, interface, ipv4, ipv6, resolve, user_agent } =
        arguments;
    let mut network = Network::new();
    network = match proxy.as_ref().map(|Secret(url)| url.as_str()) {
        None => network,
        Some("none") => network.no_proxy(),
        Some(url) => network.proxy(url).map_err(|error| of("--proxy", &error))?,
    };
    if let Some(path) = cacert {
        network = network.authorities(&contents(path)?).map_err(|error| of(path.display(), &error))?;
    }
    if let Some(path) = cert {
        let mut pem = contents(path)?;
        if let Some(key) = key {
            pem.push(b'\n');
            pem.extend(contents(key)?);
        }
        network = network.identity(&pem).map_err(|error| of(path.display(), &error))?;
    }
    if let Some(name) = user_agent {
        network = network.user_agent(name).map_err(|error| of("--user-agent", &error))?;
    }
    if let Some(interface) = interface {
        network = network.interface(interface);
    }
    if *ipv4 || *ipv6 {
        network = network.family(if *ipv4 { Family::V4 } else { Family::V6 });
    }
    for Resolved { host, port, addresses } in resolve {
        network = network.resolve(host, *port, addresses.iter().copied());
    }
    Ok(if *insecure { network.insecure() } else { network })
}

fn of(place: impl Display, error: &haul::Error) -> Failure {
    Failure::usage(format!("{place}: {error}"))
}

fn contents(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io(path.display(), "read it", &error))
}

/// A secret that is kept in a file.
fn first_line(path: &Path) -> Result<String, Failure> {
    let bytes = contents(path)?;
    let line = std::str::from_utf8(&bytes).ok().and_then(|text| text.lines().next()).map(str::trim);
    let line = line.filter(|line| !line.is_empty());
    line.map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("{}: its first line is empty", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn headers_come_from_the_command_line_and_from_files_in_order() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# two\nX-B: 2\n\nX-C: 3").unwrap();
        let typed = ["X-A: 1".into(), format!("@{}", file.path().display()), "X-D: 4".into()].map(Secret);
        let names: Vec<_> = typed_headers(&typed, &StdinHeaders::default())
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["X-A", "X-B", "X-C", "X-D"]);
    }
}
