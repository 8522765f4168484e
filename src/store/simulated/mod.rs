//! A disk in memory that loses power, fails, and forgets like a real one.
//!
//! Each file has two images: the *live* one, which is what the page cache holds and every process sees (a memfd, so
//! that maps of it are real maps), and the *durable* one, which is what the platters hold. A sync makes the one
//! the other. Folders have the same two images of their names. When the power is cut, each change since the last
//! sync is kept, dropped, or torn at a sector of 512 bytes, as a seed decides ([`survival`]).
//!
//! Every operation is counted, so that a test can cut the power before the n-th change, or make the k-th sync fail,
//! for each n and k until a run does not get there any more.

mod disk;
mod fault;
mod file;
mod folder;
mod image;
mod survival;

pub(crate) use disk::SimulatedDisk;
pub(crate) use fault::{DiskFault, Op};
pub(crate) use image::Image;
