//! What a comparison found.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The object, by its SQL name or its archive entry.
    pub object: String,
    /// What of it differs, for example `rows`, `definition`, `owner`.
    pub what: String,
    /// None: it is not there.
    pub source: Option<String>,
    pub target: Option<String>,
}

impl Difference {
    pub fn new(
        object: impl fmt::Display,
        what: &str,
        source: Option<String>,
        target: Option<String>,
    ) -> Self {
        Self { object: object.to_string(), what: what.to_owned(), source, target }
    }

    /// Both sides have it, and it is not the same.
    pub fn between(
        object: impl fmt::Display,
        what: &str,
        source: impl fmt::Display,
        target: impl fmt::Display,
    ) -> Self {
        Self::new(object, what, Some(source.to_string()), Some(target.to_string()))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, what, source, target } = self;
        match (source, target) {
            (Some(_), None) => write!(f, "{object}: {what} is missing on the target"),
            (None, Some(_)) => write!(f, "{object}: {what} is on the target only"),
            _ => write!(
                f,
                "{object}: {what} differs: source {}, target {}",
                source.as_deref().unwrap_or("none"),
                target.as_deref().unwrap_or("none"),
            ),
        }
    }
}

/// The outcome of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How many things of each sort were compared, for example `tables` or `entries`.
    pub compared: BTreeMap<String, u64>,
    pub differences: Vec<Difference>,
    /// Worth knowing, but explained by something other than the move.
    pub notes: Vec<Difference>,
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// Counts one more thing that was compared.
    pub fn count(&mut self, sort: &str, number: usize) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        *self.compared.entry(sort.to_owned()).or_default() += number;
    }

    /// Takes in what another comparison found.
    pub fn absorb(&mut self, other: Self) {
        for (sort, number) in other.compared {
            *self.compared.entry(sort).or_default() += number;
        }
        self.differences.extend(other.differences);
        self.notes.extend(other.notes);
    }

    /// Records a difference, or a note where the difference is explained.
    pub(crate) fn found(&mut self, difference: Difference, explained: bool) {
        if explained {
            self.notes.push(difference);
        } else {
            self.differences.push(difference);
        }
    }

    /// Records a difference if both sides have the property and it is not the same.
    pub(crate) fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        object: impl fmt::Display,
        what: &str,
        source: &T,
        target: &T,
    ) {
        if source != target {
            self.differences.push(Difference::between(object, what, source, target));
        }
    }
}
