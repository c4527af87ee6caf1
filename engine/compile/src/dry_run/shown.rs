//! How names and texts of a database are shown: nothing that they hold is obeyed by a terminal, ends a
//! comment or a table cell, or passes for Markdown.

/// Shows what a terminal would obey: names and literals come from the database.
pub(super) fn visible(text: &str) -> String {
    let shown = |char: char| match char {
        '\n' | '\t' => char,
        '\u{7f}' => '\u{2421}',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        other => other,
    };
    text.chars().map(shown).collect()
}

/// The same on one line, for a comment or a heading.
pub(super) fn line(text: &str) -> String {
    visible(text).replace('\n', "\u{240a}").replace('\t', "\u{2409}")
}

/// A name as a code span of Markdown.
pub(super) fn code(text: &str) -> String {
    let text = line(text);
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let pad =
        if text.is_empty() || text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    let pad = if text.starts_with(' ') && text.ends_with(' ') { " " } else { pad };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A name as a code span in a cell of a table, where a bar would end the cell even in code.
pub(super) fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Prose that may hold code spans: anything else that Markdown would obey is escaped.
pub(super) fn prose(text: &str) -> String {
    let mut in_code = false;
    let mut escaped = String::with_capacity(text.len());
    for char in line(text).chars() {
        in_code ^= char == '`';
        let is_obeyed = matches!(char, '\\' | '<' | '>' | '*' | '_' | '[' | ']' | '|' | '&' | '~');
        if is_obeyed && !in_code {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

/// A text inside a tag of HTML.
pub(super) fn html(text: &str) -> String {
    line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Statements as a block of code, whatever they hold.
pub(super) fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
    format!("{fence}sql\n{text}\n{fence}")
}

/// A number of bytes for people: three digits are enough.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = bytes.saturating_mul(10);
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1024;
        unit += 1;
    }
    let (whole, tenth) = (scaled / 10, scaled % 10);
    if unit == 0 || whole >= 100 || tenth == 0 {
        return format!("{whole} {}", UNITS[unit]);
    }
    format!("{whole}.{tenth} {}", UNITS[unit])
}

/// `1 table`, `2 tables`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|char| char != of).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_code_span_whatever_it_holds() {
        assert_eq!(code("public.a"), "`public.a`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\nb\u{1b}"), "`a␊b␛`");
        assert_eq!(code_cell("a|b"), "`a\\|b`");
    }

    #[test]
    fn prose_keeps_its_code_and_nothing_else_is_obeyed() {
        assert_eq!(prose("set `a_b` to <i>*x*"), "set `a_b` to \\<i\\>\\*x\\*");
    }

    #[test]
    fn a_block_of_code_ends_where_it_should() {
        assert_eq!(fenced("select 1"), "```sql\nselect 1\n```");
        assert_eq!(fenced("select '````'"), "`````sql\nselect '````'\n`````");
    }

    #[test]
    fn a_size_has_three_digits_at_most() {
        let shown: Vec<_> = [0, 1023, 1536, 10 << 20, 150 << 30].into_iter().map(size).collect();
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.5 KiB", "10 MiB", "150 GiB"]);
    }
}
