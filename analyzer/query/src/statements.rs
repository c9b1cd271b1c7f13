//! SQL, one statement at a time, as the engine reads it.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Statements, split at semicolons outside of quotes and comments. From a quote on that never ends it is one statement: the
/// engine says what is wrong with it.
pub fn statements(sql: &str) -> Vec<&str> {
    let (tokens, is_whole) = tokens(sql);
    let (mut found, mut begin, mut says_something) = (Vec::new(), 0, false);
    for (at, token) in tokens {
        match token {
            Token::SemiColon => {
                found.extend(sql.get(begin..at).filter(|_| says_something));
                (begin, says_something) = (at + 1, false);
            }
            Token::Whitespace(_) => {}
            _ => says_something = true,
        }
    }
    found.extend(sql.get(begin..).filter(|_| says_something || !is_whole));
    found.into_iter().map(str::trim).collect()
}

/// Whether the last statement has its semicolon: outside of quotes and comments nothing stands behind it.
pub fn is_finished(sql: &str) -> bool {
    let (tokens, is_whole) = tokens(sql);
    let last = tokens.into_iter().rev().find(|(_, token)| !matches!(token, Token::Whitespace(_)));
    is_whole && last.is_some_and(|(_, token)| token == Token::SemiColon)
}

/// Tokens, white space and comments among them, with the byte each begins at; and whether these are all.
fn tokens(sql: &str) -> (Vec<(usize, Token)>, bool) {
    let mut tokens = Vec::new();
    let is_whole = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens).is_ok();
    // Lines and columns are counted from 1, columns in characters.
    let mut places = sql.char_indices().scan((1, 1), |next, (at, c)| {
        let here = *next;
        *next = if c == '\n' { (here.0 + 1, 1) } else { (here.0, here.1 + 1) };
        Some((here, at))
    });
    let placed = tokens.into_iter().map_while(|token| {
        let begin = (token.span.start.line, token.span.start.column);
        let (_, at) = places.find(|(here, _)| *here >= begin)?;
        Some((at, token.token))
    });
    (placed.collect(), is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        for (sql, want) in [
            ("select ';' ; select \"a;b\";; ", vec!["select ';'", "select \"a;b\""]),
            ("-- first; of all\nselect 1; -- done", vec!["-- first; of all\nselect 1"]),
            ("select 1 - -1; select '--;'", vec!["select 1 - -1", "select '--;'"]),
            (
                "/* a;b */ select 1; /* it's */ select 2; select 3",
                vec!["/* a;b */ select 1", "/* it's */ select 2", "select 3"],
            ),
            (
                "select $$a;b$$; select E'a\\'b;c'; select `a;b`",
                vec!["select $$a;b$$", "select E'a\\'b;c'", "select `a;b`"],
            ),
            ("select 'ä\n;ö';\r\nselect 'ü'; select 2", vec!["select 'ä\n;ö'", "select 'ü'", "select 2"]),
            ("select 1; select 'a; select 2", vec!["select 1", "select 'a; select 2"]),
            ("'", vec!["'"]),
            (" ; /* nothing */ ;", vec![]),
        ] {
            assert_eq!(statements(sql), want, "{sql}");
        }
    }

    #[test]
    fn a_statement_ends_where_its_semicolon_is_one() {
        for (sql, want) in [
            ("select 1;", true),
            ("select 1; -- done\n", true),
            ("select 'a;", false),
            ("select 'a;\nb';", true),
            ("select 1 /* ;", false),
            ("select 1 -- ;", false),
            ("select 1; select", false),
            ("", false),
        ] {
            assert_eq!(is_finished(sql), want, "{sql}");
        }
    }
}
