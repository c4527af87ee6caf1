//! Foreign keys between tables of different slots: slots are applied in no common order.

use std::collections::BTreeSet;

use pgkedge_model::{Constraint, ConstraintKind, Finding, Ident, Place, QualifiedName, Server};
use pgkedge_plan::{CrossingKey, nearest};

use super::at_plan;
use super::capture::Captured;

pub(super) fn check(captured: &Captured<'_>, findings: &mut Vec<Finding>) {
    let crossing: Vec<Crossing<'_>> = captured
        .source
        .constraints
        .values()
        .filter_map(|constraint| Crossing::of(constraint, captured))
        .collect();
    let allowed = &captured.request.capture.crossing_foreign_keys;
    for key in crossing.iter().filter(|key| !key.follows_another(&crossing, captured)) {
        let constraint = key.constraint;
        if !allowed.iter().any(|allowed| allowed.is(&constraint.table, &constraint.name)) {
            findings.push(between_slots(key));
        }
    }
    for allowed in allowed {
        let is = |key: &Crossing<'_>| allowed.is(&key.constraint.table, &key.constraint.name);
        if !crossing.iter().any(is) {
            findings.push(does_not_cross(allowed, captured));
        }
    }
}

/// A foreign key with the slots of its two tables.
struct Crossing<'a> {
    constraint: &'a Constraint,
    references: &'a QualifiedName,
    from: &'a Ident,
    to: &'a Ident,
}

impl<'a> Crossing<'a> {
    fn of(constraint: &'a Constraint, captured: &Captured<'a>) -> Option<Self> {
        let references = constraint.references.as_ref()?;
        let slot = |table| captured.capture.slot_of(table, &captured.chosen.selection);
        let (from, to) = (&slot(&constraint.table)?.name, &slot(references)?.name);
        let crosses = constraint.kind == ConstraintKind::ForeignKey && from != to;
        crosses.then_some(Self { constraint, references, from, to })
    }

    /// Keys of partitions come with that of their roots.
    fn follows_another(&self, all: &[Self], captured: &Captured<'_>) -> bool {
        let root = |name: &'a QualifiedName| {
            let table = captured.source.tables_by_name.get(name);
            let partition = table.and_then(|table| table.partition.as_ref());
            partition.map_or_else(|| name.clone(), |partition| partition.root.clone())
        };
        let ends = (root(&self.constraint.table), root(self.references));
        let own = (self.constraint.table.clone(), self.references.clone());
        ends != own
            && all
                .iter()
                .any(|other| other.constraint.table == ends.0 && *other.references == ends.1)
    }
}

fn between_slots(key: &Crossing<'_>) -> Finding {
    let Constraint { name, table, .. } = key.constraint;
    let message = format!(
        "foreign key `{name}` leads from `{table}` on slot `{}` to `{}` on slot `{}`: slots are applied \
         in no common order, so rows would come before those that they need",
        key.from, key.references, key.to
    );
    Finding::error("compile::foreign_key_between_slots", message)
        .at(Place::Object { server: Server::Source, object: table.to_string() })
        .help(format!(
            "put both tables into groups of one slot; or let the key be created once all changes have \
             arrived: `crossing_foreign_keys: [{}]`",
            written(key.constraint)
        ))
}

fn does_not_cross(allowed: &CrossingKey, captured: &Captured<'_>) -> Finding {
    let keys = captured.source.constraints.values();
    let keys = keys.filter(|key| key.kind == ConstraintKind::ForeignKey);
    let known: BTreeSet<String> = keys.clone().map(|key| written(key)).collect();
    let exists = keys.into_iter().any(|key| allowed.is(&key.table, &key.name));
    let (message, help) = if exists {
        let message = format!("foreign key `{allowed}` does not lead from one slot to another");
        (message, "take it out of the list".to_owned())
    } else {
        let near = nearest(allowed.as_str(), known.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`pgkedge inspect --database source` prints the constraints that there are"
                .to_owned(),
        };
        (format!("the source has no foreign key `{allowed}`"), help)
    };
    let finding = Finding::error("compile::not_a_crossing_foreign_key", message).help(help);
    at_plan(finding, allowed.pointer.as_ref(), "not between slots")
}

/// As a plan names it.
fn written(key: &Constraint) -> String {
    format!("{}.{}", key.table, key.name)
}
