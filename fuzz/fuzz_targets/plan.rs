#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| drieslot_fuzz::plan(data));
