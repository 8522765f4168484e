//! HTTP: one validated ranged GET at a time (RFC 9110, RFC 9112).
//!
//! [`answer`], [`headers`], [`digests`], [`disposition`], [`links`], [`redirect`] and [`retry`] decide and are pure; [`connections`],
//! [`dial`], [`client`], [`network`], [`probe`] and [`fetch`] do what was decided. Nothing here knows of files.

pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod dial;
pub(crate) mod digests;
pub(crate) mod disposition;
pub(crate) mod fetch;
pub(crate) mod headers;
pub(crate) mod links;
pub(crate) mod network;
pub(crate) mod probe;
pub(crate) mod redirect;
pub(crate) mod retry;
