//! Which name was meant.

/// The candidate that is most like `name`, if any is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (name, most) = (name.to_lowercase(), (name.chars().count() / 3).max(2));
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean …", if one is near, and which names there are.
pub(crate) fn suggestion(name: &str, what: &str, candidates: &[&str]) -> String {
    let all = format!("{what}: {}", listed(candidates));
    match nearest(name, candidates.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?\n{all}"),
        None => all,
    }
}

/// Names for people.
pub(crate) fn listed(names: &[&str]) -> String {
    names.join(", ")
}

/// Edits between two names; a part of the other name counts as one edit.
fn distance(name: &str, candidate: &str) -> usize {
    let contained = name.len() >= 3 && (candidate.contains(name) || name.contains(candidate));
    let edits = strsim::damerau_levenshtein(name, candidate);
    if contained { edits.min(1) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_understood_and_another_word_is_not() {
        let phases = ["schema", "load", "verify", "foreign_keys"];
        assert_eq!(nearest("verfiy", phases), Some("verify"));
        assert_eq!(nearest("Load", phases), Some("load"));
        assert_eq!(nearest("foreign", phases), Some("foreign_keys"));
        assert_eq!(nearest("cutover", phases), None);
    }
}
