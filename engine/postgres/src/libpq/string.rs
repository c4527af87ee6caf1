//! Connection strings: URIs, and `key=value` pairs.

use super::{LibpqError, Parameters};

/// Reads a connection string of either form.
pub(super) fn parse(text: &str) -> Result<Parameters, LibpqError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(LibpqError::Syntax("is empty"));
    }
    let uri = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
    match uri {
        Some(rest) => parse_uri(rest),
        None if text.split('=').next().is_some_and(|head| head.contains("://")) => {
            Err(LibpqError::Syntax("is no postgresql:// URI"))
        }
        None => parse_pairs(text),
    }
}

fn parse_uri(rest: &str) -> Result<Parameters, LibpqError> {
    let mut parameters = Parameters::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = match authority.rsplit_once('@') {
        Some((user_info, hosts)) => {
            let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
            set_decoded(&mut parameters, "user", user)?;
            set_decoded(&mut parameters, "password", password)?;
            hosts
        }
        None => authority,
    };
    parse_hosts(&mut parameters, hosts)?;
    set_decoded(&mut parameters, "dbname", database)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or(LibpqError::Syntax("has a parameter without `=` after the `?`"))?;
        let (name, value) = (decode(name)?, decode(value)?);
        if name == "ssl" && value == "true" {
            parameters.set("sslmode", "require".to_owned())?;
        } else {
            parameters.set(&name, value)?;
        }
    }
    Ok(parameters)
}

/// `host:port,[::1]:port,…`; each part may be missing.
fn parse_hosts(parameters: &mut Parameters, text: &str) -> Result<(), LibpqError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = match part.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or(LibpqError::Syntax("has an IPv6 address without `]`"))?;
                (host, rest.strip_prefix(':').unwrap_or(""))
            }
            None => part.split_once(':').unwrap_or((part, "")),
        };
        hosts.push(decode(host)?);
        ports.push(decode(port)?);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        parameters.set("host", hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.set("port", ports.join(","))?;
    }
    Ok(())
}

fn set_decoded(parameters: &mut Parameters, name: &str, value: &str) -> Result<(), LibpqError> {
    if value.is_empty() { Ok(()) } else { parameters.set(name, decode(value)?) }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, LibpqError> {
    const BROKEN: LibpqError =
        LibpqError::Syntax("has a `%` that two hex digits must follow; write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BROKEN) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| BROKEN)?);
    }
    String::from_utf8(bytes).map_err(|_| BROKEN)
}

fn parse_pairs(text: &str) -> Result<Parameters, LibpqError> {
    let mut parameters = Parameters::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once('=').ok_or(LibpqError::Syntax("has a parameter without `=`"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(LibpqError::Syntax("has a parameter without `=`"));
        }
        let (value, after) = pair_value(after.trim_start())?;
        parameters.set(name, value)?;
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// One value: quoted or up to the next space, a backslash takes the next character as it is.
fn pair_value(text: &str) -> Result<(String, &str), LibpqError> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            _ if !quoted && character.is_whitespace() => return Ok((value, &text[at..])),
            _ => value.push(character),
        }
    }
    if quoted {
        Err(LibpqError::Syntax("has a quote that is never closed"))
    } else {
        Ok((value, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let parameters = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for name in ["host", "port", "user", "password", "dbname", "sslmode", "options"] {
            let wanted = expected.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            assert_eq!(parameters.get(name), wanted, "{name} of {text}");
        }
    }

    fn refused(text: &str) -> String {
        parse(text).err().unwrap_or_else(|| panic!("{text} must be refused")).to_string()
    }

    #[test]
    fn a_uri_gives_its_parts() {
        check("postgresql://", &[]);
        check("postgres://h", &[("host", "h")]);
        check(
            "postgresql://u:p%40%3a@h:5433/d%20b?sslmode=require&options=-c%20x",
            &[
                ("user", "u"),
                ("password", "p@:"),
                ("host", "h"),
                ("port", "5433"),
                ("dbname", "d b"),
                ("sslmode", "require"),
                ("options", "-c x"),
            ],
        );
        check(
            "postgresql:///d?host=/tmp&port=1",
            &[("host", "/tmp"), ("port", "1"), ("dbname", "d")],
        );
        check("postgresql://%2Ftmp/d", &[("host", "/tmp"), ("dbname", "d")]);
        check("postgresql://u@[::1]:5/", &[("user", "u"), ("host", "::1"), ("port", "5")]);
        check("postgresql://a:1,b,c:3/d", &[("host", "a,b,c"), ("port", "1,,3"), ("dbname", "d")]);
        check("postgresql://h?ssl=true", &[("host", "h"), ("sslmode", "require")]);
    }

    #[test]
    fn pairs_give_their_values() {
        check("host=h port = 5433  dbname=d", &[("host", "h"), ("port", "5433"), ("dbname", "d")]);
        check(
            r"user='a b' password='it\'s \\' dbname=x\ y",
            &[("user", "a b"), ("password", r"it's \"), ("dbname", "x y")],
        );
        check("user='' host=h", &[("host", "h")]);
        check("password=a=b host=h", &[("password", "a=b"), ("host", "h")]);
    }

    #[test]
    fn a_string_that_is_not_understood_is_refused_without_showing_it() {
        for text in [
            "",
            "geheim",
            "password='geheim",
            "user=x geheim",
            "postgresql://u:geheim%zz@h",
            "postgresql://u:geheim@[::1",
            "mysql://u:geheim@h/d",
            "postgresql://u:geheim@h?x",
        ] {
            assert!(!refused(text).contains("geheim"), "{text}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        assert!(refused("host=h sslmod=require").contains("`sslmod`"));
        assert!(refused("postgresql://h?replication=1").contains("`replication`"));
        assert!(parse("host=h application_name=x keepalives=1").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_value_survives_both_forms(value in r"[^\x00]{1,20}") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            let pairs = parse(&format!("password='{quoted}'")).unwrap();
            proptest::prop_assert_eq!(pairs.get("password"), Some(value.as_str()));
            let bytes: Vec<String> = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let encoded = bytes.concat();
            let uri = parse(&format!("postgresql://u:{encoded}@h")).unwrap();
            proptest::prop_assert_eq!(uri.get("password"), Some(value.as_str()));
        }
    }
}
