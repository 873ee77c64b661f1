//! Running as a service: the files that are written, and the script itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Folder, command, create_key, request_at};
use crate::support::eventually::eventually;

/// What `install-service` says, and its exit status; the home folder has a blank in its name.
fn install(home: &Path, words: &[&str]) -> (String, i32) {
    let words = [&["install-service", "--listen", "127.0.0.1:0"], words].concat();
    let output = command(&words, &data(home)).env("HOME", home).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code().unwrap())
}

fn data(home: &Path) -> PathBuf {
    home.join("da ta")
}

fn home() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    folder
}

#[test]
fn a_unit_and_a_script_are_written_once_and_replace_nothing_of_others() {
    let home = home();
    let unit = home.0.join(".config/systemd/user/confab-server.service");
    let script = data(&home.0).join("confab-server.sh");
    let (said, status) = install(&home.0, &[]);
    assert!(status == 0 && said.contains("systemctl --user enable --now confab-server"), "{said}");
    assert!(unit.exists() && script.exists());
    let (said, _) = install(&home.0, &[]);
    assert_eq!(said.matches(": as it was\n").count(), 2, "{said}");
    fs::write(&unit, fs::read_to_string(&unit).unwrap() + "# older\n").unwrap();
    let (said, _) = install(&home.0, &[]);
    assert!(said.contains(&format!("{}: written\n", unit.display())), "{said}");
    fs::write(&unit, "[Unit]\n").unwrap();
    let (said, status) = install(&home.0, &[]);
    assert!(status == 1 && said.contains("another file has that name"), "{said}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), "[Unit]\n");

    let dest = home.0.join("units");
    let (said, status) = install(&home.0, &["--system", "--dest", dest.to_str().unwrap()]);
    assert!(status == 0 && said.contains("useradd --system"), "{said}");
    assert!(dest.join("confab-server.service").exists());
}

/// Where systemd is, it understands every line.
#[test]
fn systemd_understands_the_units() {
    let home = home();
    let dest = home.0.join("units");
    let units = [(&["--system"][..], "--system"), (&["--watch"], "--user"), (&[], "--user")];
    for (words, manager) in units {
        let words = [words, &["--dest", dest.to_str().unwrap()]].concat();
        assert_eq!(install(&home.0, &words).1, 0);
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", manager]).arg(dest.join("confab-server.service"));
        let Ok(output) = verify.env("XDG_RUNTIME_DIR", &home.0).output() else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("Unknown"), "{said}");
    }
}

/// One command, and all sessions of this machine are there, whatever the environment is then.
#[test]
fn a_service_with_a_watch_brings_in_sessions() {
    let home = home();
    let id = "11111111-1111-4111-8111-111111111111";
    let claude = home.0.join("clau de");
    let transcript = claude.join(format!("projects/-work/{id}.jsonl"));
    fs::create_dir_all(transcript.parent().unwrap()).unwrap();
    fs::write(&transcript, "{\"type\":\"user\",\"message\":{\"content\":\"needle\"}}\n").unwrap();
    let words = ["install-service", "--watch", "--watch-user", "me@x", "--listen", "127.0.0.1:0"];
    let mut install = command(&words, &data(&home.0));
    install.env("HOME", &home.0).env("CLAUDE_CONFIG_DIR", &claude);
    assert!(install.output().unwrap().status.success());
    // Under which name it is asked.
    fs::write(data(&home.0).join("server.json"), r#"{"hosts": ["x"]}"#).unwrap();
    let unit = fs::read_to_string(home.0.join(".config/systemd/user/confab-server.service"));
    assert!(unit.unwrap().contains(&format!("\"--claude-dir\" \"{}\"", claude.display())));

    let script = data(&home.0).join("confab-server.sh");
    let run = |word: &str| {
        let output = Command::new("sh").arg(&script).arg(word).env("HOME", &home.0).output();
        output.unwrap().status.success()
    };
    assert!(run("start"));
    let log = fs::read_to_string(data(&home.0).join("server.log")).unwrap();
    let address = log.lines().find_map(|line| line.strip_prefix("listening on http://")).unwrap();
    let key = create_key(&data(&home.0), "me@x");
    let bearer = format!("Bearer {key}");
    eventually("the session comes in", || {
        let path = format!("/api/v1/sessions/by-external-id/{id}");
        let headers = [("Authorization", bearer.as_str())];
        request_at(address, "GET", &path, &headers, b"").is_some_and(|found| found.status == 200)
    });
    assert!(run("stop"));
    let refused = install_words(&home.0, &["install-service", "--system", "--watch"]);
    assert_eq!(refused, 2, "sessions lie in somebody's home");
}

fn install_words(home: &Path, words: &[&str]) -> i32 {
    command(words, &data(home)).env("HOME", home).output().unwrap().status.code().unwrap()
}

#[test]
fn the_script_starts_and_stops_a_server() {
    let home = home();
    assert_eq!(install(&home.0, &[]).1, 0);
    let path = data(&home.0).join("confab-server.sh");
    let script = |word: &str| {
        let output = Command::new("sh").arg(&path).arg(word).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).unwrap(), output.status.code().unwrap())
    };
    assert_eq!(script("status"), ("confab-server does not run\n".into(), 3));
    let (said, status) = script("start");
    assert!(status == 0 && said.starts_with("confab-server runs, process "), "{said}");
    assert!(script("start").0.starts_with("confab-server runs already"));
    assert_eq!(script("status").1, 0);
    let log = fs::read_to_string(data(&home.0).join("server.log")).unwrap();
    let address = log.lines().find_map(|line| line.strip_prefix("listening on http://")).unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    assert_eq!(script("restart").1, 0);
    assert_eq!(script("stop"), ("confab-server has ended\n".into(), 0));
    assert_eq!(script("stop"), ("confab-server does not run\n".into(), 0));
    assert_eq!(script("what").1, 2);

    let broken = fs::read_to_string(&path).unwrap().replace("127.0.0.1:0", "127.0.0.1:nowhere");
    fs::write(&path, broken).unwrap();
    let (said, status) = script("start");
    assert!(status == 1 && said.contains("confab-server: error: --listen"), "{said}");
    assert_eq!(script("status").1, 3);
}
