//! Values: in hex, base64 or decimal.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::Algorithm;
use crate::error::{Error, ErrorKind};

/// A checksum of a whole object; written `sha-256:HEX`.
///
/// ```
/// let empty: haul::Checksum = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse()?;
/// assert!(empty.to_string().starts_with("sha-256:e3b0c44298fc1c14"));
/// # Ok::<(), haul::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) value: Vec<u8>,
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

    /// `None` where the value has not the length that the algorithm's have.
    fn new(algorithm: Algorithm, value: Vec<u8>) -> Option<Self> {
        (value.len() == algorithm.bytes()).then_some(Self { algorithm, value })
    }

    /// In hex, of either case.
    pub(crate) fn of_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        let pair = |pair: &[u8]| Some(hex_digit(pair[0])? * 16 + hex_digit(pair[1])?);
        let pairs = text.len().is_multiple_of(2).then(|| text.as_bytes().chunks_exact(2).map(pair));
        Self::new(algorithm, pairs?.collect::<Option<_>>()?)
    }

    /// In base64, with its padding (RFC 4648 §4).
    pub(crate) fn of_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::new(algorithm, STANDARD.decode(text).ok()?)
    }

    /// In whichever of the two it is written.
    pub(crate) fn of_text(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::of_hex(algorithm, text).or_else(|| Self::of_base64(algorithm, text))
    }

    /// A 64-bit CRC as an unsigned decimal number.
    pub(crate) fn of_decimal(algorithm: Algorithm, text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        Self::new(algorithm, digits.then(|| text.parse::<u64>().ok())??.to_be_bytes().to_vec())
    }
}

impl FromStr for Checksum {
    type Err = Error;

    /// Reads `ALGO:VALUE`, the value in hex or base64.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an unknown algorithm, or a value that is not of its length.
    fn from_str(text: &str) -> Result<Self, Error> {
        let usage = |message: &str| Error::new(ErrorKind::Usage, message).at(text);
        let names = || Algorithm::names().collect::<Vec<_>>().join(", ");
        let (name, value) = text.split_once(':').ok_or_else(|| {
            usage("is no checksum").hint(format!("write ALGO:VALUE; ALGO is one of {}", names()))
        })?;
        let algorithm = Algorithm::named(name).ok_or_else(|| match name.to_ascii_lowercase().as_str() {
            "crc64" => {
                usage("there are several").hint("write crc64-nvme (Amazon) or crc64-xz (Alibaba, Tencent)")
            }
            _ => usage("its algorithm is not known").hint(format!("use one of {}", names())),
        })?;
        Self::of_text(algorithm, value)
            .ok_or_else(|| usage(&format!("its value is not {} bytes in hex or base64", algorithm.bytes())))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn users_write_it_in_hex_or_base64() {
        let abc = format!("sha-256:{ABC}");
        for text in [abc.clone(), format!("SHA256:{}", ABC.to_uppercase()), format!("sha256:{ABC_BASE64}")] {
            assert_eq!(text.parse::<Checksum>().unwrap().to_string(), abc, "{text}");
        }
        for (text, named) in [
            (ABC.to_owned(), "ALGO:VALUE"),
            (format!("md4:{ABC}"), "not known; use one of sha-256, sha-512, sha-1, md5"),
            ("crc64:0000000000000000".to_owned(), "crc64-nvme (Amazon) or crc64-xz"),
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
    fn a_decimal_number_is_64_bits_without_a_sign() {
        let read = |text| Checksum::of_decimal(Algorithm::Crc64Xz, text).map(|checksum| checksum.to_string());
        assert_eq!(read("258").as_deref(), Some("crc64-xz:0000000000000102"));
        assert_eq!(read("18446744073709551615").as_deref(), Some("crc64-xz:ffffffffffffffff"));
        for none in ["", "+1", "-1", "0x1", "18446744073709551616", " 1"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(Checksum::of_decimal(Algorithm::Crc32c, "1"), None, "they are of 64 bits");
    }
}
