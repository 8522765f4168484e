//! Files: the part file and the checkpoint, in an order that survives a kill and a power cut.
//!
//! [`checkpoint`] turns state into bytes and back and is pure. [`medium`] is the seam to the operating system;
//! everything above it runs on a simulated one in tests. Nothing here knows of HTTP.

pub(crate) mod checkpoint;
pub(crate) mod commit;
mod copy;
pub(crate) mod disk;
pub(crate) mod hashes;
pub(crate) mod medium;
pub(crate) mod memory;
pub(crate) mod part;
mod trial;
mod waits;
pub(crate) mod window;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
pub(crate) mod simulated;
