//! Checksums of whole objects: as users write them, as servers send them (RFC 9530), and as bytes give them. Pure.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind};

/// What a checksum is made with: the active algorithms of RFC 9530 §5.
///
/// ```
/// assert_eq!(haul::Algorithm::Sha256.to_string(), "sha-256");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// By its name in RFC 9530, or without the dash, in any case.
    fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "sha-256" | "sha256" => Some(Self::Sha256),
            "sha-512" | "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        })
    }
}

/// A checksum of a whole object; written `sha-256:HEX`.
///
/// ```
/// let empty: haul::Checksum = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?;
/// assert!(empty.to_string().starts_with("sha-256:e3b0c44298fc1c14"));
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl Checksum {
    /// What it is made with.
    ///
    /// ```
    /// let checksum: haul::Checksum = format!("sha-512:{}", "0".repeat(128)).parse()?;
    /// assert_eq!(checksum.algorithm(), haul::Algorithm::Sha512);
    /// # Ok::<(), haul::Error>(())
    /// ```
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The strongest that a `Repr-Digest` holds (RFC 9530 §3); what cannot be read proves nothing.
    pub(crate) fn of_representation(header: &str) -> Option<Self> {
        let member = |member: &str| {
            let (name, value) = member.split(';').next()?.trim().split_once("=:")?;
            let (algorithm, value) =
                (Algorithm::named(name)?, STANDARD.decode(value.strip_suffix(':')?).ok()?);
            (value.len() == algorithm.bytes()).then_some(Self { algorithm, value })
        };
        header.split(',').filter_map(member).max_by_key(|found| found.algorithm.bytes())
    }
}

impl FromStr for Checksum {
    type Err = Error;

    /// Reads `ALGO:VALUE`, the value in hex or base64.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an unknown algorithm, or a value that is not of its length.
    fn from_str(text: &str) -> Result<Self, Error> {
        let usage = |message: &str| {
            Error::new(ErrorKind::Usage, message).at(text).hint("write sha-256:VALUE or sha-512:VALUE")
        };
        let (name, value) = text.split_once(':').ok_or_else(|| usage("is no checksum"))?;
        let algorithm = Algorithm::named(name).ok_or_else(|| usage("its algorithm is not known"))?;
        let read = unhex(value).or_else(|| STANDARD.decode(value).ok());
        match read.filter(|value| value.len() == algorithm.bytes()) {
            Some(value) => Ok(Self { algorithm, value }),
            None => Err(usage(&format!("its value is not {} bytes in hex or base64", algorithm.bytes()))),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| Some(hex_digit(pair[0])? * 16 + hex_digit(pair[1])?);
    text.len().is_multiple_of(2).then(|| text.as_bytes().chunks_exact(2).map(pair).collect())?
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The checksum of bytes that come in pieces.
pub(crate) struct Hasher {
    algorithm: Algorithm,
    context: Context,
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let context = Context::new(match algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        });
        Self { algorithm, context }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    pub(crate) fn finish(self) -> Checksum {
        Checksum { algorithm: self.algorithm, value: self.context.finish().as_ref().to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    fn of(algorithm: Algorithm, pieces: &[&[u8]]) -> Checksum {
        let mut hasher = Hasher::new(algorithm);
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn it_is_sha_256_and_sha_512() {
        // FIPS 180-4's own examples.
        assert_eq!(of(Algorithm::Sha256, &[b"a", b"bc"]).to_string(), format!("sha-256:{ABC}"));
        let long = of(Algorithm::Sha512, &[b"abc"]).to_string();
        assert!(long.starts_with("sha-512:ddaf35a193617aba") && long.ends_with("2a9ac94fa54ca49f"), "{long}");
    }

    #[test]
    fn users_write_it_in_hex_or_base64() {
        let abc = of(Algorithm::Sha256, &[b"abc"]);
        for text in [
            format!("sha-256:{ABC}"),
            format!("SHA256:{}", ABC.to_uppercase()),
            format!("sha256:{ABC_BASE64}"),
        ] {
            assert_eq!(text.parse::<Checksum>().unwrap(), abc, "{text}");
        }
        for (text, named) in [
            (ABC.to_owned(), "no checksum"),
            (format!("md4:{ABC}"), "not known"),
            (format!("sha-512:{ABC}"), "64 bytes"),
            ("sha-256:\u{e9}\u{e9}".to_owned(), "32 bytes"),
            ("sha-256:".to_owned(), "32 bytes"),
        ] {
            let error = text.parse::<Checksum>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn h06_servers_send_it_as_a_dictionary() {
        let abc = Some(of(Algorithm::Sha256, &[b"abc"]));
        let long = of(Algorithm::Sha512, &[b"abc"]);
        let long_member = format!("sha-512=:{}:", STANDARD.encode(&long.value));
        for (header, found) in [
            (format!("sha-256=:{ABC_BASE64}:"), abc.clone()),
            (format!("unixsum=:AA==:, sha-256=:{ABC_BASE64}:;p=1"), abc),
            (format!("{long_member}, sha-256=:{ABC_BASE64}:"), Some(long)),
            (format!("sha-256={ABC_BASE64}"), None),
            ("sha-256=:AA==:".to_owned(), None),
            ("sha-256=:!:".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(Checksum::of_representation(&header), found, "{header}");
        }
    }
}
