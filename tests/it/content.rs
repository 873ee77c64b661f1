//! What is in the files, and how it arrives: lines, torn, odd, huge, rewritten or moved.

use std::fs;

use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault, Moment};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

/// A backend and a sandbox whose transcript holds `text` and is followed.
fn following(name: &str, text: impl AsRef<[u8]>) -> (Backend, Sandbox) {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend(name, &backend);
    append(&sandbox.transcript(ID), text);
    sandbox.session_start(ID);
    (backend, sandbox)
}

/// Waits until the client has noted on disk that the transcript was sent whole. From then on it
/// does not read the file any more until it changes.
#[track_caller]
fn settled(sandbox: &Sandbox) {
    let bytes = fs::metadata(sandbox.transcript(ID)).unwrap().len();
    eventually("the transcript is settled", || {
        sandbox.state(ID).is_some_and(|state| {
            state["files"][format!("{ID}.jsonl")]["bytes_seen"] == bytes
                && state["synced_at"].is_string()
        })
    });
}

/// Ends the session and checks that everything was accepted and nothing is left.
#[track_caller]
fn end(sandbox: &Sandbox, backend: &Backend) {
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// W-01: a line is a line when its newline is there, however many cycles that takes.
#[test]
fn a_torn_last_line_is_sent_when_it_is_whole() {
    let (backend, sandbox) = following("torn", line(ID, 1));
    backend.eventually_holds(ID, &line(ID, 1));
    let torn = line(ID, 2);
    let other = sandbox.project(&format!("{ID}/subagents/agent-a1b2c3d.jsonl"));
    for (number, piece) in [&torn[..7], &torn[7..60], &torn[60..torn.len() - 1]].iter().enumerate()
    {
        append(&sandbox.transcript(ID), piece);
        // Cycles go by: a line of another file arrives meanwhile.
        append(&other, line(ID, number + 1));
        let arrived = || backend.lines(ID, "agent-a1b2c3d.jsonl").len() == number + 1;
        eventually("another cycle", arrived);
        assert_eq!(backend.transcript(ID), line(ID, 1), "piece {number}");
    }
    append(&sandbox.transcript(ID), "\n");
    append(&sandbox.transcript(ID), line(ID, 3));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    end(&sandbox, &backend);
}

/// At the end a tail without newline is sent if it is a whole value, and not otherwise.
#[test]
fn an_unfinished_tail_is_sent_at_the_end_only_if_it_is_a_whole_value() {
    let whole = line(ID, 2);
    for (name, tail, expected) in [
        ("whole", whole.trim_end(), lines(ID, 1, 2)),
        ("cut", &whole[..whole.len() - 9], line(ID, 1)),
    ] {
        let (backend, sandbox) = following(&format!("tail-{name}"), line(ID, 1));
        backend.eventually_holds(ID, &line(ID, 1));
        append(&sandbox.transcript(ID), tail);
        sandbox.session_end(ID);
        sandbox.daemons_end();
        assert_eq!(backend.transcript(ID), expected, "{name}");
        assert_eq!(backend.session(ID).unwrap().events.len(), 1, "{name}");
    }
}

/// A tail that was sent at the end and gets its newline when the session is resumed is not sent
/// again, and no line is.
#[test]
fn a_tail_that_was_sent_is_not_sent_again_on_resume() {
    let (backend, sandbox) = following("tail-resumed", lines(ID, 1, 2).trim_end());
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
    append(&sandbox.transcript(ID), "\n");
    append(&sandbox.transcript(ID), line(ID, 3));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
}

/// Lines that are no JSON, blank, with NUL or broken UTF-8 stop nothing and keep their number.
#[test]
fn odd_lines_keep_their_numbers() {
    let odd: &[&[u8]] = &[
        b"\n",
        b"   \n",
        b"not json\n",
        b"{\"type\":\"user\",\"broken\n",
        b"nul \0 inside\n",
        b"\xff\xfe broken utf-8 \xc3(\n",
        b"{\"type\":\"user\",\"lone\":\"\\ud800\"}\n",
        b"[1,2,3]\n",
        b"\"text\"\n",
        b"\n",
    ];
    let text = [line(ID, 1).as_bytes(), &odd.concat(), line(ID, 2).as_bytes()].concat();
    let (backend, sandbox) = following("odd-lines", &text);
    let number = odd.len() + 2;
    let name = format!("{ID}.jsonl");
    eventually("all lines are stored", || backend.lines(ID, &name).len() == number);
    append(&sandbox.transcript(ID), line(ID, 3));
    eventually("the next line", || backend.lines(ID, &name).len() == number + 1);
    let stored = backend.lines(ID, &name);
    let expected = String::from_utf8_lossy(&text);
    for (number, (stored, expected)) in
        stored.iter().zip(expected.split_terminator("\n")).enumerate()
    {
        assert_eq!(stored, expected, "line {}", number + 1);
    }
    assert_eq!(format!("{}\n", stored.last().unwrap()), line(ID, 3));
    end(&sandbox, &backend);
}

/// W-54: positions are those of the file, not of what is sent.
#[test]
fn crlf_lines_arrive_once_each() {
    let crlf = |first, last| lines(ID, first, last).replace('\n', "\r\n");
    let (backend, sandbox) = following("crlf", crlf(1, 50));
    let stored = || backend.transcript(ID).replace('\r', "");
    eventually("the first lines", || stored() == lines(ID, 1, 50));
    append(&sandbox.transcript(ID), crlf(51, 60));
    eventually("the next lines", || stored() == lines(ID, 1, 60));
    end(&sandbox, &backend);
    assert_eq!(stored(), lines(ID, 1, 60));
}

/// W-03: a line too large for the backend becomes a small one with the same number.
#[test]
fn a_line_of_20_mb_becomes_a_stand_in_and_the_rest_follows() {
    let uuid = "99999999-9999-4999-8999-999999999999";
    let filling = "word ".repeat(4 << 20);
    let huge = json!({
        "type": "assistant",
        "uuid": uuid,
        "timestamp": "2026-02-01T10:00:00.123Z",
        "sessionId": ID,
        "message": { "role": "assistant", "content": [{ "type": "text", "text": filling }] },
    });
    let huge = format!("{huge}\n");
    let bytes = huge.len() - 1;
    let text = [line(ID, 1), huge, line(ID, 3)].concat();
    let (backend, sandbox) = following("huge-line", text);
    let name = format!("{ID}.jsonl");
    eventually("all lines are stored", || backend.lines(ID, &name).len() == 3);
    append(&sandbox.transcript(ID), line(ID, 4));
    eventually("the next line", || backend.lines(ID, &name).len() == 4);
    let stored = backend.lines(ID, &name);
    assert_eq!(format!("{}\n", stored[0]), line(ID, 1));
    assert_eq!(format!("{}\n", stored[2]), line(ID, 3));
    assert_eq!(format!("{}\n", stored[3]), line(ID, 4));
    assert!(stored[1].len() < 16 << 20, "{} bytes", stored[1].len());
    let stand_in: Value = serde_json::from_str(&stored[1]).expect("valid JSON");
    assert_eq!(stand_in["type"], "assistant");
    assert_eq!(stand_in["uuid"], uuid);
    assert_eq!(stand_in["timestamp"], "2026-02-01T10:00:00.123Z");
    let start = stored[1].get(..4096).unwrap_or(&stored[1]);
    assert!(stored[1].contains(&format!(":{bytes}")), "the size is in it: {start}");
    assert!(stored[1].contains("hash") || stored[1].contains("sha256"), "{start}");
    eventually("the status counts it", || {
        let status = sandbox.run(&["sync", "status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["sessions"][0]["files"][0]["too_large_lines"] == 1
    });
    end(&sandbox, &backend);
}

/// W-02: requests are measured as they are sent; lines full of quotes double in size.
#[test]
fn lines_full_of_quotes_fit_into_requests() {
    let quotes = format!("{{\"type\":\"x\",\"text\":\"{}\"}}\n", "\\\"<&>".repeat(200_000));
    let text = quotes.repeat(20);
    let (backend, sandbox) = following("quotes", &text);
    eventually("everything is stored", || backend.transcript(ID) == text);
    assert!(backend.count(Endpoint::Chunk) > 1);
    end(&sandbox, &backend);
}

/// A backend or something before it that takes less than we send gets less at once.
#[test]
fn a_request_that_is_refused_as_too_large_is_halved() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("halved", &backend);
    let text = format!("{{\"text\":\"{}\"}}\n", "word ".repeat(2000)).repeat(800);
    append(&sandbox.transcript(ID), &text);
    for _ in 0..2 {
        backend.fail(Endpoint::Chunk, Fault::invalid_body());
    }
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &text);
    let sizes: Vec<usize> = backend
        .arrived()
        .iter()
        .filter_map(|arrived| arrived.body["lines"].as_array().map(Vec::len))
        .collect();
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[1], "{sizes:?}");
    end(&sandbox, &backend);
}

/// The same for lines that are small already: they are tried again, never passed over.
#[test]
fn small_lines_that_are_refused_as_too_large_are_sent_again() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("small-refused", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    for _ in 0..2 {
        backend.fail(Endpoint::Chunk, Fault::invalid_body());
    }
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    end(&sandbox, &backend);
}

/// W-16: a file that shrinks or is rewritten goes on behind what the backend has, from where the
/// contents part; nothing is skipped, nothing is cut in the middle.
#[test]
fn a_rewritten_transcript_goes_on_behind_the_common_part() {
    let (backend, sandbox) = following("rewritten", lines(ID, 1, 5));
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    settled(&sandbox);
    let rewritten = [lines(ID, 1, 3), lines(ID, 104, 108)].concat();
    fs::write(sandbox.transcript(ID), &rewritten).unwrap();
    let expected = [lines(ID, 1, 5), lines(ID, 104, 108)].concat();
    backend.eventually_holds(ID, &expected);
    eventually("the status counts it", || {
        let status = sandbox.run(&["sync", "status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["sessions"][0]["files"][0]["rewritten"] == 1
    });
    let text = sandbox.run(&["sync", "status"]).stdout;
    assert!(text.contains("rewritten") || text.contains("shrunk"), "{text}");
    append(&sandbox.transcript(ID), line(ID, 109));
    backend.eventually_holds(ID, &[expected, line(ID, 109)].concat());
    end(&sandbox, &backend);
}

#[test]
fn a_truncated_transcript_that_grows_again_goes_on() {
    let (backend, sandbox) = following("truncated", lines(ID, 1, 5));
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    settled(&sandbox);
    let length = lines(ID, 1, 2).len() as u64;
    let file = fs::OpenOptions::new().write(true).open(sandbox.transcript(ID)).unwrap();
    file.set_len(length).unwrap();
    append(&sandbox.transcript(ID), lines(ID, 201, 209));
    let expected = [lines(ID, 1, 5), lines(ID, 201, 209)].concat();
    backend.eventually_holds(ID, &expected);
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), expected);
}

/// The same while the first lines are on their way: nothing is taken from the middle of a line.
#[test]
fn a_transcript_rewritten_while_it_is_sent_goes_on_behind_the_common_part() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("rewritten-while-sent", &backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 5));
    let path = sandbox.transcript(ID);
    backend.observe(move |number, moment| {
        // The first request opens the session, the second one brings the lines.
        if (number, moment) == (2, Moment::Arrived) {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(lines(ID, 1, 2).len() as u64).unwrap();
            append(&path, lines(ID, 201, 209));
        }
    });
    sandbox.session_start(ID);
    let expected = [lines(ID, 1, 5), lines(ID, 201, 209)].concat();
    backend.eventually_holds(ID, &expected);
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), expected);
}

/// The same, found by a daemon that was not there when it happened.
#[test]
fn a_transcript_rewritten_between_two_daemons_goes_on() {
    let (backend, sandbox) = following("rewritten-between", lines(ID, 1, 5));
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    settled(&sandbox);
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    let rewritten = [lines(ID, 1, 2), lines(ID, 301, 309)].concat();
    fs::write(sandbox.transcript(ID), rewritten).unwrap();
    sandbox.prompt(ID);
    backend.eventually_holds(ID, &[lines(ID, 1, 5), lines(ID, 301, 309)].concat());
    end(&sandbox, &backend);
}

/// A copy with the same bytes under a new inode is the same file.
#[test]
fn a_transcript_replaced_by_an_equal_one_sends_nothing_again() {
    let (backend, sandbox) = following("replaced-equal", lines(ID, 1, 5));
    backend.eventually_holds(ID, &lines(ID, 1, 5));
    settled(&sandbox);
    let copy = sandbox.project("copy");
    fs::write(&copy, lines(ID, 1, 6)).unwrap();
    fs::rename(&copy, sandbox.transcript(ID)).unwrap();
    backend.eventually_holds(ID, &lines(ID, 1, 6));
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), lines(ID, 1, 6));
}

/// A transcript that is deleted (Claude Code does that after 30 days) ends nothing badly.
#[test]
fn a_deleted_transcript_is_no_error() {
    let (backend, sandbox) = following("deleted-file", lines(ID, 1, 2));
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    fs::remove_file(sandbox.transcript(ID)).unwrap();
    end(&sandbox, &backend);
    assert_eq!(backend.transcript(ID), lines(ID, 1, 2));
}

/// Entering a worktree renames transcript and session folder into another project's folder.
fn check_move(name: &str, with_hook: bool) {
    let (backend, sandbox) = following(name, lines(ID, 1, 3));
    let agent = "agent-a1b2c3d.jsonl";
    append(&sandbox.project(&format!("{ID}/subagents/{agent}")), line(ID, 1));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    eventually("the agent's line", || backend.lines(ID, agent).len() == 1);
    let target = sandbox.home().join(".claude/projects/-work-worktrees-a");
    fs::create_dir_all(&target).unwrap();
    let transcript = target.join(format!("{ID}.jsonl"));
    fs::rename(sandbox.transcript(ID), &transcript).unwrap();
    fs::rename(sandbox.project(ID), target.join(ID)).unwrap();
    append(&transcript, line(ID, 4));
    append(&target.join(ID).join("subagents").join(agent), line(ID, 2));
    let mut input = sandbox.input("UserPromptSubmit", ID);
    input["transcript_path"] = transcript.to_str().unwrap().into();
    if with_hook {
        sandbox.hook("user-prompt-submit", &input);
    }
    backend.eventually_holds(ID, &lines(ID, 1, 4));
    eventually("the agent's next line", || backend.lines(ID, agent).len() == 2);
    assert_eq!(backend.session(ID).unwrap().files.len(), 2, "under the same names");
    append(&transcript, line(ID, 5));
    input["hook_event_name"] = "SessionEnd".into();
    sandbox.hook("session-end", &input);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 5));
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

#[test]
fn a_moved_transcript_is_followed_when_a_hook_says_so() {
    check_move("moved-with-hook", true);
}

#[test]
fn a_moved_transcript_is_found_without_a_hook() {
    check_move("moved-without-hook", false);
}

/// Redaction is on without any word in the config: W-04. A line without a secret stays as it is,
/// byte for byte: W-18.
#[test]
fn secrets_are_redacted_and_other_lines_untouched() {
    let secret = ["AKIA", "IOSFODNN7", "ABCDEFG"].concat();
    let odd = "{ \"z\":1,\"a\": 12345678901234567890123, \"t\":\"<&> \\u00e4\", \"a\":2 }\n";
    let text =
        format!("{odd}{{\"type\":\"user\",\"text\":\"key {secret} end\"}}\nno json {secret}\n");
    let (backend, sandbox) = following("redacted", &text);
    let name = format!("{ID}.jsonl");
    eventually("all lines are stored", || backend.lines(ID, &name).len() == 3);
    let stored = backend.lines(ID, &name);
    assert_eq!(format!("{}\n", stored[0]), odd);
    for line in &stored[1..] {
        assert!(!line.contains(&secret) && line.contains("[REDACTED:"), "{line}");
    }
    end(&sandbox, &backend);
    let bodies: Vec<String> =
        backend.arrived().iter().map(|arrived| arrived.body.to_string()).collect();
    assert!(!bodies.iter().any(|body| body.contains(&secret)), "in no metadata either");
}

#[test]
fn redaction_is_off_only_when_the_config_says_so() {
    let secret = ["AKIA", "IOSFODNN7", "ABCDEFG"].concat();
    let backend = Backend::start();
    let sandbox = Sandbox::new("redaction-off");
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(), "redaction": { "enabled": false },
    }));
    let text = format!("{{\"text\":\"{secret}\"}}\n");
    append(&sandbox.transcript(ID), &text);
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &text);
}
