//! The file name that a Content-Disposition proposes (RFC 6266). Pure.

use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;

/// The proposed name, not yet safe to use: `filename*` before `filename` (RFC 6266 §4.3).
pub(crate) fn file_name(value: &HeaderValue) -> Option<String> {
    // Servers send raw UTF-8 in quotes whatever the grammar says.
    let text = String::from_utf8_lossy(value.as_bytes());
    let parameters = parameters(&text);
    let find = |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    find("filename*").and_then(|value| extended(value)).or_else(|| find("filename").cloned())
}

/// `charset'language'percent-encoded` (RFC 8187 §3.2).
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => Some(percent_decode_str(encoded).decode_utf8().ok()?.into_owned()),
        "iso-8859-1" => Some(percent_decode_str(encoded).map(char::from).collect()),
        _ => None,
    }
}

/// The `; name=value` pairs; a `;` inside quotes separates nothing.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.split_once(';').map_or("", |(_type, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_start_matches([';', ' ', '\t']).trim().to_owned();
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, tail) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), tail)
            }
        };
        found.push((name, value));
        rest = tail;
    }
    found
}

/// The content of a quoted string (RFC 9110 §5.6.4) and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Option<String> {
        file_name(&HeaderValue::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn h60_the_forms_that_servers_send() {
        for (text, expected) in [
            ("attachment; filename=\"a b.iso\"", "a b.iso"),
            ("attachment; filename=a.iso", "a.iso"),
            ("attachment;filename=a.iso;size=3", "a.iso"),
            ("attachment; filename=\"a;b.iso\"; x=y", "a;b.iso"),
            ("attachment; x=\"; filename=b\"; filename=a.iso", "a.iso"),
            ("attachment; x=\"\"; filename=a.iso", "a.iso"),
            ("attachment; filename=\"a\\\"b.iso\"", "a\"b.iso"),
            ("attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve", "naïve"),
            ("attachment; FileName*=iso-8859-1'en'%A3.txt; filename=x", "£.txt"),
            ("attachment; filename*=klingon''x; filename=y", "y"),
            ("attachment; filename=\"naïve\"", "naïve"),
        ] {
            assert_eq!(name(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(name("inline"), None);
        assert_eq!(name("attachment; filename"), None);
    }

    proptest! {
        #[test]
        fn h60_nothing_panics(text in "[ -~]{0,60}") {
            let _ = name(&text);
        }
    }
}
