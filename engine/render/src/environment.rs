//! The two environments: SQL, where every value is quoted, and text, where none is.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, tests};

use crate::filters::{add_filters, unfit};
use crate::markers::add_markers;

/// Instructions that one render may take; a table of 1,600 columns takes about 20,000.
const FUEL: u64 = 5_000_000;
const RECURSION: usize = 50;

/// Strict, and only a filter's or marker's result, a number or a boolean may be written.
pub(crate) fn sql_environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    limit(&mut environment);
    environment.set_fuel(Some(FUEL));
    // Not for escaping: it makes the engine mark what macros and captures return as made.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("sql".into()));
    environment.set_formatter(write_sql);
    add_filters(&mut environment);
    add_markers(&mut environment);
    add_tests(&mut environment);
    environment
}

/// Strict, for people: every value is written as it is. Reports may be as long as they are.
pub(crate) fn text_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    limit(&mut environment);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment
}

fn limit(environment: &mut Environment<'_>) {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .expect("the delimiters are the standard ones");
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_recursion_limit(RECURSION);
    // Errors then know the expression.
    environment.set_debug(true);
}

fn add_tests(environment: &mut Environment<'_>) {
    environment.add_test("defined", tests::is_defined);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("string", tests::is_string);
    environment.add_test("eq", tests::is_eq);
    environment.add_test("ne", tests::is_ne);
    environment.add_test("in", tests::is_in);
    environment.add_test("true", tests::is_true);
    environment.add_test("false", tests::is_false);
}

fn write_sql(output: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let writable = value.is_safe() || matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !writable {
        return Err(unfit(format!(
            "a {} cannot stand in SQL as it is: pass it through ident, name, literal or columns",
            value.kind()
        )));
    }
    output.write_str(&value.to_string()).map_err(|error| unfit("no room").with_source(error))
}
