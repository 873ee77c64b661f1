//! What a folder cannot hold: daemons that run, certificates, links, and several writers at once.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::network::terminator::Authority;
use crate::support::backend::{Backend, Endpoint};
use crate::support::eventually::eventually;
use crate::support::processes;
use crate::support::sandbox::{ID, Outcome, Sandbox, append, line};

/// The output of a command with `--json`.
#[track_caller]
fn json_of(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"))
}

/// The findings of one check that `doctor` has made.
fn findings(sandbox: &Sandbox, check: &str) -> Vec<Value> {
    let diagnosis = json_of(&sandbox.run(&["doctor", "--json"]));
    let findings = diagnosis["findings"].as_array().unwrap().clone();
    findings.into_iter().filter(|finding| finding["check"] == check).collect()
}

#[test]
fn a_daemon_is_well_until_it_stops_delivering() {
    let backend = Backend::start();
    let mut sandbox = Sandbox::with_backend("doctor-daemon", &backend);
    fs::set_permissions(sandbox.confab("config.json"), fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.set("CONFAB_SYNC_INTERVAL_MS", "3600000");
    assert!(sandbox.run(&["hooks", "add"]).status.success());
    append(&sandbox.transcript(ID), line(ID, 1));
    sandbox.session_start(ID);
    backend.eventually_holds(ID, &line(ID, 1));
    eventually("the state is written", || {
        sandbox.state(ID).is_some_and(|state| state["synced_at"].is_string())
    });
    let outcome = sandbox.run(&["doctor"]);
    assert_eq!(outcome.status.code(), Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("1 runs, and its log grows"), "{outcome:?}");
    let status = sandbox.run(&["status", "--json"]);
    assert_eq!(json_of(&status)["sessions"]["followed"], 1, "{status:?}");

    processes::signal(sandbox.daemon(), "STOP");
    append(&sandbox.transcript(ID), line(ID, 2));
    let transcript = File::options().append(true).open(sandbox.transcript(ID)).unwrap();
    transcript.set_modified(SystemTime::now() - Duration::from_secs(3 * 60 * 60)).unwrap();
    let stuck = &findings(&sandbox, "daemons")[0];
    assert_eq!(stuck["level"], "fail", "{stuck}");
    assert!(stuck["what"].as_str().unwrap().contains(ID), "{stuck}");
    assert_eq!(sandbox.run(&["doctor"]).status.code(), Some(1));
}

/// An authority that nobody knows, and one that `ca_file` names.
#[test]
fn an_untrusted_certificate_is_told_from_other_troubles() {
    let sandbox = Sandbox::new("doctor-certificate");
    let Some(authority) = Authority::of_all_names(sandbox.root()) else { return };
    let backend = Backend::at_localhost();
    let port = backend.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let terminator = authority.terminate(port, &[]);
    let url = format!("https://localhost:{}", terminator.number());
    sandbox.configure(&json!({ "backend_url": url, "api_key": backend.key() }));
    let finding = &findings(&sandbox, "certificates")[0];
    assert_eq!(finding["level"], "fail", "{finding}");
    assert!(finding["hint"].as_str().unwrap().contains("ca_file"), "{finding}");
    assert_eq!(backend.count(Endpoint::Validate), 0);

    let ca_file = authority.certificate();
    let set = sandbox.run(&["config", "set", "ca_file", ca_file.to_str().unwrap()]);
    assert!(set.status.success(), "{set:?}");
    assert_eq!(findings(&sandbox, "certificates")[0]["level"], "ok");
    assert_eq!(findings(&sandbox, "key")[0]["level"], "ok");
    fs::write(&ca_file, "nothing").unwrap();
    assert!(findings(&sandbox, "backend")[0]["what"].as_str().unwrap().contains("ca_file"));
}

#[test]
fn a_linked_config_is_changed_where_it_lies() {
    let sandbox = Sandbox::new("config-link");
    let real = sandbox.root().join("real.json");
    fs::write(&real, "{}").unwrap();
    symlink(&real, sandbox.confab("config.json")).unwrap();
    let outcome = sandbox.run(&["config", "set", "log_level", "warn"]);
    assert!(outcome.status.success(), "{outcome:?}");
    assert!(sandbox.confab("config.json").is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("warn"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Each change finds those before it.
#[test]
fn writers_at_the_same_time_lose_nothing() {
    let sandbox = Sandbox::new("config-writers");
    let values = [
        ("log_level", "warn"),
        ("sync_interval", "10s"),
        ("backend_url", "https://confab.example.org"),
        ("redaction.enabled", "true"),
        ("redaction.use_default_patterns", "false"),
        ("allow_insecure_http", "true"),
    ];
    std::thread::scope(|scope| {
        for (key, value) in values {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let outcome = sandbox.run(&["config", "set", key, value]);
                assert!(outcome.status.success(), "{outcome:?}");
            });
        }
    });
    for (key, value) in values {
        assert_eq!(sandbox.run(&["config", "get", key]).stdout.trim(), value);
    }
    let names: Vec<_> = fs::read_dir(sandbox.confab("")).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// Bash offers what the table holds.
#[test]
fn completions_work_in_bash() {
    let sandbox = Sandbox::new("completions");
    let script = sandbox.run(&["completions", "bash"]).stdout;
    let offers = |words: &str| {
        let mut bash = sandbox.command("bash");
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _confab; \
             echo \"${{COMPREPLY[*]}}\""
        );
        let output = bash.args(["-c", &ask]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    assert_eq!(offers("confab config s"), "set");
    assert_eq!(offers("confab --json config s"), "set");
    assert_eq!(offers("confab sync status --j"), "--json");
    assert_eq!(offers("confab config get redaction.e"), "redaction.enabled");
    assert_eq!(offers("confab completions ''"), "bash zsh fish --help");
    assert_eq!(offers("confab help doc"), "doctor");
    assert_eq!(offers("confab nonsense ''"), "");
}
