//! Addresses and paths that two programs may read in two ways.
//!
//! A rule for `file:///srv/project/*` says something of a place, and a server opens a place. Between the two stand spellings: one
//! program takes `..` away and another follows it, one decodes `%2e` first and another last. Where both would not come to the same
//! place for certain, no rule can judge.

use std::borrow::Cow;

/// Schemes of which the host is one whatever its case, and a fragment is not part of what is fetched.
const SPECIAL: [&str; 6] = ["file", "ftp", "http", "https", "ws", "wss"];

/// The spelling under which addresses and the keys of rules are compared: signs that no URI has are escaped, and escapes are in
/// capitals. `*` and `?` stay.
pub(crate) fn normal(address: &str) -> Cow<'_, str> {
    let is_of_uri = |sign: char| sign.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%\\".contains(sign);
    let has_small = || {
        escapes(address).flatten().any(|(at, _)| {
            address.get(at + 1..at + 3).is_some_and(|hex| hex.bytes().any(|byte| byte.is_ascii_lowercase()))
        })
    };
    if address.chars().all(is_of_uri) && !has_small() {
        return Cow::Borrowed(address);
    }
    let mut out = String::with_capacity(address.len());
    let mut hex = 0_u8;
    for sign in address.chars() {
        match sign {
            sign if hex > 0 && sign.is_ascii_hexdigit() => out.push(sign.to_ascii_uppercase()),
            sign if is_of_uri(sign) => out.push(sign),
            sign => {
                sign.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")))
            }
        }
        hex = if sign == '%' { 2 } else { hex.saturating_sub(1) };
    }
    Cow::Owned(out)
}

/// Why programs may take an address for different places; `None` where they do not.
pub(crate) fn unclear(address: &str) -> Option<&'static str> {
    check(address).err()
}

fn check(address: &str) -> Result<(), &'static str> {
    if address.contains(char::is_control) {
        return Err("it has a character in it that is not seen");
    }
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("its scheme is in capitals");
    }
    let is_special = SPECIAL.contains(&scheme);
    let rest = address.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')).unwrap_or(address);
    let (path, query) = rest.split_once(['?', '#']).map_or((rest, None), |(path, query)| (path, Some(query)));
    if is_special && rest.contains('#') {
        return Err("it has a fragment, which is not part of what is fetched");
    }
    if scheme == "file" && query.is_some() {
        return Err("it has a `?` in it, which may be part of a file's name or not");
    }
    escaped(path, Escapes::UriPath)?;
    escaped(query.unwrap_or_default(), Escapes::Query)?;
    if path.contains('\\') {
        return Err("it has a backslash in it, which some take for a slash");
    }
    let path = match path.strip_prefix("//") {
        Some(behind) => {
            let (host, path) =
                behind.split_at_checked(behind.find('/').unwrap_or(behind.len())).unwrap_or((behind, ""));
            segment(host)?;
            if is_special {
                host_of(scheme, host)?
            }
            path
        }
        None if is_special => return Err("it has no `//` behind its scheme"),
        None => path,
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let whole = path.strip_suffix('/').unwrap_or(path);
    for name in whole.split('/').filter(|_| !whole.is_empty() || path.len() > 1) {
        if name.is_empty() {
            return Err("it has an empty name in it");
        }
        segment(name)?;
    }
    Ok(())
}

fn host_of(scheme: &str, host: &str) -> Result<(), &'static str> {
    if scheme == "file" {
        return if host.is_empty() { Ok(()) } else { Err("it names a host for a file") };
    }
    let default = match scheme {
        "http" | "ws" => ":80",
        "ftp" => ":21",
        _ => ":443",
    };
    if host.is_empty() || host.contains(['@', '%']) || host.ends_with(default) || host.ends_with(':') {
        return Err("its host is written in a way that is not the usual one");
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) || host.ends_with('.') || host.contains(".:") {
        return Err("its host is written in a way that is not the usual one");
    }
    Ok(())
}

/// A name between two slashes.
pub(crate) fn segment(name: &str) -> Result<(), &'static str> {
    let before = name.split(';').next().unwrap_or_default();
    match before {
        ".." => return Err("it has `..` in it"),
        "." => return Err("it has `.` for a name in it"),
        _ => {}
    }
    if name.ends_with(['.', ' ']) || name.ends_with("%20") {
        return Err("it has a name in it that ends with a dot or a blank, which some leave out");
    }
    if name.contains("::$") {
        return Err("it names a stream of a file");
    }
    Ok(())
}

/// What escapes stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    UriPath,
    Query,
    /// The path of a file, in which a `%` may be a sign like others.
    FilePath,
}

/// Whether each escape of a text means the same to who decodes it and to who does not.
pub(crate) fn escaped(text: &str, of: Escapes) -> Result<(), &'static str> {
    for escape in escapes(text) {
        let (at, byte) = match escape {
            Ok(escape) => escape,
            Err(at) if text.get(at + 1..).is_some_and(is_unicode) => {
                return Err("it has an escape in it, `%u` and four digits, that only some decode");
            }
            Err(_) if of == Escapes::FilePath => continue,
            Err(_) => return Err("it has a `%` in it that begins no escape"),
        };
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                return Err("it has a letter, a digit or a dot in it that is escaped without need");
            }
            b'/' | b'\\' if of != Escapes::Query => return Err("it has a slash in it that is escaped"),
            0..=31 | 127 => return Err("it has a character in it that is not seen"),
            b'%' if text.get(at + 3..).is_some_and(|behind| hex(behind).is_some() || is_unicode(behind)) => {
                return Err("it has an escape in it that is escaped itself");
            }
            _ => {}
        }
    }
    let bytes = decoded_bytes(text);
    match of {
        Escapes::FilePath => keeps_its_names(&bytes),
        _ if std::str::from_utf8(&bytes).is_err() => Err(NO_TEXT),
        _ => Ok(()),
    }
}

/// Programs make different signs of what is not UTF-8, such as a slash of `%c0%af`.
const NO_TEXT: &str = "it has escapes in it that are no text";

/// Whether who decodes a path badly sees the names in it that stand there. A `%` in front of two letters is often no escape, as in
/// `10%fee`, so not all that is no text is refused: only what begins a sign in more bytes than it needs, of which some make a
/// dot or a slash, and what leaves such a name behind where it is left out, as `..` of `.%ff.`.
fn keeps_its_names(decoded: &[u8]) -> Result<(), &'static str> {
    let mut kept = String::with_capacity(decoded.len());
    for chunk in decoded.utf8_chunks() {
        kept.push_str(chunk.valid());
        if matches!(chunk.invalid().first(), Some(0xc0 | 0xc1 | 0xe0 | 0xf0 | 0xf8 | 0xfc)) {
            return Err(NO_TEXT);
        }
    }
    if kept.len() == decoded.len() { Ok(()) } else { kept.split('/').try_for_each(segment) }
}

/// A text with its escapes decoded once. A `%` that begins none stays.
fn decoded_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = hex(behind);
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Each `%` of a text: where it stands and the byte that it escapes, or where it stands alone if it begins no escape.
fn escapes(text: &str) -> impl Iterator<Item = Result<(usize, u8), usize>> {
    text.match_indices('%').map(|(at, _)| {
        let byte = text.get(at + 1..).and_then(hex);
        byte.map(|byte| (at, byte)).ok_or(at)
    })
}

/// Whether a text behind a `%` begins as `%u002e`, an escape that is no URI's and that some programs decode.
fn is_unicode(behind: &str) -> bool {
    behind
        .strip_prefix(['u', 'U'])
        .and_then(|digits| digits.get(..4))
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn hex(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// How often an escape may be escaped again before nothing is decoded any more.
const MAX_ESCAPES: usize = 4;

/// Whether a text has `..` for a name between slashes of either kind, however it is escaped, and whatever signs that are not seen
/// stand in it: who fetches an address leaves tabs and line ends out (WHATWG URL, "basic URL parser").
pub(crate) fn leads_up(text: &str) -> bool {
    let is_up = |name: &str| {
        let mut seen = name.chars().filter(|sign| !is_unseen(*sign));
        [seen.next(), seen.next(), seen.next()] == [Some('.'), Some('.'), None]
    };
    let has = |text: &str| {
        text.split(['/', '\\']).any(|name| name.split([';', '?', '#']).next().is_some_and(is_up))
    };
    if !text.contains('%') && !text.contains("..") && !text.chars().any(is_unseen) {
        return false;
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..=MAX_ESCAPES {
        if has(&text) {
            return true;
        }
        match decoded(&text) {
            Some(decoded) => text = Cow::Owned(decoded),
            None => return false,
        }
    }
    true
}

/// Whether a sign leaves no mark: blanks, control characters, and those that only say how others are shown.
fn is_unseen(sign: char) -> bool {
    sign.is_whitespace()
        || sign.is_control()
        || matches!(sign, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// A text with its escapes of ASCII signs decoded once; `None` where it has none.
fn decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        match hex(behind).map(char::from).filter(char::is_ascii) {
            Some(sign) => {
                any = true;
                out.push(sign);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    any.then_some(out)
}

#[cfg(test)]
mod tests;
