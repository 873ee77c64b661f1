//! Tests of the log of the database, and of when the disk is waited for.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use super::*;

/// Somebody reads on and on, and the log has reached its largest size meanwhile.
#[test]
fn a_full_log_refuses_appends_until_its_reader_is_done() {
    let (folder, store, user) = with_session();
    assert_eq!(append(&store, user, 1, &["a"]), Appended::Stored(1));
    let reader = connect(&store.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM blocks").unwrap();
    assert_eq!(append(&store, user, 2, &["b"]), Appended::Stored(2));
    let log = folder.0.join("confab.db-wal");
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(wal::FULL_BYTES).unwrap();
    let mut lines = Lines::default();
    lines.push("c");
    let next = Append {
        session: "s",
        file_name: "f",
        file_type: "transcript",
        first_line: 3,
        lines: &lines,
        codex_metadata: false,
        report: None,
        update: SessionUpdate::default(),
    };
    let error = store.append(user, &next, NOW).unwrap_err();
    assert_eq!(error.to_string(), "the write-ahead log is full: somebody reads all the time");
    assert_eq!(whole(&store, user), "a\nb\n");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(store.append(user, &next, NOW).unwrap(), Appended::Stored(3));
    assert!(log.metadata().unwrap().len() < 1 << 20);
    assert_eq!(whole(&store, user), "a\nb\nc\n");
}

#[test]
fn what_may_be_made_again_does_not_wait_for_the_disk_and_all_else_does() {
    let (_folder, store, user) = with_session();
    append(&store, user, 1, &["a"]);
    while store.index_step(&mut HashSet::new()).unwrap() != index::Step::Nothing {}
    let synchronous = |connection: &Connection| -> i64 {
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap()
    };
    assert_eq!(synchronous(lock(&store.later).as_ref().unwrap()), 1);
    assert_eq!(synchronous(&lock(&store.writer)), 2);
}

/// Whoever moves the log at that moment is waited for as well; SQLite does not do so.
#[test]
fn the_log_is_emptied_beside_a_server_that_tends_it() {
    let (folder, store, user) = with_session();
    let server = Store::open(&folder.0).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.tend_log().unwrap();
            }
        });
        for number in 1..=100 {
            append(&store, user, number, &["a"]);
            let emptied = store.empty_log();
            is_over.store(emptied.is_err() || number == 100, Ordering::Relaxed);
            emptied.unwrap();
        }
    });
}
