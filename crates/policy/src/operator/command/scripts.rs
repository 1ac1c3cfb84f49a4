//! Words that are programs or formats themselves: those of `sed` and `printf`.

use super::options::{Flags, has};
use super::word::Word;

/// Whether a format has a `%n` in it, with whatever between.
pub(super) fn counts(format: &str) -> bool {
    let between = |sign: char| sign.is_ascii_digit() || "-+ #'.*hlLjzqt$".contains(sign);
    format.split('%').skip(1).any(|behind| behind.trim_start_matches(between).starts_with('n'))
}

/// `sed` holds with options that only change how it reads, and a first word that is one plain command.
pub(super) fn sed(words: &[Word], flags: Option<&Flags>) -> bool {
    const OPTIONS: &str = "-n -E -r -s -u -z -nE -nr -En -rn --quiet --silent --regexp-extended --posix";
    let (options, others): (Vec<&Word>, Vec<&Word>) =
        words.iter().partition(|word| word.text.starts_with('-') && word.text != "-");
    options.iter().all(|word| flags.map_or_else(|| has(OPTIONS, &word.text), |flags| flags.allow(&word.text)))
        && others.first().is_some_and(|script| is_plain_script(&script.text))
}

/// Whether a script of `sed` is one command that neither runs nor reads nor writes: lines, then `p`, `d`, `q`, `=`, `l`, or `s`
/// with the flags `g`, `p`, `i` and a number.
fn is_plain_script(script: &str) -> bool {
    let command = script.trim_start_matches(|sign: char| {
        sign.is_ascii_digit() || matches!(sign, ',' | '$' | '~' | '+' | '!' | ' ')
    });
    if matches!(command, "p" | "d" | "q" | "=" | "l") {
        return true;
    }
    let mut signs = command.chars();
    let (Some('s'), Some(delimiter)) = (signs.next(), signs.next()) else { return false };
    // A delimiter behind a backslash is not one to sed, and a new line ends the command for some.
    if delimiter.is_ascii_alphanumeric() || matches!(delimiter, '\\' | '\n') || command.contains('\n') {
        return false;
    }
    let parts: Vec<&str> = signs.as_str().split(delimiter).collect();
    let [pattern, replacement, flags] = parts.as_slice() else { return false };
    !pattern.ends_with('\\')
        && !replacement.ends_with('\\')
        && flags.chars().all(|flag| matches!(flag, 'g' | 'p' | 'i' | 'I' | '0'..='9'))
}
