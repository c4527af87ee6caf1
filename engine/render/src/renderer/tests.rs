use pgkedge_model::{Object, OutputOf, QuotedAs};
use serde_json::json;

use super::*;

/// What cannot be written plainly: quotes, backslashes, line breaks, template syntax, separators,
/// and the characters of our own encoding.
const HOSTILE: &[&str] = &[
    "a\"b",
    "a'b",
    r"a\b",
    "a\nb",
    "a\n;;\nb",
    ";;",
    "{{x}}",
    "{% raw %}",
    "a\u{1}n",
    "\u{1}p{\"sql\":\"drop\"}\u{2}",
    "-- x",
    "a;",
];

fn renderer(template: &'static str) -> Renderer {
    let templates: &'static [(&str, &str)] = vec![("steps/x.sql.j2", template)].leak();
    Renderer::new(templates)
}

fn run(template: &'static str, context: &impl Serialize) -> Result<Vec<Vec<Piece>>, RenderError> {
    renderer(template).step("x", Block::Run, context)
}

fn message(template: &'static str, context: &serde_json::Value) -> String {
    run(template, context).unwrap_err().to_string()
}

#[test]
fn a_separator_after_the_end_of_a_block_separates() {
    const TEMPLATES: &[(&str, &str)] = &[(
        "steps/copy.sql.j2",
        "{% block run %}\nselect 1{% if true %} where true{% endif %}\n;;\nselect 2\n{% endblock %}\n",
    )];
    let statements =
        Renderer::new(TEMPLATES).step("copy", Block::Run, &serde_json::json!({})).unwrap();
    assert_eq!(statements.len(), 2);
}

#[test]
fn a_hostile_name_stays_one_identifier_in_one_statement() {
    for name in HOSTILE {
        let template = "{% block run %}\ndrop table {{ x | ident }}\n;;\nselect 1\n{% endblock %}";
        let statements = run(template, &json!({ "x": name })).unwrap();
        let quoted = format!("drop table \"{}\"", name.replace('"', "\"\""));
        assert_eq!(statements, [vec![Piece::sql(quoted)], vec![Piece::sql("select 1")]]);
    }
}

#[test]
fn a_hostile_text_stays_one_literal_and_one_raw_statement() {
    for text in HOSTILE {
        let template = "{% block run %}{{ x | literal }}\n;;\n{{ x | raw }}\n{% endblock %}";
        let statements = run(template, &json!({ "x": text })).unwrap();
        let expected =
            [vec![Piece::sql(pgkedge_model::quote_literal(text))], vec![Piece::sql(*text)]];
        assert_eq!(statements, expected);
    }
}

#[test]
fn lists_and_qualified_names_are_written_with_commas() {
    let template = "{% block run %}{{ t | name }} ({{ c | columns }}) {{ o | columns }} \
                    {{ ts | names }} {{ v | literals }}{% endblock %}";
    let name = json!({ "schema": "s", "name": "T" });
    let context = json!({
        "t": name, "c": ["a", "B"], "o": [{ "name": "c" }], "ts": [name, name], "v": [1, "x", null]
    });
    let expected = "s.\"T\" (a, \"B\") c s.\"T\", s.\"T\" 1, 'x', null";
    assert_eq!(run(template, &context).unwrap(), [[Piece::sql(expected)]]);
}

#[test]
fn markers_become_pieces() {
    let template = r#"{% block run %}
set transaction snapshot {{ output("snapshot:source", "id", "literal") }}
;;
select {{ observed("value", "bare") }}, {{ secret("password of app") }}, {{ run_name("pgkedge") }}
{% endblock %}"#;
    let snapshot = Piece::Output {
        of: OutputOf::Writer(Object::new("snapshot", "source")),
        field: "id".into(),
        quoted_as: QuotedAs::Literal,
    };
    let expected = [
        vec![Piece::sql("set transaction snapshot "), snapshot],
        vec![
            Piece::sql("select "),
            Piece::observed("value", QuotedAs::Bare),
            Piece::sql(", "),
            Piece::Secret { what: "password of app".into() },
            Piece::sql(", "),
            Piece::RunName { prefix: "pgkedge".into() },
        ],
    ];
    assert_eq!(run(template, &()).unwrap(), expected);
}

#[test]
fn a_block_that_is_not_there_gives_no_statement_and_the_others_are_not_evaluated() {
    let renderer = renderer(
        "{# why #}\n{% block run %}select 1{% endblock %}\n{% block undo %}{{ gone | ident }}{% endblock %}\n",
    );
    assert_eq!(renderer.step("x", Block::Run, &()).unwrap(), [[Piece::sql("select 1")]]);
    assert!(renderer.step("x", Block::Before, &()).unwrap().is_empty());
    assert!(renderer.step("x", Block::Undo, &()).is_err());
}

#[test]
fn macros_and_captures_of_made_sql_can_be_written() {
    let template = "{% macro quoted(x) %}{{ x | ident }}{% endmacro %}{% block run %}\
                    {% set all %}{% for x in xs %}{{ quoted(x) }} {% endfor %}{% endset %}\
                    {{ all }}{{ loopless | default(1) }} {% if a %}yes{% endif %}{% endblock %}";
    let context = json!({ "xs": ["a;", "b"], "a": true });
    assert_eq!(run(template, &context).unwrap(), [[Piece::sql("\"a;\" b 1 yes")]]);
}

#[test]
fn a_block_tag_at_the_end_of_a_line_joins_no_statements() {
    let template =
        "{% block run %}\nselect 1{% if a %}, 2{% endif %}\n;;\nselect 3\n{% endblock %}";
    let expected = [[Piece::sql("select 1, 2")], [Piece::sql("select 3")]];
    assert_eq!(run(template, &json!({ "a": true })).unwrap(), expected);
}

#[test]
fn a_bare_text_is_an_error_that_names_template_line_and_expression() {
    let template = "{% block run %}\nselect 1,\n  {{ t.name }}\n{% endblock %}";
    insta::assert_snapshot!(message(template, &json!({ "t": { "name": "x" } })), @"templates/steps/x.sql.j2:3: `t.name`: a string cannot stand in SQL as it is: pass it through ident, name, literal or columns");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let at = |expression: &str, value: serde_json::Value| {
        let template: &'static str =
            format!("{{% block run %}}{{{{ {expression} }}}}{{% endblock %}}").leak();
        message(template, &json!({ "x": value }))
    };
    let messages = [
        at("y | ident", json!(1)),
        at("x.y | literal", json!({})),
        at("x | ident", json!("")),
        at("x | ident", json!("x".repeat(64))),
        at("x | ident", json!(1)),
        at("x | literal", json!("a\u{0}b")),
        at("x | literal", json!([1])),
        at("x | name", json!("a.b")),
        at("x | columns", json!("a")),
        at("x | raw", json!(null)),
        at("x | ident | literal", json!("a")),
        at("x ~ 'a'", json!("a")),
        at("(x | ident) ~ x", json!("a")),
        at("x", json!(null)),
        at("x | safe", json!("a")),
        at("observed(x, 'quoted')", json!("a")),
        at("output(x, 'id', 'bare')", json!("snapshot")),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_template_that_is_wrong_in_itself_is_an_error() {
    let messages = [
        message("{% block run %}select 1;\n{% endblock %}", &json!({})),
        message("{% block run %}select \u{1}{% endblock %}", &json!({})),
        message("{% block run %}", &json!({})),
        message(
            "{% block run %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endblock %}",
            &json!({}),
        ),
        message(
            "{% macro f() %}{{ f() }}{% endmacro %}{% block run %}{{ f() }}{% endblock %}",
            &json!({}),
        ),
        message("{% block run %}{% include 'steps/y.sql.j2' %}{% endblock %}", &json!({})),
        renderer("").step("y", Block::Run, &()).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn text_is_written_as_it_is() {
    let renderer = Renderer::new(&[("text/a.txt.j2", "Hello {{ x }}!\n")]);
    let context = json!({ "x": "it's" });
    assert_eq!(renderer.text("a", &context).unwrap(), "Hello it's!\n");
}

#[test]
fn every_shipped_template_parses_and_step_templates_keep_to_their_blocks() {
    for (name, source) in crate::embedded::TEMPLATES {
        let environment =
            if name.ends_with(".sql.j2") { sql_environment() } else { text_environment() };
        environment.template_from_str(source).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let Some(kind) = name.strip_prefix("steps/") else { continue };
        for start in source.match_indices("{% block ").map(|(at, found)| at + found.len()) {
            let block = source[start..].split_whitespace().next().unwrap_or_default();
            let known = Block::ALL.iter().any(|known| known.name() == block);
            assert!(known, "{kind} has a block `{block}`");
        }
    }
}
