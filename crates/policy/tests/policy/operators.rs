//! Every operator with every type of value, and with none.

use crate::{decide, read};
use portcullis_policy::Policy;

/// What a predicate on `args.a` gives under `require` and under `deny_if`, as one letter: True, False, Missing, Unjudged.
fn gives(op: &str, value: &str, arguments: &str) -> char {
    gives_in("1", op, value, arguments)
}

fn gives_in(version: &str, op: &str, value: &str, arguments: &str) -> char {
    let policy = |rule: &str| -> Policy {
        read(&format!("version: \"{version}\"\ndefault: deny\ntools:\n  t:\n{rule}\n"))
    };
    let predicate = format!("{{ path: args.a, op: {op}, value: {value} }}");
    let required = decide(&policy(&format!("    require: [{predicate}]")), arguments);
    let refused = decide(&policy(&format!("    require: [{{ not: {predicate} }}]")), arguments);
    let denied = decide(&policy(&format!("    deny_if: [{{ conditions: [{predicate}] }}]")), arguments);
    let spared =
        decide(&policy(&format!("    deny_if: [{{ conditions: [{{ not: {predicate} }}] }}]")), arguments);
    let allowed = |rule: &String| rule == "allowed";
    match [&required, &refused, &denied, &spared].map(allowed) {
        [true, false, false, true] => 'T',
        [false, true, true, false] => 'F',
        [false, false, true, true] => 'M',
        [false, false, false, false] => 'U',
        other => panic!("{op} {value} on {arguments}: {other:?}"),
    }
}

const COLUMNS: [&str; 13] = [
    "{}",
    r#"{"a":null}"#,
    r#"{"a":true}"#,
    r#"{"a":5}"#,
    r#"{"a":5.0}"#,
    r#"{"a":6}"#,
    r#"{"a":"5"}"#,
    r#"{"a":"prod"}"#,
    r#"{"a":"x"}"#,
    r#"{"a":["prod"]}"#,
    r#"{"a":[]}"#,
    r#"{"a":{"b":1}}"#,
    r#"{"a":1e999}"#,
];

#[test]
fn every_operator_gives_one_answer_for_every_type() {
    let table = [
        // op, value, missing null true 5 5.0 6 "5" "prod" "x" ["prod"] [] {"b":1} 1e999
        ("eq", "prod", "MUUUUUFTFUUUU"),
        ("eq", "5", "MUUTTFUUUUUUU"),
        ("eq", "\"5\"", "MUUUUUTFFUUUU"),
        ("eq", "true", "MUTUUUUUUUUUU"),
        ("eq", "[prod]", "MUUUUUUUUTFUU"),
        ("eq", "{ b: 1.0 }", "MUUUUUUUUUUTU"),
        ("neq", "prod", "MUUUUUTFTUUUU"),
        ("neq", "5", "MUUFFTUUUUUUU"),
        ("in", "[prod, x]", "MUUUUUFTTUUUU"),
        ("in", "[5, 7]", "MUUTTFUUUUUUU"),
        ("in", "[5, prod]", "MUUTTUUTUUUUU"),
        ("not_in", "[prod, x]", "MUUUUUTFFUUUU"),
        ("not_in", "[5, 7]", "MUUFFTUUUUUUU"),
        ("lt", "6", "MUUTTFUUUUUUU"),
        ("lte", "5", "MUUTTFUUUUUUU"),
        ("gt", "5", "MUUFFTUUUUUUU"),
        ("gte", "5.000", "MUUTTTUUUUUUU"),
        ("regex", "^p", "MUUUUUFTFUUUU"),
        ("regex", "o", "MUUUUUFTFUUUU"),
        ("contains", "ro", "MUUUUUFTFFFUU"),
        ("contains", "prod", "MUUUUUFTFTFUU"),
        ("contains", "5", "MUUUUUUUUUFUU"),
        ("exists", "true", "FFTTTTTTTTTTT"),
        ("exists", "false", "TTFFFFFFFFFFF"),
    ];
    for (op, value, expected) in table {
        for version in ["1", "2"] {
            let found: String =
                COLUMNS.iter().map(|arguments| gives_in(version, op, value, arguments)).collect();
            assert_eq!(found, expected, "{op} {value} in version {version}");
        }
    }
}

#[test]
fn every_operator_of_version_2_gives_one_answer_for_every_type() {
    let table = [
        // op, value, missing null true 5 5.0 6 "5" "prod" "x" ["prod"] [] {"b":1} 1e999
        ("glob", "p*d", "MUUUUUFTFUUUU"),
        ("glob", "\"?\"", "MUUUUUTFTUUUU"),
        ("starts_with", "pr", "MUUUUUFTFUUUU"),
        ("ends_with", "x", "MUUUUUFFTUUUU"),
        ("length", "{ lte: 1 }", "MUUUUUTFTTTUU"),
        ("length", "{ gt: 0, lt: 4 }", "MUUUUUTFTTFUU"),
        ("length", "{ eq: 4 }", "MUUUUUFTFFFUU"),
        ("type", "string", "MUFFFFTTTFFFF"),
        ("type", "[array, boolean]", "MUTFFFFFFTTFF"),
        ("type", "integer", "MUFTTTFFFFFFU"),
        ("type", "number", "MUFTTTFFFFFFT"),
        ("type", "object", "MUFFFFFFFFFTF"),
        ("within", "/srv", "MUUUUUUUUUUUU"),
        ("host_in", "example.com", "MUUUUUUUUUUUU"),
        ("in_cidr", "10.0.0.0/8", "MUUUUUUUUUUUU"),
        ("command", "{ programs: [prod] }", "MUUUUUFTFTUUU"),
    ];
    for (op, value, expected) in table {
        let found: String = COLUMNS.iter().map(|arguments| gives_in("2", op, value, arguments)).collect();
        assert_eq!(found, expected, "{op} {value}");
    }
}

/// What an operator of version 2 gives for a text.
fn of_text(op: &str, value: &str, text: &str) -> char {
    gives_in("2", op, value, &serde_json::json!({ "a": text }).to_string())
}

#[test]
fn a_path_lies_in_a_folder_by_its_names_and_odd_ones_nowhere() {
    for (path, expected) in [
        ("/srv/project", 'T'),
        ("/srv/project/", 'T'),
        ("/srv/project/a/b.md", 'T'),
        ("/srv//./project/a", 'T'),
        ("/data/x", 'T'),
        ("/srv/projects/a", 'F'),
        ("/srv/project-2", 'F'),
        ("/srv", 'F'),
        ("/", 'F'),
        ("/SRV/project", 'F'),
        ("/srv/project/..hidden", 'T'),
        ("/srv/project/%2e%2e/x", 'U'),
        ("/srv/project/../other", 'U'),
        ("/srv/project/..", 'U'),
        ("/etc/../srv/project/a", 'U'),
        ("srv/project", 'U'),
        ("./srv/project", 'U'),
        ("~/srv/project", 'U'),
        ("-rf", 'U'),
        ("file:///srv/project", 'U'),
        ("/srv/project/a\0b", 'U'),
        ("/srv/project\\..\\..\\etc", 'U'),
        ("/srv/project/a\nb", 'U'),
        ("", 'U'),
    ] {
        assert_eq!(of_text("within", "[/srv/project, /data/]", path), expected, "{path:?}");
    }
    assert_eq!(of_text("within", "/", "/etc/passwd"), 'T');
}

#[test]
fn a_url_leads_to_one_host_or_cannot_be_judged() {
    let hosts = "[api.example.com, \"*.example.org\", 10.1.2.3, \"::1\"]";
    for (url, expected) in [
        ("https://api.example.com", 'T'),
        ("HTTPS://API.example.COM:8443/a?b#c", 'T'),
        ("http://api.example.com./", 'T'),
        ("https://a.b.example.org/", 'T'),
        ("http://10.1.2.3:80/", 'T'),
        ("http://[::1]:80/x", 'T'),
        ("http://[0:0:0:0:0:0:0:1]/", 'T'),
        ("http://[::ffff:10.1.2.3]/", 'T'),
        ("https://example.org/", 'F'),
        ("https://badexample.org/", 'F'),
        ("https://api.example.com.evil.net/", 'F'),
        ("https://evil.net/?api.example.com", 'F'),
        ("https://evil.net#@api.example.com", 'F'),
        ("http://169.254.169.254/latest/meta-data", 'F'),
        ("http://10.1.2.4/", 'F'),
        ("https://api.example.com@evil.net/", 'U'),
        ("https://user:secret@api.example.com/", 'U'),
        ("https://evil.net\\@api.example.com/", 'U'),
        ("https://evil.net\\.api.example.com/", 'U'),
        ("https://api.example.com%2eevil.net/", 'U'),
        ("https://api.example.com:80:80/", 'U'),
        ("https://api.example.com:x/", 'U'),
        ("https://api.example.com:99999/", 'U'),
        ("https://\u{430}pi.example.com/", 'U'),
        ("https://api.example.com\t.evil.net/", 'U'),
        (" https://api.example.com/", 'U'),
        ("http://2130706433/", 'U'),
        ("http://0x7f.0.0.1/", 'U'),
        ("http://0177.0.0.1/", 'U'),
        ("http://127.1/", 'U'),
        ("http://[::1/", 'U'),
        ("http://[::1]evil.net/", 'U'),
        ("http://[fe80::1%25eth0]/", 'U'),
        ("https:/api.example.com/", 'U'),
        ("//api.example.com/", 'U'),
        ("api.example.com", 'U'),
        ("ftp://api.example.com/", 'U'),
        ("file:///etc/passwd", 'U'),
        ("https://", 'U'),
        ("https://a..b/", 'U'),
    ] {
        assert_eq!(of_text("host_in", hosts, url), expected, "{url:?}");
    }
}

#[test]
fn an_address_is_in_a_network_or_cannot_be_judged() {
    for (address, expected) in [
        ("10.0.0.1", 'T'),
        ("10.255.255.255", 'T'),
        ("::ffff:10.0.0.1", 'T'),
        ("2001:db8::5", 'T'),
        ("192.0.2.7", 'T'),
        ("192.0.2.8", 'F'),
        ("11.0.0.1", 'F'),
        ("2001:db9::", 'F'),
        ("010.0.0.1", 'U'),
        ("10.1", 'U'),
        ("167772161", 'U'),
        ("10.0.0.1/8", 'U'),
        ("10.0.0.1:80", 'U'),
        ("localhost", 'U'),
        ("", 'U'),
    ] {
        let networks = "[10.0.0.0/8, \"2001:db8::/32\", 192.0.2.7]";
        assert_eq!(of_text("in_cidr", networks, address), expected, "{address:?}");
    }
}

#[test]
fn texts_are_held_against_a_beginning_an_end_a_pattern_and_a_length() {
    for (op, value, text, expected) in [
        ("glob", "\"*.md\"", "notes/a.md", 'T'),
        ("glob", "\"*.md\"", "a.md\n", 'F'),
        ("glob", "\"a*c\"", "a\nb\nc", 'T'),
        ("glob", "a.c", "abc", 'F'),
        ("glob", "\"[a]?\"", "[a]ß", 'T'),
        ("glob", "\"*\"", "", 'T'),
        ("starts_with", "\"refs/heads/\"", "refs/heads/main", 'T'),
        ("starts_with", "\"refs/heads/\"", "Refs/heads/main", 'F'),
        ("ends_with", "\"@example.com\"", "me@example.com", 'T'),
        ("ends_with", "\"@example.com\"", "me@example.com.evil.net", 'F'),
        ("length", "{ eq: 2 }", "ßß", 'T'),
        ("length", "{ lt: 2.5 }", "ab", 'T'),
    ] {
        assert_eq!(of_text(op, value, text), expected, "{op} {value} {text:?}");
    }
}

#[test]
fn numbers_are_compared_digit_for_digit() {
    for (op, value, argument, expected) in [
        ("gt", "9007199254740992", "9007199254740993", 'T'),
        ("eq", "0.3", "0.30000000000000004", 'F'),
        ("eq", "100", "1e2", 'T'),
        ("eq", "0", "-0.0", 'T'),
        ("lt", "-1", "-1.0000000000000000000000001", 'T'),
        ("gt", "1", "1e400", 'T'),
        ("gt", "1", "1e401", 'U'),
        ("gt", "1", "99999999999999999999999999999999999999999999999999999999999999999", 'U'),
    ] {
        assert_eq!(gives(op, value, &format!(r#"{{"a":{argument}}}"#)), expected, "{argument} {op} {value}");
    }
}

#[test]
fn text_is_compared_after_its_escapes_are_read() {
    assert_eq!(gives("eq", "prod", r#"{"a":"\u0070rod"}"#), 'T');
    assert_eq!(gives("eq", "prod", r#"{"\u0061":"prod"}"#), 'T');
    assert_eq!(gives("contains", "'\"'", r#"{"a":"say \"x\""}"#), 'T');
    assert_eq!(gives("regex", "^a/b$", r#"{"a":"a\/b"}"#), 'T');
    assert_eq!(gives("eq", "prod", r#"{"a":"Prod"}"#), 'F');
}

#[test]
fn half_a_surrogate_pair_is_unjudged() {
    assert_eq!(gives("eq", "prod", r#"{"a":"\ud800"}"#), 'U');
    assert_eq!(gives("regex", "p", r#"{"a":"\ud800"}"#), 'U');
}

#[test]
fn a_list_or_map_is_equal_as_a_whole() {
    for (value, argument, expected) in [
        ("[1, a]", r#"[1.0,"a"]"#, 'T'),
        ("[1, a]", r#"["a",1]"#, 'U'),
        ("[1, a]", r#"[2,"a"]"#, 'F'),
        ("[1, a]", "[1]", 'F'),
        ("{ k: [1] }", r#"{"k":[1]}"#, 'T'),
        ("{ k: [1] }", r#"{"k":[1],"more":0}"#, 'F'),
        ("{ k: [1] }", r#"{"other":[1]}"#, 'F'),
        ("{ k: [1] }", r#"{"K":[1]}"#, 'U'),
        ("{ k: [1] }", r#"{"k":[1],"k":[1]}"#, 'U'),
        ("{ k: [1] }", r#"{"k":["1"]}"#, 'U'),
    ] {
        assert_eq!(gives("eq", value, &format!(r#"{{"a":{argument}}}"#)), expected, "{argument} eq {value}");
    }
}

#[test]
fn a_pattern_with_a_slash_does_not_judge_what_leads_up_from_where_it_begins() {
    for (op, value) in [("glob", "\"/srv/*\""), ("starts_with", "/srv/"), ("starts_with", "\"file:///srv/\"")]
    {
        let begin = value.trim_matches(['"', '*']);
        for (behind, expected) in [
            ("a", 'T'),
            ("v1..v2.diff", 'T'),
            ("with%20blank", 'T'),
            ("a//b/./c", 'T'),
            ("../etc/passwd", 'U'),
            ("a/..", 'U'),
            ("%2e%2e/etc", 'U'),
            ("..%2fetc", 'U'),
            ("%252e%252e/etc", 'U'),
            ("..\\\\etc", 'U'),
        ] {
            let arguments = format!("{{\"a\":\"{begin}{behind}\"}}");
            assert_eq!(gives_in("2", op, value, &arguments), expected, "{op} {arguments}");
        }
    }
    // Without one they are about any text.
    assert_eq!(gives_in("2", "starts_with", "see", r#"{"a":"see ../x"}"#), 'T');
    assert_eq!(gives_in("2", "glob", "\"*.md\"", r#"{"a":"../x.md"}"#), 'T');
}

#[test]
fn a_path_in_which_a_bad_decoder_may_see_a_dot_or_a_slash_is_within_nothing_that_is_known() {
    for path in [
        "%c0%ae%c0%ae/x",
        "..%c0%af/x",
        "%C0%AE",
        "%c1%9c",
        "%c0n%c0n/x",
        "%e0%80%ae",
        "%e0%80%af",
        "%f0%80%80%ae",
        "%f8%80%80%80%ae",
        "%fc%80%80%80%80%ae",
        "%u002e%u002e/x",
        "%U002E",
        "a%u2215b",
        "%25u002e",
        ".%ff./x",
        "%ff../x",
        "a.%80",
    ] {
        let arguments = format!("{{\"a\":\"/srv/{path}\"}}");
        assert_eq!(gives_in("2", "within", "/srv", &arguments), 'U', "{path}");
    }
    for path in [
        "100%",
        "50%25off",
        "100%deluxe.txt",
        "10%fee",
        "5%-50%.csv",
        "a%",
        "%",
        "%%",
        "3%fat.md",
        "20%under",
        "%u",
        "%u12",
        "%C3%BCber.txt",
        "%E2%82%AC",
        "%e0%a4%85",
        "%f0%9f%99%82",
        "a%ffb.txt",
    ] {
        let arguments = format!("{{\"a\":\"/srv/{path}\"}}");
        assert_eq!(gives_in("2", "within", "/srv", &arguments), 'T', "{path}");
    }
}

#[test]
fn a_path_that_may_be_read_in_two_ways_is_within_nothing_that_is_known() {
    for path in
        ["%2e%2e/x", "a%2fb", "a%5Cb", "%252e", "%61", "a./b", "a /b", "a%20/b", "..;/x", "a%00", "k::$DATA"]
    {
        let arguments = format!("{{\"a\":\"/srv/{path}\"}}");
        assert_eq!(gives_in("2", "within", "/srv", &arguments), 'U', "{path}");
    }
    for path in ["100%", "a%20b", "a b", "%zz", "a;b", "..a", "a..b", "%C3%BC", "./a//b"] {
        let arguments = format!("{{\"a\":\"/srv/{path}\"}}");
        assert_eq!(gives_in("2", "within", "/srv", &arguments), 'T', "{path}");
    }
}
