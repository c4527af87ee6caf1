//! What became of every transaction, as the application knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgkedge_model::Server;
use tokio::time::Instant;

/// A transaction: its writer, and its number among that writer's.
pub type Number = (u32, u64);

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server acknowledged its commit.
    Committed,
    /// The server refused it, or it was taken back: nothing of it may be there.
    Refused,
    /// The connection was lost: it is there once, or not at all.
    InDoubt,
}

/// Who hears nothing for that long is at a server that takes no writes.
const CLOSED: Duration = Duration::from_secs(1);

/// Filled by all writers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) committed: BTreeSet<Number>,
    pub(crate) refused: BTreeSet<Number>,
    pub(crate) in_doubt: BTreeSet<Number>,
    pub(crate) on: BTreeMap<Server, u64>,
    /// By SQLSTATE: how often a server refused a transaction that should have gone through.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Commits that the source acknowledged after the target had let a writer in.
    pub(crate) late: u64,
    last_on_source: Option<Instant>,
    pub(crate) at_work: Duration,
    pauses: Pauses,
}

impl Tally {
    pub(crate) fn settle(&mut self, number: Number, outcome: Outcome, server: Server) {
        self.in_doubt.remove(&number);
        match outcome {
            Outcome::Refused => self.refused.insert(number),
            Outcome::InDoubt => self.in_doubt.insert(number),
            Outcome::Committed => {
                let now = Instant::now();
                *self.on.entry(server).or_default() += 1;
                if server == Server::Source {
                    let last = self.last_on_source.replace(now);
                    let gap = last.map_or(Duration::ZERO, |last| now - last);
                    self.at_work += if gap < CLOSED { gap } else { Duration::ZERO };
                    self.late += u64::from(self.pauses.arrived.is_some());
                }
                self.pauses.committed(now);
                self.committed.insert(number)
            }
        };
    }

    /// A writer has come into the target, and could write.
    pub(crate) fn arrive(&mut self) {
        self.pauses.arrived.get_or_insert_with(Instant::now);
    }

    /// From now on writers may write to the target.
    pub(crate) fn admit(&mut self) {
        self.pauses.admitted.get_or_insert_with(Instant::now);
    }

    pub(crate) fn longest_pause(&self) -> Duration {
        self.pauses.longest
    }
}

/// How long no commit was acknowledged. The time for which the writers themselves were held back, from the
/// first one's arrival at the target on, does not count.
#[derive(Debug, Default)]
struct Pauses {
    last: Option<Instant>,
    arrived: Option<Instant>,
    admitted: Option<Instant>,
    longest: Duration,
}

impl Pauses {
    fn committed(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let held = match (self.arrived, self.admitted) {
                (Some(arrived), Some(admitted)) if last <= arrived && admitted <= now => {
                    admitted.saturating_duration_since(arrived)
                }
                _ => Duration::ZERO,
            };
            let pause = now.saturating_duration_since(last).saturating_sub(held);
            self.longest = self.longest.max(pause);
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_from_commit_to_commit_without_the_time_at_the_gate() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut pauses = Pauses::default();
        pauses.committed(at(0));
        pauses.committed(at(100));
        assert_eq!(pauses.longest, Duration::from_millis(100));
        pauses.arrived = Some(at(400));
        pauses.admitted = Some(at(5_400));
        pauses.committed(at(5_450));
        assert_eq!(pauses.longest, Duration::from_millis(350));
        pauses.committed(at(5_900));
        assert_eq!(pauses.longest, Duration::from_millis(450));
    }

    #[tokio::test]
    async fn a_commit_on_the_source_after_the_target_let_somebody_in_is_late() {
        let mut tally = Tally::default();
        tally.settle((0, 1), Outcome::Committed, Server::Source);
        tally.arrive();
        tally.settle((0, 2), Outcome::Committed, Server::Target);
        assert_eq!(tally.late, 0);
        tally.settle((1, 1), Outcome::Committed, Server::Source);
        assert_eq!(tally.late, 1);
    }

    #[tokio::test]
    async fn what_was_in_doubt_is_settled_later() {
        let mut tally = Tally::default();
        tally.settle((0, 1), Outcome::InDoubt, Server::Source);
        assert_eq!(tally.in_doubt.len(), 1);
        tally.settle((0, 1), Outcome::Committed, Server::Source);
        assert!(tally.in_doubt.is_empty() && tally.committed.contains(&(0, 1)));
    }
}
