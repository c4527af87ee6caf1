//! Bytes to one JSON document and the map of its text: encoding, syntax, aliases, merge keys.

use pgkedge_model::Finding;
use serde_json::{Map, Value};

use crate::source_map::{self, Reading, SourceMap, Span};
use crate::{codes, pointer};

/// A YAML text as JSON, with what is wrong with its form.
pub(crate) struct Document {
    pub(crate) map: SourceMap,
    /// None where the text is no YAML.
    pub(crate) json: Option<Value>,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) fn read(path: &str, bytes: &[u8]) -> Document {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return not_utf8(path, bytes, error.valid_up_to()),
    };
    let Reading { mut map, mut findings, broken } = source_map::read(path, text);
    if broken {
        return Document { map, json: None, findings };
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(Value::Null) => findings.push(empty()),
        Ok(mut json) => {
            merge(&mut json, "", &mut findings);
            return Document { map, json: Some(json), findings };
        }
        Err(error) => {
            let at = error.location().map_or(0, |location| location.index());
            findings.push(syntax_error(&mut map, &error.to_string(), at));
        }
    }
    Document { map, json: None, findings }
}

fn empty() -> Finding {
    Finding::error(codes::EMPTY, "there is nothing in this file but comments")
        .at_value("", "no plan here")
        .help("start with `version: 1`; `pgkedge init` writes a first plan from the source")
}

fn not_utf8(path: &str, bytes: &[u8], at: usize) -> Document {
    if let Some(text) = utf16(bytes) {
        let end = text.find('\n').unwrap_or(text.len());
        let (map, place) = SourceMap::of_place(path, &text, Span { start: 0, end });
        let finding = Finding::error(codes::NOT_UTF8, "the file is UTF-16")
            .at_value(place, "two bytes for each character")
            .help(format!("save it as UTF-8, for example: iconv -f UTF-16 -t UTF-8 {path}"));
        return Document { map, json: None, findings: vec![finding] };
    }
    let text = String::from_utf8_lossy(bytes);
    let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
    let (map, place) = SourceMap::of_place(path, &text, Span { start: at, end });
    let finding = Finding::error(codes::NOT_UTF8, "the file is not UTF-8")
        .at_value(place, "this is no UTF-8")
        .help(format!("save it as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}"));
    Document { map, json: None, findings: vec![finding] }
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let pair: fn([u8; 2]) -> u16 = match bytes.get(..2)? {
        b"\xFF\xFE" => u16::from_le_bytes,
        b"\xFE\xFF" => u16::from_be_bytes,
        _ => return None,
    };
    let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|two| pair([two[0], two[1]])).collect();
    Some(String::from_utf16_lossy(&units))
}

/// A parser's error as a finding that knows the slips people make.
pub(crate) fn syntax_error(map: &mut SourceMap, info: &str, at: usize) -> Finding {
    let at = map.text().floor_char_boundary(at);
    let line_start = map.text()[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = map.text()[line_start..].lines().next().unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    if let Some(tab) = indent.find('\t') {
        let start = line_start + tab;
        let place = map.add_place(Span { start, end: start + 1 });
        return Finding::error(codes::TAB, "a line is indented by a tab")
            .at_value(place, "a tab")
            .help("indent by spaces: YAML allows no tabs here");
    }
    let at = at.min(map.text().trim_end().len());
    let (message, help) = explained(info, &map.text()[at..]);
    let place = map.add_place(Span { start: at, end: at });
    Finding::error(codes::SYNTAX, message).at_value(place, "reading stopped here").help(help)
}

/// What a parser's message means for a plan, and what to do; `rest` is the text from the error on.
fn explained(info: &str, rest: &str) -> (String, String) {
    let alias = rest.split([',', ']', '}', ' ', '\n']).next().unwrap_or("");
    let told = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    if info.contains("unknown anchor") {
        let help = format!(
            "a pattern that starts with a star stands in quotes: \"{alias}\"\n\
             an alias repeats what is marked by `&{}`, further up",
            alias.trim_start_matches('*')
        );
        return (format!("`{alias}` repeats something that is not marked"), help);
    }
    if info.contains("anchor or alias") {
        return told(
            "a star without quotes",
            r#"a pattern that starts with a star stands in quotes: "*""#,
        );
    }
    let message = format!("this is no YAML: {info}");
    let help = if info.contains("mapping values") {
        "put quotes around a text that holds a colon and a space; \
         otherwise the indentation of this line does not fit the line above"
    } else if info.contains("quoted scalar") || info.contains("end of stream") {
        "a quote is opened and not closed"
    } else if info.contains("expected ','") {
        "a bracket is opened and not closed, or a comma is missing; look at the lines above too"
    } else {
        "look at the indentation and the brackets of this line and of the one above"
    };
    (message, help.to_owned())
}

/// Writes merge keys (`<<`) out: fields of their own win, then those of the first mapping merged.
fn merge(value: &mut Value, at: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                merge(item, &pointer::child(at, n), findings);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                merge(field, &pointer::child(at, key), findings);
            }
            if let Some(merged) = fields.shift_remove("<<") {
                take_missing(fields, merged, at, findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn take_missing(
    fields: &mut Map<String, Value>,
    merged: Value,
    at: &str,
    findings: &mut Vec<Finding>,
) {
    let sources = match merged {
        Value::Array(sources) => sources,
        source @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => vec![source],
    };
    for source in sources {
        let Value::Object(source) = source else {
            findings.push(bad_merge(at));
            return;
        };
        for (key, value) in source {
            fields.entry(key).or_insert(value);
        }
    }
}

fn bad_merge(at: &str) -> Finding {
    Finding::error(codes::BAD_MERGE, "`<<` merges something that has no fields")
        .at_value(pointer::child(at, "<<"), "neither a mapping nor a list of mappings")
        .help("write `<<: *name`, where `&name` stands at a mapping")
}
