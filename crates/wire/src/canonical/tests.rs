use super::canonical;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[test]
fn the_order_of_keys_and_blanks_do_not_matter_and_each_digit_does() {
    let one = canonical("{ \"b\": [1.0, {\"d\":null,\"c\":\"x y\"}],\n\"a\" : 9007199254740993}");
    assert_eq!(one, r#"{"a":9007199254740993,"b":[1,{"c":"x y","d":null}]}"#);
    assert_eq!(canonical(&one), one);
    assert_ne!(canonical(r#"{"a":9007199254740992}"#), canonical(r#"{"a":9007199254740993}"#));
    assert_ne!(canonical(r#"{"a":1}"#), canonical(r#"{"a":"1"}"#));
    assert_eq!(canonical(r#"{"\u0061":"\u00fc\/\n"}"#), canonical("{\"a\":\"ü/\\u000a\"}"));
    assert_ne!(canonical(r#"{"a":"\ud800"}"#), canonical(r#"{"a":"\ud801"}"#));
    assert_ne!(canonical(r#"[1,2]"#), canonical(r#"[2,1]"#));
    assert_eq!(canonical(r#"{"\u0061":1}"#), r#"{"a":1}"#);
    assert_eq!(canonical(" [ ] "), "[]");
    assert_eq!(canonical(" { } "), "{}");
    for odd in ["", "{", "[1", "{\"a\":1} x"] {
        assert_eq!(canonical(odd), odd);
    }
}

#[test]
fn a_long_text_has_one_spelling_too() {
    let long = format!("{{ \"b\":1.0, \"a\": \"{}\" }}", "x".repeat(1024 * 1024));
    let respelt =
        format!("{{\"a\":\"\\u0078{}\",\"b\":1{}}}", "x".repeat(1024 * 1024 - 1), " ".repeat(100_000));
    assert_eq!(canonical(&long), canonical(&respelt));
    // Deep and wide: what is read once for each level above it would not end.
    let deep = |blank: &str| {
        format!("{}{}{}", "[".repeat(120), format!("{blank}1,").repeat(200_000) + "1", "]".repeat(120))
    };
    assert_eq!(canonical(&deep("")), canonical(&deep(" ")));
    let too_deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(canonical(&too_deep), too_deep);
}

/// A value of which the numbers are integers: how they are written is drawn apart.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Writes a value in another way; `choices` are drawn at each place where there is a choice.
struct Respelling<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Respelling<'_> {
    fn choice(&mut self, among: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % among
    }

    fn blank(&mut self) -> &'static str {
        [" ", "", "\n\t", ""][usize::from(self.choice(4))]
    }

    fn write(&mut self, value: &Value) -> String {
        let text = match value {
            Value::Null | Value::Bool(_) => value.to_string(),
            Value::Number(number) => self.number(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.write(item)).collect();
                format!("[{}]", items.join(",") + self.blank())
            }
            Value::Object(members) => {
                let mut written: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{}{}:{}", self.string(key), self.blank(), self.write(value)))
                    .collect();
                if self.choice(2) == 0 {
                    written.reverse();
                }
                format!("{{{}{}}}", self.blank(), written.join(","))
            }
        };
        format!("{}{text}{}", self.blank(), self.blank())
    }

    fn string(&mut self, text: &str) -> String {
        let mut out = String::from('"');
        for sign in text.chars() {
            match (self.choice(3), sign) {
                (0, sign) => {
                    for unit in sign.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                (1, '/') => out.push_str("\\/"),
                (_, sign) => {
                    let quoted = json!(sign.to_string()).to_string();
                    out.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        out + "\""
    }

    fn number(&mut self, digits: &str) -> String {
        match self.choice(5) {
            0 => format!("{digits}.000"),
            1 => format!("{digits}0e-1"),
            2 => format!("{digits}E+0"),
            3 => format!("{digits}.0e-0"),
            _ => digits.to_owned(),
        }
    }
}

proptest! {
    #[test]
    fn every_respelling_of_a_value_is_one_text(value in value(), choices in prop::collection::vec(any::<u8>(), 1..40)) {
        let respelt = Respelling(choices.iter().cycle()).write(&value);
        let plain = value.to_string();
        prop_assert_eq!(canonical(&respelt), canonical(&plain), "{}", respelt);
    }

    #[test]
    fn different_values_are_different_texts(left in value(), right in value()) {
        prop_assert_eq!(canonical(&left.to_string()) == canonical(&right.to_string()), left == right);
    }

    #[test]
    fn a_canonical_text_is_its_own(text in "[\\[\\]{}:,\"\\\\ue0-9.+ \\-atrn]{0,30}", value in value()) {
        for text in [text, value.to_string()] {
            let once = canonical(&text).into_owned();
            prop_assert_eq!(canonical(&once), once.clone());
        }
    }

    #[test]
    fn numbers_are_one_text_where_their_values_are_equal(
        digits in -1_000_000i64..1_000_000, others in -1_000_000i64..1_000_000, shift in 0u32..6, other_shift in 0u32..6
    ) {
        let written = |digits: i64, shift: u32| canonical(&format!("{digits}e-{shift}")).into_owned();
        let equal = i128::from(digits) * 10i128.pow(other_shift) == i128::from(others) * 10i128.pow(shift);
        prop_assert_eq!(written(digits, shift) == written(others, other_shift), equal);
        let padded = digits * 10i64.pow(shift);
        prop_assert_eq!(written(padded, shift), written(digits, 0));
    }
}
