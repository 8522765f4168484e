#![no_main]

// The command's own: it is no part of the library.
#[path = "../../src/cli/headers.rs"]
mod headers;

haul_fuzz::fuzz!(headers::property);
