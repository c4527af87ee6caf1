//! Places where a test makes the process die: around the effect of a step.
//!
//! Named `<point>::<kind>`. They exist only with the feature `failpoints`.

#[cfg(feature = "failpoints")]
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a process may die.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point {
    BeforeIntent,
    BeforeEffect,
    AfterEffect,
    AfterDone,
}

impl Point {
    #[cfg(feature = "failpoints")]
    fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before_intent",
            Self::BeforeEffect => "before_effect",
            Self::AfterEffect => "after_effect",
            Self::AfterDone => "after_done",
        }
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn reach(self, kind: &str) {
        fail::fail_point!(&format!("{}::{kind}", self.name()));
    }

    #[cfg(not(feature = "failpoints"))]
    #[expect(clippy::unused_self, reason = "nothing is there to reach in this build")]
    pub(crate) fn reach(self, _kind: &str) {}
}

/// Makes the process die, without a word, at a point: `after_effect::create_index`, or
/// `after_effect::create_index:2` for the second time that it is reached.
#[cfg(feature = "failpoints")]
pub(crate) fn arm(failpoint: &str) {
    let (name, hit) = parse(failpoint);
    let reached = AtomicU32::new(0);
    let armed = fail::cfg_callback(name, move || {
        if reached.fetch_add(1, Ordering::SeqCst) + 1 == hit {
            std::process::abort();
        }
    });
    if let Err(error) = armed {
        tracing::warn!(failpoint, error, "the failpoint cannot be set");
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn arm(failpoint: &str) {
    tracing::warn!(failpoint, "this build has no failpoints");
}

#[cfg(feature = "failpoints")]
fn parse(failpoint: &str) -> (&str, u32) {
    match failpoint.rsplit_once(':') {
        Some((name, hit)) if !name.ends_with(':') => match hit.parse() {
            Ok(hit) => (name, hit),
            Err(_) => (failpoint, 1),
        },
        Some(_) | None => (failpoint, 1),
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_may_say_which_hit_it_means() {
        assert_eq!(parse("after_effect::create_index"), ("after_effect::create_index", 1));
        assert_eq!(parse("after_effect::create_index:2"), ("after_effect::create_index", 2));
    }
}
