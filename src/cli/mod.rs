//! The command line: arguments as typed → resolved → the library's builders, and what people and programs see.
//!
//! ```text
//! args ─► config ─► resolve ─► run ─► queue ─► list, shard   what was asked, decided, done
//!   └► values          └► requests └► signals
//!                               └──► observer ─► events   --json, on stdout
//!                               │        └─► messages, board ─► progress ─► bars ─► map   what a person sees, on stderr
//!                               └──► tally                what it all came to
//! commands: info, status, cancel               exit: codes and failures
//! url_command: a fresh URL                  metalink: files that a document names
//! tune ─► chart, svg; verify                   manual: what is made of the definition: completions, man pages
//! ```
//!
//! Everything that words or decides something is pure; only `output` writes to stdout and stderr (and the bar,
//! which indicatif draws).

mod args;
mod bars;
mod board;
mod chart;
mod command_args;
mod commands;
mod config;
mod events;
mod exit;
mod headers;
mod human;
mod list;
mod manual;
mod map;
mod messages;
mod metalink;
mod observer;
mod output;
mod progress;
mod queue;
mod requests;
mod resolve;
mod run;
mod shard;
mod signals;
mod svg;
mod tally;
mod tune;
mod url_command;
mod values;
mod verify;

pub(crate) use commands::main;
pub(crate) use exit::ExitCode;
