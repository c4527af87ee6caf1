//! The service file: sections of connection parameters.

use std::path::{Path, PathBuf};

use pgkedge_model::Secrets;

use super::LibpqError;

/// The parameters of a service: from the user's own file, else from the system's.
pub(super) fn read(name: &str, secrets: &dyn Secrets) -> Result<Vec<(String, String)>, LibpqError> {
    let own = secrets
        .variable("PGSERVICEFILE")
        .map(PathBuf::from)
        .or_else(|| secrets.variable("HOME").map(|home| Path::new(&home).join(".pg_service.conf")));
    let system =
        secrets.variable("PGSYSCONFDIR").map(|folder| Path::new(&folder).join("pg_service.conf"));
    for path in own.into_iter().chain(system) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(LibpqError::File { path, reason: error.to_string() }),
        };
        if let Some(parameters) = section(&text, name, &path)? {
            return Ok(parameters);
        }
    }
    Err(LibpqError::NoService(name.to_owned()))
}

fn section(
    text: &str,
    name: &str,
    path: &Path,
) -> Result<Option<Vec<(String, String)>>, LibpqError> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(name) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(parameters) = &mut found else { continue };
        let bad =
            |reason| LibpqError::ServiceLine { path: path.to_owned(), line: index + 1, reason };
        let (key, value) = line.split_once('=').ok_or_else(|| bad("has no `=`"))?;
        if matches!(key, "service" | "servicefile") {
            return Err(bad("refers to another service"));
        }
        // The first of two wins, as in libpq.
        if parameters.iter().all(|(known, _)| known != key) {
            parameters.push((key.to_owned(), value.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[shop]\nhost=a\nport=5433\nhost=b\n\n[other]\nhost=c\nbroken\n";

    fn section_of(name: &str) -> Result<Option<Vec<(String, String)>>, LibpqError> {
        section(FILE, name, Path::new("pg_service.conf"))
    }

    #[test]
    fn a_section_gives_its_own_parameters() {
        let shop = section_of("shop").unwrap().unwrap();
        assert_eq!(shop, [("host".into(), "a".into()), ("port".into(), "5433".into())]);
        assert!(section_of("missing").unwrap().is_none());
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = section_of("other").unwrap_err().to_string();
        assert_eq!(error, "line 9 of the service file pg_service.conf has no `=`");
    }
}
