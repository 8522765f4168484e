//! Configuration: options that need not be typed, from a file (`config.toml`) and from variables (`HAUL_*`).
//!
//! ```text
//! keys                what can be configured, by the definition of the command line
//!   ├► file ─► host   what a file says, and for which hosts
//!   ├► variables      what they say
//!   └► merge ─► show  which value counts, and why
//! load                finds and reads; makes of it what could have been typed
//! ```
//!
//! A value that comes from elsewhere is put before what was typed, and the parser of the command line reads it: so it
//! means what the option means. Everything but `load` is pure.

mod file;
mod host;
mod keys;
mod load;
mod merge;
mod show;
mod variables;

pub(crate) use host::PerHost;
pub(crate) use load::{Environment, Invocation, Refusal, base_folder};
