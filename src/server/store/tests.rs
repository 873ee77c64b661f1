//! Tests of the database below HTTP.

mod log;
mod rest;

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::github::Link;
use crate::server::lines::Lines;
use crate::server::search::SessionFilter;
use crate::wire::{FILE_CHUNKS_MAX, LINE_NUMBER_MAX, LinkEntry, LinkRequest};

pub(super) struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("confab-store-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) const NOW: SystemTime = UNIX_EPOCH;
pub(super) const HASH: KeyHash = [7; 32];

/// A store with one user and one session.
pub(super) fn with_session() -> (Folder, Store, i64) {
    let folder = Folder::new();
    let store = Store::open(&folder.0).unwrap();
    store.create_key("a@b", "k", &HASH, NOW).unwrap();
    let user = store.user_of_key(&HASH).unwrap().unwrap().id;
    let opening =
        Opening { provider: "claude-code".into(), external_id: "e".into(), ..Opening::default() };
    store.open_session(user, &opening, "s", NOW).unwrap();
    (folder, store, user)
}

fn append_with(
    store: &Store,
    user: i64,
    first_line: i64,
    texts: &[&str],
    update: SessionUpdate,
) -> Appended {
    let mut lines = Lines::default();
    texts.iter().for_each(|text| lines.push(text));
    let append = Append {
        session: "s",
        file_name: "f",
        file_type: "transcript",
        first_line,
        lines: &lines,
        codex_metadata: false,
        report: None,
        update,
    };
    store.append(user, &append, NOW).unwrap()
}

pub(super) fn append(store: &Store, user: i64, first_line: i64, texts: &[&str]) -> Appended {
    append_with(store, user, first_line, texts, SessionUpdate::default())
}

fn whole(store: &Store, user: i64) -> String {
    let download = store.download(user, "s", "f").unwrap().unwrap().unwrap();
    let (mut text, mut line) = (Vec::new(), 1);
    while line <= download.last_line {
        let (piece, next) = store.lines_from(&download.file, line).unwrap().unwrap();
        text.extend(piece);
        line = next;
    }
    assert_eq!(text.len() as u64, download.bytes);
    String::from_utf8(text).unwrap()
}

pub(super) fn execute(store: &Store, sql: &str) {
    lock(&store.writer).execute_batch(sql).unwrap();
}

#[test]
fn what_is_repeated_must_equal_what_is_stored() {
    let (_folder, store, user) = with_session();
    assert_eq!(append(&store, user, 2, &["b"]), Appended::NotContiguous(1));
    assert_eq!(append(&store, user, 1, &["a", "b"]), Appended::Stored(2));
    assert_eq!(append(&store, user, 3, &["c"]), Appended::Stored(3));
    // first line, lines, answer, file afterwards
    let cases: [(i64, &[&str], Appended, &str); 9] = [
        (1, &["a", "b", "c"], Appended::Stored(3), "a\nb\nc\n"),
        (1, &["a"], Appended::Stored(3), "a\nb\nc\n"),
        (2, &["b", "c"], Appended::Stored(3), "a\nb\nc\n"),
        (2, &["b", "x"], Appended::NotContiguous(4), "a\nb\nc\n"),
        (1, &["x", "b", "c", "d"], Appended::NotContiguous(4), "a\nb\nc\n"),
        (3, &["c "], Appended::NotContiguous(4), "a\nb\nc\n"),
        (5, &["e"], Appended::NotContiguous(4), "a\nb\nc\n"),
        (2, &["b", "c", "d", "e"], Appended::Stored(5), "a\nb\nc\nd\ne\n"),
        (6, &["", "\u{0}"], Appended::Stored(7), "a\nb\nc\nd\ne\n\n\u{0}\n"),
    ];
    for (first_line, texts, answer, file) in cases {
        assert_eq!(append(&store, user, first_line, texts), answer, "{first_line} {texts:?}");
        assert_eq!(whole(&store, user), file, "{first_line} {texts:?}");
    }
}

#[test]
fn blocks_may_be_divided_in_any_way() {
    let (_folder, store, user) = with_session();
    for line in 1..=4 {
        append(&store, user, line, &[&format!("line {line}")]);
    }
    let mut merged = Lines::default();
    (2..=3).for_each(|line| merged.push(&format!("line {line}")));
    let block = merged.blocks(0, 2).unwrap().remove(0);
    execute(&store, "DELETE FROM blocks WHERE first_line IN (2, 3)");
    lock(&store.writer)
        .execute(
            "INSERT INTO blocks (file_id, first_line, last_line, raw_bytes, codec, data)
             VALUES (1, 2, 3, ?, 0, ?)",
            (block.raw_bytes as i64, &block.data),
        )
        .unwrap();
    assert_eq!(whole(&store, user), "line 1\nline 2\nline 3\nline 4\n");
    let repeated = ["line 3", "line 4", "line 5"];
    assert_eq!(append(&store, user, 3, &repeated), Appended::Stored(5));
    execute(&store, "DELETE FROM blocks WHERE first_line = 2");
    let file = store.download(user, "s", "f").unwrap().unwrap().unwrap().file;
    let error = store.lines_from(&file, 2).unwrap_err();
    assert_eq!(error.to_string(), "read lines: line 2 of file 1 is missing");
}

#[test]
fn limits_of_a_file() {
    let (_folder, store, user) = with_session();
    append(&store, user, 1, &["a"]);
    execute(&store, &format!("UPDATE files SET chunks = {FILE_CHUNKS_MAX}"));
    assert_eq!(append(&store, user, 2, &["b"]), Appended::TooManyChunks);
    // A repeat stores nothing, so it is no further chunk.
    assert_eq!(append(&store, user, 1, &["a"]), Appended::Stored(1));
    execute(&store, &format!("UPDATE files SET chunks = 1, last_line = {LINE_NUMBER_MAX}"));
    let next = LINE_NUMBER_MAX as i64 + 1;
    assert_eq!(append(&store, user, next, &["b"]), Appended::TooManyLines);
    assert_eq!(append(&store, user, i64::MAX, &["b"]), Appended::NotContiguous(next as u64));
}

#[test]
fn limits_of_a_session() {
    let (_folder, store, user) = with_session();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO files (session_id, name, type, last_line, raw_bytes, chunks, updated_at)
         SELECT 1, 'file ' || i, 'agent', 1, 1, 1, 0 FROM n",
        files::SESSION_FILES_MAX
    );
    execute(&store, &fill);
    assert_eq!(append(&store, user, 1, &["a"]), Appended::TooManyFiles);
}

#[test]
fn what_chunks_say_of_a_session() {
    let (_folder, store, user) = with_session();
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    let first = SessionUpdate {
        summary: Some("one".into()),
        first_user_message: Some("hello".into()),
        last_message_at: at(20),
        ..SessionUpdate::default()
    };
    append_with(&store, user, 1, &["a"], first);
    let second = SessionUpdate {
        first_user_message: Some("later".into()),
        last_message_at: at(10),
        ..SessionUpdate::default()
    };
    append_with(&store, user, 2, &["b"], second);
    let entry = store
        .sessions(user, &SessionFilter::default(), None, 10, SystemTime::now())
        .unwrap()
        .0
        .remove(0);
    assert_eq!(entry.summary.as_deref(), Some("one"));
    assert_eq!(entry.first_user_message.as_deref(), Some("hello"));
    assert_eq!(entry.last_message_at.as_deref(), Some("1970-01-01T00:00:20Z"));
    let cleared = SessionUpdate {
        summary: Some(String::new()),
        last_message_at: at(30),
        ..SessionUpdate::default()
    };
    append_with(&store, user, 3, &["c"], cleared);
    let entry = store
        .sessions(user, &SessionFilter::default(), None, 10, SystemTime::now())
        .unwrap()
        .0
        .remove(0);
    assert_eq!(entry.summary.as_deref(), Some(""));
    assert_eq!(entry.last_message_at.as_deref(), Some("1970-01-01T00:00:30Z"));
    assert_eq!((entry.total_files, entry.total_lines), (1, 3));
}

#[test]
fn a_second_opening_keeps_what_it_does_not_know_but_for_cwd() {
    let (_folder, store, user) = with_session();
    let opening = |cwd: &str, hostname: &str, branch: Option<&str>| Opening {
        provider: "claude-code".into(),
        external_id: "e".into(),
        transcript_path: "/t".into(),
        cwd: cwd.into(),
        hostname: hostname.into(),
        username: String::new(),
        git_info: branch.map(|branch| crate::wire::GitInfo {
            branch: Some(branch.into()),
            ..crate::wire::GitInfo::default()
        }),
    };
    store.open_session(user, &opening("/w", "box", Some("main")), "other", NOW).unwrap();
    let opened = store.open_session(user, &opening("", "", None), "other", NOW).unwrap();
    assert_eq!(opened.session_id, "s");
    let detail = store.session(user, "s").unwrap().unwrap();
    assert_eq!(detail.hostname.as_deref(), Some("box"));
    assert_eq!(detail.git_info.unwrap().branch.as_deref(), Some("main"));
    assert_eq!(detail.cwd, None);
}

#[test]
fn a_new_key_replaces_the_one_of_the_same_user_and_name() {
    let (_folder, store, user) = with_session();
    let new = [8; 32];
    store.create_key("a@b", "k", &new, NOW).unwrap();
    assert_eq!(store.user_of_key(&HASH).unwrap(), None);
    let expected = User { id: user, email: "a@b".into(), name: "a".into(), is_disabled: false };
    assert_eq!(store.user_of_key(&new).unwrap(), Some(expected));
    store.create_key("a@b", "other", &HASH, NOW).unwrap();
    assert!(store.user_of_key(&HASH).unwrap().is_some());
    assert!(store.user_of_key(&new).unwrap().is_some());
}

#[test]
fn folder_and_files_are_private() {
    let (folder, store, user) = with_session();
    append(&store, user, 1, &["a"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "database and log");
    for file in files {
        assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
    }
}

#[test]
fn a_newer_database_is_refused() {
    let (folder, store, _) = with_session();
    execute(&store, "PRAGMA user_version = 99");
    drop(store);
    let error = Store::open(&folder.0).unwrap_err();
    assert!(error.to_string().contains("its version 99 is newer than "), "{error}");
    assert_eq!(error.hint(), Some("use a newer confab-server"));
}

fn link(store: &Store, user: i64, session: &str, url: &str) -> Option<LinkEntry> {
    let request = LinkRequest { url: url.into(), source: "manual".into(), ..Default::default() };
    store.add_link(user, session, &request, &Link::parse(url).unwrap(), NOW).unwrap()
}

#[test]
fn a_link_is_stored_once_and_is_nobody_elses() {
    let (_folder, store, user) = with_session();
    let first = link(&store, user, "s", "https://github.com/o/r/commit/abc").unwrap();
    let again = link(&store, user, "s", "http://github.com/o/r/commit/abc").unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(again.url, "http://github.com/o/r/commit/abc", "as it was sent last");
    for other in ["https://github.com/o/r/pull/1", "https://github.example.com/o/r/commit/abc"] {
        assert_ne!(link(&store, user, "s", other).unwrap().id, first.id, "{other}");
    }
    assert_eq!(store.links(user, "s").unwrap().unwrap().len(), 3);
    assert_eq!(link(&store, user + 1, "s", "https://github.com/o/r/pull/2"), None);
    assert_eq!(link(&store, user, "other", "https://github.com/o/r/pull/2"), None);
    assert_eq!(store.links(user + 1, "s").unwrap(), None);
}

#[test]
fn two_stores_on_one_file_do_not_mix_lines() {
    let (folder, store, user) = with_session();
    let other = Store::open(&folder.0).unwrap();
    assert_eq!(append(&store, user, 1, &["a"]), Appended::Stored(1));
    assert_eq!(append(&other, user, 1, &["x"]), Appended::NotContiguous(2));
    assert_eq!(append(&other, user, 2, &["b"]), Appended::Stored(2));
    assert_eq!(whole(&store, user), "a\nb\n");
}

#[test]
fn a_full_disk_refuses_an_append_and_loses_nothing() {
    let (_folder, store, user) = with_session();
    assert_eq!(append(&store, user, 1, &["a"]), Appended::Stored(1));
    // SQLite's own limit: the same error as a full disk, from the same place.
    let pages: i64 =
        lock(&store.writer).pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    execute(&store, &format!("PRAGMA max_page_count = {pages}"));
    let mut random = 1_u32;
    let noise: String = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (random >> 24) as u8 % 90)
    })
    .take(100_000)
    .collect();
    let mut lines = Lines::default();
    lines.push(&noise);
    let large = Append {
        session: "s",
        file_name: "f",
        file_type: "transcript",
        first_line: 2,
        lines: &lines,
        codex_metadata: false,
        report: None,
        update: SessionUpdate { summary: Some("new".into()), ..SessionUpdate::default() },
    };
    let error = store.append(user, &large, NOW).unwrap_err();
    assert_eq!(error.to_string(), "append lines: database or disk is full");
    assert_eq!(whole(&store, user), "a\n");
    assert_eq!(store.session(user, "s").unwrap().unwrap().summary, None);
    execute(&store, "PRAGMA max_page_count = 1000000");
    assert_eq!(store.append(user, &large, NOW).unwrap(), Appended::Stored(2));
    assert_eq!(whole(&store, user), format!("a\n{noise}\n"));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = Folder::new();
    private_folder(&folder.0).unwrap();
    std::fs::write(folder.0.join("confab.db"), "no database".repeat(1000)).unwrap();
    let error = Store::open(&folder.0).unwrap_err().to_string();
    assert!(error.starts_with("open database /"), "{error}");
    assert!(error.ends_with("confab.db: file is not a database"), "{error}");
}

#[test]
fn every_connection_writes_through_to_the_disk() {
    let (_folder, store, _) = with_session();
    let check = |connection: &Connection| {
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let synchronous: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    };
    check(&lock(&store.writer));
    check(&connect(&store.path).unwrap());
}

#[test]
fn appends_agree_with_a_model() {
    let (_folder, store, user) = with_session();
    let mut model: Vec<String> = Vec::new();
    let mut state = 42_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    let (mut stored, mut refused) = (0, 0);
    for step in 0..400 {
        // Somewhere around the end, a few lines, sometimes not what is stored there.
        let first = (model.len() + 3).saturating_sub(below(8)).max(1);
        let wrong = below(4) == 0;
        let texts: Vec<String> = (first..first + 1 + below(5))
            .map(|line| match model.get(line - 1) {
                Some(text) if !wrong => text.clone(),
                _ => format!("{step} {}", "x".repeat(below(300))),
            })
            .collect();
        let repeated = model.iter().skip(first - 1).zip(&texts);
        let fits = first <= model.len() + 1 && repeated.clone().all(|(old, new)| old == new);
        let expected = if fits {
            let known = repeated.count();
            model.extend(texts[known..].iter().cloned());
            stored += 1;
            Appended::Stored(model.len() as u64)
        } else {
            refused += 1;
            Appended::NotContiguous(model.len() as u64 + 1)
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(append(&store, user, first as i64, &texts), expected, "step {step}");
    }
    assert_eq!(whole(&store, user), model.join("\n") + "\n");
    assert!(stored > 100 && refused > 50, "{stored} stored, {refused} refused");
}

#[test]
fn a_check_reads_everything_and_finds_damage() {
    let (_folder, store, user) = with_session();
    let update = SessionUpdate::default;
    append_with(&store, user, 1, &["a", "b"], update());
    append_with(&store, user, 3, &[&"c".repeat(500)], update());
    let expected = Report { sessions: 1, files: 1, lines: 3, problems: Vec::new() };
    assert_eq!(store.check().unwrap(), expected);
    let damages = [
        ("UPDATE blocks SET data = x'00' WHERE first_line = 3", "file 1 (f): decompress"),
        (
            "UPDATE blocks SET data = x'610a', raw_bytes = 2 WHERE first_line = 1",
            "lines 1 to 2 are 1",
        ),
        ("UPDATE files SET raw_bytes = raw_bytes + 1", "bytes instead of"),
        ("UPDATE files SET last_line = 9", "line 4 of file 1 is missing"),
        ("UPDATE files SET last_line = 2", "block from line 3 on behind the last"),
        ("DELETE FROM blocks WHERE first_line = 1", "line 1 of file 1 is missing"),
    ];
    for (damage, told) in damages {
        let folder = Folder::new();
        let copy = folder.0.join("confab.db");
        std::fs::create_dir_all(&folder.0).unwrap();
        store.backup(&copy).unwrap();
        let damaged = Store::open(&folder.0).unwrap();
        lock(&damaged.writer).execute(damage, []).unwrap();
        let problems = damaged.check().unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains(told), "{damage}: {problems:?}");
        let again = folder.0.join("again.db");
        assert!(damaged.backup(&again).is_err(), "a copy of what is damaged is no backup");
        assert!(!again.exists());
    }
}

#[test]
fn a_backup_is_a_private_new_file_with_everything() {
    let (folder, store, user) = with_session();
    append_with(&store, user, 1, &["a"], SessionUpdate::default());
    let path = folder.0.join("backup.db");
    assert_eq!(store.backup(&path).unwrap().lines, 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&path).unwrap();
    let error = store.backup(&path).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "an older backup is left alone");
    assert!(store.backup(&folder.0.join("nowhere/backup.db")).is_err());
}

#[test]
fn keys_are_listed_and_revoked() {
    let (_folder, store, user) = with_session();
    append_with(&store, user, 1, &["a"], SessionUpdate::default());
    assert!(store.add_user("c@d", NOW).unwrap());
    assert!(!store.add_user("c@d", NOW).unwrap());
    let keys = store.keys().unwrap();
    assert_eq!((keys.len(), keys[0].user.as_str(), keys[0].name.as_str()), (1, "a@b", "k"));
    let users = store.users().unwrap();
    let facts: Vec<_> = users.iter().map(|user| (user.keys, user.sessions, user.bytes)).collect();
    assert_eq!(facts, [(1, 1, 2), (0, 0, 0)]);
    assert!(!store.revoke_key("c@d", "k").unwrap());
    assert!(store.revoke_key("a@b", "k").unwrap());
    assert!(!store.revoke_key("a@b", "k").unwrap());
    assert_eq!(store.user_of_key(&HASH).unwrap(), None);
}

/// The number of a file that is gone is the next one's: whoever was reading does not read on there.
#[test]
fn nobody_reads_on_in_another_file() {
    let (_folder, store, user) = with_session();
    store.create_key("c@d", "k", &[9; 32], NOW).unwrap();
    let other = store.user_by_email("c@d").unwrap().unwrap();
    let opening = || Opening { provider: "claude-code".into(), ..Opening::default() };
    let store_line = |user, session: &str| {
        store.open_session(user, &opening(), session, NOW).unwrap();
        let mut lines = Lines::default();
        lines.push("said in confidence");
        let append = Append {
            session,
            file_name: "f",
            file_type: "transcript",
            first_line: 1,
            lines: &lines,
            codex_metadata: false,
            report: None,
            update: SessionUpdate::default(),
        };
        assert_eq!(store.append(user, &append, NOW).unwrap(), Appended::Stored(1));
        store.download(user, session, "f").unwrap().unwrap().unwrap().file
    };
    let file = store_line(other, "theirs");
    let place = store.place(other, "theirs", Some("f")).unwrap().unwrap().unwrap();
    assert!(store.lines_from(&file, 1).unwrap().is_some());
    assert!(store.delete_session(other, "theirs").unwrap());
    let next = store_line(user, "mine");
    assert_eq!(next.number, file.number, "or this shows nothing");
    assert_eq!(store.lines_from(&file, 1).unwrap(), None);
    assert_eq!(store.line_before(&file, 0).unwrap(), None);
    assert!(store.outline(place).unwrap().is_none());
    // Neither is one's own next session what was opened.
    assert!(store.delete_session(user, "mine").unwrap());
    assert_eq!(store_line(user, "mine-too").number, next.number);
    assert_eq!(store.lines_from(&next, 1).unwrap(), None);
}

/// What is taken back while somebody reads it is not read to its end.
#[test]
fn nobody_reads_on_what_was_taken_back() {
    let (_folder, store, user) = with_session();
    store.create_key("c@d", "k", &[9; 32], NOW).unwrap();
    let other = store.user_by_email("c@d").unwrap().unwrap();
    append(&store, user, 1, &["said in confidence"]);
    let Shared::Done(share) = store.share(user, "s", With::User("c@d"), NOW).unwrap() else {
        panic!("not shared")
    };
    let file = store.download(other, "s", "f").unwrap().unwrap().unwrap().file;
    assert!(store.lines_from(&file, 1).unwrap().is_some());
    assert!(store.unshare(user, "s", share.id).unwrap());
    assert_eq!(store.lines_from(&file, 1).unwrap(), None);
}

/// What is left on the disk is not the business of who asks: it cannot make a removal fail.
#[test]
fn a_removal_is_told_at_once_and_cleaned_up_later() {
    let (_folder, store, user) = with_session();
    append(&store, user, 1, &["a"]);
    let heard = store.arrivals.count();
    // Whoever waits for the log, waits for this reader.
    let reader = store.reader().unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM files").unwrap();
    assert!(store.delete_session(user, "s").unwrap());
    let Heard::News(news, _) = store.arrivals.wait(heard, Duration::ZERO, |_| true) else {
        panic!("nothing is heard")
    };
    let gone = Arrival { user, session: "s".into(), kind: ArrivalKind::Gone };
    assert_eq!(news, [gone]);
    let left = || -> i64 {
        let count = "SELECT count(*) FROM removals";
        lock(&store.writer).query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(left(), 1);
    store.purge().unwrap();
    store.tend_log().unwrap();
    assert!(store.is_log_old() && store.log_bytes() > 0);
    drop(reader);
    store.tend_log().unwrap();
    assert!(!store.is_log_old());
    assert_eq!((left(), store.log_bytes()), (0, 0));
}
