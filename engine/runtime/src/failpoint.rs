//! Places where a test makes the process die: around the effect of a step.
//!
//! Named `<point>::<kind>`. They exist only in debug builds: a release has nothing of them.

#[cfg(debug_assertions)]
use std::sync::{Mutex, PoisonError};

/// Where a process may die.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Point {
    BeforeIntent,
    BeforeEffect,
    AfterEffect,
    AfterDone,
    BeforeUndo,
    AfterUndo,
}

#[cfg(debug_assertions)]
static ARMED: Mutex<Option<Failpoint>> = Mutex::new(None);

/// A point of a kind, and how many times it is passed unharmed.
#[cfg(debug_assertions)]
#[derive(Debug, PartialEq, Eq)]
struct Failpoint {
    name: String,
    passes: u32,
}

/// Makes the process die, without a word, at a point: `after_effect::create_index`, or
/// `after_effect::create_index:2` for the second time that it is reached.
#[cfg(debug_assertions)]
pub fn arm_failpoint(text: &str) {
    *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(parse(text));
}

impl Point {
    #[cfg(debug_assertions)]
    fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before_intent",
            Self::BeforeEffect => "before_effect",
            Self::AfterEffect => "after_effect",
            Self::AfterDone => "after_done",
            Self::BeforeUndo => "before_undo",
            Self::AfterUndo => "after_undo",
        }
    }

    #[cfg(debug_assertions)]
    pub(crate) fn reach(self, kind: &str) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failpoint) = armed.as_mut() else { return };
        if failpoint.name != format!("{}::{kind}", self.name()) {
            return;
        }
        match failpoint.passes.checked_sub(1) {
            Some(passes) => failpoint.passes = passes,
            None => std::process::abort(),
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "nothing is there to reach in a release")]
    pub(crate) fn reach(self, _kind: &str) {}
}

#[cfg(debug_assertions)]
fn parse(text: &str) -> Failpoint {
    let (name, hit) = match text.rsplit_once(':') {
        Some((name, hit)) if !name.ends_with(':') => match hit.parse() {
            Ok(hit) => (name, hit),
            Err(_) => (text, 1),
        },
        Some(_) | None => (text, 1),
    };
    Failpoint { name: name.to_owned(), passes: u32::saturating_sub(hit, 1) }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_may_say_which_hit_it_means() {
        let failpoint = |passes| Failpoint { name: "after_effect::create_index".into(), passes };
        assert_eq!(parse("after_effect::create_index"), failpoint(0));
        assert_eq!(parse("after_effect::create_index:2"), failpoint(1));
    }
}
