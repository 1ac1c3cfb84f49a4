//! The arguments that are judged.

/// The properties of a tool's schema, which ours compares with the arguments.
pub const PROPERTIES: [&str; 8] =
    ["amount", "currency", "customer", "items", "note", "live", "reason", "metadata"];

/// Arguments to which every predicate says yes.
pub const ALLOWED: &str = r#"{"amount": 1234, "currency": "USD", "customer": {"id": "c_81723", "country": "DE"}, "items": [{"count": 1}, {"count": 2}], "note": "order 1", "live": true}"#;

/// Arguments that the last predicate alone denies.
pub const DENIED: &str = r#"{"amount": 1234, "currency": "USD", "customer": {"id": "c_81723", "country": "DE"}, "items": [{"count": 1}, {"count": 2}], "note": "order 1", "live": true, "reason": "late"}"#;

/// For each argument what it may be, the harmless first; empty where it is missing.
///
/// Left out is what the languages understand differently, and `README.md` lists: null, fractions, a country that is no text.
const POOLS: [(&str, &[&str]); 7] = [
    ("amount", &["1234", "0", "-5", "9000", "9001", "10050", "10051", r#""1234""#, "true", "[1234]", ""]),
    ("currency", &[r#""USD""#, r#""EUR""#, r#""GBP""#, r#""usd""#, r#""CHF""#, "7", ""]),
    (
        "customer",
        &[
            r#"{"id": "c_81723", "country": "DE"}"#,
            r#"{"country": "FR"}"#,
            r#"{"id": "test_1", "country": "DE"}"#,
            r#"{"id": "a test_1", "country": "DE"}"#,
            r#"{"id": "c_1", "country": "XX"}"#,
            r#"{"id": 17, "country": "DE"}"#,
            r#"{"id": "c_1"}"#,
            r#""c_1""#,
            "",
        ],
    ),
    (
        "items",
        &[
            r#"[{"count": 1}, {"count": 2}]"#,
            "[]",
            "",
            r#"[{"count": 10}]"#,
            r#"[{"count": 1}, {"count": 10}]"#,
            r#""ten""#,
        ],
    ),
    (
        "note",
        &[r#""order 1""#, r#""the order of May""#, r#""secret order""#, r#""ORDER 1""#, r#""""#, "5", ""],
    ),
    ("live", &["true", "false", r#""true""#, "1", ""]),
    ("reason", &["", r#""late""#, "0", "{}"]),
];

/// Calls that stray from the harmless one in none to three arguments; the same ones at each run.
pub fn grid(count: usize) -> Vec<String> {
    let mut dice = Dice(1);
    (0..count)
        .map(|_| {
            let mut chosen = POOLS.map(|(name, pool)| (name, pool.first().copied().unwrap_or_default()));
            for _ in 0..dice.below(4) {
                let at = dice.below(POOLS.len());
                if let (Some((_, value)), Some((_, pool))) = (chosen.get_mut(at), POOLS.get(at)) {
                    *value = pool.get(dice.below(pool.len())).copied().unwrap_or_default();
                }
            }
            let members = chosen.iter().filter(|(_, value)| !value.is_empty());
            let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", members.join(", "))
        })
        .collect()
}

/// Numbers that look drawn by chance (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound.max(1)
    }
}
