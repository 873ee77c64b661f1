//! A query as the index is asked it.

use std::collections::HashSet;

use crate::server::search::{Query, Role, role_word, tool_word, user_word};

/// A query in FTS5's language. Lines of sessions that are not the reader's to see may match: only
/// files of those that are get looked into. Whatever a user typed is in it only as words of the
/// index, which hold no quote, each in quotes. `owners` are those whose lines may be found.
pub fn matching(owners: &[i64], query: &Query) -> String {
    let mut all = Vec::new();
    let mut none = Vec::new();
    for sequence in &query.sequences {
        let words = sequence.index_words();
        let words = words.iter().map(|word| quoted(&word.word, word.is_prefix));
        match sequence.is_negated {
            false => all.extend(words),
            // What takes several words is looked for in the line itself.
            true if sequence.is_one_word() => none.extend(words),
            true => {}
        }
    }
    let role = |role: &Role| quoted(role_word(*role), false);
    let tool = |tool: &String| match tool.strip_suffix('*') {
        Some(start) => quoted(&tool_word(start), true),
        None => quoted(&tool_word(tool), false),
    };
    if !query.roles.is_empty() {
        all.push(any(query.roles.iter().map(role)));
    }
    if !query.tools.is_empty() {
        all.push(any(query.tools.iter().map(tool)));
    }
    if all.is_empty() {
        all.push(any(owners.iter().map(|owner| quoted(&user_word(*owner), false))));
    }
    none.extend(query.not_roles.iter().map(role));
    none.extend(query.not_tools.iter().map(tool));
    let distinct: HashSet<String> = none.into_iter().collect();
    let mut matching = all.join(" AND ");
    if !distinct.is_empty() {
        matching = format!("({matching}) NOT {}", any(distinct.into_iter()));
    }
    matching
}

fn any(terms: impl Iterator<Item = String>) -> String {
    format!("({})", terms.collect::<Vec<_>>().join(" OR "))
}

fn quoted(word: &str, is_prefix: bool) -> String {
    let star = if is_prefix { "*" } else { "" };
    format!("\"{}\"{star}", word.replace('"', ""))
}
