//! What a change of a document would break for clients, or consumers of events, that were written against an earlier one.
//!
//! A client sends what it always sent, and reads what it always read. So a request may be asked for less but never for
//! more, and an answer may have more but never less. Problem codes are the exception: new ones may always come.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Who writes a value that a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Client,
    Service,
}

/// Everything in `new` that breaks a client of `old`, each as a sentence.
pub fn changes(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, found: BTreeSet::new(), seen: BTreeSet::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item) {
            let what = format!("{} {path}", method.to_uppercase());
            match new["paths"].get(path).and_then(|item| item.get(method)) {
                Some(newer) => comparison.operation(&what, operation, newer),
                None => comparison.report(&what, "is gone"),
            }
        }
    }
    for (name, channel) in members(&old["channels"]) {
        if new["channels"][name]["address"] != channel["address"] {
            comparison.report(&format!("the channel {name}"), "is gone");
        }
    }
    for (name, message) in members(&old["components"]["messages"]) {
        match new["components"]["messages"].get(name) {
            Some(newer) => comparison.schema(name, Writer::Service, &message["payload"], &newer["payload"]),
            None => comparison.report(&format!("the message {name}"), "is gone"),
        }
    }
    comparison.found.into_iter().collect()
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    found: BTreeSet<String>,
    /// References that were followed, each side's.
    seen: BTreeSet<(String, String)>,
}

impl<'a> Comparison<'a> {
    fn report(&mut self, what: &str, problem: &str) {
        self.found.insert(format!("{what} {problem}"));
    }

    fn operation(&mut self, what: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.report(what, "has another operationId");
        }
        self.parameters(what, old, new);
        self.body(what, &old["requestBody"], &new["requestBody"]);
        for (status, answer) in members(&old["responses"]) {
            let what = format!("{what}: {status}");
            match new["responses"].get(status) {
                Some(newer) => self.answer(&what, answer, newer),
                // A refusal that no longer happens harms nobody.
                None if status.starts_with(['4', '5']) => {}
                None => self.report(&what, "is gone"),
            }
        }
        for (status, _) in members(&new["responses"]) {
            if !status.starts_with(['4', '5']) && old["responses"].get(status).is_none() {
                self.report(what, &format!("may now be answered {status}"));
            }
        }
    }

    fn parameters(&mut self, what: &str, old: &'a Value, new: &'a Value) {
        let of = |operation: &'a Value| operation["parameters"].as_array().into_iter().flatten();
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for parameter in of(old) {
            let what = format!("{what}: the parameter {}", text(&parameter["name"]));
            match of(new).find(|newer| same(parameter, newer)) {
                Some(newer) => {
                    if newer["required"] == true && parameter["required"] != true {
                        self.report(&what, "is required now");
                    }
                    self.schema(&what, Writer::Client, &parameter["schema"], &newer["schema"]);
                }
                None => self.report(&what, "is gone"),
            }
        }
        for newer in of(new).filter(|newer| newer["required"] == true) {
            if !of(old).any(|parameter| same(parameter, newer)) {
                self.report(what, &format!("requires the new parameter {}", text(&newer["name"])));
            }
        }
    }

    fn body(&mut self, what: &str, old: &'a Value, new: &'a Value) {
        let what = format!("{what}: the body");
        if new["required"] == true && old["required"] != true {
            self.report(&what, "is required now");
        }
        self.contents(&what, Writer::Client, old, new);
    }

    fn answer(&mut self, what: &str, old: &'a Value, new: &'a Value) {
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        for (header, _) in members(&old["headers"]) {
            if new["headers"].get(header).is_none() {
                self.report(what, &format!("no longer has the header {header}"));
            }
        }
        self.contents(what, Writer::Service, old, new);
    }

    fn contents(&mut self, what: &str, writer: Writer, old: &'a Value, new: &'a Value) {
        for (media_type, content) in members(&old["content"]) {
            match new["content"].get(media_type) {
                Some(newer) => self.schema(what, writer, &content["schema"], &newer["schema"]),
                None => self.report(what, &format!("is no longer {media_type}")),
            }
        }
    }

    fn schema(&mut self, what: &str, writer: Writer, old: &'a Value, new: &'a Value) {
        if let (Some(one), Some(other)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self.seen.insert((format!("{what} {one}"), other.to_owned()))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        self.values(what, writer, old, new);
        self.bounds(what, writer, old, new);
        self.properties(what, writer, old, new);
        if old.get("items").is_some() && new.get("items").is_some() {
            self.schema(&format!("{what}[]"), writer, &old["items"], &new["items"]);
        }
        for keyword in ["oneOf", "anyOf", "allOf"] {
            let (older, newer) = (old[keyword].as_array(), new[keyword].as_array());
            match (older, newer) {
                (Some(older), Some(newer)) if older.len() == newer.len() => {
                    for (one, other) in older.iter().zip(newer) {
                        self.schema(what, writer, one, other);
                    }
                }
                (None, None) => {}
                _ => self.report(what, &format!("is composed otherwise: {keyword}")),
            }
        }
    }

    /// Who writes may have more to choose from; who reads must not meet what was not there.
    fn values(&mut self, what: &str, writer: Writer, old: &Value, new: &Value) {
        for keyword in ["type", "enum", "const"] {
            let (older, newer) = (choices(&old[keyword]), choices(&new[keyword]));
            let is_code = keyword == "enum" && what.rsplit('.').next() == Some("code");
            let (lost, harm) = match writer {
                Writer::Client => (refused(older.as_ref(), newer.as_ref()), "no longer takes"),
                Writer::Service if is_code => continue,
                Writer::Service => (refused(newer.as_ref(), older.as_ref()), "may now be"),
            };
            if !lost.is_empty() {
                self.report(what, &format!("{harm} {}", lost.into_iter().collect::<Vec<_>>().join(", ")));
            }
        }
        for keyword in ["format", "pattern"] {
            if writer == Writer::Client && new.get(keyword).is_some() && old[keyword] != new[keyword] {
                self.report(what, &format!("has another {keyword}"));
            }
        }
    }

    fn bounds(&mut self, what: &str, writer: Writer, old: &Value, new: &Value) {
        if writer == Writer::Service {
            return;
        }
        for (keyword, is_lower) in [
            ("minimum", true),
            ("minLength", true),
            ("minItems", true),
            ("maximum", false),
            ("maxLength", false),
            ("maxItems", false),
        ] {
            let (older, newer) = (old[keyword].as_f64(), new[keyword].as_f64());
            let is_narrower = match (older, newer) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(older), Some(newer)) => {
                    if is_lower {
                        newer > older
                    } else {
                        newer < older
                    }
                }
            };
            if is_narrower {
                self.report(what, &format!("has a narrower {keyword}"));
            }
        }
    }

    fn properties(&mut self, what: &str, writer: Writer, old: &'a Value, new: &'a Value) {
        let required = |schema: &Value| choices(&schema["required"]).unwrap_or_default();
        for (name, property) in members(&old["properties"]) {
            let what = format!("{what}.{name}");
            match new["properties"].get(name) {
                Some(newer) => self.schema(&what, writer, property, newer),
                None if writer == Writer::Service || new["additionalProperties"] == false => {
                    self.report(&what, "is gone");
                }
                None => {}
            }
        }
        let (older, newer) = (required(old), required(new));
        let (changed, harm) = match writer {
            Writer::Client => (newer.difference(&older), "is required now"),
            Writer::Service => (older.difference(&newer), "may be missing now"),
        };
        let changed: Vec<_> = changed.map(|name| format!("{what}.{}", name.trim_matches('"'))).collect();
        for property in changed {
            self.report(&property, harm);
        }
        if writer == Writer::Client && new["additionalProperties"] == false && old["additionalProperties"] != false {
            self.report(what, "no longer takes other properties");
        }
    }
}

/// What `value` refers to in its document, or itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let place = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(value)
}

/// What a keyword lists, as JSON; `None` if it leaves everything open.
fn choices(keyword: &Value) -> Option<BTreeSet<String>> {
    match keyword {
        Value::Null => None,
        Value::Array(choices) => Some(choices.iter().map(Value::to_string).collect()),
        choice => Some([choice.to_string()].into()),
    }
}

/// What is among the first and not among the second; what is open has more than any list.
fn refused(first: Option<&BTreeSet<String>>, second: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    match (first, second) {
        (_, None) => BTreeSet::new(),
        (None, Some(_)) => ["anything else".to_owned()].into(),
        (Some(first), Some(second)) => first.difference(second).cloned().collect(),
    }
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
