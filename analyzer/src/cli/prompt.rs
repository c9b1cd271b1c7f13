//! The prompt of `remora sql`: statements, typed.

use super::answer::{OutputArgs, Session, print};
use super::interrupt::Interrupt;
use crate::cache;
use crate::common::Common;
use crate::say;
use formats::said::once;
use query::output::Format;
use query::{is_finished, schema, statements};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter, Validator};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
Statements end with ';'; the tab key completes tables, columns, functions and keywords. Ctrl-C stops an answer.
  \\d          the tables
  \\d TABLE    its columns
  \\timing     say how long answers take, or stop saying so
  \\?          this text
  \\q          end
";

const KEYWORDS: [&str; 44] = [
    "all",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "count(*)",
    "desc",
    "describe",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "false",
    "from",
    "group",
    "having",
    "ilike",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "select",
    "then",
    "true",
    "union",
    "when",
    "where",
];

/// Reads statements until the end.
///
/// # Errors
/// The terminal's. What is wrong with a statement is said, and the next one is read.
pub fn run(
    mut session: Session,
    output: &OutputArgs,
    common: &Common,
    out: &mut (impl Write + Send),
) -> anyhow::Result<ExitCode> {
    let (form, interrupt) = (output.form()?, Interrupt::listen()?);
    let mut lines = Lines::begin(Words::new(session.catalogue().functions()), common)?;
    writeln!(out, "Statements end with ';'. \\d lists the tables, \\? says more, \\q ends.")?;
    let (mut waiting, mut timing) = (String::new(), false);
    while let Some(line) = lines.next(!waiting.is_empty())? {
        match line {
            // As in a shell: gives up what was typed.
            Line::GivenUp => waiting.clear(),
            Line::Typed(line) if waiting.is_empty() && line.trim_start().starts_with('\\') => {
                lines.remember(line.trim());
                if !command(line.trim(), &mut timing, out)? {
                    break;
                }
            }
            Line::Typed(line) if waiting.is_empty() && line.trim().is_empty() => {}
            Line::Typed(line) => {
                waiting.push_str(&line);
                waiting.push('\n');
                if is_finished(&waiting) {
                    let sql = std::mem::take(&mut waiting);
                    lines.remember(sql.trim());
                    for statement in statements(&sql) {
                        answer(&mut session, statement, form, timing, &interrupt, out)?;
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers a statement, or says why not.
fn answer(
    session: &mut Session,
    statement: &str,
    form: Format,
    timing: bool,
    interrupt: &Interrupt,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let began = Instant::now();
    let answered = session
        .with(statement)
        .and_then(|catalogue| interrupt.during(|stop| print(catalogue, statement, form, stop, &mut *out)));
    match answered {
        Ok(rows) => {
            writeln!(out, "{rows} row{}", if rows == 1 { "" } else { "s" })?;
            session.say_what_lacks(statement);
        }
        Err(error) => say::reply(once(error.chain())),
    }
    if timing {
        writeln!(out, "{:.1} ms", began.elapsed().as_secs_f64() * 1e3)?;
    }
    Ok(())
}

/// What is typed, line by line, and remembered.
struct Lines {
    editor: Editor<Words, DefaultHistory>,
    /// The file of what was typed before.
    history: Option<PathBuf>,
}

enum Line {
    GivenUp,
    Typed(String),
}

impl Lines {
    fn begin(words: Words, common: &Common) -> anyhow::Result<Self> {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(false).build();
        let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config)?;
        editor.set_helper(Some(words));
        let history = cache::folder(common).ok().map(|folder| folder.join("history"));
        if let Some(history) = &history {
            let _ = editor.load_history(history);
        }
        Ok(Self { editor, history })
    }

    /// The next line; none where there are no more. `more` where a statement has begun.
    fn next(&mut self, more: bool) -> anyhow::Result<Option<Line>> {
        match self.editor.readline(if more { "   ...> " } else { "remora> " }) {
            Ok(line) => Ok(Some(Line::Typed(line))),
            Err(ReadlineError::Interrupted) => Ok(Some(Line::GivenUp)),
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// At once: the program may end in the midst of an answer.
    fn remember(&mut self, line: &str) {
        let _ = self.editor.add_history_entry(line);
        if let Some(history) = &self.history {
            let _ = self.editor.append_history(history);
        }
    }
}

/// Does what a line with a backslash says; false ends the prompt.
fn command(line: &str, timing: &mut bool, out: &mut impl Write) -> anyhow::Result<bool> {
    match line.trim_end_matches(';').split_whitespace().collect::<Vec<_>>().as_slice() {
        ["\\q"] => return Ok(false),
        ["\\d"] => write!(out, "{}", schema::overview())?,
        ["\\d", table] => match schema::table(table) {
            Ok(table) => write!(out, "{}", schema::describe(table))?,
            Err(error) => say::reply(error),
        },
        ["\\timing"] => {
            *timing = !*timing;
            writeln!(out, "timing is {}", if *timing { "on" } else { "off" })?;
        }
        ["\\?"] => write!(out, "{HELP}")?,
        _ => say::reply(format_args!("{line} is no command; \\? lists them")),
    }
    Ok(true)
}

/// What can be completed.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Words {
    /// Columns, functions, keywords: what may stand anywhere.
    anywhere: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Words {
    fn new(functions: Vec<String>) -> Self {
        let tables: BTreeSet<String> = schema::tables().map(|table| table.name.to_owned()).collect();
        let columns = schema::tables().flat_map(|table| table.columns()).map(|column| column.name.to_owned());
        let functions = functions.into_iter().map(|name| format!("{name}("));
        let keywords = KEYWORDS.into_iter().map(str::to_owned);
        Self { anywhere: columns.chain(functions).chain(keywords).chain(tables.iter().cloned()).collect(), tables }
    }

    /// Where the last word of `line` begins, and what it may become.
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let begin = line
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let (before, word) = line.split_at(begin);
        let last = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
        let fits = |candidate: &&String| {
            !word.is_empty() && candidate.get(..word.len()).is_some_and(|front| front.eq_ignore_ascii_case(word))
        };
        // Behind a table and a dot only its own columns can stand.
        if let Some(table) = before.strip_suffix('.') {
            let table = table.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if let Ok(table) = schema::table(table) {
                let columns = table.columns().map(|column| column.name.to_owned());
                return (begin, columns.filter(|column| column.starts_with(&word.to_lowercase())).collect());
            }
        }
        let of_tables = before.starts_with("\\d") || matches!(last.as_str(), "from" | "join");
        let candidates = match of_tables {
            true => self.tables.iter().filter(|table| word.is_empty() || fits(table)).cloned().collect(),
            false => self.anywhere.iter().filter(fits).cloned().collect(),
        };
        (begin, candidates)
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.complete(line.get(..pos).unwrap_or(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_by_where_they_stand() {
        let words = Words::new(vec!["json_get".to_owned(), "now".to_owned()]);
        for (line, begin, want) in [
            ("select stat", 7, vec!["status"]),
            ("SELECT json_", 7, vec!["json_get("]),
            ("select * from ht", 14, vec!["http"]),
            ("select * from http where http.stat", 30, vec!["status"]),
            ("select 1 wher", 9, vec!["where"]),
            ("\\d dn", 3, vec!["dns"]),
            ("select ", 7, vec![]),
            ("sélect qna", 8, vec!["qname"]),
            ("x", 0, vec![]),
        ] {
            assert_eq!(words.complete(line), (begin, want.into_iter().map(str::to_owned).collect()), "{line}");
        }
        assert!(words.complete("select * from ").1.iter().any(|table| table == "flows"));
    }
}
