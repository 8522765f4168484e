//! The mirrors that a server offers in Link headers (RFC 6249 §3, RFC 8288 §3). Pure.

use reqwest::header::{self, HeaderMap};

use crate::url::SafeUrl;

/// Where the head says that the same object is, the best first. Whether that is so is for others to find out.
///
/// Only whole URLs that are no less safe than `here`, and without the users that they name: those are nobody's.
pub(crate) fn duplicates(head: &HeaderMap, here: &SafeUrl) -> Vec<SafeUrl> {
    let lines = head.get_all(header::LINK).iter().filter_map(|line| line.to_str().ok());
    let mut found: Vec<_> = lines.flat_map(links).filter_map(|link| duplicate(&link, here)).collect();
    found.sort_by_key(|(priority, _)| *priority);
    found.into_iter().map(|(_, url)| url).collect()
}

/// One link of a header: what it leads to, and its parameters.
struct Link<'a> {
    target: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

fn duplicate(link: &Link<'_>, here: &SafeUrl) -> Option<(u32, SafeUrl)> {
    let find = |name: &str| link.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    let (_, relations) = find("rel")?;
    if !relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("duplicate")) {
        return None;
    }
    let mut url = SafeUrl::parse(link.target).ok()?;
    let safe = url.as_url().scheme() == "https" || here.as_url().scheme() == "http";
    let _nobody = url.take_userinfo();
    // 1 is the best; who says nothing comes last (RFC 6249 §3.1).
    let priority = find("pri").and_then(|(_, priority)| priority.parse().ok()).unwrap_or(u32::MAX);
    safe.then_some((priority, url))
}

/// `<URL>; name=value; name="value", …`; what cannot be read ends the line.
fn links(line: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((target, after)) = rest.split_once('<').and_then(|(_, after)| after.split_once('>')) {
        let (mut parameters, mut after) = (Vec::new(), after.trim_start());
        while let Some(more) = after.strip_prefix(';') {
            let (parameter, left) = parameter(more);
            parameters.push(parameter);
            after = left.trim_start();
        }
        found.push(Link { target: target.trim(), parameters });
        let Some(more) = after.strip_prefix(',') else { break };
        rest = more;
    }
    found
}

/// `name=value` or `name="value"` or `name`, and what follows it.
fn parameter(text: &str) -> ((&str, &str), &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = (text[..end].trim(), &text[end..]);
    let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { return ((name, ""), rest) };
    let (value, rest) = match value.strip_prefix('"') {
        // No relation and no number has a quote in it that would have to be escaped.
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => value.split_at(value.find([';', ',']).unwrap_or(value.len())),
    };
    ((name, value.trim()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(here: &str, lines: &[&str]) -> Vec<String> {
        let mut head = HeaderMap::new();
        for line in lines {
            head.append(header::LINK, line.parse().unwrap());
        }
        let urls = duplicates(&head, &SafeUrl::parse(here).unwrap());
        urls.into_iter().map(|url| url.as_url().to_string()).collect()
    }

    #[test]
    fn duplicates_are_found_and_the_best_comes_first() {
        let lines = [
            "<http://b/x>; rel=duplicate; pri=2; geo=de, <http://c/x>;rel=\"describedby duplicate\"",
            "<http://no/x>; rel=describedby, <http://a/x?a=1,2;b>; pri=\"1\" ; REL=Duplicate; pref",
        ];
        assert_eq!(found("http://h/x", &lines), ["http://a/x?a=1,2;b", "http://b/x", "http://c/x"]);
        assert!(found("http://h/x", &[]).is_empty());
    }

    #[test]
    fn what_is_unsafe_or_cannot_be_read_is_none() {
        for line in [
            "<http://b/x>; rel=duplicate",
            "<file:///etc/passwd>; rel=duplicate",
            "</x>; rel=duplicate",
            "<https://b/x; rel=duplicate",
            "https://b/x; rel=duplicate",
            "<https://b/x>",
            "<https://b/x>; title=\"duplicate",
            "<https://b/x> rel=duplicate",
            "",
        ] {
            assert!(found("https://h/x", &[line]).is_empty(), "{line}");
        }
        assert_eq!(found("https://h/x", &["<https://me:key@b/x>; rel=duplicate"]), ["https://b/x"]);
    }
}
