//! The one URL type: what is shown of it never holds a secret (H73, H74).

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// An http(s) URL that shows itself without user, password, query and fragment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SafeUrl(url::Url);

/// User and password as a URL gave them, decoded. Debug shows neither.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Userinfo {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Userinfo([hidden])")
    }
}

/// Who a URL speaks to: the scope of credentials and custom headers (RFC 6454; H31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The one that is spoken to, given or by the scheme.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Origin {
    /// `scheme://host:port`, the port always.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

impl SafeUrl {
    /// Parses what a user typed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(ErrorKind::Usage, format!("'{}' {why}", recognisable(text)))
                .hint("give an http:// or https:// URL")
        };
        let url = url::Url::parse(text).map_err(|error| bad(&format!("is not a URL ({error})")))?;
        Self::from_url(url).ok_or_else(|| bad("is not an http or https URL"))
    }

    /// `None` unless the scheme is http or https and there is a host. The fragment goes: it is never sent.
    pub(crate) fn from_url(mut url: url::Url) -> Option<Self> {
        url.set_fragment(None);
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Self(url))
    }

    pub(crate) fn as_url(&self) -> &url::Url {
        &self.0
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            scheme: self.0.scheme().to_owned(),
            host: self.0.host_str().unwrap_or_default().to_owned(),
            port: self.0.port_or_known_default(),
        }
    }

    /// Takes user and password out of the URL.
    pub(crate) fn take_userinfo(&mut self) -> Option<Userinfo> {
        if self.0.username().is_empty() && self.0.password().is_none() {
            return None;
        }
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decode(self.0.username());
        let password = self.0.password().map(decode);
        // Both fail only for URLs without a host, which `from_url` refuses.
        let _ = self.0.set_username("").and_then(|()| self.0.set_password(None));
        Some(Userinfo { user, password })
    }

    /// The last component of the path, decoded: a proposal for a file name, not yet a safe one.
    pub(crate) fn last_component(&self) -> Option<String> {
        let last = self.0.path_segments()?.next_back()?;
        (!last.is_empty())
            .then(|| percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned())
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        self.0.port().iter().try_for_each(|port| write!(f, ":{port}"))?;
        f.write_str(self.0.path())?;
        if self.0.query().is_some() { f.write_str("?[hidden]") } else { Ok(()) }
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafeUrl({self})")
    }
}

/// What was typed where a URL belongs, as far as nothing in it can be a secret: a header whose `-H` was forgotten
/// ends up here as well.
fn recognisable(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    // Where there is a user, who knows where the password ends: nothing but the scheme is shown.
    let end = if rest.contains('@') { Some(0) } else { rest.find(|c: char| "?#: ".contains(c)) };
    let shown = end.map_or(rest, |end| &rest[..end]);
    let (colon, more) = (if scheme.is_empty() { "" } else { "://" }, if end.is_some() { "…" } else { "" });
    format!("{}{more}", printable(&format!("{scheme}{colon}{shown}")))
}

/// The most characters that are shown of anything a server says.
const LONGEST_SHOWN: usize = 1024;

/// A server's words, harmless on a terminal (H79): control, direction and format characters escaped, and not
/// without end.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    let cut = text.chars().nth(LONGEST_SHOWN).map(|_| "…");
    text.chars().take(LONGEST_SHOWN).map(shown).chain(cut.map(str::to_owned)).collect()
}

/// Whether a character is not seen but acts: on a terminal, or on the order in which others are seen.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h74_nothing_secret_is_shown() {
        let url = SafeUrl::parse("https://user:hunter2@example.org:8443/a/b?sig=s3cret#frag").unwrap();
        assert_eq!(url.to_string(), "https://example.org:8443/a/b?[hidden]");
        assert_eq!(url.origin().to_string(), "https://example.org:8443");
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn h74_a_url_that_is_none_hides_its_secrets_too() {
        for text in [
            "ftp://user:hunter2@h/x?sig=s3cret",
            "http://user:hunter2#s3cret@h/x",
            "http://h:99999/?hunter2",
            "Authorization: Bearer hunter2",
            "user:hunter2",
            "user:hunter2@h/x",
            "h/x?hunter2",
            "-X-Key hunter2",
        ] {
            let shown = SafeUrl::parse(text).unwrap_err().to_string();
            assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
        }
        for (text, shown) in [
            ("nonsense", "'nonsense' is"),
            ("ftp://h/x", "'ftp://h/x' is"),
            ("example.org/x", "'example.org/x' is"),
            ("localhost:8080/x", "'localhost…' is"),
        ] {
            let said = SafeUrl::parse(text).unwrap_err().to_string();
            assert!(said.starts_with(shown), "{said}");
        }
    }

    #[test]
    fn h31_an_origin_is_scheme_host_and_port() {
        let origin = |text| SafeUrl::parse(text).unwrap().origin();
        assert_eq!(origin("http://h/a"), origin("http://h:80/b?c"));
        assert_ne!(origin("http://h/a"), origin("https://h/a"));
        assert_ne!(origin("http://h/a"), origin("http://h:8080/a"));
        assert_ne!(origin("http://h/a"), origin("http://g/a"));
    }

    #[test]
    fn userinfo_is_taken_out_and_decoded() {
        let mut url = SafeUrl::parse("http://us%40er:p%3Aw@h/x").unwrap();
        let userinfo = url.take_userinfo().unwrap();
        assert_eq!(userinfo, Userinfo { user: "us@er".into(), password: Some("p:w".into()) });
        assert_eq!(format!("{userinfo:?}"), "Userinfo([hidden])");
        assert_eq!(url.as_url().as_str(), "http://h/x");
        assert_eq!(url.take_userinfo(), None);
    }

    #[test]
    fn h73_a_user_without_a_password_and_a_password_without_a_user_are_taken_out_too() {
        for (text, user, password) in [("http://me@h/x", "me", None), ("http://:pw@h/x", "", Some("pw"))] {
            let mut url = SafeUrl::parse(text).unwrap();
            let password = password.map(str::to_owned);
            assert_eq!(url.take_userinfo(), Some(Userinfo { user: user.into(), password }), "{text}");
            assert_eq!(url.as_url().as_str(), "http://h/x");
        }
    }

    #[test]
    fn h60_a_url_proposes_the_last_component_of_its_path() {
        for (text, proposed) in [
            ("http://h/a/b.iso?c/d#e/f", Some("b.iso")),
            ("http://h/a%20b%2Fc", Some("a b/c")),
            ("http://h/a/", None),
            ("http://h", None),
        ] {
            assert_eq!(SafeUrl::parse(text).unwrap().last_component().as_deref(), proposed, "{text}");
        }
    }

    #[test]
    fn h79_escapes_are_shown_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
        for evil in
            "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{feff}"
                .chars()
        {
            assert!(printable(&evil.to_string()).is_ascii(), "{evil:?}");
        }
        assert_eq!(printable(&"ä".repeat(60_000)).chars().count(), LONGEST_SHOWN + 1);
    }
}
