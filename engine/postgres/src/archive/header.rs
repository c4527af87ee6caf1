//! The comment that stands above each entry of an archive.
//!
//! `pg_restore --verbose` writes names as they are, only with line breaks flattened, so that a name
//! may look like the fields beside it. The fields are told apart by the schemas and roles that exist.

use std::collections::BTreeMap;

use pgkedge_model::Ident;

/// What a comment says of its entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    pub(crate) class: u32,
    pub(crate) oid: u32,
    pub(crate) depends: Vec<u32>,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) schema: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) has_tablespace: bool,
}

/// Names that exist, by which the fields of a comment are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KnownNames {
    schemas: Flattened,
    roles: Flattened,
}

/// Names by what comments show of them.
type Flattened = BTreeMap<String, Vec<String>>;

impl KnownNames {
    pub(crate) fn new(
        schemas: impl IntoIterator<Item = String>,
        roles: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { schemas: by_flattened(schemas), roles: by_flattened(roles) }
    }
}

fn by_flattened(names: impl IntoIterator<Item = String>) -> Flattened {
    let mut by_flattened = Flattened::new();
    for name in names {
        by_flattened.entry(flattened(&name)).or_default().push(name);
    }
    by_flattened
}

/// The name that a comment shows flattened; of several the one that the statements hold.
fn exact(shown: &str, names: &Flattened, statements: &[String]) -> Option<String> {
    let candidates = names.get(shown).map(Vec::as_slice).unwrap_or_default();
    let is_held = |name: &&String| {
        let quoted = Ident::new(name.as_str()).map(|ident| ident.to_string()).unwrap_or_default();
        statements.iter().any(|sql| sql.contains(&quoted))
    };
    match candidates {
        [] => None,
        [only] => Some(only.clone()),
        [first, ..] => Some(candidates.iter().find(is_held).unwrap_or(first).clone()),
    }
}

/// `-- TOC entry 872 (class 1247 OID 16388)`: the first line of a comment.
pub(crate) fn opening(line: &str) -> Option<Result<Header, String>> {
    let rest = line.strip_prefix("-- TOC entry ")?;
    let numbers = || {
        let (number, rest) = rest.split_once(" (class ")?;
        let (class, oid) = rest.strip_suffix(')')?.split_once(" OID ")?;
        let (number, class) = (number.parse().ok()?, class.parse().ok()?);
        Some(Header { number, class, oid: oid.parse().ok()?, ..Header::default() })
    };
    Some(numbers().ok_or_else(|| line.to_owned()))
}

impl Header {
    /// Takes a further line of the comment; lines that say nothing of the entry are passed over.
    pub(crate) fn add(
        &mut self,
        line: &str,
        tablespace: &str,
        known: &KnownNames,
    ) -> Result<(), String> {
        if let Some(numbers) = line.strip_prefix("-- Dependencies: ") {
            let numbers: Result<Vec<u32>, _> = numbers.split(' ').map(str::parse).collect();
            self.depends = numbers.map_err(|_| line.to_owned())?;
        } else if let Some(fields) = line.strip_prefix("-- Name: ") {
            self.take_fields(fields, tablespace, known).ok_or_else(|| line.to_owned())?;
        }
        Ok(())
    }

    /// Puts the line breaks back into the names of schema and owner.
    pub(crate) fn restore(&mut self, known: &KnownNames, statements: &[String]) {
        let restored = |shown: &mut Option<String>, names: &Flattened| {
            if let Some(name) = shown.as_deref().and_then(|name| exact(name, names, statements)) {
                *shown = Some(name);
            }
        };
        restored(&mut self.schema, &known.schemas);
        restored(&mut self.owner, &known.roles);
    }

    /// `orders; Type: TABLE; Schema: public; Owner: app`, with `; Tablespace: fast` at times.
    fn take_fields(&mut self, fields: &str, tablespace: &str, known: &KnownNames) -> Option<()> {
        let suffix = format!("; Tablespace: {}", flattened(tablespace));
        let shorter = fields.strip_suffix(&suffix).filter(|_| !tablespace.is_empty());
        self.has_tablespace = shorter.is_some();
        let fields = likeliest(shorter.unwrap_or(fields), known)?;
        fields.name.clone_into(&mut self.name);
        fields.kind.clone_into(&mut self.kind);
        self.schema = some_name(fields.schema);
        self.owner = some_name(fields.owner);
        Some(())
    }
}

/// One way to read the fields of a comment.
struct Fields<'a> {
    name: &'a str,
    kind: &'a str,
    schema: &'a str,
    owner: &'a str,
}

impl Fields<'_> {
    /// How many of its names exist.
    fn known(&self, known: &KnownNames) -> usize {
        let is_known =
            |name: &str, names: &Flattened| some_name(name).is_none() || names.contains_key(name);
        usize::from(is_known(self.schema, &known.schemas))
            + usize::from(is_known(self.owner, &known.roles))
    }
}

/// Of all ways to read the fields the one whose names exist; of several the one whose schema and
/// owner are shortest, since few of those and many names of objects are odd.
fn likeliest<'a>(fields: &'a str, known: &KnownNames) -> Option<Fields<'a>> {
    let ways = fields.match_indices("; Schema: ").flat_map(|(at, delimiter)| {
        let (before, places) = (&fields[..at], &fields[at + delimiter.len()..]);
        let named = before.rsplit_once("; Type: ").filter(|(_, kind)| is_kind(kind));
        places.match_indices("; Owner: ").filter_map(move |(at, delimiter)| {
            let (name, kind) = named?;
            let (schema, owner) = (&places[..at], &places[at + delimiter.len()..]);
            Some(Fields { name, kind, schema, owner })
        })
    });
    ways.max_by_key(|way| (way.known(known), way.name.len(), way.owner.len()))
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ')
}

/// A hyphen stands for no name.
fn some_name(text: &str) -> Option<String> {
    (!text.is_empty() && text != "-").then(|| text.to_owned())
}

/// A name as a comment shows it.
pub(crate) fn flattened(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownNames {
        KnownNames::new(
            ["s", "a", "a; Type: B", "s; Owner: y"].map(str::to_owned),
            ["app", "app\n\"; Owner: x", "r; Type: TABLE; Schema: s", "r\n", "r "]
                .map(str::to_owned),
        )
    }

    fn fields(line: &str, tablespace: &str) -> (String, String, Option<String>, Option<String>) {
        let mut header = opening("-- TOC entry 7 (class 1259 OID 99)").unwrap().unwrap();
        header.add(line, tablespace, &known()).unwrap();
        (header.name, header.kind, header.schema, header.owner)
    }

    fn check(line: &str, name: &str, kind: &str, schema: &str, owner: &str) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        assert_eq!(fields(line, ""), (name.into(), kind.into(), some(schema), some(owner)));
    }

    #[test]
    fn numbers_are_read() {
        let mut header = opening("-- TOC entry 872 (class 1247 OID 4294967295)").unwrap().unwrap();
        header.add("-- Dependencies: 5 19", "", &KnownNames::default()).unwrap();
        assert_eq!((header.number, header.class, header.oid), (872, 1247, u32::MAX));
        assert_eq!(header.depends, [5, 19]);
        assert!(opening("-- TOC entry x (class 1 OID 2)").unwrap().is_err());
        assert!(opening("-- Name: x").is_none());
    }

    #[test]
    fn a_name_that_looks_like_fields_is_a_name() {
        check("-- Name: t; Type: TABLE; Schema: s; Owner: app", "t", "TABLE", "s", "app");
        check("-- Name: e; Type: EXTENSION; Schema: -; Owner: -", "e", "EXTENSION", "", "");
        check("-- Name: e; Type: EXTENSION; Schema: -; Owner: ", "e", "EXTENSION", "", "");
        check(
            "-- Name: f; Type: TABLE; Schema: a; Owner: b(int); Type: FUNCTION; Schema: s; Owner: app",
            "f; Type: TABLE; Schema: a; Owner: b(int)",
            "FUNCTION",
            "s",
            "app",
        );
        check(
            "-- Name: t fk; Type: x; Type: FK CONSTRAINT; Schema: a; Type: B; Owner: app",
            "t fk; Type: x",
            "FK CONSTRAINT",
            "a; Type: B",
            "app",
        );
    }

    #[test]
    fn an_owner_that_looks_like_a_field_is_told_by_the_roles() {
        check(
            "-- Name: t; Type: TABLE; Schema: s; Owner: app \"; Owner: x",
            "t",
            "TABLE",
            "s",
            "app \"; Owner: x",
        );
        check(
            "-- Name: t; Type: TABLE; Schema: s; Owner: y; Owner: app",
            "t",
            "TABLE",
            "s; Owner: y",
            "app",
        );
        check(
            "-- Name: t; Type: TABLE; Schema: s; Owner: gone; Owner: z",
            "t",
            "TABLE",
            "s",
            "gone; Owner: z",
        );
    }

    #[test]
    fn an_owner_that_looks_like_a_type_and_a_schema_is_told_by_the_roles() {
        check(
            "-- Name: x; Type: TABLE; Schema: s; Type: TABLE; Schema: a; Owner: r; Type: TABLE; Schema: s",
            "x; Type: TABLE; Schema: s",
            "TABLE",
            "a",
            "r; Type: TABLE; Schema: s",
        );
        check(
            "-- Name: x; Type: TABLE; Schema: s; Owner: app; Type: TABLE; Schema: a; Owner: app",
            "x; Type: TABLE; Schema: s; Owner: app",
            "TABLE",
            "a",
            "app",
        );
    }

    #[test]
    fn line_breaks_come_back_from_the_statements() {
        let restored = |owner: &str, statement: &str| {
            let mut header = Header { owner: Some(owner.to_owned()), ..Header::default() };
            header.restore(&known(), &[statement.to_owned()]);
            header.owner.unwrap()
        };
        assert_eq!(restored("r ", "ALTER TABLE t OWNER TO \"r\n\""), "r\n");
        assert_eq!(restored("r ", "ALTER TABLE t OWNER TO \"r \""), "r ");
        assert_eq!(restored("app \"; Owner: x", ""), "app\n\"; Owner: x");
        assert_eq!(restored("gone", ""), "gone");
    }

    #[test]
    fn a_tablespace_is_cut_off_where_one_is_in_force() {
        let line = "-- Name: t; Type: TABLE; Schema: s; Owner: app; Tablespace: fast";
        assert_eq!(fields(line, "fast").3.as_deref(), Some("app"));
        assert_eq!(fields(line, "").3.as_deref(), Some("app; Tablespace: fast"));
    }
}
