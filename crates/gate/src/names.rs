//! Names on the aggregated route: `<upstream>__<tool>`, `<upstream>+<uri>` and, for views, `ui://<upstream>+<the rest>`.
//!
//! Some clients take only `[a-zA-Z0-9_-]{1,64}`: other characters become `_`, longer names are cut and end in
//! a short hash. Upstream names have no underscore and no plus, so the first separator always parts them.

use data_encoding::HEXLOWER;
use portcullis_catalogue::List;
use portcullis_wire::{member, text};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// The longest exposed name.
const LONGEST: usize = 64;

/// The exposed names of one upstream's list, both ways.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Exposed names in the order of the list.
    exposed: Vec<String>,
    /// Place in the list by exposed name.
    places: HashMap<String, usize>,
}

impl Names {
    /// Names every item of a list. Where two items would share a name, the one whose own name needed no change
    /// keeps it, else the first in alphabetical order; the others end in a hash of their own name.
    #[must_use]
    pub(crate) fn of(upstream: &str, list: &List) -> Self {
        let items = list.items();
        let mut order: Vec<usize> = (0..items.len()).collect();
        let key = |place: &usize| items.get(*place).map_or("", |item| item.key());
        order.sort_by_key(|place| (!is_clean(upstream, key(place)), key(place).to_owned()));
        let mut names = Self { exposed: vec![String::new(); items.len()], places: HashMap::new() };
        for place in order {
            let own = key(&place);
            let mut name = fit(upstream, own, false);
            if names.places.contains_key(&name) {
                name = fit(upstream, own, true);
            }
            names.places.entry(name.clone()).or_insert(place);
            if let Some(slot) = names.exposed.get_mut(place) {
                *slot = name;
            }
        }
        names
    }

    /// The exposed name of the item at that place.
    #[must_use]
    pub(crate) fn at(&self, place: usize) -> &str {
        self.exposed.get(place).map_or("", String::as_str)
    }

    /// The place of the item that is exposed under that name.
    #[must_use]
    pub(crate) fn find(&self, exposed: &str) -> Option<usize> {
        self.places.get(exposed).copied()
    }
}

fn clean(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

fn is_clean(upstream: &str, own: &str) -> bool {
    own.chars().all(clean) && upstream.len() + 2 + own.len() <= LONGEST
}

/// Whether a name is exposed as it is, so that no table is needed to find it.
#[must_use]
pub(crate) fn is_exposed_as_is(upstream: &str, own: &str) -> bool {
    is_clean(upstream, own)
}

fn fit(upstream: &str, own: &str, hashed: bool) -> String {
    let mut name: String =
        format!("{upstream}__{}", own.chars().map(|c| if clean(c) { c } else { '_' }).collect::<String>());
    if hashed || name.len() > LONGEST {
        let hash = HEXLOWER.encode(Sha256::digest(own.as_bytes()).get(..4).unwrap_or_default());
        name.truncate(LONGEST - hash.len() - 1);
        name.push('_');
        name.push_str(&hash);
    }
    name
}

/// Parts an exposed tool or prompt name into upstream and the rest.
#[must_use]
pub(crate) fn split_name(exposed: &str) -> Option<(&str, &str)> {
    exposed.split_once("__")
}

/// How addresses of views begin (MCP Apps). Hosts look for it, so it stays in front.
const VIEW: &str = "ui://";

/// The exposed form of a resource.
#[must_use]
pub(crate) fn expose_uri(upstream: &str, uri: &str) -> String {
    match uri.strip_prefix(VIEW) {
        Some(rest) => format!("{VIEW}{upstream}+{rest}"),
        None => format!("{upstream}+{uri}"),
    }
}

/// Parts an exposed URI into upstream and the upstream's own.
#[must_use]
pub(crate) fn split_uri(exposed: &str) -> Option<(&str, Cow<'_, str>)> {
    match exposed.strip_prefix(VIEW) {
        Some(rest) => rest.split_once('+').map(|(upstream, rest)| (upstream, format!("{VIEW}{rest}").into())),
        None => exposed.split_once('+').map(|(upstream, rest)| (upstream, rest.into())),
    }
}

/// Where the `_meta` of a tool or of its result says that its view is: JSON texts.
pub(crate) fn views_of(meta: &str) -> impl Iterator<Item = &str> {
    let ui = member(meta, "ui").and_then(|ui| member(ui, "resourceUri"));
    // The second is that of earlier drafts, the third that of one host before there was a specification.
    let all = [ui, member(meta, "ui/resourceUri"), member(meta, "openai/outputTemplate")];
    all.into_iter().flatten().filter(|raw| text(raw).is_some_and(|uri| uri.starts_with(VIEW)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_catalogue::ListKind;

    fn list(names: &[&str]) -> List {
        let tools: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let page = serde_json::json!({ "tools": tools }).to_string();
        List::from_pages("", ListKind::Tools, &[&page], |_| portcullis_catalogue::Reading::Plain).unwrap()
    }

    #[test]
    fn names_fit_every_client_and_lead_back() {
        let long = "x".repeat(100);
        let own = ["echo", "gateway.tasks_cancel", &long, "ü"];
        let list = list(&own);
        let names = Names::of("up-1", &list);
        assert_eq!(names.at(0), "up-1__echo");
        assert_eq!(names.at(1), "up-1__gateway_tasks_cancel");
        for place in 0..own.len() {
            let name = names.at(place);
            assert!(name.len() <= 64 && name.chars().all(clean), "{name}");
            assert_eq!(names.find(name), Some(place));
            assert_eq!(split_name(name).unwrap().0, "up-1");
        }
    }

    #[test]
    fn addresses_lead_back_and_those_of_views_stay_such() {
        for own in ["file:///a+b", "ui://map/view.html", "ui://a+b/c", "ui:map", "UI://map", "", "+", "ui://"]
        {
            let exposed = expose_uri("up-1", own);
            assert_eq!(split_uri(&exposed), Some(("up-1", own.into())), "{exposed}");
            assert_eq!(exposed.starts_with(VIEW), own.starts_with(VIEW), "{exposed}");
        }
        assert_eq!(split_uri("ui://map/view.html"), None);
    }

    #[test]
    fn a_collision_is_resolved_the_same_way_whatever_the_order() {
        for order in [["a.b", "a_b", "a/b"], ["a/b", "a.b", "a_b"], ["a_b", "a/b", "a.b"]] {
            let names = Names::of("u", &list(&order));
            let place = |own: &str| order.iter().position(|name| *name == own).unwrap();
            assert_eq!(names.at(place("a_b")), "u__a_b");
            assert_eq!(names.at(place("a.b")), fit("u", "a.b", true));
            assert_eq!(names.at(place("a/b")), fit("u", "a/b", true));
        }
    }
}
