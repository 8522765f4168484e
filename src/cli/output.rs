//! The only place that writes to stdout and stderr.
//!
//! A reader that has gone away (`haul info … | head -1`) is no failure: what it did not want to read is dropped.

use std::io::{self, ErrorKind, Write};

/// Writes to stdout, with a line break. Fails where what was said would be lost: a full disk.
pub(crate) fn stdout(text: &str) -> io::Result<()> {
    forgive_a_closed_pipe(writeln!(io::stdout().lock(), "{text}"))
}

/// Writes a line to stderr. There is nowhere left to complain if that fails.
pub(crate) fn stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
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

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert!(forgive_a_closed_pipe(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive_a_closed_pipe(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
