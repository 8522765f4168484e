//! What an object is proved by, and who said so.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::value::Checksum;

/// A checksum that an object has to come to, and who says so.
///
/// ```
/// fn describe(report: &haul::Report) -> String {
///     match &report.proof {
///         Some(proof) => format!("its {} is that of {}", proof.checksum.algorithm(), proof.source),
///         None => "nothing says what its bytes have to be".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the bytes come to.
    pub checksum: Checksum,
    /// Who says so.
    pub source: ProofSource,
}

/// Who says what an object's bytes come to.
///
/// ```
/// assert_eq!(haul::ProofSource::Header("repr-digest".into()).to_string(), "repr-digest");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProofSource {
    /// The caller.
    Given,
    /// The list of checksums of this name.
    List(String),
    /// The server, in the header of this name.
    Header(String),
}

impl fmt::Display for ProofSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::List(name) | Self::Header(name) => f.write_str(name),
        }
    }
}

/// The one to use of all that a server sent; of equals the first.
pub(crate) fn strongest(found: impl IntoIterator<Item = Proof>) -> Option<Proof> {
    let rank = |proof: &Proof| proof.checksum.algorithm().rank();
    found.into_iter().reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
}
