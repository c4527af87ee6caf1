//! Archive entries as steps: their keys, their touches, and the text of their statements.

use pgkedge_model::{CatalogIndex, Entry, Object, Section, Server, Touch};

/// `TABLE public.orders`; with the entry's number before it where another one is called the same.
pub(crate) fn key(entry: &Entry, source: &CatalogIndex<'_>) -> String {
    if source.namesakes.contains(&entry.number) {
        return format!("{} {}", entry.number, entry.label());
    }
    entry.label()
}

/// `public.orders_by_day`, for steps that are about one kind of entries. Those of other kinds, such
/// as `INDEX ATTACH`, keep the long form: it has a blank before the first dot.
pub(crate) fn item_key(entry: &Entry, source: &CatalogIndex<'_>) -> String {
    let is_usual = matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "FK CONSTRAINT");
    match &entry.schema {
        Some(schema)
            if is_usual && !schema.contains(' ') && !source.namesakes.contains(&entry.number) =>
        {
            format!("{schema}.{}", entry.name)
        }
        _ => key(entry, source),
    }
}

/// An entry comes after those that it depends on.
pub(crate) fn touches(entry: &Entry) -> Vec<Touch> {
    let read = |number: &u32| Touch::read(Object::new("entry", number));
    let mut touches: Vec<Touch> = entry.depends.iter().map(read).collect();
    touches.push(Touch::write(Object::new("entry", entry.number)));
    touches
}

/// Settings of an entry that this version of the target knows.
pub(crate) fn settings(entry: &Entry, target_major: u32) -> Vec<(&str, &str)> {
    entry
        .settings
        .iter()
        .filter(|(name, _)| match name.as_str() {
            "default_tablespace" => true,
            "default_table_access_method" => target_major >= 12,
            _ => false,
        })
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Whether an entry belongs to post-data: by its own section, or because it needs one that does.
/// Comments and grants have no section of their own.
pub(crate) fn is_post_data<'a>(
    entry: &'a Entry,
    by_number: &impl Fn(u32) -> Option<&'a Entry>,
) -> bool {
    let is_post = |entry: &Entry| entry.section == Section::PostData;
    is_post(entry)
        || (entry.class == 0
            && is_attached(entry)
            && entry.depends.iter().filter_map(|number| by_number(*number)).any(is_post))
}

/// Whether an entry only adds to another one's object: a comment, grants, a label.
pub(crate) fn is_attached(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "COMMENT" | "ACL" | "SECURITY LABEL")
}

/// The position of the first occurrence of `word` that stands outside of quotes.
pub(crate) fn find_word(sql: &str, word: &str) -> Option<usize> {
    let mut quote: Option<u8> = None;
    for (at, byte) in sql.bytes().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if sql.as_bytes()[at..].starts_with(word.as_bytes()) => return Some(at),
            Some(_) | None => {}
        }
    }
    None
}

/// Splits at the first occurrence of `word` that stands outside of quotes.
pub(crate) fn split_once<'a>(sql: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = find_word(sql, word)?;
    Some((&sql[..at], &sql[at + word.len()..]))
}

/// The words of a statement; a quoted name is a part of its word.
pub(crate) fn words(sql: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = sql.trim();
    while !rest.is_empty() {
        let end = [" ", "\n", "\t"].iter().filter_map(|space| find_word(rest, space)).min();
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// The name that an identifier of a statement stands for.
pub(crate) fn unquoted(ident: &str) -> String {
    match ident.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => ident.to_owned(),
    }
}

/// The place of an entry's object, for findings.
pub(crate) fn place(entry: &Entry) -> pgkedge_model::Place {
    pgkedge_model::Place::Object { server: Server::Source, object: entry.label() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, entry};

    #[test]
    fn a_key_tells_no_more_than_it_takes() {
        let mut sample = Sample::default();
        let operator = |number| entry(number, "OPERATOR", "+", &[]);
        let blank = Entry { schema: Some("INDEX a".into()), ..entry(5, "INDEX", "i", &[]) };
        sample.facts.source.entries = vec![
            operator(1),
            operator(2),
            entry(3, "INDEX", "i", &[]),
            entry(4, "INDEX ATTACH", "i", &[]),
            blank,
        ];
        let index = CatalogIndex::new(&sample.facts.source);
        let keys: Vec<String> =
            sample.facts.source.entries.iter().map(|entry| item_key(entry, &index)).collect();
        assert_eq!(
            keys,
            [
                "1 OPERATOR public.+",
                "2 OPERATOR public.+",
                "public.i",
                "INDEX ATTACH public.i",
                "INDEX INDEX a.i"
            ]
        );
    }

    #[test]
    fn a_word_in_quotes_is_no_word() {
        let sql = r#"ALTER TABLE "a SET DEFAULT b" ALTER c SET DEFAULT ' SET DEFAULT '"#;
        let (before, after) = split_once(sql, " SET DEFAULT ").unwrap();
        assert_eq!(before, r#"ALTER TABLE "a SET DEFAULT b" ALTER c"#);
        assert_eq!(after, "' SET DEFAULT '");
    }

    #[test]
    fn words_keep_quoted_names_whole() {
        assert_eq!(
            words(r#"GRANT ALL ON "a ""b" TO  "c d""#),
            ["GRANT", "ALL", "ON", r#""a ""b""#, "TO", r#""c d""#]
        );
    }
}
