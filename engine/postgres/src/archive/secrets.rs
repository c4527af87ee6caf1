//! Keeps passwords out of catalogs, and so out of journals and dry-runs.
//!
//! `pg_dump` writes the options of user mappings, passwords among them. They are cut off here, and
//! the entry's setting [`WITHHELD_OPTIONS`] counts them: who recreates the mapping reads them from
//! `pg_user_mappings` when it does.

use pgkedge_model::Entry;

/// The setting of a `USER MAPPING` entry whose options were cut off.
pub const WITHHELD_OPTIONS: &str = "user_mapping_options";

/// Cuts the options off a user mapping.
pub(crate) fn withhold(entry: &mut Entry) {
    if entry.kind != "USER MAPPING" {
        return;
    }
    for statement in &mut entry.statements {
        let Some(at) = unquoted_position(statement, '"', " OPTIONS (") else { continue };
        let count = options(&statement[at..]);
        statement.truncate(at);
        entry.settings.push((WITHHELD_OPTIONS.to_owned(), format!("{count} withheld")));
    }
}

/// How many options a list of `name 'value'` holds. Quotes and backslashes in it are doubled.
fn options(list: &str) -> usize {
    let mut open = None;
    let mut commas = 0;
    for character in list.chars() {
        match (open, character) {
            (None, '\'' | '"') => open = Some(character),
            (Some(quote), _) if quote == character => open = None,
            (None, ',') => commas += 1,
            _ => {}
        }
    }
    commas + 1
}

/// Where a text first stands outside of quoted names.
fn unquoted_position(statement: &str, quote: char, wanted: &str) -> Option<usize> {
    let quotes_before = |at: usize| statement[..at].matches(quote).count();
    statement.match_indices(wanted).map(|(at, _)| at).find(|&at| quotes_before(at) % 2 == 0)
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Section;

    use super::*;

    fn mapping(statement: &str) -> Entry {
        let mut entry = Entry {
            number: 1,
            class: 0,
            oid: 0,
            depends: vec![],
            kind: "USER MAPPING".into(),
            schema: None,
            name: "USER MAPPING app SERVER s".into(),
            owner: None,
            section: Section::PreData,
            settings: vec![],
            statements: vec![statement.into()],
            object: None,
        };
        withhold(&mut entry);
        entry
    }

    #[test]
    fn options_of_a_user_mapping_are_withheld_and_counted() {
        let entry = mapping(
            "CREATE USER MAPPING FOR \"a OPTIONS (\" SERVER \"s\"\"; OPTIONS (\" OPTIONS (\n    password 'a, ''b''',\n    \"us,er\" E'x\\\\'\n)",
        );
        let plain = "CREATE USER MAPPING FOR \"a OPTIONS (\" SERVER \"s\"\"; OPTIONS (\"";
        assert_eq!(entry.statements, [plain]);
        assert_eq!(entry.settings, [(WITHHELD_OPTIONS.to_owned(), "2 withheld".to_owned())]);
    }

    #[test]
    fn a_user_mapping_without_options_stays() {
        let entry = mapping("CREATE USER MAPPING FOR public SERVER s");
        assert_eq!(entry.statements, ["CREATE USER MAPPING FOR public SERVER s"]);
        assert!(entry.settings.is_empty());
    }
}
