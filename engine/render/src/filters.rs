//! The only ways for a value to become SQL.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, filters, functions};
use pgkedge_model::{Ident, quote_literal};

use crate::encoding::encode;

/// Adds our filters, and those of minijinja that look at values but make no text.
pub(crate) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("ident", ident);
    environment.add_filter("name", name);
    environment.add_filter("literal", literal);
    environment.add_filter("columns", columns);
    environment.add_filter("names", names);
    environment.add_filter("literals", literals);
    environment.add_filter("raw", raw);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("items", filters::items);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("list", filters::list);
    environment.add_filter("map", filters::map);
    environment.add_filter("reject", filters::reject);
    environment.add_filter("rejectattr", filters::rejectattr);
    environment.add_filter("select", filters::select);
    environment.add_filter("selectattr", filters::selectattr);
    environment.add_filter("sort", filters::sort);
    environment.add_function("range", functions::range);
}

/// SQL that has been made: encoded, and marked as fit to stand in the output.
pub(crate) fn made(sql: &str) -> Value {
    Value::from_safe_string(encode(sql))
}

pub(crate) fn unfit(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// `{{ schema | ident }}`: one name.
fn ident(value: &Value) -> Result<Value, Error> {
    ident_sql(value).map(|sql| made(&sql))
}

/// `{{ table | name }}`: `schema.name` of an object with these two fields.
fn name(value: &Value) -> Result<Value, Error> {
    name_sql(value).map(|sql| made(&sql))
}

/// `{{ comment | literal }}`: a text in quotes, a number or boolean as it is, none as `null`.
fn literal(value: &Value) -> Result<Value, Error> {
    literal_sql(value).map(|sql| made(&sql))
}

/// `{{ columns | columns }}`: names, or objects with a `name`, with commas between.
fn columns(value: &Value) -> Result<Value, Error> {
    let column = |item: Value| {
        if item.kind() == ValueKind::Map {
            return ident_sql(&item.get_attr("name")?);
        }
        ident_sql(&item)
    };
    listed(value, column)
}

/// `{{ tables | names }}`: qualified names with commas between.
fn names(value: &Value) -> Result<Value, Error> {
    listed(value, |item| name_sql(&item))
}

/// `{{ values | literals }}`: literals with commas between.
fn literals(value: &Value) -> Result<Value, Error> {
    listed(value, |item| literal_sql(&item))
}

/// `{{ statement | raw }}`: SQL that PostgreSQL itself made.
fn raw(value: &Value) -> Result<Value, Error> {
    let text = value.as_str().ok_or_else(|| unfit("`raw` takes a text"))?;
    if text.contains('\0') {
        return Err(unfit("SQL must not contain a NUL byte"));
    }
    Ok(made(text))
}

fn listed(
    value: &Value,
    item_sql: impl Fn(Value) -> Result<String, Error>,
) -> Result<Value, Error> {
    if value.kind() != ValueKind::Seq {
        return Err(unfit(format!("a list is needed, not {}", value.kind())));
    }
    let items: Result<Vec<String>, Error> = value.try_iter()?.map(item_sql).collect();
    Ok(made(&items?.join(", ")))
}

fn ident_sql(value: &Value) -> Result<String, Error> {
    let text = text(value, "a name")?;
    let ident = Ident::new(text).map_err(|error| unfit(error.to_string()).with_source(error))?;
    Ok(ident.to_string())
}

fn name_sql(value: &Value) -> Result<String, Error> {
    if value.kind() != ValueKind::Map {
        return Err(unfit(format!(
            "an object with schema and name is needed, not {}",
            value.kind()
        )));
    }
    let schema = ident_sql(&value.get_attr("schema")?)?;
    let name = ident_sql(&value.get_attr("name")?)?;
    Ok(format!("{schema}.{name}"))
}

fn literal_sql(value: &Value) -> Result<String, Error> {
    if value.is_none() {
        return Ok("null".to_owned());
    }
    if matches!(value.kind(), ValueKind::Bool | ValueKind::Number) {
        return Ok(value.to_string());
    }
    let text = text(value, "a text, number or boolean")?;
    if text.contains('\0') {
        return Err(unfit("a text must not contain a NUL byte"));
    }
    Ok(quote_literal(text))
}

/// The text of a value that is not SQL already: quoting twice is always a mistake.
fn text<'a>(value: &'a Value, needed: &str) -> Result<&'a str, Error> {
    if value.is_safe() {
        return Err(unfit("it is SQL already"));
    }
    value.as_str().ok_or_else(|| unfit(format!("{needed} is needed, not {}", value.kind())))
}
