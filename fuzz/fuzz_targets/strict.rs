//! The strict walk never panics, and what it accepts is JSON to an ordinary reader too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::check_strictly;

fuzz_target!(|text: &str| {
    if check_strictly(text).is_ok() {
        serde_json::from_str::<serde_json::Value>(text).expect("what is accepted is JSON");
    }
});
