//! Tests of what happens behind the scenes: rows, merging, copies, their removal.

use std::collections::HashSet;

use super::*;
use crate::server::events::{Event, event};

/// Far from any quiet time.
const FAR: Duration = Duration::from_secs(1_000_000);

/// When everything is uploaded.
fn now() -> SystemTime {
    NOW + 2 * FAR
}

/// Lines like those of a transcript: `uuids` from a number on, words that do not compress well.
fn transcript(session: &str, uuids: std::ops::Range<u32>, words: usize) -> Vec<String> {
    uuids
        .map(|uuid| {
            let mut seed = u64::from(uuid) + 1;
            let text: String = (0..words)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    format!("{:x} ", seed >> 40)
                })
                .collect();
            format!(
                r#"{{"parentUuid":"00000000-0000-4000-8000-{:012x}","sessionId":"{session}",
                "type":"assistant","uuid":"00000000-0000-4000-8000-{uuid:012x}",
                "timestamp":"2026-11-20T10:00:00.000Z","message":{{"role":"assistant",
                "id":"msg_{uuid}","model":"m","usage":{{"input_tokens":3,"output_tokens":{uuid}}},
                "content":[{{"type":"text","text":"{text}"}},{{"type":"tool_use","name":"Bash"}}]
                }}}}"#,
                uuid.wrapping_sub(1)
            )
            .replace('\n', "")
        })
        .collect()
}

/// Opens a session of a user and uploads lines, so many a chunk.
fn upload(store: &Store, user: i64, session: &str, texts: &[String], lines_a_chunk: usize) {
    let opening = Opening {
        provider: "claude-code".into(),
        external_id: session.into(),
        ..Opening::default()
    };
    store.open_session(user, &opening, session, now()).unwrap();
    let mut first_line = 1;
    for chunk in texts.chunks(lines_a_chunk) {
        let mut lines = Lines::default();
        chunk.iter().for_each(|text| lines.push(text));
        let append = Append {
            session,
            file_name: "f",
            file_type: "transcript",
            first_line,
            lines: &lines,
            codex_metadata: false,
            report: None,
            update: SessionUpdate::default(),
        };
        first_line += chunk.len() as i64;
        assert_eq!(
            store.append(user, &append, now()).unwrap(),
            Appended::Stored(first_line as u64 - 1)
        );
    }
}

fn file_of(store: &Store, user: i64, session: &str) -> Download {
    store.download(user, session, "f").unwrap().unwrap().unwrap()
}

/// Reads a file whole, and from lines around the borders of its blocks and many others on.
fn assert_reads_back(store: &Store, user: i64, session: &str, texts: &[String]) {
    let Download { file, last_line, .. } = file_of(store, user, session);
    assert_eq!(last_line, texts.len() as i64);
    let joined = |lines: std::ops::Range<i64>| -> String {
        let lines = &texts[lines.start as usize - 1..lines.end as usize - 1];
        lines.iter().map(|text| format!("{text}\n")).collect()
    };
    let (mut line, mut samples) = (1, Vec::new());
    while line <= last_line {
        let (text, next) = store.lines_from(&file, line).unwrap().unwrap();
        assert!(text == joined(line..next).as_bytes(), "{session} line {line}");
        samples.extend([line + 1, next - 2, next - 1]);
        samples.extend((line..next).step_by(397));
        line = next;
    }
    for line in samples.into_iter().filter(|line| (1..=last_line).contains(line)) {
        let (text, next) = store.lines_from(&file, line).unwrap().unwrap();
        assert!(text == joined(line..next).as_bytes(), "{session} line {line}");
    }
}

fn assert_clean(store: &Store) {
    assert_eq!(store.check().unwrap().problems, [""; 0]);
}

fn number(store: &Store, sql: &str) -> i64 {
    lock(&store.writer).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Bytes of the blocks of a session.
fn stored_bytes(store: &Store, session: &str) -> i64 {
    number(
        store,
        &format!(
            "SELECT sum(length(data)) FROM blocks JOIN files ON files.id = file_id
             JOIN sessions ON sessions.id = session_id WHERE uuid = '{session}'"
        ),
    )
}

fn index_all(store: &Store) {
    let mut damaged = HashSet::new();
    while store.index_step(&mut damaged).unwrap() != Step::Nothing {}
    assert_eq!(damaged, HashSet::new());
}

/// What the row of a line holds of what it tells.
fn in_row(text: &str) -> Event {
    let Event { kind, role, uuid, parent, timestamp, is_error, mark, changed, tools, .. } =
        event(text);
    let told = Event { kind, role, uuid, parent, timestamp, is_error, ..Event::default() };
    Event { mark, changed, tools, ..told }
}

#[test]
fn every_line_has_its_row() {
    let (_folder, store, user) = with_session();
    let mut texts = transcript("s", 0..1500, 3);
    texts.extend(["", "no json", "{\"type\":\"summary\"}", "{\"uuid\":\"odd\"}"].map(String::from));
    upload(&store, user, "one", &texts, 700);
    let file = file_of(&store, user, "one").file.number;
    let rows_from = |first, limit| {
        let mut rows = Vec::new();
        let mut add = |line, event, _| -> Result<(), Failure> {
            rows.push((line, event));
            Ok(())
        };
        let read = |connection: &_| rows::each(connection, file, first, limit, &mut add);
        store.read("read rows", read).unwrap();
        rows
    };
    assert_eq!(rows_from(1, 9), [], "nothing is indexed yet");
    index_all(&store);
    for (first, limit) in [(1, 10_000), (1, 1), (1500, 3), (1504, 9), (1505, 9)] {
        let rows = rows_from(first, limit);
        let expected: Vec<_> = (1..)
            .zip(&texts)
            .skip(first as usize - 1)
            .take(limit)
            .map(|(line, text)| (line, in_row(text)))
            .collect();
        assert_eq!(rows, expected);
    }
    assert_eq!(number(&store, "SELECT count(*) FROM messages WHERE type IS NULL"), 3);
    let figures = |user, session| store.figures(user, session, &|_| None).unwrap();
    let tokens = figures(user, "one").unwrap().tokens;
    assert_eq!((tokens.len(), tokens[0].input), (1, 4500));
    assert_eq!(tokens[0].output, (0..1500).sum::<u64>());
    assert_eq!(figures(user, "s").unwrap().tokens, []);
    assert!(figures(user + 1, "one").is_none());
    assert_clean(&store);
}

#[test]
fn a_check_finds_wrong_rows_and_a_reindex_repairs_them() {
    let damages = [
        ("UPDATE messages SET type = 'x' WHERE line = 7", "the row of line 7 is wrong"),
        ("UPDATE tool_uses SET name = 'x' WHERE line = 7", "the row of line 7 is wrong"),
        ("DELETE FROM messages WHERE line = 7", "the row of line 7 is missing"),
        ("DELETE FROM messages WHERE line = 20", "the row of line 20 is missing"),
        ("DELETE FROM messages", "the row of line 1 is missing"),
        ("DELETE FROM usages WHERE line = 7", "the tokens of line 7 are not counted"),
    ];
    for (damage, told) in damages {
        let (_folder, store, user) = with_session();
        upload(&store, user, "one", &transcript("s", 0..20, 3), 20);
        index_all(&store);
        assert_clean(&store);
        execute(&store, damage);
        let problems = store.check().unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains(told), "{damage}: {problems:?}");
        let mut told = Vec::new();
        let done = store.reindex(&mut |lines, total| told.push((lines, total))).unwrap();
        assert_eq!((done.files, done.lines, done.damaged), (1, 20, 0));
        assert_eq!(told, [(20, 20)]);
        assert_clean(&store);
    }
}

#[test]
fn an_interrupted_reindex_goes_on_where_it_was() {
    let (_folder, store, user) = with_session();
    for session in ["one", "two", "three"] {
        upload(&store, user, session, &transcript(session, 0..600, 1), 600);
    }
    index_all(&store);
    // As it is left when the second of three files is at work.
    execute(
        &store,
        "INSERT INTO reindexing VALUES (2);
         DELETE FROM messages WHERE file_id = 2 AND line > 512;
         UPDATE files SET indexed_line = 512 WHERE id = 2;
         UPDATE messages SET type = 'x' WHERE file_id = 1 AND line = 1",
    );
    let done = store.reindex(&mut |_, _| {}).unwrap();
    assert_eq!((done.files, done.lines), (2, 1200));
    let problems = store.check().unwrap().problems;
    assert!(problems.len() == 1 && problems[0].starts_with("file 1 "), "{problems:?}");
    // A new one begins at the beginning.
    assert_eq!(store.reindex(&mut |_, _| {}).unwrap().files, 3);
    assert_clean(&store);
}

#[test]
fn blocks_come_to_rest_and_read_back() {
    let (_folder, store, user) = with_session();
    // Larger than two blocks at rest, in chunks of two lines and in large ones.
    let texts = transcript("s", 0..4000, 180);
    let n_bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
    assert!(n_bytes > 2 * merge::REST_BYTES_MAX);
    for (session, lines_a_chunk) in [("small", 20), ("large", 1700)] {
        upload(&store, user, session, &texts, lines_a_chunk);
        assert!(store.merge_all(now()).unwrap() > 0);
        assert_reads_back(&store, user, session, &texts);
        let file = file_of(&store, user, session).file.number;
        let blocks = format!("SELECT count(*) FROM blocks WHERE file_id = {file}");
        let fewest = n_bytes.div_ceil(merge::REST_BYTES_MAX) as i64;
        let n_blocks = number(&store, &blocks);
        assert!((fewest..=fewest + 1).contains(&n_blocks), "{n_blocks} blocks");
        assert_clean(&store);
    }
    let largest = number(&store, "SELECT max(raw_bytes) FROM blocks");
    assert!(largest as usize <= merge::REST_BYTES_MAX && largest > 2_000_000, "{largest}");
    assert_eq!(store.merge_all(now()).unwrap(), 0, "what is at rest stays so");
}

#[test]
fn a_file_that_grows_is_merged_a_little() {
    let (_folder, store, user) = with_session();
    let texts = transcript("s", 0..300, 20);
    upload(&store, user, "one", &texts, 1);
    index_all(&store);
    let file = file_of(&store, user, "one").file.number;
    let mut n_steps = 0;
    // Nobody was quiet so long ago.
    while store.next_to_merge(now() - FAR, &HashSet::new()).unwrap() == Found::File(file) {
        assert!(store.merge_blocks(file, now() - FAR).unwrap());
        n_steps += 1;
    }
    let n_blocks = number(&store, "SELECT count(*) FROM blocks WHERE file_id = 1");
    assert!(n_steps > 0 && n_blocks < 32, "{n_steps} steps, {n_blocks} blocks");
    assert_eq!(number(&store, "SELECT max(merged_line) FROM files"), 0);
    assert_reads_back(&store, user, "one", &texts);
    let later = micros(now());
    assert_eq!(store.next_to_merge(now() - FAR, &HashSet::new()).unwrap(), Found::Later(later));
}

/// A server merges the same files a little at the same time, and is mostly faster.
#[test]
fn everything_comes_to_rest_beside_somebody_who_merges() {
    let (folder, store, user) = with_session();
    let texts = transcript("s", 0..64, 20);
    let sessions: Vec<String> = (0..24).map(|number| format!("session {number}")).collect();
    for session in &sessions {
        upload(&store, user, session, &texts, 1);
    }
    index_all(&store);
    let server = Store::open(&folder.0).unwrap();
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            let quiet = now() - FAR;
            while let Found::File(file) = server.next_to_merge(quiet, &HashSet::new()).unwrap() {
                server.merge_blocks(file, quiet).unwrap();
            }
        });
        start.wait();
        store.merge_all(now()).unwrap();
    });
    let left = number(&store, "SELECT count(*) FROM files WHERE merged_line < last_line");
    assert_eq!(left, 0);
    for session in &sessions {
        assert_reads_back(&store, user, session, &texts);
    }
}

#[test]
fn lines_after_a_rest_join_the_small_block_before() {
    let (_folder, store, user) = with_session();
    let texts = transcript("one", 0..90, 20);
    upload(&store, user, "one", &texts[..30], 7);
    store.merge_all(now()).unwrap();
    for (first, last) in [(30, 60), (60, 90)] {
        let mut lines = Lines::default();
        texts[first..last].iter().for_each(|text| lines.push(text));
        let append = Append {
            session: "one",
            file_name: "f",
            file_type: "transcript",
            first_line: first as i64 + 1,
            lines: &lines,
            codex_metadata: false,
            report: None,
            update: SessionUpdate::default(),
        };
        store.append(user, &append, now()).unwrap();
        store.merge_all(now()).unwrap();
        assert_eq!(number(&store, "SELECT count(*) FROM blocks"), 1);
        assert_reads_back(&store, user, "one", &texts[..last]);
    }
    assert_clean(&store);
}

/// A session of several blocks and forks of it that go their own ways.
fn with_forks(store: &Store, user: i64) -> Vec<(&'static str, Vec<String>)> {
    let original = transcript("aaaaaaaa-0000", 0..4000, 120);
    let fork = |session: &str, at: u32, own: std::ops::Range<u32>| {
        let mut texts = transcript(session, 0..at, 120);
        texts.extend(transcript(session, own, 120));
        texts
    };
    let sessions = vec![
        ("original", original),
        ("whole", fork("bbbbbbbb-0000", 4000, 0..0)),
        ("half", fork("cccccccc-longer-0000", 2000, 10_000..10_200)),
        ("none", fork("dddddddd-0000", 0, 20_000..20_200)),
    ];
    for (session, texts) in &sessions {
        upload(store, user, session, texts, 200);
    }
    store.merge_all(now()).unwrap();
    sessions
}

#[test]
fn what_forks_copy_is_stored_once() {
    let (_folder, store, user) = with_session();
    let sessions = with_forks(&store, user);
    for (session, texts) in &sessions {
        assert_reads_back(&store, user, session, texts);
    }
    assert_clean(&store);
    let bytes = |session| stored_bytes(&store, session);
    let (original, whole) = (bytes("original"), bytes("whole"));
    assert!(whole < original / 20, "{whole} of {original}");
    assert!(whole < 4000 * 12, "{whole} bytes for 4000 lines");
    // Its own lines, and a little for the copied ones.
    let (half, own) = (bytes("half"), bytes("none"));
    assert!(half < own + original / 40, "{half}, its own {own}, of {original}");
    // Forks of another user share nothing.
    store.create_key("c@d", "k", &[9; 32], now()).unwrap();
    let other = store.user_of_key(&[9; 32]).unwrap().unwrap().id;
    upload(&store, other, "foreign", &sessions[1].1, 4000);
    store.merge_all(now()).unwrap();
    assert!(bytes("foreign") > original / 10 * 9);
}

#[test]
fn what_refers_to_a_removed_session_stays_whole() {
    let (folder, store, user) = with_session();
    let sessions = with_forks(&store, user);
    let count = || number(&store, "SELECT count(*) FROM blocks WHERE base_block IS NOT NULL");
    assert!(count() > 0);
    assert!(store.delete_session(user, "original").unwrap());
    for (session, texts) in &sessions[1..] {
        assert_reads_back(&store, user, session, texts);
    }
    assert_clean(&store);
    assert!(count() > 0, "the forks still share what they have in common");
    assert!(store.remove_session("whole").unwrap());
    assert!(!store.remove_session("whole").unwrap());
    for (session, texts) in &sessions[2..] {
        assert_reads_back(&store, user, session, texts);
    }
    assert_clean(&store);
    for file in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for gone in ["aaaaaaaa-0000", "bbbbbbbb-0000"] {
            assert!(memchr::memmem::find(&bytes, gone.as_bytes()).is_none(), "{gone}");
        }
    }
    assert!(store.remove_user("a@b").unwrap());
    assert_eq!(number(&store, "SELECT count(*) FROM blocks"), 0);
    assert_eq!(number(&store, "SELECT count(*) FROM messages"), 0);
    assert_clean(&store);
}

#[test]
fn sessions_that_begin_alike_share_their_beginning() {
    let (_folder, store, user) = with_session();
    let prompt = transcript("same", 0..40, 400).join("").replace('"', "'");
    for session in ["one", "two"] {
        let mut texts =
            vec![format!(r#"{{"type":"attachment","sessionId":"{session}","a":"{prompt}"}}"#)];
        texts.extend(transcript(session, 100..105, 20));
        upload(&store, user, session, &texts, 3);
        store.merge_all(now()).unwrap();
        assert_reads_back(&store, user, session, &texts);
    }
    let (one, two) = (stored_bytes(&store, "one"), stored_bytes(&store, "two"));
    assert!(two < one / 20, "{two} of {one}");
    assert_clean(&store);
}

#[test]
fn a_damaged_base_is_found_and_replaced_blocks_must_be_what_was_read() {
    let (_folder, store, user) = with_session();
    with_forks(&store, user);
    let base = "(SELECT base_block FROM blocks WHERE base_block IS NOT NULL LIMIT 1)";
    let damages = [
        (format!("UPDATE blocks SET data = x'00' WHERE id = {base}"), "decompress lines"),
        (format!("UPDATE blocks SET base_block = id + 1 WHERE id = {base}"), "has a base itself"),
        (
            format!(
                "INSERT INTO users (id, email, name, created_at)
                 VALUES (99, 'x', 'x', 0);
                 UPDATE sessions SET user_id = 99 WHERE uuid = 'original'; SELECT {base}"
            ),
            "is of another user",
        ),
    ];
    for (damage, told) in damages {
        let folder = Folder::new();
        std::fs::create_dir_all(&folder.0).unwrap();
        store.backup(&folder.0.join("confab.db")).unwrap();
        let damaged = Store::open(&folder.0).unwrap();
        execute(&damaged, &damage);
        let problems = damaged.check().unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(told)), "{damage}: {problems:?}");
    }
}

/// Appends, rows, merging and reading in any order, on two stores of one file, against a model.
#[test]
fn any_order_of_steps_keeps_the_lines() {
    let (folder, store, user) = with_session();
    let other = Store::open(&folder.0).unwrap();
    let stores = [&store, &other];
    let mut state = 7_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    let sessions = ["a", "b", "c"];
    sessions.iter().for_each(|session| upload(&store, user, session, &[], 1));
    let mut model: Vec<Vec<String>> = vec![Vec::new(); sessions.len()];
    let mut n_merged = 0;
    for step in 0..600 {
        let (which, store) = (below(sessions.len()), stores[below(2)]);
        let quiet = if below(3) == 0 { now() + FAR } else { now() - FAR };
        match below(6) {
            0..=2 => {
                // Each session goes on with what the others have as well, mostly.
                let lines = &mut model[which];
                let first = lines.len() as u32 + if below(5) == 0 { 1000 } else { 0 };
                let n_lines = 1 + below(60) as u32;
                let new = transcript(sessions[which], first..first + n_lines, 1 + below(300));
                let mut chunk = Lines::default();
                new.iter().for_each(|text| chunk.push(text));
                let append = Append {
                    session: sessions[which],
                    file_name: "f",
                    file_type: "transcript",
                    first_line: lines.len() as i64 + 1,
                    lines: &chunk,
                    codex_metadata: false,
                    report: None,
                    update: SessionUpdate::default(),
                };
                lines.extend(new);
                let stored = Appended::Stored(lines.len() as u64);
                assert_eq!(store.append(user, &append, now()).unwrap(), stored, "{step}");
            }
            3 => {
                let mut damaged = HashSet::new();
                store.index_step(&mut damaged).unwrap();
                assert_eq!(damaged, HashSet::new());
            }
            4 => {
                if let Found::File(file) = store.next_to_merge(quiet, &HashSet::new()).unwrap() {
                    n_merged += usize::from(store.merge_blocks(file, quiet).unwrap());
                }
            }
            _ => {
                let lines = &model[which];
                if !lines.is_empty() {
                    let file = file_of(store, user, sessions[which]).file;
                    let line = below(lines.len());
                    let (text, next) = store.lines_from(&file, line as i64 + 1).unwrap().unwrap();
                    let expected = lines[line..next as usize - 1].join("\n") + "\n";
                    assert!(text == expected.as_bytes(), "{step}");
                }
            }
        }
    }
    store.merge_all(now()).unwrap();
    for (session, lines) in sessions.iter().zip(&model) {
        assert_reads_back(&store, user, session, lines);
    }
    assert!(n_merged > 20, "{n_merged}");
    assert!(number(&store, "SELECT count(*) FROM blocks WHERE base_block IS NOT NULL") > 0);
    assert_clean(&store);
}

/// Figures are of one's own sessions. A fork of what somebody shares is one's own, and counts once.
#[test]
fn what_others_share_is_not_in_the_figures() {
    let (_folder, store, user) = with_session();
    store.create_key("c@d", "k", &[9; 32], now()).unwrap();
    let other = store.user_by_email("c@d").unwrap().unwrap();
    let texts = transcript("s", 0..20, 3);
    upload(&store, user, "shared", &texts, 9);
    upload(&store, other, "fork", &texts, 9);
    index_all(&store);
    store.share(user, "shared", With::User("c@d"), now()).unwrap();
    assert!(store.session(other, "shared").unwrap().is_some());
    let stats = |reader, by| {
        let rows = store.stats(reader, by, &SessionFilter::default(), &|_| None).unwrap().0;
        let row = |row: crate::wire::StatsRow| (row.key.unwrap(), row.sessions, row.messages);
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    for (reader, session) in [(other, "fork"), (user, "shared")] {
        assert_eq!(stats(reader, By::Session), [(session.to_owned(), 1, 20)]);
        assert_eq!(stats(reader, By::Model), [("m".to_owned(), 1, 20)]);
        assert_eq!(stats(reader, By::Tool), [("Bash".to_owned(), 1, 20)]);
    }
}
