//! What an error of a server means: the only place where a SQLSTATE decides what may help.

use std::error::Error as _;
use std::io;

use pgkedge_model::{Failure, FailureClass, Server};
use postgres_protocol::message::backend::ErrorFields;

/// The server ended the query because someone asked it to.
pub(crate) const QUERY_CANCELED: &str = "57014";

/// What may help against an error.
pub fn class(sqlstate: &str) -> FailureClass {
    match sqlstate {
        // Serialization failure, deadlock, lock not available, too many connections; a query that
        // was cancelled, but not by us; a conflict with recovery; a snapshot or plan that is gone.
        "40001" | "40P01" | "55P03" | "53300" | QUERY_CANCELED => FailureClass::Transient,
        // The protocol was violated: the same again is the same again.
        "08P01" => FailureClass::Permanent,
        // Disk full, out of memory, configured limit reached; privilege; what an administrator
        // must change first (`55000` stays permanent: it mostly means a wrong kind of object).
        "53100" | "53200" | "53400" | "42501" | "55P02" => FailureClass::Operator,
        // Server is shutting down, starting up or has lost the database.
        _ if sqlstate.starts_with("08") || sqlstate.starts_with("57P0") => FailureClass::Transient,
        // The server does not let us in, or its disk fails.
        _ if sqlstate.starts_with("28") || sqlstate.starts_with("58") => FailureClass::Operator,
        _ => FailureClass::Permanent,
    }
}

/// The next thing to do, where it is obvious from the SQLSTATE.
fn help(sqlstate: &str, server: Server) -> Option<String> {
    let text = match sqlstate {
        "28P01" | "28000" => {
            format!("check the user, the password and pg_hba.conf of the {server}")
        }
        "3D000" => format!("create the database on the {server}, or name another one in its url"),
        "42501" => format!("grant the privilege to the role that the {server}'s url names"),
        "53100" => format!("free space on the {server}, then resume"),
        "53300" => format!("raise max_connections of the {server}, or lower `limits` in the plan"),
        "53200" => "raise max_locks_per_transaction if the detail says so, then resume".to_owned(),
        "25006" => format!("the {server} only reads: is it a standby?"),
        "55P03" => format!("another session of the {server} holds the lock; see pg_locks"),
        _ => return None,
    };
    Some(text)
}

/// An error as a server reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    /// The rest, a line each, labelled.
    pub(crate) details: Vec<String>,
}

impl Report {
    /// Reads the fields of an `ErrorResponse`; takes any bytes, as errors before the login come in
    /// the server's encoding.
    pub(crate) fn of_fields(mut fields: ErrorFields<'_>) -> Self {
        use fallible_iterator::FallibleIterator as _;
        let mut report = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => report.sqlstate = value,
                b'M' => report.message = value,
                b'D' => report.details.push(format!("detail: {value}")),
                b'H' => report.details.push(format!("hint: {value}")),
                b'W' => report.details.push(format!("context: {value}")),
                b'q' => report.details.push(format!("internal query: {value}")),
                b'P' => report.details.push(format!("at character {value} of the statement")),
                _ => {}
            }
        }
        report
    }

    fn of_database(error: &tokio_postgres::error::DbError) -> Self {
        use tokio_postgres::error::ErrorPosition;
        let mut details = Vec::new();
        details.extend(error.detail().map(|detail| format!("detail: {detail}")));
        details.extend(error.hint().map(|hint| format!("hint: {hint}")));
        match error.position() {
            Some(ErrorPosition::Original(at)) => {
                details.push(format!("at character {at} of the statement"));
            }
            Some(ErrorPosition::Internal { query, .. }) => {
                details.push(format!("internal query: {query}"));
            }
            None => {}
        }
        details.extend(error.where_().map(|context| format!("context: {context}")));
        let (sqlstate, message) = (error.code().code().to_owned(), error.message().to_owned());
        Self { sqlstate, message, details }
    }

    /// `doing` is a lowercase phrase such as `copy public.orders`; may be empty.
    pub(crate) fn failure(self, server: Server, doing: &str) -> Failure {
        Failure {
            class: class(&self.sqlstate),
            message: format!("{}: {}", subject(server, doing), self.message),
            details: self.details,
            help: help(&self.sqlstate, server),
            sqlstate: Some(self.sqlstate),
        }
    }
}

/// Turns an error of the client library into a failure. `doing` is a lowercase phrase that says
/// what was tried, such as `create index public.orders_pkey`; it may be empty.
#[expect(clippy::needless_pass_by_value, reason = "for use in `map_err`")]
pub fn failure(server: Server, error: tokio_postgres::Error, doing: &str) -> Failure {
    if let Some(database) = error.as_db_error() {
        return Report::of_database(database).failure(server, doing);
    }
    if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        return io_failure(server, cause, doing);
    }
    let cause = error.source().map_or(String::new(), |cause| format!(": {cause}"));
    let message = format!("{}: {error}{cause}", subject(server, doing));
    let class = if error.is_closed() { FailureClass::Transient } else { FailureClass::Permanent };
    Failure::new(class, message)
}

/// A socket that failed. Nearly always worth another try.
pub(crate) fn io_failure(server: Server, error: &io::Error, doing: &str) -> Failure {
    use io::ErrorKind::{InvalidData, InvalidInput, PermissionDenied, UnexpectedEof};
    let kind = error.kind();
    let class = if matches!(kind, InvalidData | InvalidInput) {
        FailureClass::Permanent
    } else if kind == PermissionDenied {
        FailureClass::Operator
    } else {
        FailureClass::Transient
    };
    let fact = if kind == UnexpectedEof {
        "the server closed the connection".to_owned()
    } else {
        error.to_string()
    };
    Failure::new(class, format!("{}: {fact}", subject(server, doing)))
}

/// The server said something that the protocol does not allow here.
pub(crate) fn protocol_failure(server: Server, fact: &str) -> Failure {
    Failure::permanent(format!("{server}: {fact}"))
        .help("connect to the server itself: a pooler or proxy may be in the way")
}

fn subject(server: Server, doing: &str) -> String {
    if doing.is_empty() { server.to_string() } else { format!("{server}: cannot {doing}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_says_what_may_help() {
        use FailureClass::{Operator, Permanent, Transient};
        for (sqlstate, expected) in [
            ("08006", Transient),
            ("08P01", Permanent),
            ("57P01", Transient),
            ("57P03", Transient),
            ("40001", Transient),
            ("40P01", Transient),
            ("55P03", Transient),
            ("53300", Transient),
            ("57014", Transient),
            ("53100", Operator),
            ("28P01", Operator),
            ("42501", Operator),
            ("58030", Operator),
            ("23505", Permanent),
            ("22P02", Permanent),
            ("42P01", Permanent),
            ("XX000", Permanent),
            ("", Permanent),
        ] {
            assert_eq!(class(sqlstate), expected, "{sqlstate}");
        }
    }

    #[test]
    fn a_report_becomes_a_failure_that_names_server_and_action() {
        let report = Report {
            sqlstate: "53100".into(),
            message: "could not extend file".into(),
            details: vec!["hint: Check free disk space.".into()],
        };
        let failure = report.failure(Server::Target, "copy public.orders");
        assert_eq!(failure.message, "target: cannot copy public.orders: could not extend file");
        assert_eq!(failure.class, FailureClass::Operator);
        assert_eq!(failure.help.as_deref(), Some("free space on the target, then resume"));
    }

    #[test]
    fn a_lost_connection_is_worth_another_try() {
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        let failure = io_failure(Server::Source, &error, "");
        assert_eq!(failure.class, FailureClass::Transient);
        assert_eq!(failure.message, "source: the server closed the connection");
    }
}
