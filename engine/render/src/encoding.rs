//! How values and run-time pieces travel through the template engine's text without being
//! mistaken for the template's own.
//!
//! Every value is encoded as it enters the text: its line breaks, semicolons and escape characters
//! become two characters each. So a raw line of `;;` and a raw marker can only be the template's.

use pgkedge_model::Piece;

const ESCAPE: char = '\u{1}';
const MARKER_END: char = '\u{2}';
const SEPARATOR: &str = ";;";

/// Text that is no encoding: a template holds the escape character itself.
#[derive(Debug, thiserror::Error)]
#[error("the template holds a control character")]
pub(crate) struct Undecodable;

/// A value's SQL, safe to stand anywhere in a template's output.
pub(crate) fn encode(sql: &str) -> String {
    let mut encoded = String::with_capacity(sql.len());
    for char in sql.chars() {
        let code = match char {
            ESCAPE => 'e',
            '\n' => 'n',
            ';' => 's',
            other => {
                encoded.push(other);
                continue;
            }
        };
        encoded.push(ESCAPE);
        encoded.push(code);
    }
    encoded
}

/// A piece that is filled in at run time. JSON escapes control characters, so the end is unmistakable.
pub(crate) fn encode_piece(piece: &Piece) -> String {
    let json = serde_json::to_string(piece).expect("pieces have only string keys");
    format!("{ESCAPE}p{json}{MARKER_END}")
}

/// The statements of a rendered block.
pub(crate) fn statements(rendered: &str) -> Result<Vec<Vec<Piece>>, Undecodable> {
    let texts = split(rendered);
    texts.iter().filter(|text| !text.is_empty()).map(|text| decode(text)).collect()
}

/// Splits at lines that end with the template's own separator. Written on a line of its own, it moves
/// to the end of the line before where that one ends with a block tag, which takes the line break.
fn split(rendered: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in rendered.split('\n').chain([SEPARATOR]) {
        let Some(last) = line.trim_end().strip_suffix(SEPARATOR) else {
            lines.push(line);
            continue;
        };
        lines.push(last);
        texts.push(lines.join("\n").trim().to_owned());
        lines.clear();
    }
    texts
}

/// The pieces of an encoded text, with neighbouring SQL joined.
pub(crate) fn decode(encoded: &str) -> Result<Vec<Piece>, Undecodable> {
    let mut pieces = Vec::new();
    let mut sql = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((before, after)) = rest.split_once(ESCAPE) {
        sql.push_str(before);
        let code = after.chars().next().ok_or(Undecodable)?;
        rest = &after[code.len_utf8()..];
        match code {
            'e' => sql.push(ESCAPE),
            'n' => sql.push('\n'),
            's' => sql.push(';'),
            'p' => {
                let (json, after) = rest.split_once(MARKER_END).ok_or(Undecodable)?;
                rest = after;
                if !sql.is_empty() {
                    pieces.push(Piece::Sql(std::mem::take(&mut sql)));
                }
                pieces.push(serde_json::from_str(json).map_err(|_| Undecodable)?);
            }
            _ => return Err(Undecodable),
        }
    }
    sql.push_str(rest);
    if !sql.is_empty() {
        sql.shrink_to_fit();
        pieces.push(Piece::Sql(sql));
    }
    // Kept by the thousand, and nearly always one alone.
    pieces.shrink_to_fit();
    Ok(pieces)
}

/// Whether a rendered block's own text closes a statement; one inside a value does not.
pub(crate) fn closes_a_statement(rendered: &str) -> bool {
    split(rendered).iter().any(|text| text.ends_with(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        for value in ["", "a", "a\nb;c\u{1}n\u{2}", "\n;;\n", "\u{1}p{}\u{2}"] {
            let pieces = decode(&encode(value)).unwrap();
            let text: String = pieces
                .into_iter()
                .map(|piece| match piece {
                    Piece::Sql(sql) => sql,
                    other @ (Piece::Output { .. }
                    | Piece::Secret { .. }
                    | Piece::RunName { .. }) => panic!("{other:?} out of a value"),
                })
                .collect();
            assert_eq!(text, value);
        }
    }

    #[test]
    fn only_the_templates_own_separator_splits() {
        let rendered = format!("select {}\n  ;;  \nselect 2\n;;\n\n;;\n", encode("'\n;;\n'"));
        let statements = statements(&rendered).unwrap();
        assert_eq!(statements, [vec![Piece::sql("select '\n;;\n'")], vec![Piece::sql("select 2")]]);
    }

    #[test]
    fn a_separator_whose_line_break_a_block_tag_took_splits_as_well() {
        let statements = statements("select 1;;\nselect 2").unwrap();
        assert_eq!(statements, [[Piece::sql("select 1")], [Piece::sql("select 2")]]);
    }

    #[test]
    fn a_closing_semicolon_counts_only_in_the_template() {
        assert!(closes_a_statement("select 1;\n;;\nselect 2"));
        assert!(!closes_a_statement(&format!("select 1\n;;\n{}", encode("x;"))));
    }
}
