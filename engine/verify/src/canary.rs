//! A row of constants hashed on both servers: proof that their hash functions agree.

use std::collections::{BTreeMap, BTreeSet};

use pgkedge_model::{Table, TypeFacts};

use crate::hashing::{DigestPlan, RowHash, canary_value, safe_type};

/// What one server made of the canary: a number for each type, by OID. 0 stands for text.
pub type Canary = BTreeMap<u32, String>;

/// The types whose values would be hashed as they are.
pub fn canary_types<'a>(
    tables: impl IntoIterator<Item = &'a Table>,
    types: &BTreeMap<u32, TypeFacts>,
) -> BTreeSet<u32> {
    tables
        .into_iter()
        .flat_map(|table| &table.columns)
        .filter_map(|column| safe_type(column.type_oid, types))
        .map(|facts| facts.oid)
        .collect()
}

/// Asks for two columns: the type, and the hash of a constant of that type.
///
/// None where the row hash is made of published digests, which cannot differ.
pub fn canary_query(
    wanted: &BTreeSet<u32>,
    types: &BTreeMap<u32, TypeFacts>,
    plan: &DigestPlan,
) -> Option<String> {
    let line = |oid: u32, value: &str| {
        let number = plan.row_number(&[value.to_owned()]);
        format!("select {oid}::pg_catalog.text, ({number})::pg_catalog.text")
    };
    let mut lines = vec![line(0, "'the quick brown fox'::pg_catalog.text")];
    match plan.row_hash {
        RowHash::Record => lines.extend(wanted.iter().filter_map(|oid| {
            canary_value(types.get(oid)?, types).map(|value| line(*oid, &value))
        })),
        RowHash::Text => {}
        RowHash::Sha256 | RowHash::Md5 => return None,
    }
    Some(lines.join("\nunion all "))
}

impl DigestPlan {
    /// Leaves the fast way for every type that the two servers hash differently, or one of them
    /// not at all. If even text differs, no hash function of the servers is used any more.
    #[must_use]
    pub fn heeding(mut self, source: &Canary, target: &Canary, wanted: &BTreeSet<u32>) -> Self {
        let agrees = |oid: &u32| {
            source.get(oid).zip(target.get(oid)).is_some_and(|(source, target)| source == target)
        };
        if !agrees(&0) {
            self.row_hash = RowHash::Sha256;
            return self;
        }
        if self.row_hash != RowHash::Record {
            return self;
        }
        self.unlike_types = wanted.iter().copied().filter(|oid| !agrees(oid)).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use pgkedge_model::{ServerVersion, VerifyMethod};

    use super::*;

    fn heeded(source: [&str; 2], target: [&str; 2]) -> DigestPlan {
        let version = ServerVersion(150_000);
        let plan = DigestPlan::new(1, VerifyMethod::Digest, [version; 2], ["UTF8"; 2]);
        let canary = |numbers: [&str; 2]| -> Canary {
            [0, 23].into_iter().zip(numbers.map(str::to_owned)).collect()
        };
        plan.heeding(&canary(source), &canary(target), &BTreeSet::from([23]))
    }

    #[test]
    fn servers_that_agree_use_the_fast_way_for_every_type() {
        let plan = heeded(["1", "2"], ["1", "2"]);
        assert_eq!((plan.row_hash, plan.unlike_types), (RowHash::Record, BTreeSet::new()));
    }

    #[test]
    fn a_type_that_is_hashed_differently_is_compared_by_its_text() {
        let plan = heeded(["1", "2"], ["1", "3"]);
        assert_eq!((plan.row_hash, plan.unlike_types), (RowHash::Record, BTreeSet::from([23])));
    }

    #[test]
    fn servers_that_hash_even_text_differently_use_a_published_digest() {
        assert_eq!(heeded(["1", "2"], ["9", "2"]).row_hash, RowHash::Sha256);
    }
}
