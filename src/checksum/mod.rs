//! Checksums of whole objects: as users and servers write them, as bytes give them, and what they prove. Pure.

mod algorithm;
mod crc;
mod hasher;
mod list;
mod proof;
mod value;

pub use algorithm::Algorithm;
pub(crate) use crc::CrcDigest;
pub(crate) use hasher::Hasher;
pub(crate) use list::{ChecksumList, NotListed};
pub(crate) use proof::strongest;
pub use proof::{Proof, ProofSource};
pub use value::Checksum;
