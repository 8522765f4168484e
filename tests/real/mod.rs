//! What the suite against real servers needs: an nginx of its own, and the haul binary.

#![allow(unreachable_pub, reason = "modules of a test binary")]

pub mod haul;
pub mod nginx;
