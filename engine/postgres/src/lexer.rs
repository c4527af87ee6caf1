//! Splits SQL into statements, as the server's own lexer would read it under
//! `standard_conforming_strings`. Knows tokens, not grammar.

/// The statements of a script, in order, without their closing semicolons.
///
/// Comments and white space around a statement are left off, those inside it stay. A semicolon
/// inside quotes, parentheses (`create rule … do (…; …)`) or a `begin atomic … end` body does not
/// split. What is never closed reaches to the end.
pub fn statements(sql: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut statement = Statement::default();
    for token in Tokens::new(sql) {
        if token.kind == Kind::Semicolon && statement.may_end() {
            found.extend(statement.text(sql));
            statement = Statement::default();
        } else {
            statement.add(sql, token);
        }
    }
    found.extend(statement.text(sql));
    found
}

/// Whether a text holds nothing but comments, white space and semicolons.
pub fn is_blank(sql: &str) -> bool {
    Tokens::new(sql).all(|token| token.kind == Kind::Semicolon)
}

/// A statement as far as it has been read.
#[derive(Default)]
struct Statement {
    start: Option<usize>,
    end: usize,
    parentheses: usize,
    /// Words that were read, up to `create or replace function`.
    head: Vec<String>,
    /// How many `begin atomic` and `case` are open in the body of a routine.
    blocks: usize,
    /// The token before the one that is read.
    last: String,
}

impl Statement {
    fn may_end(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    fn text<'a>(&self, sql: &'a str) -> Option<&'a str> {
        self.start.map(|start| &sql[start..self.end])
    }

    fn add(&mut self, sql: &str, token: Token) {
        self.start.get_or_insert(token.start);
        self.end = token.end;
        let text = &sql[token.start..token.end];
        match token.kind {
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.parentheses == 0 => self.add_word(text),
            Kind::Word | Kind::Quoted | Kind::Semicolon | Kind::Other => {}
        }
        self.last = text.to_ascii_lowercase();
    }

    fn add_word(&mut self, text: &str) {
        let word = text.to_ascii_lowercase();
        let is_label = self.last == "." || self.last == "as";
        if self.blocks > 0 && !is_label {
            match word.as_str() {
                "case" => self.blocks += 1,
                "end" => self.blocks -= 1,
                _ => {}
            }
        } else if word == "atomic" && self.last == "begin" && self.creates_routine() {
            self.blocks = 1;
        }
        if self.head.len() < 4 {
            self.head.push(word);
        }
    }

    fn creates_routine(&self) -> bool {
        let head: Vec<&str> = self.head.iter().map(String::as_str).collect();
        matches!(
            head.as_slice(),
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key word or a name without quotes.
    Word,
    /// A string or a quoted name, whole.
    Quoted,
    Open,
    Close,
    Semicolon,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Tokens without comments and white space. Starts and ends lie between characters: all that is
/// looked for is ASCII, and bytes above it are taken as parts of words.
struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while self.skip_space() || self.skip_comment() {}
        let start = self.at;
        let kind = self.token(self.peek(0)?);
        Some(Token { kind, start, end: self.at })
    }
}

impl<'a> Tokens<'a> {
    fn new(sql: &'a str) -> Self {
        Self { bytes: sql.as_bytes(), at: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn token(&mut self, first: u8) -> Kind {
        match first {
            b'\'' => self.quoted(b'\''),
            b'"' => self.quoted(b'"'),
            b'$' => return self.dollar(),
            _ if starts_word(first) => return self.word(first),
            b'0'..=b'9' => {
                // Takes letters along, so that `1e'` is no escape string.
                self.take_while(|byte| continues_word(byte) || byte == b'.');
                return Kind::Other;
            }
            _ => {
                self.at += 1;
                return match first {
                    b'(' => Kind::Open,
                    b')' => Kind::Close,
                    b';' => Kind::Semicolon,
                    _ => Kind::Other,
                };
            }
        }
        Kind::Quoted
    }

    fn word(&mut self, first: u8) -> Kind {
        if matches!(first, b'e' | b'E') && self.peek(1) == Some(b'\'') {
            self.at += 1;
            self.escape_string();
            return Kind::Quoted;
        }
        self.take_while(continues_word);
        Kind::Word
    }

    /// A string or name whose quotes are doubled inside.
    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte != quote {
                continue;
            }
            if self.peek(0) != Some(quote) {
                return;
            }
            self.at += 1;
        }
    }

    /// `E'…'`, where a backslash takes the next character along, and its continuations: a string
    /// goes on in its own kind after white space that holds a line break.
    fn escape_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\\' => self.at = self.bytes.len().min(self.at + 1),
                b'\'' if self.peek(0) == Some(b'\'') => self.at += 1,
                b'\'' if !self.continues_string() => return,
                _ => {}
            }
        }
    }

    fn continues_string(&mut self) -> bool {
        let closed = self.at;
        let mut line_break = false;
        loop {
            let start = self.at;
            let comment = self.bytes[self.at..].starts_with(b"--") && self.skip_comment();
            if !comment && !self.skip_space() {
                break;
            }
            line_break |=
                self.bytes[start..self.at].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        }
        if line_break && self.peek(0) == Some(b'\'') {
            self.at += 1;
            return true;
        }
        self.at = closed;
        false
    }

    /// `$tag$ … $tag$`, or a parameter or stray dollar sign.
    fn dollar(&mut self) -> Kind {
        let tag = self.bytes[self.at + 1..]
            .iter()
            .position(|&byte| !continues_word(byte) || byte == b'$')
            .map(|length| &self.bytes[self.at..=self.at + 1 + length])
            .filter(|tag| tag.ends_with(b"$") && !tag[1].is_ascii_digit());
        let Some(tag) = tag else {
            self.at += 1;
            self.take_while(continues_word);
            return Kind::Other;
        };
        let body = self.at + tag.len();
        self.at = self.bytes[body..]
            .windows(tag.len())
            .position(|window| window == tag)
            .map_or(self.bytes.len(), |length| body + length + tag.len());
        Kind::Quoted
    }

    fn skip_space(&mut self) -> bool {
        let start = self.at;
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
        self.at > start
    }

    fn skip_comment(&mut self) -> bool {
        match (self.peek(0), self.peek(1)) {
            (Some(b'-'), Some(b'-')) => self.take_while(|byte| !matches!(byte, b'\n' | b'\r')),
            (Some(b'/'), Some(b'*')) => self.skip_block_comment(),
            _ => return false,
        }
        true
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            let step = match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    2
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    2
                }
                _ => 1,
            };
            self.at += step;
            if depth == 0 {
                return;
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests;
