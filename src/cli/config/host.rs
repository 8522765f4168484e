//! For which hosts a part of a file is. Pure.

use url::Url;

/// `example.org`, `*.example.org`, either with a scheme before it or a port behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    /// `https://` and no other.
    scheme: Option<String>,
    /// Everything below the name, and not the name itself.
    below: bool,
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (below, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        // As the URLs have it that are compared with it: in lower case, its letters as in the DNS.
        let url = Url::parse(&format!("http://{rest}")).ok()?;
        let bare = url.path() == "/" && !rest.contains(['/', '@', '?', '#', '*']);
        let is_number = |port: &&str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = rest.rsplit_once(':').map(|(_, port)| port).filter(is_number);
        let port = port.map(str::parse).transpose().ok()?;
        bare.then_some(Self { scheme, below, host: url.host_str()?.to_owned(), port })
    }

    fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let host = if self.below {
            host.strip_suffix(&self.host).is_some_and(|more| more.len() > 1 && more.ends_with('.'))
        } else {
            host == self.host
        };
        host && self.scheme.as_ref().is_none_or(|scheme| scheme == url.scheme())
            && self.port.is_none_or(|port| Some(port) == url.port_or_known_default())
    }

    /// How much it says: what says more comes before what says less.
    fn exactness(&self) -> (bool, usize, bool, bool) {
        (!self.below, self.host.len(), self.port.is_some(), self.scheme.is_some())
    }
}

/// One for each host that is named, and one for all others.
#[derive(Clone, Debug)]
pub(crate) struct PerHost<T> {
    pub(crate) general: T,
    pub(crate) hosts: Vec<(HostPattern, T)>,
}

impl<T> PerHost<T> {
    /// For whom this URL goes to: the pattern that says most, and no other.
    pub(crate) fn of(&self, url: &str) -> &T {
        let Ok(url) = Url::parse(url) else { return &self.general };
        let matching = self.hosts.iter().filter(|(pattern, _)| pattern.matches(&url));
        matching.max_by_key(|(pattern, _)| pattern.exactness()).map_or(&self.general, |(_, own)| own)
    }

    pub(crate) fn map<U>(self, mut with: impl FnMut(T) -> U) -> PerHost<U> {
        let general = with(self.general);
        PerHost { general, hosts: self.hosts.into_iter().map(|(host, one)| (host, with(one))).collect() }
    }
}

impl<T> From<T> for PerHost<T> {
    fn from(general: T) -> Self {
        Self { general, hosts: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_section_that_says_most() {
        let patterns = [
            "example.org",
            "*.example.org",
            "*.cdn.example.org",
            "https://example.org",
            "example.org:8443",
            "b\u{fc}cher.example",
            "[::1]",
            "*.com",
        ];
        let hosts = patterns.map(|text| (HostPattern::parse(text).unwrap(), text)).to_vec();
        let hosts = PerHost { general: "none", hosts };
        for (url, section) in [
            ("http://example.org/x", "example.org"),
            ("http://EXAMPLE.org:80/x", "example.org"),
            ("https://me:pw@example.org/x?q", "https://example.org"),
            ("https://example.org:8443/x", "example.org:8443"),
            ("http://a.example.org/", "*.example.org"),
            ("http://a.b.cdn.example.org/", "*.cdn.example.org"),
            ("http://badexample.org/", "none"),
            ("http://.example.org/", "none"),
            ("http://example.org.evil.net/", "none"),
            ("http://xn--bcher-kva.example/", "b\u{fc}cher.example"),
            ("http://[0::1]:8080/x", "[::1]"),
            ("http://a.com", "*.com"),
            ("nonsense", "none"),
        ] {
            assert_eq!(*hosts.of(url), section, "{url}");
        }
    }

    #[test]
    fn a_pattern_is_a_host_and_nothing_more() {
        for text in [
            "", "*", "*.", "ftp://h", "h/x", "me@h", "h?q", "h#f", "a*.h", "h:x", "h:99999", "::1", "h/",
            "https://", "a b",
        ] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
        let port = |text| HostPattern::parse(text).unwrap().port;
        assert_eq!((port("h:80"), port("https://h:443"), port("h")), (Some(80), Some(443), None));
    }
}
