//! Finds passwords that were written out, so that they are refused and never shown.

use std::ops::Range;

/// Where passwords stand in a text: in URIs (`://user:password@`) and in `password=…` pairs.
///
/// A password that begins with `$` is left to the shell, and is no secret.
pub(crate) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> =
        text.match_indices("://").filter_map(|(at, _)| in_uri(text, at + 3)).collect();
    let lowercase = text.to_ascii_lowercase();
    found.extend(
        lowercase.match_indices("password").filter_map(|(at, key)| in_pair(text, at + key.len())),
    );
    found.retain(|range| !range.is_empty() && !text[range.clone()].starts_with('$'));
    found.sort_by_key(|range| range.start);
    found
}

/// The text with each password as stars, of the same length in bytes.
pub(crate) fn mask(text: &str) -> String {
    let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
    for range in find(text) {
        let start = range.start.max(at);
        masked.push_str(&text[at..start]);
        masked.push_str(&"*".repeat(range.end.saturating_sub(start)));
        at = range.end.max(start);
    }
    masked.push_str(&text[at..]);
    masked
}

fn in_uri(text: &str, start: usize) -> Option<Range<usize>> {
    let authority = &text[start..start + word_length(&text[start..], "")];
    let end = authority.rfind('@')?;
    let colon = authority[..end].find(':')?;
    Some(start + colon + 1..start + end)
}

fn in_pair(text: &str, after_key: usize) -> Option<Range<usize>> {
    let value = text[after_key..].trim_start().strip_prefix('=')?.trim_start();
    let value = value.strip_prefix(['\'', '"']).unwrap_or(value);
    let start = text.len() - value.len();
    Some(start..start + word_length(value, "&"))
}

fn word_length(text: &str, also_ends: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || "'\"`,".contains(c) || also_ends.contains(c);
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        for (text, masked) in [
            ("postgres://app:s3cr3t@db/shop", "postgres://app:******@db/shop"),
            ("url: 'postgres://app:p@ss@db'", "url: 'postgres://app:****@db'"),
            ("host=db password=s3cr3t user=app", "host=db password=****** user=app"),
            ("host=db password = 's3' user=app", "host=db password = '**' user=app"),
            ("postgres://db/shop?password=ž&a=b", "postgres://db/shop?password=**&a=b"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn what_holds_no_password_stays() {
        for text in [
            "postgres://app@db:5432/shop",
            "https://example.com/a:b",
            "postgres://app:$PGPASSWORD@db",
            "password in words",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
