//! What a person sees while an example works, and bytes for people.

use std::io::{self, IsTerminal, Write};

/// A line on stderr that is drawn over and over, on terminals alone.
#[derive(Debug)]
pub(crate) struct StatusLine {
    terminal: bool,
}

impl StatusLine {
    /// A line with nothing on it.
    pub(crate) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }

    /// Shows this instead of what was there.
    pub(crate) fn show(&self, text: &str) {
        if self.terminal {
            // Nobody to show it to is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K  {text}");
        }
    }

    /// Makes room for ordinary output.
    pub(crate) fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// `512.0 MiB`.
pub(crate) fn mib(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1} MiB")
}
