//! How the command ends: exit codes, and failures on their way to them.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;

use clap::error::{ContextKind, ContextValue};
use haul::ErrorKind;

use super::output;

/// The command's exit codes. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// The target is whole and named, or was already; the question is answered.
    Success = 0,
    /// A bug in haul.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The network or the server failed for too long; what is there is kept.
    Network = 3,
    /// The server said no, and will say so again.
    Refused = 4,
    /// The object changed.
    Changed = 5,
    /// The bytes do not match their digest.
    Corrupt = 6,
    /// This machine said no: disk full, permission, name taken.
    Local = 7,
    /// Another process is downloading to the same target.
    Locked = 8,
    /// SIGHUP: 128 + 1.
    HungUp = 129,
    /// SIGINT: 128 + 2.
    Interrupted = 130,
    /// Who reads stdout has gone: 128 + SIGPIPE, as of other programs in a pipe.
    ClosedPipe = 141,
    /// SIGTERM: 128 + 15.
    Terminated = 143,
}

impl ExitCode {
    /// The number that the parent process sees.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Whether a signal was first.
    pub(crate) fn is_signal(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }

    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Network => "network",
            Self::Refused => "refused",
            Self::Changed => "changed",
            Self::Corrupt => "corrupt",
            Self::Local => "local",
            Self::Locked => "locked",
            Self::ClosedPipe => "closed_pipe",
            Self::HungUp | Self::Interrupted | Self::Terminated => "cancelled",
        }
    }
}

impl From<ErrorKind> for ExitCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Internal => Self::Internal,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Network => Self::Network,
            ErrorKind::Refused => Self::Refused,
            ErrorKind::Changed => Self::Changed,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Local => Self::Local,
            ErrorKind::Locked => Self::Locked,
            // Only a signal cancels; where it is known which, that one's number is used instead.
            ErrorKind::Cancelled => Self::Interrupted,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

/// Why the command failed: one line, and the causes for who asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    /// From the nearest to the root.
    pub(crate) causes: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new() }
    }

    /// The command line is wrong in a way that its parser cannot know.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// The operating system said no: `place` is the path or the thing it was about.
    pub(crate) fn io(place: impl Display, doing: &str, error: &io::Error) -> Self {
        Self::new(ExitCode::Local, format!("{place}: cannot {doing}: {error}"))
    }

    /// Names the place in a list that it is about.
    pub(crate) fn at(self, place: impl Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// Says it on stderr, in one line; with its causes, one line each, where they are asked for.
    pub(crate) fn report(&self, with_causes: bool) {
        if self.code == ExitCode::ClosedPipe {
            // That is how pipes end: `haul -o - URL | head`.
            return;
        }
        output::stderr(&format!("haul: {}", self.message));
        for cause in self.causes.iter().filter(|_| with_causes) {
            output::stderr(&format!("  because: {cause}"));
        }
    }
}

impl From<haul::Error> for Failure {
    fn from(error: haul::Error) -> Self {
        let causes =
            std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source())
                .map(ToString::to_string);
        let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let closed = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
        let code = if closed { ExitCode::ClosedPipe } else { error.kind().into() };
        Self { code, message: error.to_string(), causes: causes.collect() }
    }
}

/// What clap has to say: help and version on stdout, anything else as one line on stderr.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let failure = Failure::usage(condensed(&discreet(error)));
        failure.report(false);
        return failure.code;
    }
    match error.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::io("stdout", "write the help", &error);
            failure.report(false);
            failure.code
        }
        _ => ExitCode::Success,
    }
}

/// clap's page about an error, without what may be a secret in the wrong place: a second URL, or a header whose
/// `-H` was forgotten.
fn discreet(error: &clap::Error) -> String {
    let typed = [ContextKind::InvalidArg, ContextKind::InvalidValue].map(|kind| error.get(kind));
    let page = error.render().to_string();
    typed.into_iter().flatten().fold(page, |page, typed| match typed {
        ContextValue::String(text) if text.contains([':', '@', '?']) => page.replace(text, "[hidden]"),
        _ => page,
    })
}

/// The parser's error about something that was not typed.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    told(&discreet(error))
}

/// clap's page about an error as one line: what is wrong and its tips, without the usage.
fn condensed(page: &str) -> String {
    format!("{}; see haul --help", told(page))
}

fn told(page: &str) -> String {
    let paragraphs = page.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let told =
        paragraphs.filter(|text| !text.starts_with("Usage:") && !text.starts_with("For more information"));
    let told: Vec<String> =
        told.map(|text| text.trim_start_matches("error: ").trim_start_matches("tip: ").to_owned()).collect();
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::args::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn kinds_have_the_contracts_numbers_and_words() {
        for (kind, number, word) in [
            (ErrorKind::Internal, 1, "internal"),
            (ErrorKind::Usage, 2, "usage"),
            (ErrorKind::Network, 3, "network"),
            (ErrorKind::Refused, 4, "refused"),
            (ErrorKind::Changed, 5, "changed"),
            (ErrorKind::Corrupt, 6, "corrupt"),
            (ErrorKind::Local, 7, "local"),
            (ErrorKind::Locked, 8, "locked"),
            (ErrorKind::Cancelled, 130, "cancelled"),
        ] {
            let code = ExitCode::from(kind);
            assert_eq!((code.number(), code.word()), (number, word), "{kind:?}");
        }
    }

    #[test]
    fn signals_are_128_and_their_number() {
        assert_eq!(
            [ExitCode::HungUp, ExitCode::Interrupted, ExitCode::Terminated].map(ExitCode::number),
            [129, 130, 143]
        );
    }

    #[test]
    fn a_parsers_page_becomes_one_line() {
        for (line, expected) in [
            (
                "haul --forse http://h/x",
                "unexpected argument '--forse' found; a similar argument exists: '--force'; see haul --help",
            ),
            ("haul", "the following required arguments were not provided: <URL>...; see haul --help"),
            (
                "haul --on-change x http://h/x",
                "invalid value 'x' for '--on-change <WHAT>' [possible values: restart, fail]; see haul --help",
            ),
            (
                "haul -j some http://h/x",
                "invalid value 'some' for '--jobs <N|auto>': give a number from 1 to 256, or auto; see haul --help",
            ),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(condensed(&error.render().to_string()), expected);
        }
    }

    #[test]
    fn h74_a_secret_in_the_wrong_place_is_not_shown() {
        for (arguments, said) in [
            (&["haul", "info", "http://h/x", "http://me:hunter2@h/x"][..], "unexpected argument '[hidden]'"),
            (&["haul", "status", "x", "X-Key: hunter2"], "unexpected argument '[hidden]'"),
            (&["haul", "--timeout", "http://h/x?hunter2", "http://h/x"], "invalid value '[hidden]' for"),
            (&["haul", "--heater=X-Key: hunter2", "http://h/x"], "unexpected argument '--heater' found"),
            (&["haul", "--restart=X-Key: hunter2", "http://h/x"], "'[hidden]'"),
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let line = condensed(&discreet(&error));
            assert!(line.contains(said) && !line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn causes_come_from_the_nearest_to_the_root() {
        let error = haul::Download::builder("nonsense").build().unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(failure.message.contains("nonsense"));
    }
}
