//! Functions of step templates for values that are known only while the run goes on.

use minijinja::value::Value;
use minijinja::{Environment, Error};
use pgkedge_model::{Object, OutputOf, Piece, QuotedAs};

use crate::encoding::encode_piece;
use crate::filters::unfit;

pub(crate) fn add_markers(environment: &mut Environment<'_>) {
    environment.add_function("observed", observed);
    environment.add_function("output", output);
    environment.add_function("secret", secret);
    environment.add_function("run_name", run_name);
}

/// `{{ observed("value", "bare") }}`: what the step itself reads just before.
fn observed(field: String, quoted_as: &str) -> Result<Value, Error> {
    Ok(marker(&Piece::observed(field, way(quoted_as)?)))
}

/// `{{ output("snapshot:source", "id", "literal") }}`: output of the step that writes the object.
fn output(object: String, field: String, quoted_as: &str) -> Result<Value, Error> {
    if !object.contains(':') {
        return Err(unfit(format!("`{object}` is no object; one looks like `snapshot:source`")));
    }
    let of = OutputOf::Writer(Object(object));
    Ok(marker(&Piece::Output { of, field, quoted_as: way(quoted_as)? }))
}

/// `{{ secret("password of app") }}`: what the step reads and nobody sees.
fn secret(what: String) -> Value {
    marker(&Piece::Secret { what })
}

/// `{{ run_name("pgkedge") }}`: a name that carries the run's tag.
fn run_name(prefix: String) -> Value {
    marker(&Piece::RunName { prefix })
}

fn marker(piece: &Piece) -> Value {
    Value::from_safe_string(encode_piece(piece))
}

fn way(quoted_as: &str) -> Result<QuotedAs, Error> {
    match quoted_as {
        "ident" => Ok(QuotedAs::Ident),
        "literal" => Ok(QuotedAs::Literal),
        "bare" => Ok(QuotedAs::Bare),
        other => Err(unfit(format!("`{other}` is no way to quote; use ident, literal or bare"))),
    }
}
