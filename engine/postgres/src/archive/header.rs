//! The comment that stands above each entry of an archive.
//!
//! `pg_restore --verbose` writes names as they are, only with line breaks flattened, so that a name
//! may look like the fields beside it. The fields are told apart from the right side, where only
//! the names of a schema and an owner can do so, and by the roles that exist.

use std::collections::BTreeSet;

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
    /// `owners` are the names of all roles, flattened.
    pub(crate) fn add(
        &mut self,
        line: &str,
        tablespace: &str,
        owners: &BTreeSet<String>,
    ) -> Result<(), String> {
        if let Some(numbers) = line.strip_prefix("-- Dependencies: ") {
            let numbers: Result<Vec<u32>, _> = numbers.split(' ').map(str::parse).collect();
            self.depends = numbers.map_err(|_| line.to_owned())?;
        } else if let Some(fields) = line.strip_prefix("-- Name: ") {
            self.take_fields(fields, tablespace, owners).ok_or_else(|| line.to_owned())?;
        }
        Ok(())
    }

    /// `orders; Type: TABLE; Schema: public; Owner: app`, with `; Tablespace: fast` at times.
    fn take_fields(
        &mut self,
        fields: &str,
        tablespace: &str,
        owners: &BTreeSet<String>,
    ) -> Option<()> {
        let suffix = format!("; Tablespace: {}", flattened(tablespace));
        let shorter = fields.strip_suffix(&suffix).filter(|_| !tablespace.is_empty());
        self.has_tablespace = shorter.is_some();
        let (name, kind, places) = split_at_kind(shorter.unwrap_or(fields))?;
        let (schema, owner) = split_at_owner(places, owners)?;
        name.clone_into(&mut self.name);
        kind.clone_into(&mut self.kind);
        self.schema = some_name(schema);
        self.owner = some_name(owner);
        Some(())
    }
}

/// The right-most `; Type: TABLE; Schema: `.
fn split_at_kind(fields: &str) -> Option<(&str, &str, &str)> {
    fields.rmatch_indices("; Schema: ").find_map(|(at, delimiter)| {
        let (name, kind) = fields[..at].rsplit_once("; Type: ")?;
        let is_kind =
            !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ');
        is_kind.then(|| (name, kind, &fields[at + delimiter.len()..]))
    })
}

/// The first `; Owner: ` after which the name of a role stands, else the first one.
fn split_at_owner<'a>(places: &'a str, owners: &BTreeSet<String>) -> Option<(&'a str, &'a str)> {
    let splits = || {
        let delimiters = places.match_indices("; Owner: ");
        delimiters.map(|(at, delimiter)| (&places[..at], &places[at + delimiter.len()..]))
    };
    splits()
        .find(|(_, owner)| some_name(owner).is_none() || owners.contains(*owner))
        .or_else(|| splits().next())
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

    fn fields(line: &str, tablespace: &str) -> (String, String, Option<String>, Option<String>) {
        let mut header = opening("-- TOC entry 7 (class 1259 OID 99)").unwrap().unwrap();
        let owners = BTreeSet::from([flattened("app\n\"; Owner: x"), "app".to_owned()]);
        header.add(line, tablespace, &owners).unwrap();
        (header.name, header.kind, header.schema, header.owner)
    }

    fn check(line: &str, name: &str, kind: &str, schema: &str, owner: &str) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        assert_eq!(fields(line, ""), (name.into(), kind.into(), some(schema), some(owner)));
    }

    #[test]
    fn numbers_are_read() {
        let mut header = opening("-- TOC entry 872 (class 1247 OID 4294967295)").unwrap().unwrap();
        header.add("-- Dependencies: 5 19", "", &BTreeSet::new()).unwrap();
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
    fn a_tablespace_is_cut_off_where_one_is_in_force() {
        let line = "-- Name: t; Type: TABLE; Schema: s; Owner: app; Tablespace: fast";
        assert_eq!(fields(line, "fast").3.as_deref(), Some("app"));
        assert_eq!(fields(line, "").3.as_deref(), Some("app; Tablespace: fast"));
    }
}
