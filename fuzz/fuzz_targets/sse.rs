//! An event stream gives the same events however it is cut, and never more than it was allowed to hold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::cut;
use portcullis_wire::{Event, EventDecoder};

/// What is held between two reads is part of what a cut changes, so a limit that an input reaches is tested apart.
const LIMIT: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((text, pieces)) = cut(input) else { return };
    assert_eq!(decode(&pieces), decode(&[text]));

    let mut decoder = EventDecoder::new(64);
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => assert!(event.data.len() <= 64),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = EventDecoder::new(LIMIT);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(event) = decoder.next_event().expect("shorter than the limit") {
            events.push(event);
        }
    }
    events
}
