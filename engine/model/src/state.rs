//! Where a step stands, as the fold of its records: the only place where a step changes state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CloseStatus, Epoch, FailureFact, Ident, LimitChange, Record, RunId, StepId};

/// Where one step stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StepState {
    #[default]
    Pending,
    /// Started and not heard of since. After a crash it means: unknown, ask the world.
    Running {
        attempt: u32,
    },
    /// A service that holds.
    Ready {
        attempt: u32,
        output: Value,
    },
    Succeeded {
        attempt: u32,
        output: Value,
        adopted: bool,
    },
    Failed {
        attempt: u32,
        failure: FailureFact,
        retried: bool,
    },
    Undone,
}

/// A record that cannot follow what was there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("record {record:?} cannot follow {state:?}")]
pub struct IllegalRecord {
    pub state: Box<StepState>,
    pub record: Box<Record>,
}

impl StepState {
    /// The state after a record of this step. Records of the run itself change no step.
    pub fn next(&self, record: &Record) -> Result<Self, IllegalRecord> {
        let next = match (self, record) {
            (Self::Pending | Self::Undone, Record::StepStarted { attempt: 1, .. }) => {
                Self::Running { attempt: 1 }
            }
            (
                Self::Running { attempt: last }
                | Self::Failed { attempt: last, .. }
                | Self::Ready { attempt: last, .. },
                Record::StepStarted { attempt, .. },
            ) if *attempt == last + 1 => Self::Running { attempt: *attempt },
            (state @ (Self::Running { .. } | Self::Ready { .. }), Record::Noted { .. }) => {
                state.clone()
            }
            (
                Self::Running { attempt: running },
                Record::StepSucceeded { attempt, output, adopted, .. },
            ) if running == attempt => {
                Self::Succeeded { attempt: *attempt, output: output.clone(), adopted: *adopted }
            }
            (
                Self::Running { attempt: last } | Self::Ready { attempt: last, .. },
                Record::StepFailed { attempt, failure, retried, .. },
            ) if last == attempt => {
                Self::Failed { attempt: *attempt, failure: failure.clone(), retried: *retried }
            }
            (Self::Running { attempt: running }, Record::ServiceReady { attempt, output, .. })
                if running == attempt =>
            {
                Self::Ready { attempt: *attempt, output: output.clone() }
            }
            (Self::Ready { attempt, output }, Record::ServiceStopped { .. }) => {
                Self::Succeeded { attempt: *attempt, output: output.clone(), adopted: false }
            }
            (
                Self::Running { .. }
                | Self::Ready { .. }
                | Self::Succeeded { .. }
                | Self::Failed { .. },
                Record::StepUndone { .. },
            ) => Self::Undone,
            _ => {
                return Err(IllegalRecord {
                    state: Box::new(self.clone()),
                    record: Box::new(record.clone()),
                });
            }
        };
        Ok(next)
    }

    pub fn is_succeeded(&self) -> bool {
        matches!(self, Self::Succeeded { .. })
    }

    /// Whether it was started, and not taken back since: something of it may be there.
    pub fn may_hold(&self) -> bool {
        match self {
            Self::Pending | Self::Undone => false,
            Self::Running { .. }
            | Self::Ready { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. } => true,
        }
    }

    /// What dependants may read: of a step that succeeded, or a service that holds.
    pub fn output(&self) -> Option<&Value> {
        match self {
            Self::Ready { output, .. } | Self::Succeeded { output, .. } => Some(output),
            Self::Pending | Self::Running { .. } | Self::Failed { .. } | Self::Undone => None,
        }
    }

    /// The attempt that the next start must carry.
    pub fn next_attempt(&self) -> u32 {
        match self {
            Self::Pending | Self::Undone => 1,
            Self::Running { attempt }
            | Self::Ready { attempt, .. }
            | Self::Succeeded { attempt, .. }
            | Self::Failed { attempt, .. } => attempt + 1,
        }
    }
}

/// The fold of a journal at a point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub run_id: Option<RunId>,
    pub epoch: Option<Epoch>,
    /// Steps that have a record; any other is pending.
    pub steps: BTreeMap<StepId, StepState>,
    pub notes: BTreeMap<StepId, BTreeMap<String, Value>>,
    pub generations: BTreeMap<String, u32>,
    /// Services that were ready at least once since they were last undone.
    #[serde(default)]
    pub held: BTreeSet<StepId>,
    /// What was changed of the limits in the run's settings.
    #[serde(default)]
    pub limits: LimitChange,
    /// How the last runner let go; none while one runs, or after it died.
    pub closed: Option<CloseStatus>,
}

impl Checkpoint {
    /// Folds the next record in.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        match record {
            Record::RunOpened { run_id, epoch, .. } => {
                self.run_id = Some(run_id.clone());
                self.epoch = Some(*epoch);
                self.closed = None;
            }
            Record::RunClosed { status } => self.closed = Some(*status),
            Record::GroupVoided { group, generation } => {
                self.generations.insert(group.as_str().to_owned(), *generation);
            }
            Record::LimitsChanged { limits } => self.limits = self.limits.then(*limits),
            Record::PlanEdited { .. } => {}
            Record::StepStarted { step, .. }
            | Record::StepSucceeded { step, .. }
            | Record::StepFailed { step, .. }
            | Record::StepUndone { step }
            | Record::ServiceReady { step, .. }
            | Record::ServiceStopped { step }
            | Record::Noted { step, .. } => self.apply_to_step(step, record)?,
        }
        Ok(())
    }

    /// How many times the load that a step belongs to has been started over.
    pub fn generation(&self, scope: Option<&Ident>) -> u32 {
        scope.and_then(|scope| self.generations.get(scope.as_str())).copied().unwrap_or(0)
    }

    pub fn state(&self, step: &StepId) -> &StepState {
        static PENDING: StepState = StepState::Pending;
        self.steps.get(step).unwrap_or(&PENDING)
    }

    fn apply_to_step(&mut self, step: &StepId, record: &Record) -> Result<(), IllegalRecord> {
        let next = self.state(step).next(record)?;
        self.steps.insert(step.clone(), next);
        if let Record::Noted { key, value, .. } = record {
            self.notes.entry(step.clone()).or_default().insert(key.clone(), value.clone());
        }
        if let Record::StepUndone { .. } = record {
            self.notes.remove(step);
            self.held.remove(step);
        }
        if let Record::ServiceReady { .. } = record {
            self.held.insert(step.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(attempt: u32) -> Record {
        Record::StepStarted { step: "a".into(), attempt }
    }

    fn succeeded(attempt: u32) -> Record {
        Record::StepSucceeded { step: "a".into(), attempt, output: Value::Null, adopted: false }
    }

    #[test]
    fn a_step_succeeds_only_after_it_started() {
        assert!(StepState::Pending.next(&succeeded(1)).is_err());
        let running = StepState::Pending.next(&started(1)).unwrap();
        assert!(running.next(&succeeded(2)).is_err());
        assert!(running.next(&succeeded(1)).unwrap().is_succeeded());
    }

    #[test]
    fn a_finished_step_never_starts_again_unless_it_was_undone() {
        let done = StepState::Succeeded { attempt: 1, output: Value::Null, adopted: false };
        assert!(done.next(&started(2)).is_err());
        let undone = done.next(&Record::StepUndone { step: "a".into() }).unwrap();
        assert!(undone.next(&started(1)).is_ok());
    }

    #[test]
    fn attempts_count_up_by_one() {
        let running = StepState::Running { attempt: 1 };
        assert!(running.next(&started(3)).is_err());
        assert_eq!(running.next(&started(2)).unwrap(), StepState::Running { attempt: 2 });
    }

    #[test]
    fn a_service_that_was_ready_can_be_started_again() {
        let ready = StepState::Ready { attempt: 1, output: Value::Null };
        assert_eq!(ready.next(&started(2)).unwrap(), StepState::Running { attempt: 2 });
    }

    #[test]
    fn a_service_that_was_ready_is_remembered_until_it_is_undone() {
        let mut checkpoint = Checkpoint::default();
        let ready = Record::ServiceReady { step: "a".into(), attempt: 1, output: Value::Null };
        for record in [started(1), ready, started(2)] {
            checkpoint.apply(&record).unwrap();
        }
        assert!(checkpoint.held.contains(&"a".into()));
        checkpoint.apply(&Record::StepUndone { step: "a".into() }).unwrap();
        assert!(checkpoint.held.is_empty());
        assert_eq!(checkpoint.state(&"a".into()).next_attempt(), 1);
    }
}
