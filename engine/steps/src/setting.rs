//! Settings of roles and databases, as `alter … set` takes them.

use pgkedge_model::DatabaseSetting;
use serde::Serialize;

/// One setting for a template: the words of its name, and its values as literals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SettingSql {
    /// `my.setting` has two.
    pub(crate) name: Vec<String>,
    pub(crate) values: Vec<String>,
}

/// Settings whose value is a list of names, quoted one by one in the catalog.
///
/// Source: `GUC_LIST_QUOTE` of `guc_tables.c`; extensions may not use that flag.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl From<&DatabaseSetting> for SettingSql {
    fn from(setting: &DatabaseSetting) -> Self {
        let is_list = LISTS.iter().any(|list| list.eq_ignore_ascii_case(&setting.name));
        let values = if is_list { names(&setting.value) } else { vec![setting.value.clone()] };
        Self { name: setting.name.split('.').map(str::to_owned).collect(), values }
    }
}

/// The names of a list. An empty list is one empty name, which is how `set` writes it.
fn names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            space if !quoted && space.is_whitespace() => {}
            other => name.push(other),
        }
    }
    names.push(name);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str) -> SettingSql {
        let (name, value) = (name.to_owned(), value.to_owned());
        SettingSql::from(&DatabaseSetting { role: None, name, value })
    }

    #[test]
    fn a_list_of_names_is_written_name_by_name() {
        assert_eq!(
            setting("search_path", "\"$user\", public, \"a, \"\"b\"").values,
            ["$user", "public", "a, \"b"]
        );
        assert_eq!(setting("search_path", "\"\"").values, [""]);
    }

    #[test]
    fn any_other_value_stays_whole() {
        let made = setting("my.note", "a, b");
        assert_eq!(
            (made.name, made.values),
            (vec!["my".to_owned(), "note".to_owned()], vec!["a, b".to_owned()])
        );
    }
}
