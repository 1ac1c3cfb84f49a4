//! The methods of the protocol: how they are spelt, and which members of `params` each has.

use crate::Era;
use crate::params::ParamsBits as Part;

/// Every method and notification of both eras (schemas of 2024-11-05 to 2026-07-28, and the tasks extension).
const METHODS: [&str; 36] = [
    "tools/call",
    "tools/list",
    "initialize",
    "ping",
    "server/discover",
    "subscriptions/listen",
    "prompts/get",
    "prompts/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
    "tasks/list",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/message",
    "notifications/roots/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/elicitation/complete",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks/status",
];

/// Whether it is a notification of the protocol.
#[must_use]
pub fn is_known_notice(method: &str) -> bool {
    method.starts_with(NOTICES) && METHODS.contains(&method)
}

/// Whether it is a request of the protocol.
#[must_use]
pub fn is_known_request(method: &str) -> bool {
    !method.starts_with(NOTICES) && METHODS.contains(&method)
}

const NOTICES: &str = "notifications/";

/// Why a method is not taken: nobody knows how all readers read it.
#[must_use]
pub fn misspelt(method: &str) -> Option<String> {
    if METHODS.contains(&method) {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.:$".contains(c);
    if method.is_empty() || !method.chars().all(plain) {
        return Some(format!(
            "`method` is made of ASCII letters, digits and `/ _ - . : $`, found `{}`",
            method.chars().take(80).collect::<String>().escape_default()
        ));
    }
    let known = METHODS.iter().find(|known| letters(known).eq(letters(method)))?;
    Some(format!("`method` is `{method}`, which could be read as `{known}`"))
}

/// What a reader that ignores case, separators and repeated marks sees of a method.
fn letters(method: &str) -> impl Iterator<Item = u8> + '_ {
    method.bytes().filter(u8::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase())
}

/// The members of `params` that a method has toward a server of that era, as a set of bits; `None` for a method that the
/// protocol does not define.
pub(crate) fn parts_of(method: &str, era: Era) -> Option<u32> {
    const META: u32 = Part::set(&[Part::meta]);
    const RETRY: u32 = Part::set(&[Part::input_responses, Part::request_state]);
    let retry = if era == Era::New { RETRY } else { 0 };
    let parts = match method {
        "tools/call" => {
            let task = if era == Era::Old { Part::set(&[Part::task]) } else { 0 };
            Part::set(&[Part::name, Part::arguments]) | task | retry
        }
        "prompts/get" => Part::set(&[Part::name, Part::arguments]) | retry,
        "resources/read" => Part::set(&[Part::uri]) | retry,
        "resources/subscribe" | "resources/unsubscribe" => Part::set(&[Part::uri]),
        "completion/complete" => Part::set(&[Part::reference, Part::argument, Part::context]),
        "logging/setLevel" => Part::set(&[Part::level]),
        "subscriptions/listen" => Part::set(&[Part::notifications]),
        "tasks/get" | "tasks/result" | "tasks/cancel" => Part::set(&[Part::task_id]),
        "tasks/update" => Part::set(&[Part::task_id, Part::input_responses, Part::request_state]),
        method if METHODS.contains(&method) && method.ends_with("/list") => Part::set(&[Part::cursor]),
        method if METHODS.contains(&method) => 0,
        _ => return None,
    };
    Some(parts | META)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn methods_of_the_protocol_and_of_vendors_pass() {
        for method in
            METHODS.iter().chain(&["vendor/thing", "x-y.z:a", "$/cancelRequest", "tools/describe", "a"])
        {
            assert_eq!(misspelt(method), None, "{method}");
        }
    }

    #[test]
    fn what_a_lenient_reader_takes_for_a_known_method_is_refused() {
        for method in [
            "Tools/Call",
            "tools/call ",
            " tools/call",
            "TOOLS/CALL",
            "tool\u{17f}/call",
            "tools\u{2044}call",
            "tools//call",
            "/tools/call",
            "tools/call/",
            "tools.call",
            "tools_call",
            "tools-call",
            "toolscall",
            "tools/./call",
            "tools%2fcall",
            "tools\\call",
            "tools/call\0",
            "tools/call\n",
            "tools\u{200b}/call",
            "ｔools/call",
            "notifications/Cancelled",
            "resources/READ",
            "",
        ] {
            assert!(misspelt(method).is_some(), "{method:?}");
        }
    }

    proptest! {
        #[test]
        fn no_respelling_of_a_known_method_passes(
            known in proptest::sample::select(METHODS.to_vec()),
            upper in any::<u64>(),
            at in 0usize..40,
            put in proptest::sample::select(vec![
                "", " ", "\t", "/", "_", ".", "-", ":", "$", "\u{200b}", "\u{feff}", "\u{301}", "\u{ad}", "\0", "\r\n", "%2f"
            ])
        ) {
            let mut other: String = known
                .chars()
                .enumerate()
                .map(|(n, c)| if upper >> (n % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c })
                .collect();
            other.insert_str(at.min(other.len()), put);
            prop_assume!(!METHODS.contains(&other.as_str()));
            prop_assert!(misspelt(&other).is_some(), "{other:?}");
        }

        #[test]
        fn no_other_script_gets_by(known in proptest::sample::select(METHODS.to_vec()), at in 0usize..40, odd in "[^ -~]") {
            let mut other = known.to_owned();
            other.insert_str(at.min(other.len()), &odd);
            prop_assert!(misspelt(&other).is_some(), "{other:?}");
        }
    }
}
