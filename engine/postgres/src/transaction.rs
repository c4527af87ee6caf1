//! Whether a session may be inside a transaction, judged by what was sent: the client library does
//! not tell.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::lexer::statements;

/// Errs on the side of "open".
#[derive(Debug, Default)]
pub(crate) struct TransactionWatch(AtomicBool);

impl TransactionWatch {
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Called before statements go out: whatever opens a transaction may have done so.
    pub(crate) fn sent(&self, sql: &str) {
        if changes(sql).any(|opens| opens) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Called after all of them went through: the last one counts.
    pub(crate) fn succeeded(&self, sql: &str) {
        if let Some(opens) = changes(sql).last() {
            self.0.store(opens, Ordering::Relaxed);
        }
    }
}

/// Whether a text says where a transaction begins or ends.
pub(crate) fn opens_or_closes(sql: &str) -> bool {
    changes(sql).next().is_some()
}

/// Opened (true) and closed (false), in order.
fn changes(sql: &str) -> impl Iterator<Item = bool> {
    statements(sql).into_iter().filter_map(|statement| {
        let mut words = statement.split(|c: char| c.is_whitespace() || c == '/' || c == '-');
        let mut word = || words.next().unwrap_or_default().to_ascii_lowercase();
        match word().as_str() {
            "begin" | "start" => Some(true),
            "commit" | "end" | "abort" => Some(false),
            // `rollback to` a savepoint stays inside; `rollback prepared` needs no transaction.
            "rollback" => (!statement.to_ascii_lowercase().contains(" to ")).then_some(false),
            "prepare" if word() == "transaction" => Some(false),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_of_a_text_counts() {
        let watch = TransactionWatch::default();
        for (sql, open) in [
            ("select 1", false),
            ("BEGIN isolation level repeatable read; select 1", true),
            ("savepoint a; rollback to a", true),
            ("select 'commit'", true),
            ("commit", false),
            ("start transaction; rollback", false),
            ("begin;-- x\ncommit; begin", true),
            ("end", false),
        ] {
            watch.sent(sql);
            watch.succeeded(sql);
            assert_eq!(watch.is_open(), open, "{sql}");
        }
    }

    #[test]
    fn a_text_that_failed_may_have_left_a_transaction_open() {
        let watch = TransactionWatch::default();
        watch.sent("begin; broken; commit");
        assert!(watch.is_open());
    }
}
