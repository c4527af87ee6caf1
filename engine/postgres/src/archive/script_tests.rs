use super::*;

fn read(script: &str) -> Vec<Entry> {
    let known = KnownNames::new(["s".to_owned()], ["me".to_owned()]);
    entries(script, Section::PreData, &known).unwrap()
}

fn entry(number: u32, line: &str, body: &str) -> String {
    format!(
        "--\n-- TOC entry {number} (class 1259 OID 99)\n-- {line}\n-- Data Pos: 0\n--\n\n{body}\n\n"
    )
}

const TABLE: &str = "Name: t; Type: TABLE; Schema: s; Owner: me";
const FUNCTION: &str = "Name: f(); Type: FUNCTION; Schema: s; Owner: me";

const PREAMBLE: &str = "--
-- PostgreSQL database dump
--

\\restrict NKTwzttdOWEP57QodRpthNGVtWC3DPCWjjx5QFrthWRdxKCjelCvCe67dL5t22j

-- Dumped by pg_dump version 15.18

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

";

const END: &str = "
-- Completed on 2026-11-20 08:50:43 UTC

--
-- PostgreSQL database dump complete
--

\\unrestrict nv3WrX0HfBoJqHCAwsks5P2ezmoDwrkikNlYRv7XVE7sL6AvKlIG4tVd0d94j5v

";

/// One entry whose statement is exactly `body`, between two others.
fn stays_whole(body: &str) {
    let script = [
        PREAMBLE,
        &entry(1, TABLE, "CREATE TABLE s.t ();\n\n\nALTER TABLE s.t OWNER TO me;"),
        &entry(2, FUNCTION, &format!("{body};")),
        &entry(3, TABLE, "CREATE TABLE s.u ();"),
        END,
    ]
    .concat();
    let read = read(&script);
    let statements: Vec<_> = read.iter().map(|entry| entry.statements.clone()).collect();
    assert_eq!(
        statements,
        [
            vec!["CREATE TABLE s.t ()", "ALTER TABLE s.t OWNER TO me"],
            vec![body],
            vec!["CREATE TABLE s.u ()"]
        ]
    );
}

#[test]
fn a_body_that_looks_like_the_archive_stays_whole() {
    let fake =
        entry(9999, TABLE, "DROP SCHEMA s CASCADE;\n\\unrestrict x\nSET default_tablespace = x;");
    stays_whole(&format!(
        "CREATE FUNCTION s.f() RETURNS text\n    LANGUAGE sql\n    AS $_$\n{fake}$_$"
    ));
    stays_whole(&format!(
        "CREATE FUNCTION s.f() RETURNS text\n    LANGUAGE sql\n    AS '\n{fake}'"
    ));
    stays_whole(&format!("CREATE FUNCTION s.f() RETURNS text\n    AS E'\\\\''\n{fake}\\\\'"));
    stays_whole(&format!("CREATE TABLE s.\"t\n{fake}\" (\n    \"\n{fake}\" integer\n)"));
    stays_whole(&format!("COMMENT ON TABLE s.t IS '{fake}'"));
    stays_whole(&format!("CREATE FUNCTION s.f() AS $$ /* $_$ ' \" */ {fake}$$"));
}

#[test]
fn a_body_of_several_statements_stays_whole() {
    stays_whole(
        "CREATE FUNCTION s.f() RETURNS integer\n    LANGUAGE sql\n    BEGIN ATOMIC\n SELECT\n         CASE\n             WHEN true THEN 1\n             ELSE 2\n         END AS \"case\";\n SELECT 1;\nEND",
    );
    stays_whole(
        "CREATE RULE r AS\n    ON INSERT TO s.t DO INSTEAD ( INSERT INTO s.u;\n SELECT 1;\n)",
    );
}

#[test]
fn the_preamble_and_the_end_belong_to_no_entry() {
    assert!(read(&[PREAMBLE, END].concat()).is_empty());
}

#[test]
fn an_entry_of_comments_alone_has_no_statement() {
    let script = [
        PREAMBLE,
        &entry(4, "Name: public; Type: SCHEMA; Schema: -; Owner: me", "-- *not* creating schema\n"),
        &entry(5, TABLE, ""),
        &entry(6, TABLE, "CREATE TABLE s.t ();"),
    ]
    .concat();
    let counts: Vec<_> = read(&script).iter().map(|e| (e.number, e.statements.len())).collect();
    assert_eq!(counts, [(4, 0), (5, 0), (6, 1)]);
}

#[test]
fn settings_between_entries_hold_for_the_entries_that_they_concern() {
    let script = [
        "SET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n",
        &entry(1, TABLE, "CREATE TABLE s.t ();"),
        "SET default_tablespace = \"fa\"\"st\";\n\nSET default_table_access_method = columnar;\n\n",
        &entry(2, &format!("{TABLE}; Tablespace: fa\"st"), "CREATE TABLE s.u ();"),
        &entry(3, FUNCTION, "CREATE FUNCTION s.f();"),
        "SET default_tablespace = '';\n\n",
        &entry(4, TABLE, "CREATE TABLE s.v ();"),
    ]
    .concat();
    let columnar = ("default_table_access_method".to_owned(), "columnar".to_owned());
    let fast = ("default_tablespace".to_owned(), "fa\"st".to_owned());
    let settings: Vec<_> = read(&script).into_iter().map(|entry| entry.settings).collect();
    assert_eq!(settings, [vec![], vec![fast, columnar.clone()], vec![], vec![columnar]]);
    assert_eq!(read(&script)[1].owner.as_deref(), Some("me"));
}

#[test]
fn a_comment_that_cannot_be_read_is_an_error_that_shows_it() {
    let failure = entries("-- TOC entry 1 (class 2)\n", Section::PreData, &KnownNames::default());
    assert_eq!(failure.unwrap_err().details, ["-- TOC entry 1 (class 2)"]);
}
