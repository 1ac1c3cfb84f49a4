//! A stream gives the same lines however it is cut. Of an over-long line the ends that are kept may be shorter or longer,
//! but they are its ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::cut;
use portcullis_wire::{Line, LineDecoder};

/// Short, so that inputs of a usual length reach it.
const LIMIT: usize = 32;

fuzz_target!(|input: &[u8]| {
    let Some((text, pieces)) = cut(input) else { return };
    let mut decoder = LineDecoder::new(LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        decoder.buffer().extend_from_slice(piece);
        found.extend(std::iter::from_fn(|| decoder.next_line()));
    }

    let whole = text.rsplitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default();
    let mut expected = whole
        .split(|byte| *byte == b'\n')
        .map(|line| (line, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| line.len() > LIMIT || !line.iter().all(u8::is_ascii_whitespace));
    for line in found {
        let (with_end, expected) = expected.next().expect("no more lines than there are");
        match line {
            Line::Whole(line) => assert_eq!(line, expected),
            Line::TooLong { head, tail, length } => {
                assert!(expected.len() > LIMIT);
                assert_eq!(length, expected.len());
                // A line end that came alone was taken for a part of the head.
                assert!(with_end.starts_with(&head) && expected.ends_with(&tail));
            }
        }
    }
    assert_eq!(expected.next(), None, "every line comes out");
});
