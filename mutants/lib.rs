//! What haul decides, and how it stores, without the network: `just mutants` builds and tests this for each mutant,
//! in seconds.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "what uses them is not here")]
#![allow(rustdoc::all, reason = "it is documented where it is used")]

#[path = "../src/bitmap.rs"]
mod bitmap;
#[path = "../src/checksum/mod.rs"]
mod checksum;
#[path = "../src/digest.rs"]
mod digest;
#[path = "../src/edition.rs"]
mod edition;
#[path = "../src/error.rs"]
mod error;
#[path = "../src/hosts.rs"]
mod hosts;
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
#[path = "../src/store/mod.rs"]
mod store;
#[path = "../src/url.rs"]
mod url;

// What is in a folder beside its file is found from above only.
#[path = "../src"]
mod above {
    pub(crate) mod tuner;
}
use above::tuner;

#[path = "../src/http"]
mod http {
    pub(crate) mod answer;
    pub(crate) mod digests;
    pub(crate) mod disposition;
    pub(crate) mod headers;
    pub(crate) mod redirect;
    pub(crate) mod retry;
}

#[path = "../src/download"]
mod download {
    mod crew;
    pub(crate) mod curve;
    pub(crate) mod failures;
    mod gate;
    mod gauge;
    mod progress;
    pub(crate) mod redial;
    pub(crate) mod throttle;
}
