#![no_main]
haul_fuzz::fuzz!(haul::properties::digest_headers);
