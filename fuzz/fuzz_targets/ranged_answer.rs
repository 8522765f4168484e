#![no_main]
haul_fuzz::fuzz!(haul::properties::ranged_answer);
