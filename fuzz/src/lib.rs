//! What the fuzz targets share. Run one with `ci/fuzz TARGET SECONDS`.

/// Cuts an input the way a network might: its first four bytes are the lengths of the pieces, taken in turn, the rest is
/// the text. Gives the text and its pieces.
pub fn cut(input: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (lengths, text) = input.split_first_chunk::<4>()?;
    let mut pieces = Vec::new();
    let mut rest = text;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(rest.len().min(1 + usize::from(length % 64)));
        pieces.push(piece);
        rest = behind;
    }
    Some((text, pieces))
}
