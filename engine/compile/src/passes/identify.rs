//! The ids of nodes: what people type, and what a journal keeps.

use std::fmt::Write as _;

use pgkedge_model::{PhaseName, StepId};

/// Bytes of an id, at most.
const LONGEST: usize = 120;
/// Hex digits that stand for what was cut off.
const DIGEST: usize = 12;

/// `phase/step`, or `phase/step/key`. What had to be cut or was taken is told apart by a digest.
pub(super) fn single(
    phase: &PhaseName,
    step: &str,
    key: &str,
    taken: impl Fn(&StepId) -> bool,
) -> StepId {
    let base = format!("{phase}/{step}");
    if key.is_empty() {
        return StepId(base);
    }
    let id = StepId(format!("{base}/{}", printable(key)));
    if id.0.len() <= LONGEST && !taken(&id) {
        return id;
    }
    let digest = blake3::hash(key.as_bytes()).to_hex();
    let mut end = (LONGEST - DIGEST - 1).max(base.len() + 1).min(id.0.len());
    while !id.0.is_char_boundary(end) {
        end -= 1;
    }
    StepId(format!("{}~{}", &id.0[..end], &digest[..DIGEST]))
}

/// `phase/step/bundle-0001`.
pub(super) fn bundle(phase: &PhaseName, step: &str, number: usize) -> StepId {
    StepId(format!("{phase}/{step}/bundle-{number:04}"))
}

/// Writes what cannot be seen, or would end a word, as `%` and hex digits; a space as `_`.
fn printable(key: &str) -> String {
    let mut printable = String::with_capacity(key.len());
    for char in key.chars() {
        if char == ' ' {
            printable.push('_');
        } else if !is_visible(char) || matches!(char, '/' | '%' | '~') {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                write!(printable, "%{byte:02x}").expect("into memory");
            }
        } else {
            printable.push(char);
        }
    }
    printable
}

/// Whether a reader can tell it from nothing: controls, marks of direction and joiners are not so.
fn is_visible(char: char) -> bool {
    // The library knows what can be printed, but tells only by how it quotes. An accent is left as
    // it is where it has a letter before it.
    let quoted = ['a', char].iter().collect::<String>();
    matches!(char, '"' | '\'' | '\\') || quoted.escape_debug().skip(1).eq([char])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str) -> String {
        single(&PhaseName("load".into()), "copy", key, |_| false).0
    }

    #[test]
    fn an_id_is_the_path_to_its_item() {
        assert_eq!(id(""), "load/copy");
        assert_eq!(id("public.orders"), "load/copy/public.orders");
        assert_eq!(bundle(&PhaseName("load".into()), "copy", 7).0, "load/copy/bundle-0007");
    }

    #[test]
    fn a_hostile_key_is_written_so_that_it_can_be_typed() {
        assert_eq!(id("public.\"a b/c\""), "load/copy/public.\"a_b%2fc\"");
        assert_eq!(id("a\nb"), "load/copy/a%0ab");
    }

    #[test]
    fn letters_of_every_script_stand_and_what_cannot_be_seen_does_not() {
        for seen in ["Žluťoučký'kůň'", "表", "😀", "back\\slash", "e\u{301}"] {
            assert_eq!(id(seen), format!("load/copy/{seen}"));
        }
        assert_eq!(id("\u{202e}a\u{a0}b\u{200b}"), "load/copy/%e2%80%aea%c2%a0b%e2%80%8b");
    }

    #[test]
    fn two_keys_never_meet() {
        let taken = |id: &StepId| id.0 == "load/copy/a_b";
        let second = single(&PhaseName("load".into()), "copy", "a b", taken);
        assert_eq!(second.0, "load/copy/a_b~c95e5a48e784");
    }

    #[test]
    fn a_long_key_is_cut_and_stays_unique() {
        let (one, other) = ("ž".repeat(100) + "1", "ž".repeat(100) + "2");
        assert!(id(&one).len() <= LONGEST, "{}", id(&one).len());
        assert_ne!(id(&one), id(&other));
    }
}
