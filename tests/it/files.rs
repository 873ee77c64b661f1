//! The files of a session beside its transcript, and what is told of the session with the lines.

use serde_json::{Value, json};

use crate::support::backend::{Backend, Endpoint, Fault};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Sandbox, append, line, lines};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";
const WORKFLOW: &str = "subagents/workflows/wf_1";

fn stored(backend: &Backend, name: &str) -> String {
    backend.lines(ID, name).into_iter().map(|line| line + "\n").collect()
}

fn types(backend: &Backend) -> Vec<(String, String)> {
    let files = backend.session(ID).unwrap().files;
    files.into_iter().map(|(name, file)| (name, file.file_type)).collect()
}

/// A line whose tool result names an agent.
fn mention(agent: &str) -> String {
    let line = json!({
        "type": "user", "sessionId": ID, "uuid": "u", "toolUseResult": { "agentId": agent },
        "message": { "role": "user", "content": [] },
    });
    format!("{line}\n")
}

#[test]
fn agents_in_the_folder_of_the_session_are_followed() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("agents-folder", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    // Ids of all versions; one of them is mentioned, nested ones lie in the same folder.
    let agents = ["abcd1234", "a0074ac", "a3eaf63159a07953f", "acompact-2aaa241e456ebc94"];
    append(&sandbox.transcript(ID), mention(agents[0]));
    for agent in agents {
        append(&sandbox.project(&format!("{ID}/subagents/agent-{agent}.jsonl")), line(ID, 1));
        append(&sandbox.project(&format!("{ID}/subagents/agent-{agent}.meta.json")), "{}");
    }
    append(&sandbox.project(&format!("{ID}/tool-results/x.txt")), "text\n");
    for agent in agents {
        let name = format!("agent-{agent}.jsonl");
        eventually(&name, || stored(&backend, &name) == line(ID, 1));
        append(&sandbox.project(&format!("{ID}/subagents/{name}")), line(ID, 2));
        eventually(&name, || stored(&backend, &name) == lines(ID, 1, 2));
    }
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let types = types(&backend);
    assert_eq!(types.len(), agents.len() + 1, "nothing else was uploaded: {types:?}");
    assert!(types.iter().all(|(name, kind)| (kind == "agent") == name.starts_with("agent-")));
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// An agent that is mentioned before its file exists, and agents that mention each other.
#[test]
fn agents_that_appear_late_or_name_each_other_are_followed_once() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("agents-late", &backend);
    append(&sandbox.transcript(ID), mention("aaaa1111"));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &mention("aaaa1111"));
    for (agent, other) in [("aaaa1111", "bbbb2222"), ("bbbb2222", "aaaa1111")] {
        append(&sandbox.project(&format!("{ID}/subagents/agent-{agent}.jsonl")), mention(other));
    }
    for (agent, other) in [("aaaa1111", "bbbb2222"), ("bbbb2222", "aaaa1111")] {
        let name = format!("agent-{agent}.jsonl");
        eventually(&name, || stored(&backend, &name) == mention(other));
    }
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// The layout up to 2.0.77: agents beside the transcripts, of all sessions, told apart by their
/// lines.
#[test]
fn agents_beside_the_transcript_belong_to_the_session_that_their_lines_name() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("agents-beside", &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    append(&sandbox.project("agent-1a2b3c4d.jsonl"), line(ID, 1));
    append(&sandbox.project("agent-99999999.jsonl"), line(OTHER, 1));
    sandbox.session_start(ID);
    eventually("the agent's line", || stored(&backend, "agent-1a2b3c4d.jsonl") == line(ID, 1));
    append(&sandbox.project("agent-1a2b3c4d.jsonl"), line(ID, 2));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(stored(&backend, "agent-1a2b3c4d.jsonl"), lines(ID, 1, 2));
    assert_eq!(types(&backend).len(), 2, "{:?}", types(&backend));
}

fn check_workflow(name: &str, capabilities: Option<Value>, agents: bool, journal: bool) {
    let backend = Backend::start();
    backend.set_capabilities(capabilities);
    let sandbox = Sandbox::with_backend(name, &backend);
    append(&sandbox.transcript(ID), line(ID, 1));
    for file in ["agent-a1b2c3d.jsonl", "journal.jsonl", "agent-a1b2c3d.meta.json", "wf_1.json"] {
        append(&sandbox.project(&format!("{ID}/{WORKFLOW}/{file}")), line(ID, 1));
    }
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let mut expected = vec![(format!("{ID}.jsonl"), "transcript".to_string())];
    if agents {
        expected.push((format!("{WORKFLOW}/agent-a1b2c3d.jsonl"), "agent".into()));
    }
    if journal {
        expected.push((format!("{WORKFLOW}/journal.jsonl"), "workflow_journal".into()));
    }
    assert_eq!(types(&backend), expected, "{name}");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{name}");
}

#[test]
fn workflow_files_are_sent_as_far_as_the_backend_can_store_them() {
    let both = json!({ "workflow_files": true, "workflow_journal": true });
    check_workflow("workflow-both", Some(both), true, true);
    check_workflow("workflow-agents", Some(json!({ "workflow_files": true })), true, false);
    check_workflow("workflow-none", Some(json!({})), false, false);
    check_workflow("workflow-404", None, false, false);
}

/// A probe that fails is asked again; only an answer settles the question.
#[test]
fn a_failing_capability_probe_is_asked_again() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("workflow-probe", &backend);
    backend.fail(Endpoint::Capabilities, Fault::status(503));
    append(&sandbox.transcript(ID), line(ID, 1));
    append(&sandbox.project(&format!("{ID}/{WORKFLOW}/journal.jsonl")), line(ID, 1));
    sandbox.session_start(ID);
    let name = format!("{WORKFLOW}/journal.jsonl");
    eventually("the journal", || stored(&backend, &name) == line(ID, 1));
}

/// W-21: a side file that the backend knows and the disk does not is no error.
#[test]
fn a_side_file_that_is_gone_does_not_disturb() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("side-gone", &backend);
    let side = sandbox.project(&format!("{ID}/subagents/agent-a1b2c3d.jsonl"));
    append(&sandbox.transcript(ID), line(ID, 1));
    append(&side, line(ID, 1));
    sandbox.session_start(ID);
    eventually("both files", || backend.session(ID).is_some_and(|s| s.files.len() == 2));
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    std::fs::remove_file(&side).unwrap();
    append(&sandbox.transcript(ID), line(ID, 2));
    sandbox.prompt(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// W-05, W-25, W-53: metadata of all lines of a chunk, within the backend's limits.
#[test]
fn metadata_comes_from_all_lines_and_fits_the_limits() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("chunk-metadata", &backend);
    let filler = "{\"type\":\"progress\"}\n".repeat(80);
    let first = json!({ "type": "user", "gitBranch": "feature/x", "sessionId": ID,
        "message": { "role": "user", "content": format!("<b>first</b> &amp; {}", "ä".repeat(9000)) } });
    let summary = json!({ "type": "summary", "summary": format!("so\0 {}", "ö".repeat(3000)) });
    append(&sandbox.transcript(ID), format!("{filler}{first}\n{filler}{summary}\n"));
    sandbox.session_start(ID);
    let name = format!("{ID}.jsonl");
    eventually("all lines are stored", || backend.lines(ID, &name).len() == 162);
    let session = backend.session(ID).unwrap();
    let metadata = &session.files[&name].metadata;
    let text = |field: &str| metadata.iter().find_map(|entry| entry[field].as_str()).unwrap();
    assert!(text("first_user_message").starts_with("first & ää"), "{metadata:?}");
    assert!(text("summary").starts_with("so"), "{metadata:?}");
    assert!(!text("summary").contains('\0'));
    assert_eq!(metadata[0]["git_info"]["branch"], "feature/x");
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// A summary that names a leaf belongs to the session whose last lines hold that leaf.
#[test]
fn a_summary_with_a_leaf_is_linked_to_its_session() {
    let backend = Backend::start();
    let sandbox = Sandbox::with_backend("summary-link", &backend);
    append(&sandbox.transcript(OTHER), lines(OTHER, 1, 5));
    sandbox.session_start(OTHER);
    backend.eventually_holds(OTHER, &lines(OTHER, 1, 5));
    let leaf: Value = serde_json::from_str(&line(OTHER, 5)).unwrap();
    let summary = json!({ "type": "summary", "summary": "what it was", "leafUuid": leaf["uuid"] });
    append(&sandbox.transcript(ID), format!("{summary}\n{}", "x".repeat(2)));
    append(&sandbox.transcript(ID), "\n");
    sandbox.session_start(ID);
    eventually("the link", || {
        backend.summaries() == [(OTHER.to_string(), "what it was".to_string())]
    });
}

/// W-07: compression where it is decoded and nowhere else; W-27: a trailing slash is harmless.
#[test]
fn requests_are_as_the_backend_wants_them() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("requests");
    let url = format!("{}//", backend.url());
    sandbox.configure(&json!({ "backend_url": url, "api_key": backend.key() }));
    append(&sandbox.transcript(OTHER), lines(OTHER, 1, 50));
    sandbox.session_start(OTHER);
    backend.eventually_holds(OTHER, &lines(OTHER, 1, 50));
    let leaf: Value = serde_json::from_str(&line(OTHER, 50)).unwrap();
    let summary =
        json!({ "type": "summary", "leafUuid": leaf["uuid"], "summary": "s".repeat(2000) });
    append(&sandbox.transcript(ID), format!("{summary}\n"));
    sandbox.session_start(ID);
    eventually("the link", || !backend.summaries().is_empty());
    for id in [ID, OTHER] {
        sandbox.session_end(id);
    }
    sandbox.daemons_end();
    let mut compressed = 0;
    for arrived in backend.arrived() {
        let request = &arrived.request;
        assert!(request.path.starts_with("/api/v1/"), "{}", request.path);
        if request.header("content-encoding").is_some() {
            assert!(request.path.starts_with("/api/v1/sync/"), "{}", request.path);
            compressed += 1;
        }
        assert!(request.header("user-agent").unwrap().starts_with("confab/"));
    }
    assert!(compressed > 0);
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// W-50: the key does not travel in clear text to another machine unless the config allows it.
#[test]
fn plain_http_to_another_host_is_refused() {
    for url in ["http://backend.invalid", "http://localhost.backend.invalid"] {
        let sandbox = Sandbox::new(&format!("plain-http-{}", url.len()));
        let key = ["cfb_", &"k".repeat(40)].concat();
        sandbox.configure(&json!({ "backend_url": url, "api_key": key }));
        append(&sandbox.transcript(ID), line(ID, 1));
        sandbox.session_start(ID);
        eventually("the reason is noted", || {
            sandbox
                .state(ID)
                .is_some_and(|state| state["last_error"].to_string().contains("plain http"))
        });
    }
}
