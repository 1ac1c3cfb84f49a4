use proptest::prelude::*;

use super::{decoded_bytes, leads_up, normal, unclear};
use crate::operator::Folders;

#[test]
fn what_leads_to_one_place_is_clear() {
    for address in [
        "file:///srv/project/a.txt",
        "file:///srv/project/with%20blank.txt",
        "file:///srv/project/v1..v2.diff",
        "file:///srv/project/.hidden/..x/...y",
        "file:///srv/project/",
        "file:///",
        "file:///C:/Users/a",
        "file:///C%3A/Users/a",
        "file:///srv/100%25.txt",
        "file:///srv/%C3%BCber.txt",
        "file:///srv/über.txt",
        "https://host/path?q=a%2Fb",
        "https://host",
        "https://host/",
        "https://host:8443/a?x=../y",
        "db://rows",
        "note://Inbox/1",
        "note:///a",
        "urn:isbn:1",
        "memo:a b",
        "ui://widget/index.html",
        "screen://localhost/a;b=c",
        "plain",
        "a/b",
    ] {
        assert_eq!(unclear(address), None, "{address}");
    }
}

#[test]
fn what_may_lead_to_two_places_is_unclear() {
    for address in [
        "file:///srv/project/../../etc/passwd",
        "file:///srv/project/..",
        "file:///srv/project/%2e%2e/%2E%2e/etc/passwd",
        "file:///srv/project/.%2e/x",
        "file:///srv/project/..%2f..%2fetc/passwd",
        "file:///srv/project/..%5c..%5cetc",
        "file:///srv/project/..\\..\\etc",
        "file:///srv/project/%252e%252e/x",
        "file:///srv/project/%25252e/x",
        "file:///srv/project/./secrets/k",
        "file:///srv/project//secrets/k",
        "file:////srv/project",
        "file:///srv/project//",
        "file:///srv/project/x/../secrets/k",
        "file:///srv/project/%73ecrets/k",
        "file:///srv/project/secrets./k",
        "file:///srv/project/secrets%20/k",
        "file:///srv/project/secrets /k",
        "file:///srv/project/.../k",
        "file:///srv/project/..;/k",
        "file:///srv/project/..;x=y/k",
        "file:///srv/project/k::$DATA",
        "file:///srv/project/a%00b",
        "file:///srv/project/a%0ab",
        "file:///srv/project/a\tb",
        "file:///srv/project/a%2",
        "file:///srv/project/a%zz",
        "file:///srv/project/%c0%ae%c0%ae/x",
        "file:///srv/project/%ff",
        "file:///srv/project/a?b",
        "file:///srv/project/a#b",
        "file://localhost/srv/project/a",
        "file:/srv/project/a",
        "FILE:///srv/project/a",
        "File:///srv/project/a",
        "https://HOST/a",
        "https://host./a",
        "https://host:443/a",
        "https://user@host/a",
        "https://host/a/../b",
        "https://host//b",
        "https://host/a%2fb",
        "https://host/a#b",
        "https://host/a?q=%61",
        "https:host/a",
        "note://../a",
        "note://a/../b",
        "memo:../a",
        "a/../b",
        "../a",
    ] {
        assert!(unclear(address).is_some(), "{address}");
    }
}

#[test]
fn signs_that_no_uri_has_are_compared_as_escapes() {
    for (address, expected) in [
        ("file:///a/ü b*", "file:///a/%C3%BC%20b*"),
        ("file:///a/%c3%bc%20b", "file:///a/%C3%BC%20b"),
        ("file:///a/b?c", "file:///a/b?c"),
        ("file:///a/{b}", "file:///a/%7Bb%7D"),
    ] {
        assert_eq!(normal(address), expected);
        assert_eq!(normal(&normal(address)), expected);
    }
}

#[test]
fn dots_that_lead_up_are_seen_however_they_are_escaped() {
    for text in [
        "..",
        "/a/..",
        "a/../b",
        "a\\..\\b",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/..%2fb",
        "/a%5c..%5cb",
        "/a/%252e%252e/b",
        "/a/%25%32%65./b",
        "/a/.. /b",
        "/a/..;x/b",
        "/a/..?x",
        "https://h/a/..",
        "%25252525252525252e",
        "/a/.\t./b",
        "/a/.\n./b",
        "/a/.\r./b",
        "/a/..\t/b",
        "/a/\t../b",
        "/a/%2e\t%2e/b",
        "/a/.%09./b",
        "/a/.\0./b",
        "/a/.\u{200b}./b",
    ] {
        assert!(leads_up(text), "{text}");
    }
    for text in [
        "",
        "/a/b",
        "v1..v2.diff",
        "/a/..b",
        "/a/b..",
        "/a/...",
        "100%",
        "%2e",
        "a.b/c%20d",
        "/a/%2e/b",
        "/a/.\t/b",
        "a\n/b",
        "two words/a b",
    ] {
        assert!(!leads_up(text), "{text}");
    }
}

/// What a server may make of an address: its escapes decoded, then `.`, `..`, empty names and signs at the end taken away.
fn place(address: &str, decodes: usize) -> String {
    let mut path = address.strip_prefix("file://").unwrap_or(address).to_owned();
    for _ in 0..decodes {
        let mut bytes = Vec::new();
        let mut rest = path.as_str();
        while let Some((before, behind)) = rest.split_once('%') {
            bytes.extend(before.bytes());
            match behind.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &behind[2..];
                }
                None => {
                    bytes.push(b'%');
                    rest = behind;
                }
            }
        }
        bytes.extend(rest.bytes());
        path = String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split(['/', '\\']) {
        match name.trim_end_matches(['.', ' ']) {
            "" if name == ".." => drop(names.pop()),
            "" => {}
            name => names.push(name),
        }
    }
    names.join("/")
}

/// What a decoder makes of bytes that believes each first byte of a sign and checks none of the others, or leaves out what is no text.
fn badly_decoded(path: &str, believes: bool) -> String {
    let bytes = decoded_bytes(path);
    if !believes {
        return bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
    }
    let mut out = String::new();
    let mut rest = bytes.as_slice();
    while let Some((lead, behind)) = rest.split_first() {
        let more = match lead {
            0xc0..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf7 => 3,
            0xf8..=0xfb => 4,
            0xfc..=0xfd => 5,
            _ => 0,
        };
        let own = if more == 0 { u32::from(*lead) } else { u32::from(*lead) & (0x3f >> more) };
        let Some((others, behind)) = behind.split_at_checked(more) else { break };
        let sign = others.iter().fold(own, |sign, byte| (sign << 6) | (u32::from(*byte) & 0x3f));
        out.push(char::from_u32(sign).unwrap_or('?'));
        rest = behind;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_path_within_a_folder_stays_there_however_badly_it_is_decoded(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "n", "o", "/", "/", ".", ".", "..", "%c0%ae", "%c0", "%c1", "%ae", "%af", "%e0", "%80", "%f0", "%f8", "%fc", "%ff",
            "%de", "%C3%BC", "%", "u002e", "u", "%25", "/../", "é",
        ]), 0..9)
    ) {
        let path = format!("/srv/project/{}", pieces.concat());
        let folders = Folders::of(["/srv/project"].into_iter()).unwrap();
        if folders.hold(&path) == Ok(true) {
            for believes in [false, true] {
                let decoded = badly_decoded(&path, believes);
                prop_assert!(place(&decoded, 0).starts_with("srv/project"), "{} {:?}", path, decoded);
                prop_assert!(!decoded.split('/').any(|name| name == ".."), "{} {:?}", path, decoded);
            }
        }
    }

    /// However often a server decodes, a clear address that begins with the folder is in it.
    #[test]
    fn a_clear_address_stays_in_its_folder(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "/", "/", ".", "..", "...", "%2e", "%2E", "%2f", "%5c", "\\", "%25", "2e", "2f", " ", "%20", ";", "secrets", "%73", "?", "#",
        ]), 0..10)
    ) {
        let address = format!("file:///srv/project/{}", pieces.concat());
        if unclear(&address).is_none() {
            for decodes in 0..3 {
                prop_assert!(place(&address, decodes).starts_with("srv/project"), "{}", address);
            }
            // And it is below `secrets` only where it is written so.
            prop_assert_eq!(
                place(&address, 1).starts_with("srv/project/secrets/"),
                address.starts_with("file:///srv/project/secrets/") && !address.ends_with("secrets/"),
                "{}", address
            );
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", odd in "[%./\\\\a-f0-9é:?#]{0,30}") {
        for text in [text, odd] {
            let _ = (unclear(&text), leads_up(&text));
            let once = normal(&text).into_owned();
            prop_assert_eq!(normal(&once), once.clone());
        }
    }
}
