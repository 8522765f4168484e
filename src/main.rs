//! The `haul` command: parse, run, exit code. Everything else is in [`cli`], which sees only the public library.

mod cli;

use std::process::ExitCode;
use std::{env, panic};

fn main() -> ExitCode {
    // A panic is a bug, and the contract's number for one is 1, not Rust's 101.
    let typed: Vec<_> = env::args_os().collect();
    panic::catch_unwind(|| cli::main(&typed)).unwrap_or(cli::ExitCode::Internal).into()
}
