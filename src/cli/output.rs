//! The only place that writes to stdout and stderr, and so the place that sees to it that no terminal obeys what
//! servers and file names say (H79).
//!
//! A reader that has gone away (`haul info … | head -1`) is no failure: what it did not want to read is dropped.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use serde::Serialize;

/// One of the two that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Writes a line to one of the two.
pub(crate) fn to(stream: Stream, line: &str) -> io::Result<()> {
    match stream {
        Stream::Stdout => stdout(line),
        Stream::Stderr => {
            stderr(line);
            Ok(())
        }
    }
}

/// Stdout for bytes that are not ours: as they are, and at once.
#[derive(Debug)]
pub(crate) struct RawStdout;

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout().as_fd(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line to stdout. Fails where what was said would be lost: a full disk.
pub(crate) fn stdout(line: &str) -> io::Result<()> {
    forgive_a_closed_pipe(writeln!(io::stdout().lock(), "{}", harmless(line)))
}

/// Writes a text of our own to stdout, as it is.
pub(crate) fn document(text: &[u8]) -> io::Result<()> {
    forgive_a_closed_pipe(io::stdout().lock().write_all(text))
}

/// Writes a line to stderr. There is nowhere left to complain if that fails.
pub(crate) fn stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(line));
}

/// A text that stays on its line and that no terminal obeys: `\u{1b}` in place of an escape.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| if is_obeyed(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// JSON on one line. What a terminal would obey is escaped the way JSON has for it: the values stay as they are.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("strings and numbers have a form in JSON");
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            // Outside of strings JSON has none of these; none of them needs two units of UTF-16.
            write!(harmless, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// Controls (C0, DEL, C1), and what hides text or turns its direction.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn forgive_a_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str =
        "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{feff}";

    #[test]
    fn h79_a_line_is_a_line_and_obeyed_by_no_terminal() {
        assert_eq!(harmless("a\n  b\u{1b}[31m"), "a\\u{a}  b\\u{1b}[31m");
        assert!(harmless(EVIL).is_ascii() && !harmless(EVIL).contains(char::is_control));
        assert_eq!(harmless("naïve \\ ☃"), "naïve \\ ☃");
    }

    #[test]
    fn h79_json_keeps_its_values_and_is_obeyed_by_no_terminal() {
        let text = json(&[EVIL, "naïve \\ ☃ 𝄞"]);
        assert!(!text.contains(is_obeyed), "{text:?}");
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, [EVIL, "naïve \\ ☃ 𝄞"]);
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert!(forgive_a_closed_pipe(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive_a_closed_pipe(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
