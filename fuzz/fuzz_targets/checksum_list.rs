#![no_main]
haul_fuzz::fuzz!(haul::properties::checksum_list);
