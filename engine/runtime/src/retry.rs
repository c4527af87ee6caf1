//! When a failed attempt is made again.

use std::time::Duration;

use pgkedge_model::{Failure, FailureClass, StepId};

/// Backs off exponentially, with jitter that a seed settles.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts at one step by one runner. A service that became ready starts counting anew.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    pub longest: Duration,
    pub seed: u64,
}

impl Default for RetryPolicy {
    /// Eight attempts within about two minutes.
    fn default() -> Self {
        Self {
            attempts: 8,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(45),
            seed: 0,
        }
    }
}

impl RetryPolicy {
    /// The pause after so many failures in a row (1 is the first), or none if it is given up.
    pub(crate) fn pause(
        &self,
        step: &StepId,
        failure: &Failure,
        failures: u32,
    ) -> Option<Duration> {
        let again = failure.class == FailureClass::Transient && failures < self.attempts;
        again.then(|| self.backoff(step, failures))
    }

    /// Between three quarters and the whole of `first` times two to the power of `round - 1`.
    pub(crate) fn backoff(&self, step: &StepId, round: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << (round.saturating_sub(1)).min(20));
        let whole = doubled.min(self.longest);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&round.to_le_bytes());
        hasher.update(step.0.as_bytes());
        let jitter = u32::from(hasher.finalize().as_bytes()[0]);
        whole.saturating_sub(whole / 4 * jitter / 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_tried_for_about_two_minutes() {
        let (policy, failure) = (RetryPolicy::default(), Failure::transient("gone"));
        let pauses: Vec<_> = (1..).map_while(|n| policy.pause(&"a".into(), &failure, n)).collect();
        let total: Duration = pauses.iter().sum();
        assert_eq!(pauses.len(), 7);
        assert!((75..=120).contains(&total.as_secs()), "{total:?}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let policy = RetryPolicy::default();
        assert!(policy.pause(&"a".into(), &Failure::permanent("no"), 1).is_none());
    }
}
