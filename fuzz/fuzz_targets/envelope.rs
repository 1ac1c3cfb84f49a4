//! Any bytes: no panic. What is accepted as a request stays the same request under another id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_wire::{Envelope, Id};

fuzz_target!(|input: &[u8]| {
    let bytes = bytes::Bytes::copy_from_slice(input);
    let reply = Envelope::reply(bytes.clone());
    let Ok(envelope) = Envelope::request(bytes) else { return };
    assert!(reply.is_ok(), "accepted where it is judged, refused where it is not");
    for id in [Id::from(0), Id::from(u64::MAX)] {
        let again =
            Envelope::request(envelope.with_id(&id.to_json())).expect("is read again under another id");
        assert_eq!(again.kind(), envelope.kind());
        assert_eq!(again.method(), envelope.method());
        assert_eq!(again.params(), envelope.params());
        assert_eq!(again.result(), envelope.result());
        assert_eq!(again.error(), envelope.error());
        assert_eq!(again.id(), envelope.id().map(|_| &id));
    }
    let _ = envelope.peek();
});
