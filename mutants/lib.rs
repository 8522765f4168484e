//! The modules of haul that decide, on their own: `just mutants` builds and tests them for each mutant.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "what uses them is not here")]
#![allow(rustdoc::all, reason = "it is documented where it is used")]

#[path = "../src/bitmap.rs"]
mod bitmap;
#[path = "../src/checksum.rs"]
mod checksum;
#[path = "../src/digest.rs"]
mod digest;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/ledger.rs"]
mod ledger;
#[path = "../src/object.rs"]
mod object;
#[path = "../src/plan.rs"]
mod plan;
#[path = "../src/range.rs"]
mod range;
#[path = "../src/scheduler.rs"]
mod scheduler;
#[path = "../src/url.rs"]
mod url;

#[path = "../src/http"]
mod http {
    pub(crate) mod disposition;
    pub(crate) mod headers;
    pub(crate) mod redirect;
    pub(crate) mod retry;
}

#[path = "../src/store"]
mod store {
    pub(crate) mod checkpoint;
    pub(crate) mod trial;

    /// The one thing that a trial is about.
    pub(crate) mod part {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Writing {
            Mapped,
            Positioned,
        }
    }
}

#[path = "../src/download"]
mod download {
    pub(crate) mod failures;
}
