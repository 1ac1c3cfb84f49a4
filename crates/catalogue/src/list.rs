//! A list as a server gave it, all pages together.

use crate::{ListKind, Surroundings, Tool, blocks, fingerprint_of};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

/// Why a list was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// A page is not what the method answers.
    #[error("the answer to {method} has no array `{member}`: {why}")]
    Shape {
        /// The method asked.
        method: &'static str,
        /// The member expected.
        member: &'static str,
        /// The reader's reason.
        why: String,
    },
}

/// How a definition reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// In one way, and JSON as a double has it tells it from every other.
    Plain,
    /// In one way, and it has a number that no double holds: its canonical text, every digit of it.
    Exact(String),
    /// In two ways, and why.
    Faulty(String),
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    key: Box<str>,
    raw: Box<str>,
    tool: Option<Box<Tool>>,
    blocks: bool,
    fault: Option<Box<str>>,
}

impl Item {
    /// Its name or URI.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its definition as it came.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The fingerprint of a tool's definition; empty for items of the other lists.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        self.tool().map_or("", |tool| &tool.fingerprint)
    }

    /// Whether something in what is no tool speaks to the model behind its user's back. Tools are held by what was accepted of them.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.blocks
    }

    /// Why its definition could be read in another way than it was judged; `None` where it could not.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The facts of a tool; absent for items of the other lists.
    #[must_use]
    pub fn tool(&self) -> Option<&Tool> {
        self.tool.as_deref()
    }
}

/// Members of a list's result that the protocol has beside the items and the cursor. No other goes to clients: one named `Tools` would
/// be a second list for whoever reads names without case.
const BESIDE: [&str; 4] = ["_meta", "cacheScope", "resultType", "ttlMs"];

/// All items of one list in the server's order. An item without a name, or with the name of an earlier one,
/// could not be called unambiguously and is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    kind: ListKind,
    items: Vec<Item>,
    places: HashMap<Box<str>, usize>,
    /// Members of the last page's result beside the items and the cursor, as far as the protocol has them.
    rest: Vec<(String, Box<str>)>,
}

impl List {
    /// Joins the pages' results. `server` is the name of the one that gave them, which its tools' names may begin with; `reading`
    /// says how a definition reads. One that could be read in two ways has a fingerprint of its own text, and blocks where it is no
    /// tool.
    ///
    /// # Errors
    /// Where a page is not an object with an array of items.
    pub fn from_pages(
        server: &str,
        kind: ListKind,
        pages: &[&str],
        reading: impl Fn(&str) -> Reading,
    ) -> Result<Self, BadList> {
        let mut list = Self { kind, items: Vec::new(), places: HashMap::new(), rest: Vec::new() };
        for page in pages {
            list.add(page)?;
        }
        if kind == ListKind::Tools {
            let around = Surroundings::of(server, list.items.iter().map(Item::key));
            for item in &mut list.items {
                let mut tool = Tool::read(&item.raw, &around);
                match reading(&item.raw) {
                    Reading::Plain => {}
                    Reading::Exact(text) => tool.fingerprint = fingerprint_of(&text.into()),
                    Reading::Faulty(why) => {
                        tool.fingerprint = fingerprint_of(&serde_json::Value::from(&*item.raw));
                        item.fault = Some(why.into());
                    }
                }
                item.tool = Some(Box::new(tool));
            }
        } else {
            for item in &mut list.items {
                if let Reading::Faulty(why) = reading(&item.raw) {
                    item.fault = Some(why.into());
                }
                item.blocks =
                    item.fault.is_some() || serde_json::from_str(&item.raw).is_ok_and(|said| blocks(&said));
            }
        }
        Ok(list)
    }

    fn add(&mut self, page: &str) -> Result<(), BadList> {
        let bad =
            |why: String| BadList::Shape { method: self.kind.method(), member: self.kind.member(), why };
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_str(page).map_err(|error| bad(error.to_string()))?;
        let items = members.remove(self.kind.member()).ok_or_else(|| bad("it is missing".into()))?;
        // `null` is how some languages write an empty list.
        let items: Option<Vec<&RawValue>> =
            serde_json::from_str(items.get()).map_err(|error| bad(error.to_string()))?;
        self.rest = members
            .into_iter()
            .filter(|(name, _)| BESIDE.contains(&name.as_str()))
            .map(|(name, raw)| (name, raw.get().into()))
            .collect();
        for raw in items.unwrap_or_default() {
            let Some(key) = key_of(self.kind, raw.get()) else { continue };
            if self.places.contains_key(&key) {
                continue;
            }
            self.places.insert(key.clone(), self.items.len());
            self.items.push(Item { key, raw: raw.get().into(), tool: None, blocks: false, fault: None });
        }
        Ok(())
    }

    /// Which of the four it is.
    #[must_use]
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// All items.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The item of that name or URI.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.places.get(key).and_then(|place| self.items.get(*place))
    }

    /// A result with the chosen items: members in the order of the specification's examples, the server's
    /// other members kept unless `replaced` names them with JSON text of their own (empty: left out).
    pub fn write<'a>(
        &self,
        items: impl Iterator<Item = &'a Item>,
        next_cursor: Option<&str>,
        replaced: &[(&str, &str)],
    ) -> String {
        let mut out = format!("{{\"{}\":[", self.kind.member());
        for (place, item) in items.enumerate() {
            if place > 0 {
                out.push(',');
            }
            out.push_str(item.raw());
        }
        out.push(']');
        if let Some(cursor) = next_cursor {
            push_member(&mut out, "nextCursor", &serde_json::Value::from(cursor).to_string());
        }
        for (name, value) in &self.rest {
            if !replaced.iter().any(|(other, _)| other == name) {
                push_member(&mut out, name, value);
            }
        }
        for (name, value) in replaced.iter().filter(|(_, value)| !value.is_empty()) {
            push_member(&mut out, name, value);
        }
        out.push('}');
        out
    }

    /// Whether the server's result had such a member beside its items.
    #[must_use]
    pub fn has_member(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// A member of the server's last result beside its items, JSON.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&str> {
        self.rest.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }
}

fn push_member(out: &mut String, name: &str, value: &str) {
    out.push(',');
    out.push_str(&serde_json::Value::from(name).to_string());
    out.push(':');
    out.push_str(value);
}

fn key_of(kind: ListKind, raw: &str) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<Box<str>>,
        uri: Option<Box<str>>,
        #[serde(rename = "uriTemplate")]
        template: Option<Box<str>>,
    }
    let named: Named = serde_json::from_str(raw).ok()?;
    match kind {
        ListKind::Tools | ListKind::Prompts => named.name,
        ListKind::Resources => named.uri,
        ListKind::Templates => named.template,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_in_order_and_items_keep_their_bytes() {
        let pages = [
            r#"{"tools":[{"name":"b","x":1.0},{"name":"a"}],"nextCursor":"2","_meta":{"k":1}}"#,
            r#"{"tools":[{"name":"b"},{"title":"nameless"},{"name":"c"}],"_meta":{"k":2},"ttlMs":9}"#,
        ];
        let list = List::from_pages("", ListKind::Tools, &pages, |_| Reading::Plain).unwrap();
        let keys: Vec<_> = list.items().iter().map(Item::key).collect();
        assert_eq!(keys, ["b", "a", "c"]);
        assert_eq!(list.get("b").unwrap().raw(), r#"{"name":"b","x":1.0}"#);
        let written = list.write(list.items().iter().skip(2), Some("n"), &[("ttlMs", "0"), ("_meta", "")]);
        assert_eq!(written, r#"{"tools":[{"name":"c"}],"nextCursor":"n","ttlMs":0}"#);
    }

    #[test]
    fn a_page_of_another_shape_says_what_was_expected() {
        let error =
            List::from_pages("", ListKind::Prompts, &[r#"{"tools":[]}"#], |_| Reading::Plain).unwrap_err();
        assert_eq!(error.to_string(), "the answer to prompts/list has no array `prompts`: it is missing");
        assert!(List::from_pages("", ListKind::Tools, &[r#"{"tools":{}}"#], |_| Reading::Plain).is_err());
    }

    #[test]
    fn a_list_of_null_is_empty() {
        let pages = [r#"{"tools":null,"nextCursor":"2"}"#, r#"{"tools":[{"name":"a"}]}"#];
        let list = List::from_pages("", ListKind::Tools, &pages, |_| Reading::Plain).unwrap();
        assert_eq!(list.items().len(), 1);
    }
}
