//! The query: a document, and the operation of it that is run (GraphQL §2, §6.1).

use apollo_parser::Parser;
use apollo_parser::cst::{Definition, OperationDefinition, Selection, SelectionSet};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

/// Selections inside each other. Servers refuse far fewer.
const NESTED_MAX: usize = 100;

/// Tokens of a document, each some hundred bytes in the parser's tree.
const TOKENS_MAX: usize = 30_000;

/// Documents a thread remembers, to read them once: clients send the same few again and again, for what changes
/// stands in their variables. About 256 KiB with what is known of them.
const REMEMBERED_MAX: usize = 16;

/// Longer ones are not remembered.
const REMEMBERED_BYTES_MAX: usize = 8 << 10;

/// The operation that is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// 'query', 'mutation' or 'subscription'.
    pub kind: &'static str,
    /// Its name in the document.
    pub name: Option<String>,
    /// The fields it asks of the root, in order, those of fragments among them.
    pub root_fields: Vec<String>,
}

/// Reads a document. `named` is the operation the request names; it may leave that open where there is only one.
/// The operation is missing where the request does not tell which.
///
/// # Errors
/// Why it is no executable document.
pub fn read(text: &str, named: Option<&str>) -> Result<Option<Selected>, String> {
    if text.len() + named.map_or(0, str::len) > REMEMBERED_BYTES_MAX {
        return parse(text, named);
    }
    REMEMBERED.with_borrow_mut(|remembered| {
        let there = remembered.iter().position(|known| known.text == text && known.named.as_deref() == named);
        let known = there.and_then(|at| remembered.remove(at)).unwrap_or_else(|| Known {
            text: text.to_owned(),
            named: named.map(str::to_owned),
            selected: parse(text, named),
        });
        let selected = known.selected.clone();
        remembered.truncate(REMEMBERED_MAX - 1);
        remembered.push_front(known);
        selected
    })
}

/// A document that was read.
struct Known {
    text: String,
    named: Option<String>,
    selected: Result<Option<Selected>, String>,
}

thread_local! {
    /// Those read last, the latest in front.
    static REMEMBERED: RefCell<VecDeque<Known>> = const { RefCell::new(VecDeque::new()) };
}

fn parse(text: &str, named: Option<&str>) -> Result<Option<Selected>, String> {
    let tree = Parser::new(text).recursion_limit(NESTED_MAX).token_limit(TOKENS_MAX).parse();
    if let Some(error) = tree.errors().next() {
        return Err(error.message().to_owned());
    }
    let (mut operations, mut fragments) = (Vec::new(), HashMap::new());
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name().and_then(|name| name.name()).map(|name| name.text().to_string());
                if let Some((name, set)) = name.zip(fragment.selection_set()) {
                    fragments.entry(name).or_insert(set);
                }
            }
            _ => return Err("it defines types".to_owned()),
        }
    }
    let name = |operation: &OperationDefinition| operation.name().map(|name| name.text().to_string());
    let selected = match named {
        Some(named) => operations.iter().find(|operation| name(operation).as_deref() == Some(named)),
        None if operations.len() > 1 => None,
        None => operations.first(),
    };
    if operations.is_empty() {
        return Err("it has no operation".to_owned());
    }
    Ok(selected.map(|operation| Selected {
        kind: kind(operation),
        name: name(operation),
        root_fields: Roots::of(fragments, operation),
    }))
}

/// Without a keyword it is a query (GraphQL §2.3).
fn kind(operation: &OperationDefinition) -> &'static str {
    match operation.operation_type() {
        Some(kind) if kind.mutation_token().is_some() => "mutation",
        Some(kind) if kind.subscription_token().is_some() => "subscription",
        _ => "query",
    }
}

/// Collects fields as an executor does: each fragment once (GraphQL §6.3.2).
struct Roots {
    /// By their names, those that were not met yet.
    fragments: HashMap<String, SelectionSet>,
    fields: Vec<String>,
}

impl Roots {
    fn of(fragments: HashMap<String, SelectionSet>, operation: &OperationDefinition) -> Vec<String> {
        let mut roots = Self { fragments, fields: Vec::new() };
        roots.collect(operation.selection_set(), 0);
        roots.fields
    }

    fn collect(&mut self, set: Option<SelectionSet>, depth: usize) {
        if depth > NESTED_MAX {
            return;
        }
        for selection in set.into_iter().flat_map(|set| set.selections()) {
            match selection {
                Selection::Field(field) => self.fields.extend(field.name().map(|name| name.text().to_string())),
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name());
                    let set = name.and_then(|name| self.fragments.remove(name.text().as_str()));
                    self.collect(set, depth + 1);
                }
                Selection::InlineFragment(fragment) => self.collect(fragment.selection_set(), depth + 1),
            }
        }
    }
}
