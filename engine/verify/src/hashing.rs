//! How a row becomes a 64-bit number that is the same on both servers if the row is.
//!
//! Equal is what is written alike; where the server's hash takes more than that as equal, another
//! form is hashed:
//! - `int8`, times, `interval`, `numeric`, `pg_lsn`, `char(n)` and ranges of them: the binary form.
//!   The server's hash folds the two halves of 64 bits, so that `1` and `2^32` are one to it, and
//!   takes `1 month` as `30 days`, `1.0` as `1.00` and trailing blanks as nothing.
//! - `float4`, `float8`: the binary form, which tells `-0` from `0`; every NaN equals every other.
//! - Arrays: the binary form, since the hash knows no dimensions; those of floats by their text.
//! - `jsonb`: its text, since the hash takes the number `1.0` as `1.00`.
//! - Text under a nondeterministic collation: byte by byte.
//! - Types without a 64-bit hash, or with one that depends on OIDs (enums, `regclass`): by their
//!   text under the pinned session settings.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Column, ServerVersion, TypeFacts, TypeKind, VerifyMethod};

/// A built-in type whose values can be hashed as they are, or as their binary form.
struct SafeType {
    name: &'static str,
    /// A value for the canary.
    example: &'static str,
    form: Form,
}

/// What of a value is hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Value,
    /// What this function makes of it: the type's own hash takes different values as equal.
    Sent(&'static str),
    /// The same, but every NaN alike.
    Float,
}

impl SafeType {
    const fn plain(name: &'static str, example: &'static str) -> Self {
        Self { name, example, form: Form::Value }
    }

    const fn sent(name: &'static str, example: &'static str, send: &'static str) -> Self {
        Self { name, example, form: Form::Sent(send) }
    }

    const fn float(name: &'static str, example: &'static str) -> Self {
        Self { name, example, form: Form::Float }
    }

    fn of(facts: &TypeFacts) -> Option<&'static Self> {
        let name = facts.name.name.as_str();
        SAFE_TYPES.iter().find(|safe| safe.name == name).filter(|_| facts.builtin)
    }
}

/// Built-in types whose 64-bit hash depends on the value alone.
const SAFE_TYPES: &[SafeType] = &[
    SafeType::plain("bool", "t"),
    SafeType::sent("bpchar", "blank ", "bpcharsend"),
    SafeType::plain("bytea", "\\x00ff10"),
    SafeType::plain("char", "c"),
    SafeType::plain("cid", "7"),
    SafeType::plain("cidr", "10.1.0.0/16"),
    SafeType::plain("date", "2026-02-28"),
    SafeType::plain("datemultirange", "{[2026-01-01,2026-02-01)}"),
    SafeType::plain("daterange", "[2026-01-01,2026-02-01)"),
    SafeType::float("float4", "-1.5"),
    SafeType::float("float8", "2.718281828459045"),
    SafeType::plain("inet", "fe80::1/64"),
    SafeType::plain("int2", "-32768"),
    SafeType::plain("int4", "2147483647"),
    SafeType::plain("int4multirange", "{[1,5),[8,9)}"),
    SafeType::plain("int4range", "[1,5)"),
    SafeType::sent("int8", "-9223372036854775808", "int8send"),
    SafeType::sent("int8multirange", "{[1,5),[8,9)}", "multirange_send"),
    SafeType::sent("int8range", "[1,5)", "range_send"),
    SafeType::sent("interval", "1 year 2 days 03:04:05.000006", "interval_send"),
    SafeType::plain("macaddr", "08:00:2b:01:02:03"),
    SafeType::plain("macaddr8", "08:00:2b:01:02:03:04:05"),
    SafeType::plain("name", "relname"),
    SafeType::sent("numeric", "-12345678901234567890.0987654321", "numeric_send"),
    SafeType::sent("nummultirange", "{[1.5,2.5)}", "multirange_send"),
    SafeType::sent("numrange", "[1.5,2.5)", "range_send"),
    SafeType::plain("oid", "4294967295"),
    SafeType::sent("pg_lsn", "16/B374D848", "pg_lsn_send"),
    SafeType::plain("text", "the quick brown fox jumps over the lazy dog"),
    SafeType::plain("tid", "(7,3)"),
    SafeType::sent("time", "23:59:59.999999", "time_send"),
    SafeType::sent("timestamp", "1999-12-31 23:59:59.5", "timestamp_send"),
    SafeType::sent("timestamptz", "2026-06-01 12:00:00.25+03:30", "timestamptz_send"),
    SafeType::sent("timetz", "12:30:00-07", "timetz_send"),
    SafeType::sent("tsmultirange", "{[2026-01-01,2026-02-01)}", "multirange_send"),
    SafeType::sent("tsrange", "[2026-01-01,2026-02-01)", "range_send"),
    SafeType::sent("tstzmultirange", "{[2026-01-01,2026-02-01)}", "multirange_send"),
    SafeType::sent("tstzrange", "[2026-01-01,2026-02-01)", "range_send"),
    SafeType::plain("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    SafeType::plain("varchar", "the lazy dog"),
    SafeType::plain("xid", "3"),
    SafeType::sent("xid8", "3", "xid8send"),
];

/// Types whose bytes are those of the database's encoding. What is sent is in the client's.
const ENCODED_TYPES: &[&str] = &["char", "name", "text", "varchar"];

/// The function that makes a number of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowHash {
    /// `hash_record_extended` over the values: both sides 14 or later. It adds up the hashes of the
    /// values, so that a sum of it stays the same when two rows swap a value: it is hashed once
    /// more, as a `float8`, the one type whose hash takes in (nearly) all bits of a number.
    Record,
    /// `hashtextextended` over the row's text: both sides 11 or later, with one encoding.
    Text,
    /// `sha256` over the row's text in UTF-8: both sides 11 or later.
    Sha256,
    /// `md5` over the row's text in UTF-8.
    Md5,
}

/// What both sides of a comparison have to agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPlan {
    /// Different in every run, so that two rows never collide twice by design.
    pub seed: i64,
    pub method: VerifyMethod,
    pub row_hash: RowHash,
    /// Text is brought to UTF-8 before it is hashed.
    pub encodings_differ: bool,
    /// One side writes floats in the shortest form (12 and later), the other does not.
    pub floats_print_differently: bool,
    /// Types that the canary found to hash differently: compared by their text.
    pub unlike_types: BTreeSet<u32>,
}

impl DigestPlan {
    /// The fastest way that both versions have.
    pub fn new(
        seed: i64,
        method: VerifyMethod,
        versions: [ServerVersion; 2],
        encodings: [&str; 2],
    ) -> Self {
        let majors = versions.map(ServerVersion::major);
        let oldest = majors[0].min(majors[1]);
        let encodings_differ = encodings[0] != encodings[1];
        let row_hash = match oldest {
            14.. => RowHash::Record,
            11..14 if !encodings_differ => RowHash::Text,
            11..14 => RowHash::Sha256,
            _ => RowHash::Md5,
        };
        Self {
            seed,
            method,
            row_hash,
            encodings_differ,
            floats_print_differently: (majors[0] < 12) != (majors[1] < 12),
            unlike_types: BTreeSet::new(),
        }
    }

    /// The number of one row, as a SQL expression over the values of the row.
    pub(crate) fn row_number(&self, values: &[String]) -> String {
        let row = format!("row({})", values.join(", "));
        let seed = self.seed;
        match self.row_hash {
            RowHash::Record => format!(
                "pg_catalog.hashfloat8extended(\
                 pg_catalog.hash_record_extended({row}, {seed})::pg_catalog.float8, {seed})"
            ),
            RowHash::Text => {
                format!("pg_catalog.hashtextextended({row}::pg_catalog.text, {seed})")
            }
            RowHash::Sha256 => first_64_bits(&format!(
                "pg_catalog.encode(pg_catalog.sha256({}), 'hex')",
                self.row_bytes(&row)
            )),
            RowHash::Md5 => first_64_bits(&format!("pg_catalog.md5({})", self.row_bytes(&row))),
        }
    }

    fn row_bytes(&self, row: &str) -> String {
        let seed = self.seed;
        format!("pg_catalog.convert_to('{seed} ' || {row}::pg_catalog.text, 'UTF8')")
    }

    /// A column's value, in the form in which it is the same on both sides.
    pub(crate) fn value(&self, column: &Column, types: &BTreeMap<u32, TypeFacts>) -> String {
        let name = &column.name;
        let base = base_type(column.type_oid, types);
        match self.row_hash {
            RowHash::Record => self.hashed_value(column, base),
            RowHash::Text | RowHash::Sha256 | RowHash::Md5 => self.printed_value(column, base),
        }
        .unwrap_or_else(|| name.to_string())
    }

    /// For the hash of the values: none where the column can stand as it is.
    fn hashed_value(&self, column: &Column, base: Base<'_>) -> Option<String> {
        let name = &column.name;
        let bytewise = if column.nondeterministic { " collate \"C\"" } else { "" };
        let safe = base.facts.is_some_and(|facts| {
            is_safe(facts, base.types) && !self.unlike_types.contains(&facts.oid)
        });
        let encoded = base.facts.is_none_or(|facts| !safe || is_encoded(facts, base.types));
        if self.encodings_differ && encoded {
            return Some(format!(
                "pg_catalog.convert_to({name}::pg_catalog.text{bytewise}, 'UTF8')"
            ));
        }
        if !safe {
            return Some(format!("{name}::pg_catalog.text{bytewise}"));
        }
        if column.nondeterministic {
            return Some(format!("{name}{bytewise}"));
        }
        base.facts.map(|facts| {
            // Of a domain over a range PostgreSQL does not find the range's hash.
            let is_domain = facts.oid != column.type_oid;
            let value =
                if is_domain { format!("{name}::{}", facts.name) } else { name.to_string() };
            sent(&value, facts)
        })
    }

    /// For the hash of the row's text: none where the column's own text will do.
    fn printed_value(&self, column: &Column, base: Base<'_>) -> Option<String> {
        let name = &column.name;
        let facts = base.facts.filter(|facts| facts.builtin)?;
        match facts.name.name.as_str() {
            // Bytes, since 12 prints another text; every NaN as one.
            float @ ("float4" | "float8") => Some(format!(
                "case when {name} = 'NaN'::pg_catalog.{float} then 'NaN' \
                 else pg_catalog.{float}send({name})::pg_catalog.text end"
            )),
            "_float4" | "_float8" if self.floats_print_differently => {
                Some(format!("pg_catalog.array_send({name})::pg_catalog.text"))
            }
            _ => None,
        }
    }
}

fn first_64_bits(hex: &str) -> String {
    format!("('x' || pg_catalog.substr({hex}, 1, 16))::pg_catalog.bit(64)::pg_catalog.int8")
}

/// A type without the domains around it.
#[derive(Clone, Copy)]
struct Base<'a> {
    facts: Option<&'a TypeFacts>,
    types: &'a BTreeMap<u32, TypeFacts>,
}

fn base_type(mut oid: u32, types: &BTreeMap<u32, TypeFacts>) -> Base<'_> {
    let mut facts = types.get(&oid);
    // Each step goes one domain down; there are never more of them than types.
    for _ in 0..types.len() {
        let Some(TypeKind::Domain { base }) = facts.map(|facts| &facts.kind) else { break };
        oid = *base;
        facts = types.get(&oid);
    }
    Base { facts, types }
}

/// The type that decides how a column is hashed, if its values may be hashed as they are.
pub(crate) fn safe_type(oid: u32, types: &BTreeMap<u32, TypeFacts>) -> Option<&TypeFacts> {
    base_type(oid, types).facts.filter(|facts| is_safe(facts, types))
}

/// A value for the canary, in the form in which values of its type are hashed.
pub(crate) fn canary_value(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> Option<String> {
    let example = |facts| {
        let SafeType { name, example, .. } = SafeType::of(facts)?;
        let example = pgkedge_model::quote_literal(example);
        Some(format!("{example}::pg_catalog.\"{name}\""))
    };
    let value = match &facts.kind {
        TypeKind::Array { element } => format!("array[{}, null]", example(types.get(element)?)?),
        TypeKind::Base
        | TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Range { .. }
        | TypeKind::Multirange { .. }
        | TypeKind::Pseudo => example(facts)?,
    };
    Some(sent(&value, facts))
}

/// A value of a safe type as it is, or its binary form if the type's own hash is too weak.
fn sent(value: &str, facts: &TypeFacts) -> String {
    let name = facts.name.name.as_str();
    let form = match &facts.kind {
        TypeKind::Array { .. } => Form::Sent("array_send"),
        TypeKind::Base
        | TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Range { .. }
        | TypeKind::Multirange { .. }
        | TypeKind::Pseudo => SafeType::of(facts).map_or(Form::Value, |safe| safe.form),
    };
    match form {
        Form::Value => value.to_owned(),
        Form::Sent(send) => format!("pg_catalog.{send}({value})"),
        Form::Float => format!(
            "case when {value} = 'NaN'::pg_catalog.{name} then 'NaN'::pg_catalog.bytea \
             else pg_catalog.{name}send({value}) end"
        ),
    }
}

fn is_safe(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> bool {
    let kind_is_safe = match &facts.kind {
        TypeKind::Base | TypeKind::Range { .. } | TypeKind::Multirange { .. } => {
            SafeType::of(facts).is_some()
        }
        TypeKind::Array { element } => types.get(element).is_some_and(|element| {
            let is_float = SafeType::of(element).is_some_and(|safe| safe.form == Form::Float);
            !is_float && !matches!(element.kind, TypeKind::Array { .. }) && is_safe(element, types)
        }),
        TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Pseudo => false,
    };
    facts.builtin && facts.hashes && kind_is_safe
}

fn is_encoded(facts: &TypeFacts, types: &BTreeMap<u32, TypeFacts>) -> bool {
    match &facts.kind {
        TypeKind::Array { element } => {
            types.get(element).is_none_or(|element| is_encoded(element, types))
        }
        TypeKind::Base
        | TypeKind::Domain { .. }
        | TypeKind::Composite { .. }
        | TypeKind::Enum
        | TypeKind::Range { .. }
        | TypeKind::Multirange { .. }
        | TypeKind::Pseudo => ENCODED_TYPES.contains(&facts.name.name.as_str()),
    }
}
