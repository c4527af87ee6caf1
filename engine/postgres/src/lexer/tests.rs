use super::*;

fn check(sql: &str, expected: &[&str]) {
    assert_eq!(statements(sql), expected, "{sql}");
}

#[test]
fn statements_end_at_semicolons() {
    check("select 1; select 2 ;\n", &["select 1", "select 2"]);
    check("select 1", &["select 1"]);
    check(" ;; ; ", &[]);
}

#[test]
fn comments_around_a_statement_are_left_off_and_those_inside_stay() {
    check("-- a; b\nselect /* ; */ 1 -- c\n; -- d", &["select /* ; */ 1"]);
    check("/* a /* nested; */ ; */ select 1", &["select 1"]);
    check("-- only a comment", &[]);
    check("/* never closed; select 1", &[]);
    check("select 1 --;\r; select 2", &["select 1", "select 2"]);
}

#[test]
fn strings_and_quoted_names_hide_semicolons() {
    check("select 'a;''b;'; x", &["select 'a;''b;'", "x"]);
    check(r"select '\'; x", &[r"select '\'", "x"]);
    check("select \"a;\"\"b\"; x", &["select \"a;\"\"b\"", "x"]);
    check("select U&\"d\\0061;\" , U&'\\0061;'; x", &["select U&\"d\\0061;\" , U&'\\0061;'", "x"]);
    check("select 'never closed; x", &["select 'never closed; x"]);
    check("select 'ž;', \"ř;\", ž;é", &["select 'ž;', \"ř;\", ž", "é"]);
}

#[test]
fn backslashes_escape_in_escape_strings_only() {
    check(r"select E'a\';b'; x", &[r"select E'a\';b'", "x"]);
    check(r"select e'\\'; x", &[r"select e'\\'", "x"]);
    check(r"select name'\'; x", &[r"select name'\'", "x"]);
    check("select E'a\\'\n 'b\\';' ; x", &["select E'a\\'\n 'b\\';'", "x"]);
    check("select E'a' -- c;\n  'b\\';' ; x", &["select E'a' -- c;\n  'b\\';'", "x"]);
    check("select E'a' 'b\\'; x", &["select E'a' 'b\\'", "x"]);
    check("select E'\\", &["select E'\\"]);
}

#[test]
fn dollar_quotes_end_at_their_own_tag() {
    check("do $$ begin; end $$; x", &["do $$ begin; end $$", "x"]);
    check("do $a$ ; $$ ; $b$ ; $a$; x", &["do $a$ ; $$ ; $b$ ; $a$", "x"]);
    check("do $a$ ; $A$ ; $a$; x", &["do $a$ ; $A$ ; $a$", "x"]);
    check("do $ž$ ; $ž$; x", &["do $ž$ ; $ž$", "x"]);
    check("select a$b$; x$b$", &["select a$b$", "x$b$"]);
    check("select $1; x", &["select $1", "x"]);
    check("select $1$; x", &["select $1$", "x"]);
    check("do $a$ never closed; x", &["do $a$ never closed; x"]);
    check("select $", &["select $"]);
}

#[test]
fn parentheses_hold_a_rule_together() {
    let rule = "create rule r as on insert to t do also (delete from a; delete from b)";
    check(&format!("{rule}; x"), &[rule, "x"]);
    check("select 1); x", &["select 1)", "x"]);
}

#[test]
fn a_routine_body_holds_together_until_its_own_end() {
    let body = "CREATE FUNCTION f(a integer) RETURNS integer\n    LANGUAGE sql\n    BEGIN ATOMIC\n \
        SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN 2 ELSE 3 END ELSE 4 END;\n \
        SELECT (CASE a WHEN 1 THEN 2 END) AS end;\n SELECT t.end FROM t;\nEND";
    check(&format!("{body};\nselect 1;"), &[body, "select 1"]);
    let procedure = "create or replace procedure p() begin atomic; insert into t values (1); end";
    check(&format!("{procedure}; x"), &[procedure, "x"]);
    let empty = "create function f() returns void begin atomic end";
    check(&format!("{empty}; x"), &[empty, "x"]);
}

#[test]
fn begin_outside_of_a_routine_is_a_statement() {
    check("begin; select 1; end; x", &["begin", "select 1", "end", "x"]);
    check("begin atomic; x", &["begin atomic", "x"]);
    check("create table atomic (begin int); x", &["create table atomic (begin int)", "x"]);
}

#[test]
fn blank_means_no_token_but_semicolons() {
    assert!(is_blank(" -- a\n /* b */ ;"));
    assert!(!is_blank("-- a\n select"));
}

proptest::proptest! {
    #[test]
    fn any_text_splits_without_panic_and_statements_split_no_further(
        sql in r#"([a-e \n;'"\\$()*/-]|E'|\$a\$|--|/\*|\*/|begin atomic|case|end|create function|ž){0,40}"#
    ) {
        for statement in statements(&sql) {
            proptest::prop_assert_eq!(statements(statement).join(";"), statement);
        }
    }

    #[test]
    fn a_quoted_value_never_splits(value in r"[^\x00]{0,30}") {
        let sql = format!("select {}", pgkedge_model::quote_literal(&value));
        let script = format!("{sql}; x");
        proptest::prop_assert_eq!(statements(&script), vec![sql.as_str(), "x"]);
    }
}
