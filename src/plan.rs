//! What to do about an object, given what an earlier run left. Pure.

use std::fmt;

use crate::object::{NoValidator, Object, Validator};
use crate::range::{ByteRange, Segments};
use crate::store::checkpoint::Checkpoint;

/// Why an object is fetched in one stream, with nothing to resume by.
///
/// ```
/// assert_eq!(haul::StreamReason::NoRanges.to_string(), "the server ignores ranges");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamReason {
    /// The server ignores ranges.
    NoRanges,
    /// The server does not say how long the object is.
    NoLength,
    /// Nothing would prove that two ranges are of one version.
    NoValidator(NoValidator),
    /// Ranges of this object came back wrong, or contradicted each other.
    BadRanges(String),
}

impl fmt::Display for StreamReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRanges => f.write_str("the server ignores ranges"),
            Self::NoLength => f.write_str("the server does not say how long the object is"),
            Self::NoValidator(why) => why.fmt(f),
            Self::BadRanges(why) => write!(f, "ranges are not to be had: {why}"),
        }
    }
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Fetch what the checkpoint misses.
    Resume {
        /// The URL is another one, or may be, since its query is not kept: nothing but the validator says that it
        /// is the same object, and validators are promised to be unique for one URL only (RFC 9110 §8.8.3). One
        /// segment has to prove it.
        other_url: bool,
    },
    /// Fetch everything; `instead` says why an earlier run's bytes are of no use.
    Fresh { instead: Option<Mismatch> },
    /// One stream.
    Stream(StreamReason),
    /// What the server sent has a weaker proof of its version than what it sent before: a captive portal, an
    /// error page. It is not believed.
    Suspect,
}

/// Why a checkpoint does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It is of another version of the object.
    ObjectChanged,
    /// Nothing proves that it is of this version.
    Unproven,
    /// It holds another part of the object.
    OtherPart,
    /// There is no part file of the right length beside it.
    PartFileGone,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ObjectChanged => "the object has changed since",
            Self::Unproven => "nothing proves that the object is still the same",
            Self::OtherPart => "the earlier run fetched another part of the object",
            Self::PartFileGone => "the part file is gone or has another length",
        })
    }
}

/// What is known when the plan is made.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) object: &'a Object,
    /// The server answered a ranged GET with that range.
    pub(crate) ranges: bool,
    /// The bytes of the object that are wanted; `None` where the length is unknown.
    pub(crate) extent: Option<ByteRange>,
    pub(crate) encoding: Option<&'a str>,
    /// Of the original URL, as checkpoints name it.
    pub(crate) source: &'a str,
    /// The original URL has a query, which checkpoints do not name.
    pub(crate) has_query: bool,
    pub(crate) checkpoint: Option<&'a Checkpoint>,
    /// The part file's length, where there is one.
    pub(crate) part_length: Option<u64>,
    pub(crate) allow_unvalidated: bool,
}

pub(crate) fn plan(facts: &Facts<'_>) -> Plan {
    let before = facts.checkpoint.and_then(|checkpoint| checkpoint.identity.validator.as_ref());
    if Validator::strength(facts.object.validator.as_ref().ok()) < Validator::strength(before) {
        return Plan::Suspect;
    }
    let validator = facts.object.validator.as_ref().map(|_| ()).map_err(|why| *why);
    let proven = if facts.allow_unvalidated { Ok(()) } else { validator };
    let extent = match (stream_reason(proven, facts.extent.is_some(), facts.ranges), facts.extent) {
        (Some(reason), _) => return Plan::Stream(reason),
        (None, Some(extent)) => extent,
        (None, None) => return Plan::Stream(StreamReason::NoLength),
    };
    match facts.checkpoint.map(|checkpoint| mismatch(facts, checkpoint, extent)) {
        None => Plan::Fresh { instead: None },
        Some(Some(mismatch)) => Plan::Fresh { instead: Some(mismatch) },
        Some(None) => Plan::Resume {
            other_url: facts.has_query
                || facts.checkpoint.is_some_and(|checkpoint| checkpoint.identity.source != facts.source),
        },
    }
}

/// Why an object that is offered so has to be fetched in one stream; `None`: in ranges.
pub(crate) fn stream_reason(
    validator: Result<(), NoValidator>,
    length: bool,
    ranges: bool,
) -> Option<StreamReason> {
    match (validator, length, ranges) {
        (Err(why), _, _) => Some(StreamReason::NoValidator(why)),
        (Ok(()), false, _) => Some(StreamReason::NoLength),
        (Ok(()), true, false) => Some(StreamReason::NoRanges),
        (Ok(()), true, true) => None,
    }
}

fn mismatch(facts: &Facts<'_>, checkpoint: &Checkpoint, extent: ByteRange) -> Option<Mismatch> {
    let identity = &checkpoint.identity;
    let Some(validator) = &identity.validator else {
        // A total of 0 is a stream's: what it left says nothing of its object.
        let changed = identity.total != 0 && facts.object.length != Some(identity.total);
        return Some(if changed { Mismatch::ObjectChanged } else { Mismatch::Unproven });
    };
    if !facts.object.is_same(identity.total, validator) || identity.encoding.as_deref() != facts.encoding {
        return Some(Mismatch::ObjectChanged);
    }
    if identity.extent() != extent {
        return Some(Mismatch::OtherPart);
    }
    (facts.part_length != Some(extent.len())).then_some(Mismatch::PartFileGone)
}

/// The segments of a download that starts from nothing.
pub(crate) fn segments(length: u64, segment_size: Option<u64>) -> Option<Segments> {
    Segments::new(length, segment_size.unwrap_or_else(|| Segments::default_size(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edition::Edition;
    use crate::ledger::Ledger;
    use crate::store::checkpoint::Identity;
    use crate::url::SafeUrl;

    const LENGTH: u64 = 1 << 20;
    const SOURCE: &str = "http://h/x";

    fn object(tag: &str) -> Object {
        Object {
            url: SafeUrl::parse(SOURCE).unwrap(),
            length: Some(LENGTH),
            validator: Ok(Validator::EntityTag(tag.into())),
            edition: Edition::default(),
            fresh: false,
            proof: None,
        }
    }

    fn checkpoint() -> Checkpoint {
        let identity = Identity {
            total: LENGTH,
            start: 0,
            end: LENGTH,
            validator: Some(Validator::EntityTag("\"a\"".into())),
            encoding: None,
            source: SOURCE.into(),
            inode: 1,
        };
        Checkpoint { identity, ledger: Ledger::new(segments(LENGTH, None).unwrap()), saved_at: 0 }
    }

    fn facts<'a>(object: &'a Object, checkpoint: Option<&'a Checkpoint>) -> Facts<'a> {
        Facts {
            object,
            ranges: true,
            extent: Some(ByteRange::new(0, LENGTH)),
            encoding: None,
            source: SOURCE,
            has_query: false,
            checkpoint,
            part_length: checkpoint.map(|_| LENGTH),
            allow_unvalidated: false,
        }
    }

    fn instead(facts: &Facts<'_>) -> Mismatch {
        match plan(facts) {
            Plan::Fresh { instead: Some(mismatch) } => mismatch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_object_is_resumed() {
        let (object, checkpoint) = (object("\"a\""), checkpoint());
        assert!(matches!(plan(&facts(&object, Some(&checkpoint))), Plan::Resume { other_url: false }));
        assert!(matches!(plan(&facts(&object, None)), Plan::Fresh { instead: None }));
    }

    #[test]
    fn another_url_has_to_prove_itself() {
        let (object, checkpoint) = (object("\"a\""), checkpoint());
        let facts = Facts { source: "http://mirror/x", ..facts(&object, Some(&checkpoint)) };
        assert!(matches!(plan(&facts), Plan::Resume { other_url: true }));
        let facts = Facts { source: SOURCE, has_query: true, ..facts };
        assert!(matches!(plan(&facts), Plan::Resume { other_url: true }), "the query may be another");
    }

    #[test]
    fn h63_whatever_differs_starts_over_with_the_reason() {
        let (same, other, saved) = (object("\"a\""), object("\"b\""), checkpoint());
        assert_eq!(instead(&facts(&other, Some(&saved))), Mismatch::ObjectChanged);
        let longer = Object { length: Some(LENGTH + 1), ..object("\"a\"") };
        assert_eq!(instead(&facts(&longer, Some(&saved))), Mismatch::ObjectChanged);
        let facts = || facts(&same, Some(&saved));
        assert_eq!(instead(&Facts { encoding: Some("gzip"), ..facts() }), Mismatch::ObjectChanged);
        let part = Some(ByteRange::new(1, LENGTH));
        assert_eq!(instead(&Facts { extent: part, ..facts() }), Mismatch::OtherPart);
        assert_eq!(instead(&Facts { part_length: None, ..facts() }), Mismatch::PartFileGone);
        assert_eq!(instead(&Facts { part_length: Some(LENGTH - 1), ..facts() }), Mismatch::PartFileGone);
    }

    #[test]
    fn h05_without_a_validator_one_stream_unless_allowed_and_never_a_resume() {
        let (mut object, mut saved) = (object("\"a\""), checkpoint());
        object.validator = Err(NoValidator::NeitherSent);
        let why = StreamReason::NoValidator(NoValidator::NeitherSent);
        assert!(matches!(plan(&facts(&object, None)), Plan::Stream(reason) if reason == why));
        saved.identity.validator = None;
        let allowed = Facts { allow_unvalidated: true, ..facts(&object, Some(&saved)) };
        assert_eq!(instead(&allowed), Mismatch::Unproven);
        saved.identity.total += 1;
        let longer = Facts { allow_unvalidated: true, ..facts(&object, Some(&saved)) };
        assert_eq!(instead(&longer), Mismatch::ObjectChanged, "its length proves that");
        saved.identity.total = 0;
        let stream = Facts { allow_unvalidated: true, ..facts(&object, Some(&saved)) };
        assert_eq!(instead(&stream), Mismatch::Unproven, "a stream's checkpoint says nothing of its object");
    }

    #[test]
    fn h49_after_a_strong_validator_a_weaker_one_is_not_believed() {
        let saved = checkpoint();
        let date = Validator::LastModified { date: "x".into(), weak_tag: None };
        for validator in [Err(NoValidator::NeitherSent), Ok(date)] {
            let portal = Object { validator, ..object("") };
            let whole = Facts { ranges: false, ..facts(&portal, Some(&saved)) };
            assert!(matches!(plan(&whole), Plan::Suspect));
        }
    }

    #[test]
    fn without_length_or_ranges_one_stream() {
        let object = object("\"a\"");
        let no_length = Facts { extent: None, ..facts(&object, None) };
        assert!(matches!(plan(&no_length), Plan::Stream(StreamReason::NoLength)));
        let no_ranges = Facts { ranges: false, ..facts(&object, None) };
        assert!(matches!(plan(&no_ranges), Plan::Stream(StreamReason::NoRanges)));
    }
}
