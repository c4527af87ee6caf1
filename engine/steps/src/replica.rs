//! The maintenance replica: what it says of itself, and the proof that its pause has not ended.
//!
//! Nothing of a pause survives a restart or a promotion, and nobody is told: so whoever reads from
//! the replica looks at it in the same session, before and after.

use pgkedge_model::{
    Facts, Failure, FailureClass, Lsn, Object, OutputOf, Piece, QuotedAs, Server, ServerVersion,
    Session, Slot, Statement, Transaction,
};
use pgkedge_postgres::{Row, Sql};

/// From 14 on a server tells whether it has stopped, or was only asked to.
const TELLS_SINCE: u32 = 14;

/// What a replica says of its replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplayState {
    pub(crate) in_recovery: bool,
    pub(crate) replay: Replay,
    /// The end of the last record that was replayed.
    pub(crate) lsn: Lsn,
    pub(crate) timeline: u32,
    /// When the server was started.
    pub(crate) started: String,
}

/// Whether replay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    Running,
    /// It was asked to stop and may not have: a query can be in the way.
    PauseRequested,
    Paused,
}

impl Replay {
    fn parse(state: Option<&str>) -> Self {
        match state {
            Some("paused") => Self::Paused,
            Some("pause requested") => Self::PauseRequested,
            _ => Self::Running,
        }
    }
}

impl ReplayState {
    /// Asks a replica. Before 14 `Paused` only means that the pause was requested.
    pub(crate) async fn read(session: &Sql) -> Result<Self, Failure> {
        let rows = session.rows(&state_sql(session.server_version())).await?;
        rows.first().and_then(Self::of).ok_or_else(|| {
            Failure::permanent("the replica says nothing of its replay")
                .help("check that `databases.replica` is a physical replica of the source")
        })
    }

    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            in_recovery: row.named("in_recovery")? == "t",
            replay: Replay::parse(row.named("replay")),
            // A server that never was a replica has replayed nothing.
            lsn: row.named("lsn").unwrap_or("0/0").parse().ok()?,
            timeline: row.named("timeline")?.parse().ok()?,
            started: row.named("started")?.to_owned(),
        })
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.in_recovery && self.replay == Replay::Paused
    }
}

/// Whether a replica of this version tells that it has stopped.
pub(crate) fn tells_its_state(version: ServerVersion) -> bool {
    version.major() >= TELLS_SINCE
}

/// One row: in recovery, state of replay, position, timeline, start of the server. What the receiver
/// says of the timeline is newer than the last checkpoint, but not everybody may see it.
pub(crate) fn state_sql(version: ServerVersion) -> String {
    let state = if tells_its_state(version) {
        "pg_catalog.pg_get_wal_replay_pause_state()"
    } else {
        "case when pg_catalog.pg_is_wal_replay_paused() then 'paused' else 'not paused' end"
    };
    // Both functions refuse to answer once the recovery is over.
    format!(
        "select pg_catalog.pg_is_in_recovery() as in_recovery, \
         case when pg_catalog.pg_is_in_recovery() then {state} else 'promoted' end as replay, \
         pg_catalog.pg_last_wal_replay_lsn() as lsn, \
         coalesce((select r.received_tli from pg_catalog.pg_stat_wal_receiver as r), \
         (select c.timeline_id from pg_catalog.pg_control_checkpoint() as c)) as timeline, \
         pg_catalog.pg_postmaster_start_time() as started"
    )
}

/// The version of the plan's replica: the source's, as far as its major version goes.
pub(crate) fn version(facts: &Facts) -> ServerVersion {
    facts.server(Server::Replica).unwrap_or(&facts.source.server).version
}

/// The statement that `prove` reads the answer of: the state of replay, beside what was noted when
/// it was paused. With a slot its own hand-off is what was noted: groups that finished before a
/// later pause keep theirs, and no group takes rows from both.
pub(crate) fn proof(facts: &Facts, session: Session, slot: Option<&Slot>) -> Statement {
    let hand_off = || Object::new("hand_off", "lsn");
    let lsn = slot.map_or_else(hand_off, |slot| Object::new("slot_hand_off", slot.name.as_str()));
    let output = |object, field: &str| Piece::Output {
        of: OutputOf::Writer(object),
        field: field.to_owned(),
        quoted_as: QuotedAs::Literal,
    };
    let text = vec![
        Piece::sql(format!("{}, ", state_sql(version(facts)))),
        output(lsn, "lsn"),
        Piece::sql(" as noted_lsn, "),
        output(hand_off(), "started"),
        Piece::sql(" as noted_started"),
    ];
    Statement { on: Server::Replica, session, transaction: Transaction::Alone, text }
}

/// Refuses an answer to `proof` that is not what was noted.
pub(crate) fn prove(row: &Row) -> Result<(), Failure> {
    let state = ReplayState::of(row);
    let noted = row.named("noted_lsn").and_then(|lsn| lsn.parse::<Lsn>().ok());
    let (Some(state), Some(noted)) = (state, noted) else {
        return Err(Failure::permanent("the replica does not tell where its replay stands"));
    };
    let is_same_start = row.named("noted_started") == Some(state.started.as_str());
    match what_ended(&state, noted, is_same_start) {
        None => Ok(()),
        Some(what) => Err(gone(&what, state.lsn, noted)),
    }
}

fn what_ended(state: &ReplayState, noted: Lsn, is_same_start: bool) -> Option<String> {
    if !state.in_recovery {
        return Some("it was promoted".to_owned());
    }
    if !is_same_start {
        return Some(format!("it was restarted at {}", state.started));
    }
    match state.replay {
        Replay::Running => Some("somebody resumed its replay".to_owned()),
        Replay::PauseRequested => Some("somebody resumed and paused its replay".to_owned()),
        Replay::Paused if state.lsn != noted => Some("it was paused anew".to_owned()),
        Replay::Paused => None,
    }
}

fn gone(what: &str, lsn: Lsn, noted: Lsn) -> Failure {
    let message =
        format!("the replica's pause is gone: {what}; replay is at {lsn}, was at {noted}");
    Failure::new(FailureClass::Operator, message).help(
        "rows from before and after do not fit together: start the load of the unfinished groups \
         over with `pgkedge redo --group …` and `pgkedge resume`, or take all back with \
         `pgkedge abort`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused() -> ReplayState {
        ReplayState {
            in_recovery: true,
            replay: Replay::Paused,
            lsn: Lsn(0x20),
            timeline: 1,
            started: "2026-11-20 08:00:00+00".to_owned(),
        }
    }

    fn ended(change: impl FnOnce(&mut ReplayState), is_same_start: bool) -> Option<String> {
        let mut state = paused();
        change(&mut state);
        what_ended(&state, Lsn(0x20), is_same_start)
    }

    #[test]
    fn only_the_pause_that_was_noted_is_taken() {
        assert_eq!(ended(|_| {}, true), None);
        assert_eq!(ended(|s| s.in_recovery = false, true).unwrap(), "it was promoted");
        assert!(ended(|_| {}, false).unwrap().starts_with("it was restarted at 2026"));
        assert!(ended(|s| s.replay = Replay::Running, true).unwrap().contains("resumed"));
        assert!(ended(|s| s.replay = Replay::PauseRequested, true).unwrap().contains("resumed"));
        assert_eq!(ended(|s| s.lsn = Lsn(0x21), true).unwrap(), "it was paused anew");
    }

    #[test]
    fn the_failure_tells_both_positions_and_what_to_type() {
        let failure = gone("it was promoted", Lsn(0x21), Lsn(0x20));
        assert_eq!(failure.class, FailureClass::Operator);
        assert!(failure.message.ends_with("replay is at 0/21, was at 0/20"));
        assert!(failure.help.unwrap().contains("pgkedge redo --group"));
    }

    #[test]
    fn versions_before_14_are_asked_in_their_own_words() {
        assert!(state_sql(ServerVersion(140_000)).contains("pg_get_wal_replay_pause_state"));
        let older = state_sql(ServerVersion(130_023));
        assert!(!older.contains("pause_state") && older.contains("pg_is_wal_replay_paused"));
    }
}
