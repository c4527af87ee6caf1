//! The runbook, read back by a parser of Markdown.

use std::collections::BTreeSet;

use pgkedge_model::StepNode;
use pulldown_cmark::{Event, Options as Extensions, Parser, Tag, TagEnd};

use super::*;

#[test]
fn the_runbook_of_a_move() {
    insta::assert_snapshot!(with_subject(|subject| markdown(subject, &options(false)).unwrap()));
}

#[test]
fn the_runbook_of_a_capture() {
    insta::assert_snapshot!(with_capture(|subject| markdown(subject, &options(false)).unwrap()));
}

#[test]
fn every_statement_is_written_out_or_folded_with_its_object_named() {
    with_capture(|subject| {
        let read = Read::of(&markdown(subject, &options(false)).unwrap());
        for step in subject.graph.steps() {
            assert_shown(&read, step);
        }
    });
}

#[test]
fn a_runbook_of_two_thousand_tables_is_short_and_names_them_all() {
    let mut world = World::new();
    for number in 1..=2_000 {
        world = world.table(number, &format!("public.t{number}"));
    }
    let copy = json!({ "sql": "copy {} from stdin", "undo": "truncate only {}" });
    let sketch = Sketch::new().step("load/copy", "small", Some(Each::Table), copy);
    with_compiled(&world, &sketch, |subject| {
        let text = markdown(subject, &options(false)).unwrap();
        assert!(text.lines().count() < 150, "{} lines", text.lines().count());
        let read = Read::of(&text);
        for step in subject.graph.steps() {
            assert_shown(&read, step);
        }
    });
}

fn assert_shown(read: &Read, step: &StepNode) {
    for member in &step.members {
        let sent = step.before.iter().chain(&member.run).chain(&step.after);
        let is_written = sent.map(|statement| shown::visible(&statement.shown())).all(|text| {
            let ended = format!("{text};");
            read.blocks.iter().any(|block| block.contains(&ended))
        });
        let is_named = read.spans.contains(&shown::line(&member.key));
        assert!(is_written || is_named, "{} of {}", member.key, step.id);
    }
}

/// What a reader of the rendered document sees.
#[derive(Default)]
struct Read {
    blocks: Vec<String>,
    spans: BTreeSet<String>,
}

impl Read {
    fn of(markdown: &str) -> Self {
        let mut read = Self::default();
        let mut block = None;
        let extensions = Extensions::ENABLE_TABLES | Extensions::ENABLE_TASKLISTS;
        for event in Parser::new_ext(markdown, extensions) {
            match (event, &mut block) {
                (Event::Start(Tag::CodeBlock(_)), _) => block = Some(String::new()),
                (Event::End(TagEnd::CodeBlock), _) => read.blocks.extend(block.take()),
                (Event::Text(text), Some(block)) => block.push_str(&text),
                (Event::Code(text), _) => {
                    read.spans.insert(text.into_string());
                }
                _ => {}
            }
        }
        read
    }
}
