//! That every line that matches is found, however many others there are.

use std::collections::HashSet;

use super::super::index::Step;
use super::super::tests::{NOW, append, execute, with_session};
use super::*;

/// Pages of a search in these tests.
const PAGES_MAX: usize = 1000;

/// A line that a user typed on a day of 2026.
fn typed(day: &str, text: &str) -> String {
    format!(
        r#"{{"type":"user","timestamp":"2026-{day}T00:00:00Z","message":{{"role":"user","content":"{text}"}}}}"#
    )
}

fn index(store: &Store) {
    while !matches!(store.index_step(&mut HashSet::new()).unwrap(), Step::Nothing) {}
}

/// Numbers of the lines that a query finds, in their order, and how many pages that were.
fn found(store: &Store, user: i64, query: &str, limit: usize) -> (Vec<u64>, usize) {
    let query = Query::parse(query, NOW).unwrap();
    let (mut lines, mut after) = (Vec::new(), None);
    for n_pages in 1..=PAGES_MAX {
        let asked = Asked { user, query: &query, limit, after, now: 1_800_000_000_000_000 };
        let (hits, next) = store.search(asked).unwrap();
        lines.extend(hits.iter().map(|hit| hit.line));
        // As it is read back from whoever asks.
        after = next.map(|next| SearchCursor::parse(&next.to_string()).unwrap());
        if after.is_none() {
            lines.sort_unstable();
            return (lines, n_pages);
        }
    }
    panic!("a search has no end");
}

#[test]
fn what_is_behind_the_newest_matches_of_a_file_is_found() {
    let (_folder, store, user) = with_session();
    let mut lines: Vec<String> =
        (1..=50).map(|_| typed("01-05", "connection was once refused")).collect();
    lines[24] = typed("01-06", "connection refused");
    lines.extend((0..1000).map(|_| typed("03-01", "refused connection")));
    append(&store, user, 1, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    index(&store);
    execute(&store, "UPDATE sessions SET last_message_at = 1772323200000000");
    for limit in [7, 20, 100] {
        assert_eq!(found(&store, user, "\"connection refused\"", limit).0, [25], "{limit}");
        let january: Vec<u64> = (1..=50).collect();
        assert_eq!(found(&store, user, "connection before:2026-02-01", limit).0, january);
        let between = "connection after:2026-01-06 before:2026-02-01";
        assert_eq!(found(&store, user, between, limit).0, [25]);
        let all: Vec<u64> = (1..=1050).collect();
        assert_eq!(found(&store, user, "connection", limit).0, all, "each line once, {limit}");
        assert_eq!(found(&store, user, "conn* refused", limit).0, all, "{limit}");
    }
}

/// More sessions than are looked into at once, and more lines than are all looked up.
#[test]
fn what_is_behind_thousands_of_newer_sessions_is_found() {
    let (_folder, store, user) = with_session();
    append(&store, user, 1, &[&typed("01-05", "a common and a rare word")]);
    index(&store);
    execute(
        &store,
        &format!(
            "UPDATE sessions SET cwd = '/home/me/oldproject';
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS
                 (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5100) SELECT i FROM n;
             INSERT INTO sessions (id, uuid, user_id, provider, external_id, transcript_path,
                 cwd, hostname, username, first_seen, last_sync_at)
                 SELECT 1000 + i, 'n' || i, {user}, 'claude-code', 'n' || i, '', '/home/me/new',
                 '', '', 1790000000000000, 1790000000000000 FROM n;
             INSERT INTO files (id, session_id, name, type, last_line, raw_bytes, chunks,
                 updated_at, begun_at)
                 SELECT 1000 + i, 1000 + i, 'f', 'transcript', 10, 0, 1, 1790000000000000,
                 1790000000000000 FROM n;
             CREATE TEMP TABLE k AS SELECT i FROM n WHERE i <= 10;
             INSERT INTO words (rowid, word) SELECT ((1000 + n.i) << 27) + k.i, 'common'
                 FROM n, k;
             INSERT INTO messages (file_id, line, type, timestamp, words)
                 SELECT 1000 + n.i, k.i, 'user', 1790000000000000, 1 FROM n, k;"
        ),
    );
    for query in ["common project:oldproject", "common before:2026-06-01", "rare"] {
        assert_eq!(found(&store, user, query, 20).0, [1], "{query}");
    }
    // Each page looks into few of the sessions.
    assert!(found(&store, user, "common project:oldproject", 20).1 > 1);
    assert!(found(&store, user, "comm* project:oldproject", 20).0 == [1]);
    assert_eq!(found(&store, user, "common project:nowhere", 20).0, [0_u64; 0]);
}

#[test]
fn a_cursor_that_nobody_gave_is_refused_or_finds_nothing_wrong() {
    let (_folder, store, user) = with_session();
    append(&store, user, 1, &[&typed("01-05", "a word")]);
    index(&store);
    let query = Query::parse("word", NOW).unwrap();
    let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 40, 253_402_300_800_000_000, i64::MAX];
    let mut n_read = 0;
    for changed in 0..7 {
        for number in numbers {
            let mut parts: Vec<String> =
                ["1800000000000000", "9", "9", "0", "0", "7ff0000000000000", "0"]
                    .map(str::to_owned)
                    .into();
            parts[changed] = match changed {
                5 => format!("{number:x}"),
                _ => number.to_string(),
            };
            let Some(after) = SearchCursor::parse(&parts.join(".")) else { continue };
            n_read += 1;
            let asked = Asked { user, query: &query, limit: 9, after: Some(after), now: 0 };
            store.search(asked).unwrap();
        }
    }
    assert!(n_read > 20, "{n_read}");
}
