//! What the variables `HAUL_*` say. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::super::exit::in_one_line;
use super::file::Value;
use super::keys::{Key, Keys, Takes};
use super::merge::{Layer, Said, Source};

/// One for each option; an empty one is none.
pub(crate) fn read(keys: &Keys, variable: impl Fn(&str) -> Option<OsString>) -> Result<Layer, String> {
    let mut layer = Layer::new();
    for key in keys.iter() {
        let name = key.variable();
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let value = value(keys, key, &text).map_err(|why| format!("{name}: {why}"))?;
        layer.insert(key.name.clone(), Said { value, from: Source::Variable(name) });
    }
    Ok(layer)
}

fn value(keys: &Keys, key: &Key, text: &OsStr) -> Result<Value, String> {
    if key.takes == Takes::Nothing {
        return match text.to_ascii_lowercase().to_str() {
            Some("1" | "true" | "yes") => Ok(Value::Flag(true)),
            Some("0" | "false" | "no") => Ok(Value::Flag(false)),
            _ => Err("it is true or false".to_owned()),
        };
    }
    let words: Vec<OsString> = match key.takes {
        Takes::Several => {
            let lines = text.as_bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| OsStr::from_bytes(line).to_owned()).collect()
        }
        _ => vec![text.to_owned()],
    };
    match words.iter().find_map(|word| keys.refusal(key, word)) {
        Some(error) => Err(in_one_line(&error)),
        None => Ok(Value::Words(words)),
    }
}

/// Why a variable does nothing that looks as though it did: a slip, or an option that is of one run.
pub(crate) fn strange(keys: &Keys, name: &str) -> Option<String> {
    let option = name.strip_prefix("HAUL_")?.to_lowercase().replace('_', "-");
    let key = match keys.likely(&option) {
        Some(likely) if likely == option => return None,
        Some(likely) => keys.named(likely).ok()?,
        None => return None,
    };
    Some(format!("warning: {name} says nothing to haul; perhaps {} is meant", key.variable()))
}

#[cfg(test)]
mod tests {
    use super::super::super::args::Cli;
    use super::*;
    use clap::CommandFactory;

    fn said(name: &str, text: &str) -> Result<Option<Value>, String> {
        let keys = Keys::of(Cli::command());
        let variable = |asked: &str| (asked == name).then(|| OsString::from(text));
        read(&keys, variable).map(|layer| layer.into_values().next().map(|said| said.value))
    }

    #[test]
    fn a_variable_says_what_its_option_says() {
        let words = |text: &str| Ok(Some(Value::Words(text.split('|').map(Into::into).collect())));
        for (name, text, expected) in [
            ("HAUL_JOBS", "16", words("16")),
            ("HAUL_JOBS", "", Ok(None)),
            ("HAUL_MAX_WAIT", "1m", words("1m")),
            ("HAUL_HEADER", "X-A: 1\n\nX-B: 2\n", words("X-A: 1|X-B: 2")),
            ("HAUL_CACERT", "ca.pem", words("ca.pem")),
            ("HAUL_NO_SYNC", "TRUE", Ok(Some(Value::Flag(true)))),
            ("HAUL_NO_SYNC", "0", Ok(Some(Value::Flag(false)))),
            ("HAUL_OUTPUT", "x", Ok(None)),
        ] {
            assert_eq!(said(name, text), expected, "{name}={text}");
        }
        for (name, text, why) in [
            ("HAUL_JOBS", "some", "HAUL_JOBS: invalid value 'some'"),
            ("HAUL_NO_SYNC", "maybe", "HAUL_NO_SYNC: it is true or false"),
        ] {
            assert!(said(name, text).unwrap_err().starts_with(why), "{name}={text}");
        }
    }

    #[test]
    fn a_slip_is_told() {
        let keys = Keys::of(Cli::command());
        assert!(strange(&keys, "HAUL_JBOS").unwrap().contains("perhaps HAUL_JOBS"));
        assert!(strange(&keys, "HAUL_MAXWAIT").unwrap().contains("perhaps HAUL_MAX_WAIT"));
        for fine in ["HAUL_JOBS", "HAUL_SEED", "HAUL_KILLS", "HAUL_BENCH_DIR", "HAUL_OUTPUT", "PATH"] {
            assert_eq!(strange(&keys, fine), None, "{fine}");
        }
    }
}
