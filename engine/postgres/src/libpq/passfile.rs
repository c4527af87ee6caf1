//! The password file: `host:port:database:user:password`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::SecretString;

/// Whom a password is for.
pub(super) struct Entrance<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that fits. A file that others may read is left out with a
/// warning, as libpq does.
pub(super) fn find(path: &Path, entrance: &Entrance<'_>) -> Option<SecretString> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            "password file is left out because others may read it: chmod 0600 it"
        );
        return None;
    }
    std::fs::read_to_string(path).ok()?.lines().find_map(|line| password(line, entrance))
}

/// Writes a line for one server, for a child process.
pub(crate) fn line(host: &str, port: u16, password: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    format!("{}:{port}:*:*:{}\n", escaped(host), escaped(password))
}

fn password(line: &str, entrance: &Entrance<'_>) -> Option<SecretString> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    let port = entrance.port.to_string();
    for wanted in [entrance.host, &port, entrance.database, entrance.user] {
        let (value, after) = field(rest);
        if value != wanted && !rest.starts_with("*:") {
            return None;
        }
        rest = after?;
    }
    Some(field(rest).0.into())
}

/// One field without its escapes, and what follows its colon.
fn field(text: &str) -> (String, Option<&str>) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ':' => return (value, Some(&text[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            _ => value.push(character),
        }
    }
    (value, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        let entrance = Entrance { host: "db", port: 5432, database: "a:b", user: "joe" };
        let found = password(line, &entrance);
        assert_eq!(found.as_ref().map(ExposeSecret::expose_secret), expected, "{line}");
    }

    #[test]
    fn the_first_four_fields_must_fit_or_be_stars() {
        check(r"db:5432:a\:b:joe:x", Some("x"));
        check("*:*:*:*:x", Some("x"));
        check("other:*:*:*:x", None);
        check(r"db:5433:*:*:x", None);
        check("# *:*:*:*:x", None);
        check("db:5432", None);
    }

    #[test]
    fn a_password_may_hold_colons_and_backslashes() {
        check(r"*:*:*:*:p\:q\\r", Some(r"p:q\r"));
        check(line("db", 5432, r"p:q\r").trim_end(), Some(r"p:q\r"));
    }

    #[test]
    fn a_file_that_others_may_read_is_left_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*:*:*:*:x\n").unwrap();
        let entrance = Entrance { host: "db", port: 5432, database: "d", user: "u" };
        let mode = |mode| std::fs::set_permissions(file.path(), PermissionsExt::from_mode(mode));
        mode(0o600).unwrap();
        assert!(find(file.path(), &entrance).is_some());
        mode(0o640).unwrap();
        assert!(find(file.path(), &entrance).is_none());
    }
}
