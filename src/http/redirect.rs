//! Where a redirect may lead (RFC 9110 §15.4; H30). Pure.

use std::fmt;

use crate::url::SafeUrl;

/// The most redirects that one request follows.
pub(crate) const MOST: usize = 10;

/// A redirect that is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectFault {
    TooMany,
    Loop,
    NoLocation,
    BadLocation,
    NotHttp,
    Downgrade,
}

impl fmt::Display for RedirectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "more than 10 redirects",
            Self::Loop => "a redirect loop",
            Self::NoLocation => "a redirect without Location",
            Self::BadLocation => "a redirect to something that is not a URL",
            Self::NotHttp => "a redirect to something other than http or https",
            Self::Downgrade => "a redirect from https to http",
        })
    }
}

/// Whether the status asks to go elsewhere with the same GET.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The URLs that one request has been led through.
#[derive(Debug)]
pub(crate) struct Hops(Vec<SafeUrl>);

impl Hops {
    pub(crate) fn new(start: SafeUrl) -> Self {
        Self(vec![start])
    }

    pub(crate) fn here(&self) -> &SafeUrl {
        self.0.last().expect("there is a start")
    }

    /// Follows one Location, relative to where we are.
    pub(crate) fn follow(&mut self, location: Option<&str>) -> Result<(), RedirectFault> {
        let here = self.here();
        let location = location.ok_or(RedirectFault::NoLocation)?;
        let there = here.as_url().join(location).map_err(|_| RedirectFault::BadLocation)?;
        let mut there = SafeUrl::from_url(there).ok_or(RedirectFault::NotHttp)?;
        // Credentials are the user's to give, not the server's (RFC 9110 §4.2.4).
        there.take_userinfo();
        if here.as_url().scheme() == "https" && there.as_url().scheme() == "http" {
            return Err(RedirectFault::Downgrade);
        }
        if self.0.contains(&there) {
            return Err(RedirectFault::Loop);
        }
        if self.0.len() > MOST {
            return Err(RedirectFault::TooMany);
        }
        self.0.push(there);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(start: &str) -> Hops {
        Hops::new(SafeUrl::parse(start).unwrap())
    }

    #[test]
    fn h30_five_statuses_ask_to_go_elsewhere() {
        let asking: Vec<u16> = (100..600).filter(|status| is_redirect(*status)).collect();
        assert_eq!(asking, [301, 302, 303, 307, 308]);
    }

    #[test]
    fn h30_a_location_is_relative_to_where_we_are() {
        let mut hops = from("http://h/a/b?q");
        for (location, expected) in [
            ("c", "http://h/a/c"),
            ("/d", "http://h/d"),
            ("//g/e", "http://g/e"),
            ("https://s/f", "https://s/f"),
            ("https://user:pw@s/g", "https://s/g"),
        ] {
            hops.follow(Some(location)).unwrap();
            assert_eq!(hops.here().as_url().as_str(), expected);
        }
    }

    #[test]
    fn h30_what_is_not_followed() {
        let refused = |start: &str, location| from(start).follow(location).unwrap_err();
        assert_eq!(refused("http://h/", None), RedirectFault::NoLocation);
        assert_eq!(refused("http://h/", Some("http://")), RedirectFault::BadLocation);
        assert_eq!(refused("http://h/", Some("file:///etc/passwd")), RedirectFault::NotHttp);
        assert_eq!(refused("http://h/", Some("javascript:1")), RedirectFault::NotHttp);
        assert_eq!(refused("https://h/", Some("http://h/")), RedirectFault::Downgrade);
        assert_eq!(refused("http://h/", Some("http://h/")), RedirectFault::Loop);
    }

    #[test]
    fn h30_ten_hops_and_no_more() {
        let mut hops = from("http://h/start");
        for hop in 0..MOST {
            hops.follow(Some(&hop.to_string())).unwrap();
        }
        assert_eq!(hops.follow(Some("one-more")), Err(RedirectFault::TooMany));
    }
}
