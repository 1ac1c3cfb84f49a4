//! The strict walk never panics, what it accepts is JSON to an ordinary reader too, and its canonical text is its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::{canonical, check_strictly};

fuzz_target!(|text: &str| {
    if check_strictly(text).is_ok() {
        serde_json::from_str::<serde_json::Value>(text).expect("what is accepted is JSON");
        let once = canonical(text).into_owned();
        assert_eq!(canonical(&once), once);
    }
});
