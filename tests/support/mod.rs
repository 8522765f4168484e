//! A scripted, deterministic, misbehaving HTTP/1.1 server on loopback, for tests, examples and benchmarks.
//!
//! It is std sockets and threads on purpose: what the client under test gets is exactly the bytes that
//! are written here, with no HTTP library to correct them, and the server costs no async runtime.
//!
//! ```text
//! server (accept, connections) ─► request ─► served (counts, picks version and fault)
//!                                               └─► answer (pure: what to say) ─► respond (says it)
//! ```

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test binary, example and benchmark that includes this module uses another part of it"
)]

pub mod answer;
pub mod content;
pub mod date;
pub mod fault;
pub mod log;
pub mod pace;
pub mod request;
pub mod resource;
pub mod respond;
pub mod served;
pub mod server;

pub use content::Content;
pub use fault::{Fault, When};
pub use log::Seen;
pub use resource::{Resource, Version};
pub use server::{Builder, Excess, Server};
