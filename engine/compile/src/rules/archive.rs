//! What moves must not need what stays.

use pgkedge_model::{Entry, Finding, Place, Server};

pub(crate) fn needs_what_is_left_out(entry: &Entry, left_out: &Entry) -> Finding {
    let (name, needed) = (described(entry), described(left_out));
    let message = format!("{name} needs {needed}, which the plan leaves out");
    let object = entry.object.as_ref().map_or_else(|| entry.name.clone(), |(_, name)| name.clone());
    let help = match entry.kind.as_str() {
        "VIEW" | "MATERIALIZED VIEW" | "TABLE" => {
            format!("add `{object}` to `tables.exclude` as well, or include {needed}")
        }
        // A sequence is left out with the table that owns it.
        _ if left_out.kind == "SEQUENCE" => {
            format!("include the table that owns {needed}, or drop {name} on the source")
        }
        _ => format!("include {needed}, or drop {name} on the source"),
    };
    Finding::error("compile::needs_excluded_table", message)
        .at(Place::Object { server: Server::Source, object })
        .help(help)
}

fn described(entry: &Entry) -> String {
    match &entry.object {
        Some((kind, identity)) => format!("{kind} `{identity}`"),
        None => format!("{} `{}`", entry.kind.to_lowercase(), entry.name),
    }
}
