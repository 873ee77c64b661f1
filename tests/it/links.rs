//! Commits and pull requests: what is asked before, what is noted after, and that the backend hears
//! of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::server::process::{Folder, Server, create_key};
use crate::support::backend::{Backend, Endpoint, Fault};
use crate::support::eventually::eventually;
use crate::support::sandbox::{ID, Outcome, Sandbox, append, line, lines};
use crate::support::{fixtures, processes};

/// The page of the session in golden answers.
const PAGE: &str = "https://confab.example.org/sessions/22222222-2222-4222-8222-222222222222";
/// A pull request.
const REQUEST: &str = "https://github.com/o/r/pull/12";
/// What stands for `gh`: prints an address for `pr create`, and writes down that it did.
const GH: &str = "#!/bin/sh\n\
    case \"$*\" in *--dry-run*|*list*) exit 0;; esac\n\
    url=\"https://${GH_HOST:-github.com}/o/r/pull/12\"\n\
    echo 'Creating pull request' >&2\necho \"$url\"\necho \"$url\" >>\"$HOME/gh-made\"\n";

/// What Claude Code sends about a use of Bash.
fn bash(sandbox: &Sandbox, event: &str, command: &str) -> Value {
    let mut input = sandbox.input(event, ID);
    input["tool_name"] = "Bash".into();
    input["tool_input"] = json!({ "command": command, "description": "d" });
    input["tool_use_id"] = "toolu_1".into();
    input
}

fn before(sandbox: &Sandbox, command: &str) -> String {
    let outcome = sandbox.hook("pre-tool-use", &bash(sandbox, "PreToolUse", command));
    quiet(outcome)
}

fn after(sandbox: &Sandbox, command: &str, response: Value) {
    let mut input = bash(sandbox, "PostToolUse", command);
    input["tool_response"] = response;
    let outcome = sandbox.hook("post-tool-use", &input);
    assert_eq!(quiet(outcome), "");
}

/// The answer of a hook that went well, which says nothing to anybody else.
#[track_caller]
fn quiet(outcome: Outcome) -> String {
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

/// A pull request was made.
fn make_request(sandbox: &Sandbox) {
    after(sandbox, "gh pr create --fill", json!({ "stdout": format!("{REQUEST}\n") }));
}

/// Writes the state of a session as a daemon would have.
fn write_state(sandbox: &Sandbox, page: Option<&str>) {
    let mut state = json!({ "version": 1, "external_id": ID });
    if let Some(page) = page {
        state["session_url"] = page.into();
    }
    fs::create_dir_all(sandbox.confab("sync")).unwrap();
    fs::write(sandbox.confab(&format!("sync/{ID}.json")), state.to_string()).unwrap();
}

/// The addresses in the inbox.
fn noted(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.confab(&format!("sync/{ID}.inbox.jsonl"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let notes = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    notes
        .flat_map(|note| serde_json::from_value::<Vec<String>>(note["links"].clone()).unwrap())
        .collect()
}

fn forget(sandbox: &Sandbox) {
    let _ = fs::remove_dir_all(sandbox.confab("sync"));
}

/// Each `*.json` of `fixtures/hooks/pre-tool-use` is answered with the `*.stdout` beside it.
#[test]
fn golden_answers_before_a_tool_is_used() {
    let sandbox = Sandbox::new("links-golden");
    let folder = fixtures::folder().join("hooks/pre-tool-use");
    for (name, input) in inputs(&folder, &sandbox) {
        forget(&sandbox);
        write_state(&sandbox, Some(PAGE));
        let answer = quiet(sandbox.hook_bytes("pre-tool-use", input.as_bytes(), true));
        let golden = folder.join(format!("{name}.stdout"));
        if std::env::var_os("CONFAB_BLESS").is_some() {
            fs::write(&golden, &answer).unwrap();
        }
        assert_eq!(answer, fs::read_to_string(golden).unwrap_or_default(), "{name}");
        assert!(!answer.contains("allow"), "{name}: that would approve the whole command");
        if !answer.is_empty() {
            let json: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(json["hookSpecificOutput"]["permissionDecision"], "deny");
            // The same again is let through.
            let again = quiet(sandbox.hook_bytes("pre-tool-use", input.as_bytes(), true));
            assert_eq!(again, "", "{name}");
        }
        assert_eq!(noted(&sandbox), Vec::<String>::new(), "{name}");
    }
}

/// Each `*.json` of `fixtures/hooks/post-tool-use` leaves the addresses of the `*.links` beside it.
#[test]
fn golden_notes_after_a_tool_was_used() {
    let sandbox = Sandbox::new("links-noted");
    let folder = fixtures::folder().join("hooks/post-tool-use");
    for (name, input) in inputs(&folder, &sandbox) {
        forget(&sandbox);
        write_state(&sandbox, Some(PAGE));
        let answer = quiet(sandbox.hook_bytes("post-tool-use", input.as_bytes(), true));
        assert_eq!(answer, "", "{name}");
        let found: String = noted(&sandbox).iter().map(|link| format!("{link}\n")).collect();
        let golden = folder.join(format!("{name}.links"));
        if std::env::var_os("CONFAB_BLESS").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(golden).unwrap_or_default(), "{name}");
    }
}

/// The inputs of a folder for a sandbox, by name.
fn inputs(folder: &Path, sandbox: &Sandbox) -> Vec<(String, String)> {
    let home = sandbox.home();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs: Vec<(String, String)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            let text = fs::read_to_string(&path).unwrap();
            (name, text.replace("/home/dev", home.to_str().unwrap()))
        })
        .collect();
    assert!(!inputs.is_empty(), "{}", folder.display());
    inputs
}

/// None of the recorded sessions made a commit: nothing is asked, nothing noted.
#[test]
fn recorded_tool_uses_are_left_alone() {
    let sandbox = Sandbox::new("links-recorded");
    let mut n_inputs = 0;
    for entry in fs::read_dir(fixtures::folder().join("transcripts")).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path().join("hooks.jsonl")) else {
            continue;
        };
        for line in text.lines() {
            let call: Value = serde_json::from_str(line).unwrap();
            let stdin = match &call["stdin"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let stdin = stdin.replace("/home/dev", sandbox.home().to_str().unwrap());
            let event = match serde_json::from_str::<Value>(&stdin).unwrap()["hook_event_name"] {
                ref name if name == "PreToolUse" => "pre-tool-use",
                ref name if name == "PostToolUse" => "post-tool-use",
                _ => continue,
            };
            n_inputs += 1;
            let answer = quiet(sandbox.hook_bytes(event, stdin.as_bytes(), true));
            assert_eq!(answer, "", "{stdin}");
        }
    }
    assert!(n_inputs > 100, "{n_inputs}");
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// Repositories, and `gh` in front of all programs.
fn repositories(sandbox: &Sandbox) {
    let script = "set -e; export GIT_COMMITTER_DATE=2026-01-01T00:00:00Z\n\
        git config --global user.name dev; git config --global user.email dev@example.org\n\
        git config --global init.defaultBranch main; git config --global advice.detachedHead false\n\
        for r in one two elsewhere; do\n\
            git init -q $r; mkdir $r/sub; touch $r/sub/a; git -C $r add .\n\
            git -C $r commit -q -m first\n\
        done\n\
        git -C one remote add origin git@work:o/one.git\n\
        git -C two remote add upstream https://token@github.com/o/two\n\
        git -C elsewhere remote add origin https://gitlab.com/o/elsewhere.git\n\
        mkdir -p ~/.ssh; printf 'Host work\\n  HostName github.com\\n' >~/.ssh/config\n\
        # What was there before was not made by the command.\n\
        find . -path '*/logs/HEAD' -exec touch -d '1 hour ago' {} +\n";
    let output = sandbox.command("bash").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let bin = sandbox.home().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("gh"), GH).unwrap();
    let status = Command::new("chmod").arg("+x").arg(bin.join("gh")).status().unwrap();
    assert!(status.success());
}

/// All commits of the repositories below a folder, as links.
fn all_commits(sandbox: &Sandbox) -> Vec<String> {
    let names = [("one", "one"), ("two", "two"), ("new", "new")];
    let mut commits = Vec::new();
    for (folder, name) in names {
        let mut git = sandbox.command("git");
        git.current_dir(sandbox.work()).args(["-C", folder, "log", "--reflog", "--all"]);
        let output = git.arg("--format=%H").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        commits.extend(text.lines().map(|h| format!("https://github.com/o/{name}/commit/{h}")));
    }
    commits
}

/// A real shell runs each line of `fixtures/links/made`; what it made is what is linked.
#[test]
fn what_a_shell_makes_is_what_is_linked() {
    let folder = fixtures::folder().join("links/made");
    let scripts: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut n_linked = 0;
    for path in scripts {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let sandbox = Sandbox::new(&format!("links-made-{name}"));
        repositories(&sandbox);
        write_state(&sandbox, Some(PAGE));
        let old = all_commits(&sandbox);
        let script = fs::read_to_string(&path).unwrap();
        // As Claude Code runs it: one shell, and its folder asked for at the end.
        let mut command = sandbox.command("bash");
        let search = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", sandbox.home().display());
        let text = format!("{script}\npwd -P >\"$HOME/end\"");
        let output = command.env("PATH", search).args(["-c", &text]).output().unwrap();
        let end = fs::read_to_string(sandbox.home().join("end")).unwrap();
        let mut input = bash(&sandbox, "PostToolUse", &script);
        input["cwd"] = end.trim_end().into();
        input["duration_ms"] = 3000.into();
        input["tool_response"] = json!({
            "stdout": String::from_utf8_lossy(&output.stdout),
            "stderr": String::from_utf8_lossy(&output.stderr),
            "interrupted": false,
        });
        assert_eq!(quiet(sandbox.hook("post-tool-use", &input)), "");
        let mut made = all_commits(&sandbox);
        made.retain(|commit| !old.contains(commit));
        let requests = fs::read_to_string(sandbox.home().join("gh-made")).unwrap_or_default();
        made.extend(requests.lines().map(str::to_owned));
        let mut linked = noted(&sandbox);
        linked.sort();
        made.sort();
        assert_eq!(linked, made, "{name}: {script}\n{output:?}");
        n_linked += linked.len();
    }
    assert!(n_linked > 20, "{n_linked}: the shell or git does not work");
}

#[test]
fn nothing_is_asked_or_noted_of_a_session_that_nobody_follows() {
    let sandbox = Sandbox::new("links-nobody");
    assert_eq!(before(&sandbox, "git commit -m x"), "");
    make_request(&sandbox);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    // The backend does not know it yet.
    write_state(&sandbox, None);
    assert_eq!(before(&sandbox, "git commit -m x"), "");
    make_request(&sandbox);
    assert_eq!(noted(&sandbox), [REQUEST]);
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
}

/// A command that comes back unchanged runs; asked again is only who does it once more.
#[test]
fn an_agent_that_insists_is_let_through() {
    let sandbox = Sandbox::new("links-insists");
    write_state(&sandbox, Some(PAGE));
    for command in ["git commit -m one", "git commit -m two"] {
        assert!(before(&sandbox, command).contains(&format!("Confab-Link: {PAGE}")));
    }
    for command in ["git commit -m one", "git commit -m two"] {
        assert_eq!(before(&sandbox, command), "");
        assert!(before(&sandbox, command).contains("deny"));
    }
    for number in 0..200 {
        assert!(before(&sandbox, &format!("git commit -m {number}")).contains("deny"));
    }
    let path = sandbox.confab(&format!("sync/{ID}.asked"));
    assert!(fs::metadata(path).unwrap().len() < 1024, "old questions are forgotten");
}

#[test]
fn the_environment_switches_it_off() {
    let mut sandbox = Sandbox::new("links-environment");
    for (value, is_on) in
        [("1", false), ("true", false), ("no", false), ("0", true), ("False", true)]
    {
        forget(&sandbox);
        write_state(&sandbox, Some(PAGE));
        sandbox.set("CONFAB_DISABLE_LINK_FROM_GITHUB", value);
        assert_eq!(!before(&sandbox, "git commit -m x").is_empty(), is_on, "{value}");
        make_request(&sandbox);
        assert_eq!(!noted(&sandbox).is_empty(), is_on, "{value}");
    }
}

/// A daemon with a known session: its page is asked for and its pull request is linked once.
#[test]
fn the_backend_hears_of_a_pull_request_once() {
    let backend = Backend::start();
    let sandbox = followed("links-once", &backend);
    let page = sandbox.state(ID).unwrap()["session_url"].as_str().unwrap().to_owned();
    assert!(page.starts_with(&format!("{}/sessions/0", backend.url())), "{page}");
    let answer = before(&sandbox, "git commit -m x");
    assert!(answer.contains(&format!("    Confab-Link: {page}\\n")), "{answer}");
    let linked = format!("git commit -m x -m 'Confabulous-Link: {page}'");
    assert_eq!(before(&sandbox, &linked), "", "the old spelling counts");
    make_request(&sandbox);
    make_request(&sandbox);
    eventually("it is linked", || links(&backend) == [REQUEST]);
    // Lines go on, and the end is told behind the link.
    append(&sandbox.transcript(ID), line(ID, 3));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert!(links(&backend).iter().all(|link| link == REQUEST));
    assert_eq!(
        sandbox.sync_files(),
        Vec::<String>::new(),
        "nothing is left, what was asked neither"
    );
    assert_eq!(backend.refused(), Vec::<String>::new());
}

/// A session that a daemon follows and the backend knows.
fn followed(name: &str, backend: &Backend) -> Sandbox {
    let sandbox = Sandbox::with_backend(name, backend);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    eventually("the state names the page", || {
        sandbox.state(ID).is_some_and(|state| state["session_url"].is_string())
    });
    sandbox
}

fn links(backend: &Backend) -> Vec<String> {
    backend.session(ID).map(|session| session.links).unwrap_or_default()
}

#[test]
fn a_link_waits_for_a_backend_that_is_away() {
    let mut backend = Backend::start();
    let sandbox = followed("links-away", &backend);
    backend.stop();
    make_request(&sandbox);
    eventually("the daemon has it", || {
        sandbox.state(ID).is_some_and(|state| state["links"] == json!([REQUEST]))
    });
    backend.restart();
    eventually("it is linked", || links(&backend) == [REQUEST]);
    eventually("it is forgotten here", || {
        sandbox.state(ID).is_some_and(|state| state["links"].is_null())
    });
}

#[test]
fn a_link_survives_the_daemon() {
    let backend = Backend::start();
    let sandbox = followed("links-killed", &backend);
    backend.fail_always(Endpoint::Link, Fault::status(503));
    make_request(&sandbox);
    eventually("the daemon has it", || {
        sandbox.state(ID).is_some_and(|state| state["links"] == json!([REQUEST]))
    });
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    // Another one is noted while nobody is there.
    let other = REQUEST.replace("12", "13");
    after(&sandbox, "gh pr create", json!([{ "type": "text", "text": other }]));
    backend.heal();
    sandbox.prompt(ID);
    eventually("both are linked", || links(&backend) == [REQUEST, other.as_str()]);
}

/// What ends while the link cannot be told stays pending, and flush delivers it.
#[test]
fn a_session_with_a_link_left_stays_pending() {
    let mut backend = Backend::start();
    let sandbox = followed("links-pending", &backend);
    backend.stop();
    make_request(&sandbox);
    eventually("the daemon has it", || {
        sandbox.state(ID).is_some_and(|state| state["links"] == json!([REQUEST]))
    });
    processes::signal(sandbox.daemon(), "KILL");
    sandbox.daemons_end();
    backend.restart();
    let outcome = sandbox.run(&["sync", "flush"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(links(&backend), [REQUEST]);
}

/// What the backend will never have holds nothing up; 409 says that it has it.
#[test]
fn what_the_backend_refuses_is_dropped() {
    let backend = Backend::start();
    let sandbox = followed("links-refused", &backend);
    for (number, status) in [400, 404, 405, 409, 422].into_iter().enumerate() {
        backend.fail(Endpoint::Link, Fault::status(status));
        make_request(&sandbox);
        eventually("it is refused", || backend.count(Endpoint::Link) == number + 1);
    }
    append(&sandbox.transcript(ID), line(ID, 3));
    backend.eventually_holds(ID, &lines(ID, 1, 3));
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    assert_eq!(backend.session(ID).unwrap().events.len(), 1, "the session is not taken for gone");
}

#[test]
fn the_config_switches_it_off() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("links-config");
    let config = json!({
        "backend_url": backend.url(), "api_key": backend.key(), "link_from_github": false,
    });
    sandbox.configure(&config);
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    eventually("the state names the session", || {
        sandbox.state(ID).is_some_and(|state| state["confab_session_id"].is_string())
    });
    assert_eq!(before(&sandbox, "git commit -m x"), "");
    make_request(&sandbox);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.count(Endpoint::Link), 0);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
}

/// A name that the user has redacted leaves in no address either.
#[test]
fn a_redacted_repository_is_not_linked() {
    let backend = Backend::start();
    let sandbox = Sandbox::new("links-redacted");
    let patterns = json!([{ "name": "customer", "pattern": "acme", "type": "customer" }]);
    sandbox.configure(&json!({
        "backend_url": backend.url(), "api_key": backend.key(),
        "redaction": { "patterns": patterns },
    }));
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &lines(ID, 1, 2));
    let secret = REQUEST.replace("/o/", "/acme/");
    after(&sandbox, "gh pr create; gh pr create", json!(format!("{secret}\n{REQUEST}\n")));
    eventually("the other one is linked", || links(&backend) == [REQUEST]);
    assert_eq!(backend.count(Endpoint::Link), 1);
}

/// From the hook through the daemon into the embedded backend, and back out of it.
#[test]
fn the_embedded_backend_stores_links() {
    let folder = Folder::new();
    let key = create_key(&folder.0, "dev@example.org");
    let other = create_key(&folder.0, "other@example.org");
    let server = Server::start(&folder.0);
    let sandbox = Sandbox::new("links-embedded");
    sandbox
        .configure(&json!({ "backend_url": format!("http://{}", server.address), "api_key": key }));
    append(&sandbox.transcript(ID), lines(ID, 1, 2));
    sandbox.session_start(ID);
    let page = || sandbox.state(ID)?["session_url"].as_str().map(str::to_owned);
    eventually("the session is known", || page().is_some());
    let id = page().unwrap().rsplit('/').next().unwrap().to_owned();
    let enterprise = REQUEST.replace("github.com", "github.example.com");
    for _ in 0..2 {
        after(&sandbox, "gh pr create; gh pr create", json!(format!("{REQUEST}\n{enterprise}\n")));
    }
    sandbox.session_end(ID);
    sandbox.daemons_end();
    let path = format!("/api/v1/sessions/{id}/github-links");
    let answer: Value = server.get(&path, &key).json();
    let links = answer["links"].as_array().unwrap();
    let urls: Vec<&str> = links.iter().map(|link| link["url"].as_str().unwrap()).collect();
    assert_eq!(urls, [REQUEST, enterprise.as_str()]);
    assert_eq!(links[0]["ref"], "12");
    assert_eq!(server.get(&path, &other).status, 404);
    assert!(server.terminate());
}
