#![no_main]
haul_fuzz::fuzz!(haul::properties::checkpoint_body);
