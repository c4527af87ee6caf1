//! A slot's snapshot is made from the log, which knows of a commit a moment before the server's own
//! books do. Whoever reads a table in between misses those rows, and marks them as dead for everyone.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use pgkedge_model::{Call, Failure, Server};
use tokio::time::Instant;

use crate::context::StepContext;

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// After that time it is worth telling who is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Transactions that have not ended, of all databases, with their sessions.
const OPEN: &str = "select a.backend_xid, a.pid, a.usename, a.wait_event \
    from pg_catalog.pg_stat_activity a where a.backend_xid is not null union all \
    select l.transactionid, l.pid, null, null from pg_catalog.pg_locks l \
    where l.locktype = 'transactionid' and l.granted and l.transactionid is not null";

/// Waits until no transaction is open that the snapshot takes as ended. `shown` is what
/// `pg_current_snapshot()` says of it.
pub(super) async fn settled(
    context: &StepContext,
    call: &Call,
    shown: &str,
) -> Result<(), Failure> {
    let snapshot = Snapshot::parse(shown).ok_or_else(|| {
        Failure::permanent(format!("the source describes its snapshot as `{shown}`"))
    })?;
    let session = context.read(Server::Source).await?;
    let mut told = Instant::now();
    let mut cancelled = pin!(context.cancelled());
    loop {
        let rows = session.rows(OPEN).await?;
        let ends = |xid: Option<&str>| {
            xid.and_then(|xid| xid.parse().ok()).is_some_and(|xid| snapshot.takes_as_ended(xid))
        };
        let Some(row) = rows.iter().find(|row| ends(row.get(0))) else { return Ok(()) };
        if told.elapsed() > PATIENCE {
            let text = |at: usize| row.get(at).unwrap_or("?");
            call.reporter.waiting(&format!(
                "transaction {} of the source (session {} of {}) is in the log, but not over: it \
                 waits for {}",
                text(0),
                text(1),
                text(2),
                text(3)
            ));
            told = Instant::now();
        }
        tokio::select! {
            failure = &mut cancelled => return Err(failure),
            () = tokio::time::sleep(BETWEEN_LOOKS) => {}
        }
    }
}

/// `xmin:xmax:xip,…`
struct Snapshot {
    /// The first that had not begun. Only the low half: open transactions are less than 2^31 apart.
    end: u32,
    /// Those below it that had not ended.
    open: BTreeSet<u32>,
}

impl Snapshot {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(':').skip(1);
        let end = low_half(fields.next()?)?;
        let open = fields.next()?.split(',').filter(|xid| !xid.is_empty());
        Some(Self { end, open: open.map(low_half).collect::<Option<_>>()? })
    }

    fn takes_as_ended(&self, xid: u32) -> bool {
        let began_before = xid.wrapping_sub(self.end) > u32::MAX / 2;
        began_before && !self.open.contains(&xid)
    }
}

fn low_half(xid: &str) -> Option<u32> {
    let xid: u64 = xid.parse().ok()?;
    u32::try_from(xid & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(snapshot: &str, xid: u32) -> bool {
        Snapshot::parse(snapshot).unwrap().takes_as_ended(xid)
    }

    #[test]
    fn what_began_before_and_is_not_listed_has_ended() {
        assert!(ended("100:110:100,105", 101));
        assert!(ended("100:110:", 99));
        assert!(!ended("100:110:100,105", 105));
        assert!(!ended("100:110:100,105", 110));
        assert!(!ended("100:110:", 4_000));
    }

    #[test]
    fn transactions_are_told_apart_across_the_turn_of_their_numbers() {
        // 2^32 + 5: five after the turn.
        assert!(ended("4294967290:4294967301:", u32::MAX - 3));
        assert!(ended("4294967290:4294967301:4294967300", 3));
        assert!(!ended("4294967290:4294967301:4294967300", 4));
        assert!(!ended("4294967290:4294967301:4294967300", 5));
    }

    #[test]
    fn another_text_is_no_snapshot() {
        for text in ["", "1", "1:2", "1:x:", "1:2:y"] {
            assert!(Snapshot::parse(text).is_none(), "{text}");
        }
    }
}
