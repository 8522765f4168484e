#![no_main]
haul_fuzz::fuzz!(haul::properties::retry_after);
