//! Reads the events of a YAML document into a source map.

use std::collections::BTreeMap;

use pgkedge_model::Finding;
use saphyr_parser::{Event, Parser, ScanError, Span as Marks};

use super::{NodeSpan, SourceMap, Span};
use crate::{codes, pointer};

/// Deeper than any plan, and far from where a parser would give up.
const DEEPEST: usize = 64;
/// Nodes that a plan may have once its aliases are written out.
const MOST_NODES: usize = 100_000;

/// A document's map, and what is wrong with its form.
pub(crate) struct Reading {
    pub(crate) map: SourceMap,
    pub(crate) findings: Vec<Finding>,
    /// Nothing more can be said about this text.
    pub(crate) broken: bool,
}

/// Reads a text that has no byte order mark.
pub(crate) fn read(path: &str, text: &str) -> Reading {
    let mut reader = Reader::new(path, text);
    for event in Parser::new_from_str(text) {
        let read = match event {
            Ok((event, marks)) => reader.take(event, marks),
            Err(error) => Err(reader.syntax_error(&error)),
        };
        if let Err(finding) = read {
            reader.findings.push(finding);
            return Reading { map: reader.map, findings: reader.findings, broken: true };
        }
    }
    let broken = reader.findings.iter().any(|finding| finding.code == codes::TAG);
    Reading { map: reader.map, findings: reader.findings, broken }
}

struct Reader<'a> {
    text: &'a str,
    /// Byte offset of each character: the parser counts characters.
    offsets: Vec<usize>,
    map: SourceMap,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    documents: usize,
    findings: Vec<Finding>,
}

/// A mapping or sequence that is open.
struct Frame {
    pointer: String,
    start: usize,
    key: Option<Span>,
    anchor: usize,
    /// Nodes in it so far, with aliases written out.
    nodes: usize,
    items: Items,
}

enum Items {
    Sequence { next: usize },
    Mapping { key: Option<(String, Span)>, seen: BTreeMap<String, Span> },
}

struct Anchor {
    pointer: String,
    /// None while the node is open: an alias to it would have no end.
    nodes: Option<usize>,
}

/// Where a node goes.
struct Slot {
    pointer: String,
    key: Option<Span>,
}

impl<'a> Reader<'a> {
    fn new(path: &str, text: &'a str) -> Self {
        let offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self {
            text,
            offsets,
            map: SourceMap::new(path, text),
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            documents: 0,
            findings: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'_>, marks: Marks) -> Result<(), Finding> {
        let span = self.span(marks);
        match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, _, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.scalar(&text, anchor, span)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.open(Items::Sequence { next: 0 }, anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let items = Items::Mapping { key: None, seen: BTreeMap::new() };
                self.open(items, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(span);
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Finding> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let place = self.map.add_place(span);
        Err(Finding::error(codes::SEVERAL_DOCUMENTS, "the file holds more than one YAML document")
            .at_value(place, "a second document starts here")
            .help("keep one plan per file: remove this `---` and what follows, or move it to a file of its own"))
    }

    fn scalar(&mut self, text: &str, anchor: usize, span: Span) -> Result<(), Finding> {
        if self.takes_key(text, span) {
            return Ok(());
        }
        let slot = self.slot(span)?;
        self.anchor(anchor, &slot.pointer, Some(1));
        self.count(1);
        self.map.nodes.insert(slot.pointer, NodeSpan { key: slot.key, value: span });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Finding> {
        let slot = self.slot(span)?;
        let Some(Anchor { pointer, nodes: Some(nodes) }) = self.anchors.get(&anchor) else {
            let place = self.map.add_place(span);
            return Err(Finding::error(
                codes::ENDLESS_ALIAS,
                "an alias stands inside its own anchor",
            )
            .at_value(place, "this repeats what it is part of")
            .help("write the repeated fields out"));
        };
        let nodes = *nodes;
        self.map.redirects.insert(slot.pointer.clone(), pointer.clone());
        self.map.nodes.insert(slot.pointer, NodeSpan { key: slot.key, value: span });
        self.count(nodes);
        let all: usize = self.frames.iter().map(|frame| frame.nodes).fold(0, usize::saturating_add);
        if all <= MOST_NODES {
            return Ok(());
        }
        let place = self.map.add_place(span);
        let message =
            format!("aliases repeat so much that the plan has more than {MOST_NODES} values");
        Err(Finding::error(codes::ENDLESS_ALIAS, message)
            .at_value(place, "one alias too many")
            .help("write the repeated fields out, or repeat less"))
    }

    fn open(&mut self, items: Items, anchor: usize, span: Span) -> Result<(), Finding> {
        if self.frames.len() == DEEPEST {
            let place = self.map.add_place(span);
            return Err(Finding::error(
                codes::TOO_DEEP,
                format!("more than {DEEPEST} levels of nesting"),
            )
            .at_value(place, "one level too many")
            .help("a plan needs fewer than ten levels: look for brackets that are not closed"));
        }
        let Slot { pointer, key } = self.slot(span)?;
        self.anchor(anchor, &pointer, None);
        // Known before it is closed, so that a syntax error inside does not lose it.
        self.map.nodes.insert(pointer.clone(), NodeSpan { key, value: span });
        self.frames.push(Frame { pointer, start: span.start, key, anchor, nodes: 1, items });
        Ok(())
    }

    fn close(&mut self, span: Span) {
        let Some(frame) = self.frames.pop() else { return };
        // The end of a block stands where the next token starts.
        let text_end = self.text[..span.start].trim_end().len().max(frame.start);
        let end = if span.end > span.start { span.end } else { text_end };
        let value = Span { start: frame.start, end };
        self.anchor(frame.anchor, &frame.pointer, Some(frame.nodes));
        self.count(frame.nodes);
        self.map.nodes.insert(frame.pointer, NodeSpan { key: frame.key, value });
    }

    /// Takes a scalar as a key, if a mapping waits for one.
    fn takes_key(&mut self, text: &str, span: Span) -> bool {
        let Some(Frame { pointer, items: Items::Mapping { key, seen }, .. }) =
            self.frames.last_mut()
        else {
            return false;
        };
        if key.is_some() {
            return false;
        }
        *key = Some((text.to_owned(), span));
        let (first, pointer) = (seen.get(text).copied(), pointer.clone());
        let Some(first) = first else {
            seen.insert(text.to_owned(), span);
            return true;
        };
        let finding = self.duplicate(text, &pointer, first, span);
        self.findings.push(finding);
        true
    }

    fn duplicate(&mut self, key: &str, parent: &str, first: Span, second: Span) -> Finding {
        let (second, first) = (self.map.add_place(second), self.map.add_place(first));
        let within = match parent {
            "" => String::new(),
            _ => format!(" in `{}`", parent.trim_start_matches('/').replace('/', ".")),
        };
        Finding::error(codes::DUPLICATE_FIELD, format!("`{key}` is given twice{within}"))
            .at_value(second, "given again")
            .at_value(first, "first given here")
            .help("keep one of the two, or put the contents of both under one key")
    }

    /// The place of the next value. A key that is no text has none.
    fn slot(&mut self, span: Span) -> Result<Slot, Finding> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(Slot { pointer: String::new(), key: None });
        };
        match &mut frame.items {
            Items::Sequence { next } => {
                *next += 1;
                Ok(Slot { pointer: pointer::child(&frame.pointer, *next - 1), key: None })
            }
            Items::Mapping { key, .. } => {
                if let Some((name, key)) = key.take() {
                    return Ok(Slot {
                        pointer: pointer::child(&frame.pointer, name),
                        key: Some(key),
                    });
                }
                let place = self.map.add_place(span);
                Err(Finding::error(codes::COMPLEX_KEY, "a key must be a text")
                    .at_value(place, "no text")
                    .help(
                        "write `key: value`; put quotes around a text that starts with *, [ or {",
                    ))
            }
        }
    }

    fn anchor(&mut self, anchor: usize, pointer: &str, nodes: Option<usize>) {
        // The parser numbers anchors from 1; 0 is none.
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor { pointer: pointer.to_owned(), nodes });
        }
    }

    fn count(&mut self, nodes: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.nodes = frame.nodes.saturating_add(nodes);
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if !tagged {
            return;
        }
        let line = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        // The parser's span may start behind the tag, which then stands before it on the line.
        let start = self.text[line..span.start].rfind('!').map_or(span.start, |at| line + at);
        let length = self.text[start..].find(char::is_whitespace).unwrap_or(0);
        let place = self.map.add_place(Span { start, end: start + length });
        self.findings.push(
            Finding::error(codes::TAG, "a plan has no YAML tags")
                .at_value(place, "a tag")
                .help("remove the tag; a reference is written as `{ env: SOURCE_URL }`"),
        );
    }

    fn syntax_error(&mut self, error: &ScanError) -> Finding {
        let at = self.offset(error.marker().index());
        crate::document::syntax_error(&mut self.map, error.info(), at)
    }

    fn span(&self, marks: Marks) -> Span {
        let (start, end) = (self.offset(marks.start.index()), self.offset(marks.end.index()));
        // Block scalars and blocks end where the next token starts.
        let trimmed = self.text[start..end.max(start)].trim_end().len();
        Span { start, end: start + trimmed }
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).copied().unwrap_or(self.text.len())
    }
}
