//! Never a wrong byte: every way in which HTTP is known to go wrong, by seed.
//!
//! A scenario is a few lines: what the server of a small object does wrong and when, as the seed's dice fall, and
//! what haul has to make of it. [`run`] holds every download against the oracle: a whole version that was served,
//! or an error and an untouched name; in bounded time and requests; with nothing left behind that the next run,
//! against a server that is well again, cannot use. [`pairs`] has two scenarios at once.
//!
//! `just scenarios 10000` throws more dice than CI does, and every failure says how to have it again.

mod case;
mod dice;
mod framing;
mod pairs;
mod ranges;
mod redirects;
mod run;
mod statuses;
mod validators;
mod world;

/// Defines scenarios, and a test for each.
macro_rules! scenarios {
    ($($(#[doc = $doc:literal])* $name:ident($case:ident) $twist:block)*) => {
        pub(super) const ALL: &[super::case::Scenario] = &[
            $(super::case::Scenario { name: stringify!($name), twist: |$case| $twist }),*
        ];
        $($(#[doc = $doc])* #[test] fn $name() { super::run::check(ALL, stringify!($name)); })*
    };
}
use crate::support;
use scenarios;
