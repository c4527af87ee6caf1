//! Where every node of a YAML document stands in its text.
//!
//! Nodes are named by JSON pointers. An alias is redirected to its anchor, never expanded; a field
//! that came through a merge key is found where it is written. A place that is no node (a syntax
//! error, the second of two equal keys) is kept under a name that starts with `#`.

mod reader;

use std::collections::BTreeMap;

use pgkedge_model::PlanPlace;

use crate::pointer;

pub(crate) use reader::{Reading, read};

/// Bytes of a text, `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A place in a text for people, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The text of a document, and where its nodes stand in it.
#[derive(Debug, Clone)]
pub struct SourceMap {
    path: String,
    text: String,
    nodes: BTreeMap<String, NodeSpan>,
    /// Pointers of aliases, each with the pointer of its anchor.
    redirects: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy)]
struct NodeSpan {
    key: Option<Span>,
    value: Span,
}

impl SourceMap {
    /// A map without nodes, of a text without byte order mark.
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            nodes: BTreeMap::new(),
            redirects: BTreeMap::new(),
        }
    }

    /// A map of a text that is no YAML, with one place in it.
    pub(crate) fn of_place(path: &str, text: &str, span: Span) -> (Self, String) {
        let mut map = Self::new(path, text);
        let place = map.add_place(span);
        (map, place)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text, without a byte order mark. Spans count from its start.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a key; those of the value where the node has no key.
    pub fn key(&self, pointer: &str) -> Span {
        let node = self.node(pointer);
        node.key.unwrap_or(node.value)
    }

    /// The bytes of a value.
    pub fn value(&self, pointer: &str) -> Span {
        self.node(pointer).value
    }

    /// What to underline: one line at most, because a frame around half a plan shows nothing.
    pub fn underlined(&self, place: &PlanPlace) -> Span {
        let resolved = self.resolve(&place.pointer);
        let found = stands_for(&resolved, &place.pointer);
        let node = self.node(&place.pointer);
        if place.key && found {
            return self.first_line(node.key.unwrap_or(node.value));
        }
        if self.text[node.value.start..node.value.end].contains('\n') {
            return node.key.unwrap_or_else(|| self.first_line(node.value));
        }
        if node.value.start == node.value.end { node.key.unwrap_or(node.value) } else { node.value }
    }

    /// Line and column of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let before = &self.text[..byte.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Keeps a place that is no node; gives the name under which it is found.
    pub(crate) fn add_place(&mut self, value: Span) -> String {
        let name = format!("#{}", self.nodes.len());
        self.nodes.insert(name.clone(), NodeSpan { key: None, value });
        name
    }

    fn node(&self, pointer: &str) -> NodeSpan {
        let whole =
            NodeSpan { key: None, value: self.first_line(Span { start: 0, end: self.text.len() }) };
        self.nodes.get(&self.resolve(pointer)).copied().unwrap_or(whole)
    }

    fn first_line(&self, span: Span) -> Span {
        let length = self.text[span.start..span.end].lines().next().map_or(0, str::len);
        Span { start: span.start, end: span.start + length }
    }

    /// The node that is meant, through aliases and merge keys, or its nearest ancestor that exists.
    fn resolve(&self, pointer: &str) -> String {
        if self.nodes.contains_key(pointer) && !self.redirects.contains_key(pointer) {
            return pointer.to_owned();
        }
        let mut at = String::new();
        for segment in pointer.split('/').skip(1) {
            let Some(next) = self.child(&at, segment) else { return at };
            at = next;
        }
        at
    }

    fn child(&self, parent: &str, segment: &str) -> Option<String> {
        let parent = self.redirects.get(parent).map_or(parent, String::as_str);
        let own = format!("{parent}/{segment}");
        if self.nodes.contains_key(&own) {
            return Some(own);
        }
        let merged = format!("{parent}/<<");
        let listed = (0..).map(|n| format!("{merged}/{n}"));
        std::iter::once(merged.clone())
            .chain(listed.take_while(|item| self.nodes.contains_key(item)))
            .filter(|source| self.nodes.contains_key(source))
            .find_map(|source| self.child(&source, segment))
    }
}

/// Whether a resolved pointer stands for the whole of another, rather than for an ancestor of it.
fn stands_for(resolved: &str, pointer: &str) -> bool {
    pointer.starts_with('#') || pointer::name(pointer) == pointer::name(resolved)
}
