//! Types of columns, each with values at the edges of what it can hold.

/// A type in SQL, and values of it as SQL expressions.
#[derive(Clone)]
pub(super) struct Kind {
    pub(super) sql: String,
    pub(super) values: Vec<String>,
    /// How it can be indexed.
    pub(super) index: &'static str,
}

type Built = (&'static str, &'static [&'static str], &'static str);

const BUILT_IN: &[Built] = &[
    ("integer", &["0", "1", "-1", "2147483647", "-2147483648"], "btree"),
    ("smallint", &["0", "-32768", "32767"], "btree"),
    ("bigint", &["1", "4294967296", "-9223372036854775808"], "btree"),
    ("numeric", &["0", "1.0", "1.00", "NaN", "Infinity", "-0.000000000000000000001"], "btree"),
    ("numeric(12,3)", &["1.5", "-999999999.999", "NaN"], "btree"),
    ("real", &["0", "-0", "NaN", "Infinity", "1e-45", "0.1"], "btree"),
    (
        "double precision",
        &["0", "-0", "NaN", "-Infinity", "5e-324", "0.1", "0.10000000000000002"],
        "btree",
    ),
    ("boolean", &["t", "f"], "btree"),
    ("text", &["", " ", "\\N", "\\.", "NULL", "a\tb\nc\r", "ž🦀", "'\"\\", "x", "x "], "btree"),
    ("text collate \"C\"", &["", "a", "B", "\\\\"], "btree"),
    ("varchar(20)", &["", "a ", "žluť", "\\N"], "btree"),
    ("character(7)", &["", "a", "ab ", "abcdefg"], "btree"),
    ("\"char\"", &["a", "", "\\377"], "btree"),
    ("name", &["", "a", "pg_class"], "btree"),
    ("bytea", &["", "\\x00", "\\x5c2e0a", "\\xdeadbeef"], "btree"),
    ("date", &["infinity", "-infinity", "0044-03-15 BC", "2026-02-28", "5874897-12-31"], "btree"),
    ("time", &["00:00", "24:00", "23:59:59.999999"], "btree"),
    ("time(0) with time zone", &["12:00+15:59", "00:00:00-15:59:59"], "btree"),
    ("timestamp", &["infinity", "4714-11-24 00:00:00 BC", "2026-02-28 12:00:00.000001"], "btree"),
    (
        "timestamptz(3)",
        &["-infinity", "2026-03-29 01:30:00.123+00", "0001-01-01 00:00:00+00"],
        "btree",
    ),
    ("interval", &["1 mon", "30 days", "-1 year 2 days -03:04:05.000006", "0"], "btree"),
    (
        "uuid",
        &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        "btree",
    ),
    ("json", &["{\"a\":1, \"a\" : 2}", " null ", "1e400", "\"\\u00e9\""], ""),
    ("jsonb", &["{\"a\":1.0}", "{\"a\":1.00}", "null", "[]", "\"\\u00e9\""], "gin"),
    ("jsonpath", &["$.a[*] ? (@ > 1)", "strict $"], ""),
    (
        "xml",
        &[
            "<?xml version=\"1.0\"?><a/>",
            "text &amp; <b/>",
            "",
            "<?xml version=\"1.1\" standalone=\"yes\"?><x/>",
        ],
        "",
    ),
    ("inet", &["10.0.0.1/8", "::1", "fe80::1/64", "0.0.0.0/0"], "btree"),
    ("cidr", &["10.0.0.0/8", "::/0"], "btree"),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"], "btree"),
    ("bit(3)", &["101", "000"], "btree"),
    ("varbit", &["", "1", "10110"], "btree"),
    ("point", &["(1,2)", "(NaN,-0)", "(1e300,-1e-300)"], "gist"),
    ("box", &["(1,1),(0,0)", "(Infinity,1),(0,-Infinity)"], "gist"),
    ("path", &["[(0,0),(1,1)]", "((0,0),(1,1))"], ""),
    ("polygon", &["((0,0),(1,1),(2,0))"], "gist"),
    ("circle", &["<(1,2),3>", "<(0,0),0>"], "gist"),
    ("tsvector", &["", "'a b':1A,2 'it''s':3C"], "gin"),
    ("tsquery", &["", "'a' & !'b' | 'c':*A"], ""),
    ("int4range", &["empty", "(,)", "[1,5)"], "gist"),
    ("numrange", &["[1.0,1.50)", "(,1]", "empty"], "gist"),
    ("tstzrange", &["[-infinity,infinity]", "empty", "[2026-01-01,)"], "gist"),
    ("datemultirange", &["{}", "{[2026-01-01,2026-02-01),[2026-03-01,)}"], ""),
    ("money", &["-92233720368547758.08", "0.01"], "btree"),
    ("oid", &["0", "4294967295"], "btree"),
    ("regclass", &["pg_catalog.pg_class", "-"], ""),
    ("regtype", &["integer[]", "-"], ""),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"], "btree"),
    ("xid8", &["0", "18446744073709551615"], ""),
    ("pg_snapshot", &["10:20:10,14"], ""),
];

/// Types of the server, and arrays of some of them.
pub(super) fn built_in() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (sql, values, index) in BUILT_IN {
        let bare = sql.split(" collate ").next().unwrap_or(sql);
        let values: Vec<String> =
            values.iter().map(|value| format!("'{}'::{bare}", value.replace('\'', "''"))).collect();
        if kinds.len() % 3 == 0 || *sql == "xml" {
            kinds.push(array(bare, &values));
        }
        kinds.push(Kind { sql: (*sql).to_owned(), values, index });
    }
    kinds
}

/// Arrays of a type: empty, with nulls, of several dimensions, with bounds of their own.
pub(super) fn array(of: &str, values: &[String]) -> Kind {
    let (first, last) = (&values[0], &values[values.len() - 1]);
    Kind {
        sql: format!("{of}[]"),
        values: vec![
            format!("'{{}}'::{of}[]"),
            format!("array[{first}, null, {last}]::{of}[]"),
            format!("array[[{first}], [{last}]]::{of}[]"),
            format!("pg_catalog.array_fill({first}, array[2], array[-3])"),
        ],
        index: "",
    }
}
