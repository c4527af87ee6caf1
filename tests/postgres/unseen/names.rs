//! Names that break whoever pastes them.

use super::random::Random;

const CORPUS: &[&str] = &[
    "Upper",
    "select",
    "user",
    "public ",
    " ",
    "two  blanks",
    "tab\there",
    "new\nline",
    "carriage\rreturn",
    "\u{1}",
    "\"",
    "quote\"inside",
    "''",
    "it's",
    "back\\slash",
    "\\.",
    "\\N",
    "\n\\.\n",
    ";",
    "a;b",
    "'; select 1; --",
    "\"; select 1; --",
    "--",
    "/*",
    "*/",
    "$$",
    "$body$",
    "$1",
    "%",
    "%s %I",
    "{{ x }}",
    "{% raw %}",
    "‹run›",
    "${HOME}",
    "`id`",
    "-- TOC entry 1 (class 1259 OID 1)",
    "\n-- TOC entry 1 (class 1259 OID 1)\n",
    "x; Type: TABLE; Schema: public",
    "x; Owner: postgres",
    "\n;;\n",
    ".",
    "a.b",
    "*",
    "[a]",
    ",",
    "a,b",
    "(",
    "a(b)",
    ":x",
    "::int",
    "1a",
    "-",
    "-1",
    "žluť",
    "日本語",
    "🦀",
    "e\u{301}",
    "\u{200b}",
    "\u{feff}",
    "NULL",
    "true",
    "current_user",
    "ctid_",
    "oid",
    "value",
    "new",
    "old",
    "excluded",
    "plain",
    "orders",
    "customers",
    "line_items",
    "tmp",
    "data",
];

/// A new name. Most are tame, as they are in real databases.
pub(super) fn name(random: &mut Random, number: usize) -> String {
    let hostile = random.percent(40);
    let base = if hostile { random.pick(CORPUS) } else { "thing" };
    let mut name = base.to_owned();
    if hostile && random.percent(5) {
        name = base.repeat(20);
    }
    let suffix = format!("{number}");
    while name.len() + suffix.len() > 63 {
        name.pop();
    }
    // Sometimes in front, so that names begin as well as end with what is odd.
    if random.percent(30) { format!("{suffix}{name}") } else { format!("{name}{suffix}") }
}

pub(super) fn text(random: &mut Random) -> &'static str {
    random.pick(CORPUS)
}

pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
