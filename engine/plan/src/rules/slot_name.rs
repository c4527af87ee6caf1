//! Names of slots and replication sets become parts of names on the servers, where they stand without
//! quotes.

use pgkedge_model::{Finding, Ident};

use super::Text;
use crate::capture::MOST_BYTES;
use crate::capture_view::CaptureView;
use crate::codes;

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let view = CaptureView::of(text.json);
    let slots = view.slots.iter().map(|slot| ("slot", slot.name, &slot.pointer));
    let sets = view.sets.iter().map(|set| ("replication set", set.name, &set.pointer));
    slots.chain(sets).filter_map(|(what, name, at)| finding(what, name, at)).collect()
}

fn finding(what: &str, name: &str, at: &str) -> Option<Finding> {
    let (fact, help) = if fits(name) {
        if name.len() <= MOST_BYTES {
            // Written as SQL it would stand in quotes, and be another name in messages and ids.
            let is_keyword = Ident::new(name).is_ok_and(|ident| ident.to_string() != name);
            let help = format!("choose another name, for example `{name}_changes`");
            let message = format!("`{name}`, the name of a {what}, is a keyword of SQL");
            let finding = Finding::error(codes::SLOT_NAME, message).at_key(at, "not possible");
            return is_keyword.then(|| finding.help(help));
        }
        let fact = format!("is longer than {MOST_BYTES} bytes");
        (fact, format!("shorten it, for example: `{}`", &name[..MOST_BYTES]))
    } else {
        let fact =
            "does not begin with a small letter, or has more than small letters, digits and \
                    underscores"
                .to_owned();
        (fact, format!("write `{}`", proposed(name)))
    };
    let message = format!("`{name}`, the name of a {what}, {fact}");
    Some(Finding::error(codes::SLOT_NAME, message).at_key(at, "not possible").help(help))
}

fn fits(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

/// A name like it that would do.
fn proposed(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut proposed: String = name.chars().map(letter).take(MOST_BYTES).collect();
    if !proposed.starts_with(|c: char| c.is_ascii_lowercase()) {
        proposed = format!("s_{proposed}").chars().take(MOST_BYTES).collect();
    }
    proposed
}
