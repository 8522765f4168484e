//! The `haul` command: parse, run, exit code. Everything else is in [`cli`], which sees only the public library.

mod cli;

use std::panic;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A panic is a bug, and the contract's number for one is 1, not Rust's 101.
    panic::catch_unwind(|| match cli::Cli::try_parse() {
        Ok(cli) => cli::execute(cli),
        Err(error) => cli::refuse(&error),
    })
    .unwrap_or(cli::ExitCode::Internal)
    .into()
}
