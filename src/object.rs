//! The remote representation: its length and what proves that two answers are of one version.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checksum::Proof;
use crate::edition::Edition;
use crate::url::SafeUrl;

/// What tells one version of an object from another (RFC 9110 §8.8).
///
/// ```
/// let validator = haul::Validator::EntityTag("\"v1\"".into());
/// assert_eq!(validator.to_string(), "ETag \"v1\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Validator {
    /// A strong entity tag, quotes included: byte-identical content (RFC 9110 §8.8.3).
    EntityTag(String),
    /// A Last-Modified that was at least two seconds older than the answer's Date, so that it is strong
    /// (RFC 9110 §8.8.2.2), and the weak entity tag that came with it, if one did.
    LastModified {
        /// The header's value, as it was sent.
        date: String,
        /// A weak entity tag, compared as well, never sent.
        weak_tag: Option<String>,
    },
}

/// Why there is no validator, and so nothing to resume by.
///
/// ```
/// let why = haul::NoValidator::NeitherSent;
/// assert_eq!(why.to_string(), "the server sends neither ETag nor Last-Modified");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoValidator {
    /// Neither ETag nor Last-Modified.
    NeitherSent,
    /// A weak ETag and no Last-Modified: weak tags call different bytes the same (RFC 9110 §8.8.1).
    WeakTagOnly,
    /// A Last-Modified without a Date of the same clock to hold it against.
    NoDate,
    /// The object changed within two seconds of the answer: it may change again within the same second.
    TooFresh,
    /// A Last-Modified or an ETag that cannot be read.
    Unreadable,
}

impl Validator {
    /// Whether the two, of one kind, differ; a tag and a date cannot be compared.
    pub(crate) fn is_other_than(&self, other: &Self) -> bool {
        Self::strength(Some(self)) == Self::strength(Some(other)) && self != other
    }

    /// How much a validator proves; nothing proves nothing.
    pub(crate) fn strength(validator: Option<&Self>) -> u8 {
        match validator {
            Some(Self::EntityTag(_)) => 2,
            Some(Self::LastModified { .. }) => 1,
            None => 0,
        }
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntityTag(tag) => write!(f, "ETag {tag}"),
            Self::LastModified { date, .. } => write!(f, "Last-Modified {date}"),
        }
    }
}

impl fmt::Display for NoValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeitherSent => "the server sends neither ETag nor Last-Modified",
            Self::WeakTagOnly => "the server sends only a weak ETag, which does not prove equal bytes",
            Self::NoDate => "the server sends Last-Modified without Date, which proves nothing by itself",
            Self::TooFresh => "the object changed less than two seconds ago and has no strong ETag",
            Self::Unreadable => "the server's ETag or Last-Modified cannot be read",
        })
    }
}

/// One version of an object, as an answer described it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Where it was found, after redirects: where ranges are asked for.
    pub(crate) url: SafeUrl,
    /// Bytes; unknown where the server does not say.
    pub(crate) length: Option<u64>,
    pub(crate) validator: Result<Validator, NoValidator>,
    /// What says whether it is newer than a file.
    pub(crate) edition: Edition,
    /// It changed less than two seconds before the answer: its validator is looked at once more at the finish.
    pub(crate) fresh: bool,
    /// What the server says that the bytes of this version come to.
    pub(crate) proof: Option<Proof>,
}

impl Object {
    /// Takes what proved `before`, if that is the same version and nothing proves this one: not every answer says it.
    pub(crate) fn or_proved_as(self, before: Option<&Self>) -> Self {
        let same = |before: &&Self| {
            self.validator.is_ok() && before.validator == self.validator && before.length == self.length
        };
        let known = before.filter(same).and_then(|before| before.proof.clone());
        Self { proof: self.proof.or(known), ..self }
    }

    /// Whether two answers call themselves one version and cannot be.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let lengths = self.length.zip(other.length);
        self.validator.is_ok()
            && self.validator == other.validator
            && lengths.is_some_and(|(one, two)| one != two)
    }

    /// Whether its validator will be strong enough when it has aged a little (H03).
    pub(crate) fn is_too_fresh(&self) -> bool {
        self.validator == Err(NoValidator::TooFresh)
    }

    /// Two objects are the same iff length and validator are. Without a validator nothing is the same.
    pub(crate) fn is_same(&self, length: u64, validator: &Validator) -> bool {
        self.length == Some(length) && self.validator.as_ref() == Ok(validator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(length: Option<u64>, validator: Result<Validator, NoValidator>) -> Object {
        let (url, edition) = (SafeUrl::parse("http://h/x").unwrap(), Edition::default());
        Object { url, length, validator, edition, fresh: false, proof: None }
    }

    #[test]
    fn the_same_object_has_the_same_length_and_validator() {
        let tag = |tag: &str| Validator::EntityTag(tag.into());
        let x = object(Some(5), Ok(tag("\"a\"")));
        assert!(x.is_same(5, &tag("\"a\"")));
        assert!(!x.is_same(6, &tag("\"a\"")));
        assert!(!x.is_same(5, &tag("\"b\"")));
        assert!(!object(None, Ok(tag("\"a\""))).is_same(5, &tag("\"a\"")));
        assert!(!object(Some(5), Err(NoValidator::NeitherSent)).is_same(5, &tag("\"a\"")), "H05");
    }

    #[test]
    fn h33_only_validators_of_one_kind_can_differ() {
        let tag = |tag: &str| Validator::EntityTag(tag.into());
        let date = Validator::LastModified { date: "x".into(), weak_tag: None };
        assert!(tag("\"a\"").is_other_than(&tag("\"b\"")));
        assert!(!tag("\"a\"").is_other_than(&tag("\"a\"")));
        assert!(!tag("\"a\"").is_other_than(&date) && !date.is_other_than(&tag("\"a\"")));
    }

    #[test]
    fn h06_a_version_keeps_its_proof_and_another_does_not_get_it() {
        let of = |length, tag: &str| object(Some(length), Ok(Validator::EntityTag(tag.into())));
        let proof = |text: &str| {
            Some(Proof { checksum: text.parse().unwrap(), source: crate::checksum::ProofSource::Given })
        };
        let proved = Object { proof: proof("crc32c:00000001"), ..of(5, "\"a\"") };
        let proof_of = |object: Object| object.or_proved_as(Some(&proved)).proof;
        assert_eq!(proof_of(of(5, "\"a\"")), proved.proof);
        assert_eq!(proof_of(of(6, "\"a\"")), None);
        assert_eq!(proof_of(of(5, "\"b\"")), None);
        assert_eq!(proof_of(object(Some(5), Err(NoValidator::NeitherSent))), None);
        let newer = Object { proof: proof("crc32c:00000002"), ..of(5, "\"a\"") };
        assert_eq!(proof_of(newer), proof("crc32c:00000002"));
    }

    #[test]
    fn h03_only_what_is_too_fresh_gets_better_with_age() {
        assert!(object(None, Err(NoValidator::TooFresh)).is_too_fresh());
        assert!(!object(None, Err(NoValidator::WeakTagOnly)).is_too_fresh());
        assert!(!object(None, Ok(Validator::EntityTag("\"a\"".into()))).is_too_fresh());
    }

    #[test]
    fn one_version_has_one_length() {
        let of = |length, tag: &str| object(Some(length), Ok(Validator::EntityTag(tag.into())));
        assert!(of(5, "\"a\"").contradicts(&of(6, "\"a\"")));
        assert!(!of(5, "\"a\"").contradicts(&of(5, "\"a\"")));
        assert!(!of(5, "\"a\"").contradicts(&of(6, "\"b\"")));
        let unsaid = object(None, Ok(Validator::EntityTag("\"a\"".into())));
        assert!(!of(5, "\"a\"").contradicts(&unsaid) && !unsaid.contradicts(&of(5, "\"a\"")));
        let nameless = |length| object(Some(length), Err(NoValidator::NeitherSent));
        assert!(!nameless(5).contradicts(&nameless(6)), "they may be two versions");
    }

    #[test]
    fn h03_a_date_is_the_same_only_with_its_weak_tag() {
        let dated = |weak_tag: Option<&str>| Validator::LastModified {
            date: "Sun, 06 Nov 1994 08:49:37 GMT".into(),
            weak_tag: weak_tag.map(Into::into),
        };
        let x = object(Some(5), Ok(dated(Some("W/\"1\""))));
        assert!(x.is_same(5, &dated(Some("W/\"1\""))));
        assert!(!x.is_same(5, &dated(Some("W/\"2\""))));
        assert!(!x.is_same(5, &dated(None)));
    }
}
