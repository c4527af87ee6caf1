//! Session settings that a database or a role could have changed under us, and what they must be.

use pgkedge_model::{Server, quote_literal};

/// Known to every version from 10 on: they travel in the startup packet, so that nothing is ever
/// read or written without them.
const PINS: &[(&str, &str)] = &[
    ("search_path", ""),
    ("role", "none"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    ("check_function_bodies", "off"),
    ("default_tablespace", ""),
    ("temp_tablespaces", ""),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("client_min_messages", "warning"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// What a load part reports as done must survive a crash of the target.
const TARGET_PINS: &[(&str, &str)] = &[("synchronous_commit", "on")];

/// Set after the login, as far as the server knows them: newer ones, and old ones that may go.
const LATER_PINS: &[(&str, &str)] = &[
    ("backslash_quote", "safe_encoding"),
    ("client_connection_check_interval", "5s"),
    ("default_table_access_method", "heap"),
    ("escape_string_warning", "off"),
    ("idle_session_timeout", "0"),
    ("jit", "off"),
    ("transaction_timeout", "0"),
];

/// Every setting that sessions pin, for the dry-run: `name = value`.
pub fn shown_pins() -> Vec<String> {
    let shown = |(name, value): &(&str, &str)| format!("{name} = {}", quote_literal(value));
    let target = TARGET_PINS.iter().map(|pin| format!("{} (on the target)", shown(pin)));
    PINS.iter().chain(LATER_PINS).map(shown).chain(target).collect()
}

/// The `options` of the startup packet; the user's come first, so that ours win.
pub(crate) fn startup_options(server: Server, users: Option<&str>) -> String {
    let target = if server == Server::Target { TARGET_PINS } else { &[] };
    let pins = PINS.iter().chain(target).map(|(name, value)| {
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        format!("-c {name}={value}")
    });
    users.map(str::to_owned).into_iter().chain(pins).collect::<Vec<_>>().join(" ")
}

/// The `options` of a `pg_dump`, which pins the rest itself. A database that is closed to writers
/// would not be one for `target_session_attrs=read-write`.
pub(crate) fn dump_options(users: Option<&str>) -> String {
    let pin = "-c default_transaction_read_only=off";
    users.map_or_else(|| pin.to_owned(), |users| format!("{users} {pin}"))
}

/// The first statement of a session: pins the rest, tells what the server is, and takes the
/// session's own name as its last action. Columns: version, in recovery, one of the pins of the
/// startup packet, and what is of no interest.
pub(crate) fn opening_statement(application: &str) -> String {
    let pins: Vec<String> = LATER_PINS
        .iter()
        .map(|(name, value)| format!("({}, {})", quote_literal(name), quote_literal(value)))
        .collect();
    format!(
        "select pg_catalog.current_setting('server_version_num'), \
         pg_catalog.pg_is_in_recovery(), \
         pg_catalog.current_setting('synchronize_seqscans'), \
         (select pg_catalog.count(pg_catalog.set_config(pin.name, pin.value, false)) \
         from (values {}) pin (name, value) join pg_catalog.pg_settings s on s.name = pin.name), \
         pg_catalog.set_config('application_name', {}, false)",
        pins.join(", "),
        quote_literal(application)
    )
}

/// The name of a session until its opening statement is through: nothing that it sends so far is
/// an effect of a step.
pub(crate) fn opening_name(application: &str) -> String {
    let (run, _) = application.rsplit_once(':').unwrap_or(("pgkedge", ""));
    format!("{run}:read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_in_options_are_escaped_and_the_users_come_first() {
        let options = startup_options(Server::Source, Some("-c geqo=off"));
        assert!(options.starts_with("-c geqo=off -c search_path= -c role=none "));
        assert!(options.contains(r"-c DateStyle=ISO,\ YMD "));
        assert!(!options.contains("synchronous_commit"));
        assert!(startup_options(Server::Target, None).ends_with("-c synchronous_commit=on"));
    }

    #[test]
    fn a_session_reads_under_its_runs_name_until_it_is_open() {
        assert_eq!(opening_name("pgkedge:1a2b3c4d:1:do"), "pgkedge:1a2b3c4d:1:read");
        assert_eq!(opening_name("pgkedge:read"), "pgkedge:read");
        assert_eq!(opening_name("other"), "pgkedge:read");
    }
}
