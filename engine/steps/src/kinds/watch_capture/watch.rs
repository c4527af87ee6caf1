//! What one look after another says of the streams.

use std::collections::VecDeque;
use std::time::Duration;

use pgkedge_model::{ByteSize, Failure, FailureClass, Lsn, OnBreach, RetainedWal, RunTag};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::streams::{Errors, Stream, StreamSeen, apply_failed};

/// PostgreSQL starts a worker that has ended again every five seconds.
const UNSTEADY: Duration = Duration::from_mins(1);
/// Errors of a worker without a step forward: one is a connection that was lost.
const ERRORS: u64 = 3;
/// Two looks further apart say nothing of what was between them: a server was out of reach.
const GAP: Duration = Duration::from_secs(30);

/// The streams of a plan, over time.
pub(super) struct Watch {
    streams: Vec<Stream>,
    retained: RetainedWal,
    /// When the source's log had come to where.
    samples: VecDeque<(Instant, Lsn)>,
    states: Vec<State>,
    errors: Errors,
    warned: bool,
}

/// One stream, as the last look found it.
struct State {
    seen: StreamSeen,
    lag: Duration,
    /// Where it was confirmed at the first look.
    first: Lsn,
    /// When two looks in a row found the same worker.
    steady: Instant,
    now: Instant,
}

/// For a failure that somebody has to look into.
pub(super) fn refused(message: String) -> Failure {
    Failure::new(FailureClass::Operator, message)
}

impl Watch {
    pub(super) fn new(streams: Vec<Stream>, retained: RetainedWal) -> Self {
        Self {
            streams,
            retained,
            samples: VecDeque::new(),
            states: Vec::new(),
            errors: Errors::default(),
            warned: false,
        }
    }

    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Takes what a look has found, in the order of the streams.
    pub(super) fn take(&mut self, flushed: Lsn, seen: Vec<StreamSeen>, now: Instant) {
        self.samples.push_back((now, flushed));
        let confirmed = |seen: &StreamSeen| seen.slot.confirmed.unwrap_or(Lsn(0));
        if let Some(least) = seen.iter().map(confirmed).min() {
            while self.samples.get(1).is_some_and(|(_, lsn)| *lsn <= least) {
                self.samples.pop_front();
            }
        }
        let mut before = std::mem::take(&mut self.states).into_iter();
        for seen in seen {
            let before = before.next();
            let pid = |seen: &StreamSeen| seen.subscription.pid.clone();
            let same = before.as_ref().is_some_and(|before| pid(&before.seen) == pid(&seen));
            let steady = seen.stopped || (same && seen.subscription.pid.is_some());
            let recent = before.as_ref().filter(|before| now.duration_since(before.now) <= GAP);
            let since = recent.map_or(now, |before| before.steady);
            self.states.push(State {
                lag: self.behind(confirmed(&seen), flushed, now),
                first: before.map_or(confirmed(&seen), |before| before.first),
                steady: if steady { now } else { since },
                now,
                seen,
            });
        }
    }

    /// How long ago the confirmed position was the end of the source's log.
    fn behind(&self, confirmed: Lsn, flushed: Lsn, now: Instant) -> Duration {
        if confirmed >= flushed {
            return Duration::ZERO;
        }
        let current = self.samples.iter().rev().find(|(_, lsn)| *lsn <= confirmed);
        let (since, _) = current.or(self.samples.front()).copied().unwrap_or((now, flushed));
        now.duration_since(since)
    }

    /// Fails when a worker errs over and over, or does not stay: before 15 that is the only sign.
    pub(super) fn judged(&mut self, tag: &RunTag) -> Result<(), Failure> {
        let seen: Vec<StreamSeen> = self.states.iter().map(|state| state.seen.clone()).collect();
        self.errors.check(tag, &self.streams, &seen, ERRORS)?;
        for (stream, state) in self.streams.iter().zip(&self.states) {
            if state.now.duration_since(state.steady) > UNSTEADY {
                let failure =
                    apply_failed(&stream.subscription(tag), state.seen.subscription.errors);
                return Err(failure.detail("no worker of it has stayed for a minute"));
            }
        }
        Ok(())
    }

    /// What the streams that have not begun look like.
    pub(super) fn idle(&self, tag: &RunTag) -> String {
        let idle = self.streams.iter().zip(&self.states).filter_map(|(stream, state)| {
            let subscription = &state.seen.subscription;
            let lacks = match (&subscription.pid, subscription.received) {
                _ if state.seen.stopped => return None,
                (None, _) => "has no worker",
                (Some(_), None) => "has a worker that has received nothing",
                (Some(_), Some(_)) => return None,
            };
            Some(format!("subscription `{}` {lacks}", stream.subscription(tag)))
        });
        let idle: Vec<String> = idle.collect();
        format!(
            "after a minute the target does not follow the source: {}; the target's server log \
             says why (max_logical_replication_workers, pg_hba.conf of the source)",
            idle.join(", ")
        )
    }

    /// What to say when a slot keeps more of the source's log than the plan allows; once each time.
    pub(super) fn breach(&mut self, tag: &RunTag) -> Result<Option<String>, Failure> {
        let Some(ByteSize(budget)) = self.retained.budget else { return Ok(None) };
        let worst =
            self.streams.iter().zip(&self.states).max_by_key(|(_, state)| state.seen.retained);
        let Some((stream, state)) = worst.filter(|(_, state)| state.seen.retained > budget) else {
            self.warned = false;
            return Ok(None);
        };
        let (slot, kept) = (stream.slot_name(tag), state.seen.retained);
        let text = format!(
            "slot `{slot}` keeps {kept} bytes of log on the source, and the plan allows {budget}"
        );
        match self.retained.on_breach {
            OnBreach::Abort => Err(Failure::permanent(text)
                .detail("stopping frees no log: the slots do, when they go")
                .help("free it with `pgkedge abort`, or raise limits.retained_wal and resume")),
            OnBreach::Warn if self.warned => Ok(None),
            OnBreach::Warn => {
                self.warned = true;
                tracing::warn!(slot, kept, budget, "a slot keeps more log than the plan allows");
                Ok(Some(text))
            }
        }
    }

    /// Bytes of the source's log that were confirmed since the first look, over all slots.
    pub(super) fn carried(&self) -> u64 {
        let carried = |state: &State| {
            state.seen.slot.confirmed.map_or(0, |at| at.0.saturating_sub(state.first.0))
        };
        self.states.iter().map(carried).sum()
    }

    /// What `pgkedge status` shows, by slot.
    pub(super) fn figures(&self) -> Value {
        let mut slots = Map::new();
        for (stream, state) in self.streams.iter().zip(&self.states) {
            let figures = json!({
                "confirmed": state.seen.slot.confirmed,
                "lag_bytes": state.seen.lag,
                "lag_seconds": state.lag.as_secs(),
                "retained_bytes": state.seen.retained,
            });
            slots.insert(stream.slot.as_str().to_owned(), figures);
        }
        json!({ "slots": slots })
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::Ident;

    use super::*;
    use crate::streams::{SlotSeen, SubscriptionSeen};

    fn tag() -> RunTag {
        RunTag("1a2b3c4d".to_owned())
    }

    fn watch(retained: RetainedWal) -> Watch {
        let slot = Ident::new("shop").unwrap();
        Watch::new(vec![Stream { slot, existing: false }], retained)
    }

    fn seen(pid: Option<&str>, confirmed: u64, flushed: u64) -> StreamSeen {
        StreamSeen {
            slot: SlotSeen {
                plugin: None,
                here: true,
                active_pid: None,
                confirmed: Some(Lsn(confirmed)),
                restart: Some(Lsn(0)),
                wal_status: None,
            },
            subscription: SubscriptionSeen {
                enabled: true,
                pid: pid.map(str::to_owned),
                received: None,
                errors: None,
            },
            stopped: false,
            lag: flushed - confirmed,
            retained: flushed,
        }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn lag_in_time_is_since_the_confirmed_position_was_the_end_of_the_log() {
        let (mut watch, start) = (watch(RetainedWal::default()), Instant::now());
        let look = |watch: &mut Watch, at, confirmed, flushed| {
            let seen = vec![seen(Some("1"), confirmed, flushed)];
            watch.take(Lsn(flushed), seen, after(start, at));
            watch.states[0].lag.as_secs()
        };
        assert_eq!(look(&mut watch, 0, 10, 10), 0);
        assert_eq!(look(&mut watch, 10, 10, 50), 10);
        assert_eq!(look(&mut watch, 20, 50, 90), 10);
        assert_eq!(look(&mut watch, 30, 60, 90), 20);
        assert_eq!(look(&mut watch, 40, 90, 90), 0);
        assert_eq!(watch.carried(), 80);
        assert_eq!(watch.figures()["slots"]["shop"]["lag_bytes"], 0);
    }

    #[tokio::test]
    async fn a_worker_that_comes_and_goes_for_a_minute_is_a_failure() {
        let (mut watch, start) = (watch(RetainedWal::default()), Instant::now());
        for at in 0..30 {
            let pid = at.to_string();
            let pid = (at % 2 == 0).then_some(pid.as_str());
            watch.take(Lsn(9), vec![seen(pid, 1, 9)], after(start, at * 2));
            assert!(watch.judged(&tag()).is_ok(), "{at}");
        }
        watch.take(Lsn(9), vec![seen(None, 1, 9)], after(start, 61));
        let failure = watch.judged(&tag()).unwrap_err();
        assert_eq!(failure.class, FailureClass::Operator);
        assert!(failure.message.contains("`pgkedge_shop_1a2b3c4d`"), "{failure}");
    }

    #[tokio::test]
    async fn errors_count_until_the_stream_moves() {
        let (mut watch, now) = (watch(RetainedWal::default()), Instant::now());
        let mut judged = |confirmed, errors| {
            let mut seen = seen(Some("1"), confirmed, 90);
            seen.subscription.errors = Some(errors);
            watch.take(Lsn(90), vec![seen], now);
            watch.judged(&tag()).is_ok()
        };
        let judged: Vec<bool> =
            [(10, 5), (10, 7), (20, 8), (20, 10), (20, 11)].map(|(at, n)| judged(at, n)).into();
        assert_eq!(judged, [true, true, true, true, false]);
    }

    #[tokio::test]
    async fn a_worker_is_judged_anew_after_its_server_was_out_of_reach() {
        let (mut watch, start) = (watch(RetainedWal::default()), Instant::now());
        for at in [0, 2, 90, 92] {
            watch.take(Lsn(9), vec![seen(None, 1, 9)], after(start, at));
            assert!(watch.judged(&tag()).is_ok(), "{at}");
        }
    }

    #[tokio::test]
    async fn a_worker_that_stays_or_was_stopped_is_none() {
        let (mut watch, start) = (watch(RetainedWal::default()), Instant::now());
        for at in 0..50 {
            let mut seen = seen(Some("7"), 1, 9);
            if at > 20 {
                (seen.subscription.pid, seen.stopped) = (None, true);
            }
            watch.take(Lsn(9), vec![seen], after(start, at * 20));
            assert!(watch.judged(&tag()).is_ok(), "{at}");
        }
    }

    #[tokio::test]
    async fn a_budget_is_warned_of_once_until_it_holds_again() {
        let budget = |on_breach| RetainedWal { budget: Some(ByteSize(100)), on_breach };
        let mut watch = watch(budget(OnBreach::Warn));
        let mut said = Vec::new();
        for flushed in [100, 101, 200, 50, 101] {
            watch.take(Lsn(flushed), vec![seen(None, 1, flushed)], Instant::now());
            said.push(watch.breach(&tag()).unwrap().is_some());
        }
        assert_eq!(said, [false, true, false, false, true]);
        watch.retained = budget(OnBreach::Abort);
        let failure = watch.breach(&tag()).unwrap_err();
        assert!(failure.message.contains("keeps 101 bytes"), "{failure}");
    }
}
