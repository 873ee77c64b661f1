//! Running as a service: the files that are written, and the script itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Folder, command};

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
    for (words, manager) in [(&["--system"][..], "--system"), (&[], "--user")] {
        let words = [words, &["--dest", dest.to_str().unwrap()]].concat();
        assert_eq!(install(&home.0, &words).1, 0);
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", manager]).arg(dest.join("confab-server.service"));
        let Ok(output) = verify.env("XDG_RUNTIME_DIR", &home.0).output() else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("Unknown"), "{said}");
    }
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
