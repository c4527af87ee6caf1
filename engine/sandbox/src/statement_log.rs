//! Reads back what a server of the sandbox logged: which session sent which statement.

/// What the server writes before each message. Continued lines begin with a tab instead.
pub(crate) const LINE_PREFIX: &str = "%m [%p] app=%a|";

/// A statement, or a command of replication, as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStatement {
    /// The session's application name at that moment.
    pub application: String,
    pub pid: u32,
    pub text: String,
}

/// All statements of a log, in its order.
pub(crate) fn read(log: &str) -> Vec<LoggedStatement> {
    let mut messages: Vec<String> = Vec::new();
    for line in log.split('\n') {
        match (line.strip_prefix('\t'), messages.last_mut()) {
            (Some(more), Some(message)) => {
                message.push('\n');
                message.push_str(more);
            }
            _ => messages.push(line.to_owned()),
        }
    }
    messages.iter().filter_map(|message| statement(message)).collect()
}

fn statement(message: &str) -> Option<LoggedStatement> {
    let (head, rest) = message.split_once(" app=")?;
    let pid = head.rsplit_once('[')?.1.strip_suffix(']')?.parse().ok()?;
    let (application, rest) = rest.split_once('|')?;
    let rest = rest.strip_prefix("LOG:  ")?;
    let plain = rest.strip_prefix("statement: ");
    let replication = || rest.strip_prefix("received replication command: ");
    let prepared = || {
        let (name, text) = rest.strip_prefix("execute ")?.split_once(": ")?;
        (!name.contains('\n')).then_some(text)
    };
    let text = plain.or_else(replication).or_else(prepared)?;
    Some(LoggedStatement { application: application.to_owned(), pid, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_both_protocols_come_with_their_session_and_their_line_breaks() {
        let log = "2026-11-20 08:00:00.000 UTC [7] app=|LOG:  database system is ready\n\
             2026-11-20 08:00:01.000 UTC [12] app=pgkedge:0a1b2c3d:1:do|LOG:  statement: create table t (\n\
             \t  a text default '|LOG:  statement: x'\n\
             \t)\n\
             2026-11-20 08:00:02.000 UTC [13] app=pgkedge:read|LOG:  execute <unnamed>: select 1\n\
             2026-11-20 08:00:02.000 UTC [13] app=pgkedge:read|ERROR:  no\n\
             2026-11-20 08:00:03.000 UTC [14] app=a|LOG:  received replication command: IDENTIFY_SYSTEM\n";
        let read: Vec<_> = read(log).into_iter().map(|s| (s.pid, s.application, s.text)).collect();
        let expected = [
            (
                12,
                "pgkedge:0a1b2c3d:1:do",
                "create table t (\n  a text default '|LOG:  statement: x'\n)",
            ),
            (13, "pgkedge:read", "select 1"),
            (14, "a", "IDENTIFY_SYSTEM"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(p, a, t)| (*p, (*a).to_owned(), (*t).to_owned())).collect();
        assert_eq!(read, expected);
    }
}
