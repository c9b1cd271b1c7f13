//! SQL, one statement at a time.

/// Statements, split at semicolons outside of quotes and comments.
pub fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let (mut quote, mut comment, mut before) = (None, false, ' ');
    let pieces = sql.split(move |c: char| {
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '-') if before == '-' => comment = true,
            _ => {}
        }
        before = c;
        c == ';' && quote.is_none() && !comment
    });
    pieces.map(str::trim).filter(|statement| !is_comment(statement))
}

/// Whether there is nothing but comments and white space.
fn is_comment(statement: &str) -> bool {
    statement.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with("--"))
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
            (" ; ", vec![]),
        ] {
            assert_eq!(statements(sql).collect::<Vec<_>>(), want, "{sql}");
        }
    }
}
