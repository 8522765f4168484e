#![no_main]
haul_fuzz::fuzz!(haul::properties::content_range);
