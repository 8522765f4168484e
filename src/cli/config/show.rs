//! `--show-config`: each option, its value, and who says it; in the words of a file, without secrets. Pure.

use std::ffi::OsStr;

use super::file::Value;
use super::keys::{Key, Kind, Takes};
use super::merge::{Chosen, Said};

const HIDDEN: &str = "[hidden]";
/// Where the sources stand.
const COLUMN: usize = 40;

/// A line for each option.
pub(crate) fn lines(chosen: &[Chosen<'_>]) -> Vec<String> {
    chosen.iter().map(line).collect()
}

fn line(Chosen { key, said }: &Chosen<'_>) -> String {
    let values: Vec<String> = said.iter().flat_map(|said| values(key, &said.value)).collect();
    let from: Vec<String> = said.iter().map(|Said { from, .. }| from.to_string()).collect();
    let name = &key.name;
    let (assignment, from) = match (&values[..], &key.default) {
        ([], Some(default)) => (format!("{name} = {}", literal(default)), "default".to_owned()),
        ([], None) if key.takes == Takes::Nothing => (format!("{name} = false"), "default".to_owned()),
        ([], None) => (format!("# {name} ="), "not set".to_owned()),
        (values, _) if key.takes == Takes::Several => {
            (format!("{name} = [{}]", values.join(", ")), from.join(", "))
        }
        (values, _) => (format!("{name} = {}", values.concat()), from.join(", ")),
    };
    format!("{assignment:COLUMN$} # {from}")
}

fn values(key: &Key, value: &Value) -> Vec<String> {
    match value {
        Value::Flag(flag) => vec![flag.to_string()],
        Value::Words(words) => words.iter().map(|word| literal(&discreet(key, word))).collect(),
    }
}

/// As it stands in a file.
fn literal(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => number.to_string(),
        // A string of JSON is one of TOML.
        Err(_) => serde_json::Value::from(text).to_string(),
    }
}

/// What can be shown of it.
fn discreet(key: &Key, word: &OsStr) -> String {
    let text = word.to_string_lossy();
    match (key.value, key.name.as_str()) {
        (Kind::Secret, "header" | "user") if text.starts_with('@') => text.into_owned(),
        (Kind::Secret, "header") => match text.split_once(':') {
            Some((name, _)) => format!("{name}: {HIDDEN}"),
            None => HIDDEN.to_owned(),
        },
        (Kind::Secret, _) if has_a_secret(key, word) => HIDDEN.to_owned(),
        _ => text.into_owned(),
    }
}

/// Whether others should not read it.
pub(crate) fn has_a_secret(key: &Key, word: &OsStr) -> bool {
    let text = word.to_string_lossy().to_lowercase();
    let tells = |name: &str| {
        ["auth", "cookie", "key", "password", "secret", "token"].iter().any(|word| name.contains(word))
    };
    match (key.value, key.name.as_str()) {
        (Kind::Secret, "header" | "user") if text.starts_with('@') => false,
        (Kind::Secret, "header") => text.split(':').next().is_some_and(tells),
        (Kind::Secret, "user") => true,
        (Kind::Secret, _) => text.contains(['@', '?']),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::args::Cli;
    use super::super::keys::Keys;
    use super::super::merge::Source;
    use super::*;
    use clap::CommandFactory;

    fn shown(name: &str, said: &[(&str, Source)]) -> String {
        let keys = Keys::of(Cli::command());
        let said = said.iter().map(|(words, from)| Said {
            value: if *words == "true" {
                Value::Flag(true)
            } else {
                Value::Words(words.split('|').map(Into::into).collect())
            },
            from: from.clone(),
        });
        let line = line(&Chosen { key: keys.named(name).unwrap(), said: said.collect() });
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_value_is_shown_with_its_source() {
        let variable = || Source::Variable("HAUL_X".into());
        for (name, said, expected) in [
            ("jobs", vec![], "jobs = \"auto\" # default"),
            ("jobs", vec![("16", Source::Typed)], "jobs = 16 # command line"),
            ("max-size", vec![], "# max-size = # not set"),
            ("no-sync", vec![], "no-sync = false # default"),
            ("no-sync", vec![("true", Source::File(3))], "no-sync = true # line 3"),
            ("timeout", vec![("30s", Source::Host("h".into(), 7))], "timeout = \"30s\" # line 7, of h"),
            (
                "resolve",
                vec![("a:1:::1", Source::File(3)), ("b:1:::1|c:1:::1", variable())],
                "resolve = [\"a:1:::1\", \"b:1:::1\", \"c:1:::1\"] # line 3, HAUL_X",
            ),
        ] {
            assert_eq!(shown(name, &said), expected);
        }
    }

    #[test]
    fn h74_secrets_are_not_shown() {
        for (name, word, expected) in [
            ("header", "X-A: hunter2|@/h|hunter2", "header = [\"X-A: [hidden]\", \"@/h\", \"[hidden]\"]"),
            ("user", "me:hunter2", "user = \"[hidden]\""),
            ("user", "@/login", "user = \"@/login\""),
            ("proxy", "http://me:hunter2@h:1", "proxy = \"[hidden]\""),
            ("proxy", "http://h:1", "proxy = \"http://h:1\""),
            ("referer", "http://h/x?hunter2", "referer = \"[hidden]\""),
        ] {
            assert_eq!(shown(name, &[(word, Source::Typed)]), format!("{expected} # command line"));
        }
    }

    #[test]
    fn others_should_not_read_what_lets_in() {
        let keys = Keys::of(Cli::command());
        for (name, word, secret) in [
            ("header", "Authorization: x", true),
            ("header", "X-API-Key: x", true),
            ("header", "Accept: key", false),
            ("header", "@/token", false),
            ("user", "me:x", true),
            ("user", "@/x", false),
            ("proxy", "socks5h://me:x@h", true),
            ("proxy", "socks5h://h", false),
            ("cacert", "/token@x", false),
        ] {
            assert_eq!(has_a_secret(keys.named(name).unwrap(), OsStr::new(word)), secret, "{name}: {word}");
        }
    }
}
