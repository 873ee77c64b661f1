//! `confab redact` and `confab redaction-test`: every folder of `fixtures/redact/filter` is a case.
//! Its README says which files it may hold.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use confab::redact::rules::samples::expand;

use crate::support::fixtures::{self, recordings};
use crate::support::parallel::each;
use crate::support::sandbox::{CONFAB, Sandbox};

/// The files of a case, so that a misspelt one is noticed.
const FILES: [&str; 6] = ["command", "config.json", "input", "status", "stderr", "stdout"];
/// Expands the templates of every case.
const SEED: u64 = 4;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/redact/filter");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

#[test]
fn lines_come_out_as_the_examples_say() {
    each(cases(), |folder| check(&folder));
}

fn check(folder: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(FILES.contains(&file.as_str()), "{name}: {file} is no file of a case");
    }
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let sandbox = Sandbox::new(&format!("filter-{name}"));
    if folder.join("config.json").exists() {
        fs::write(sandbox.confab("config.json"), bytes(&text("config.json"))).unwrap();
    }
    fs::write(sandbox.work().join("input"), bytes(&text("input"))).unwrap();
    let command = text("command");
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut output = run(&sandbox, &words);
    let talk = String::from_utf8(output.stderr).unwrap();
    output.stderr = talk.replace(sandbox.home().to_str().unwrap(), "~").into_bytes();
    if std::env::var_os("CONFAB_BLESS").is_some() {
        bless(folder, &output);
    }
    for (file, found) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        // What is expected holds no secret, and nothing to expand.
        let (found, expected) = (String::from_utf8_lossy(found), bytes(&text(file)));
        assert_eq!(found, String::from_utf8_lossy(&expected), "{name}: {file}");
    }
    assert_eq!(output.stdout, bytes(&text("stdout")), "{name}: stdout, byte for byte");
    let status = text("status").trim().parse().unwrap_or(0);
    assert_eq!(output.status.code(), Some(status), "{name}: exit status");
}

/// Takes what came out for what is expected, to be looked at before it is committed.
fn bless(folder: &Path, output: &Output) {
    let input = fs::read_to_string(folder.join("input")).unwrap_or_default();
    let status = output.status.code().unwrap();
    let status = if status == 0 { String::new() } else { format!("{status}\n") };
    for (file, found) in
        [("stdout", &output.stdout[..]), ("stderr", &output.stderr), ("status", status.as_bytes())]
    {
        let pictures = || String::from_utf8_lossy(found).replace('\r', "␍").replace('\0', "␀");
        let text = if bytes(&input) == found { input.clone() } else { pictures() };
        if text.is_empty() {
            let _ = fs::remove_file(folder.join(file));
        } else {
            fs::write(folder.join(file), text).unwrap();
        }
    }
}

/// Runs a command with the file `input` of the working directory as its standard input.
fn run(sandbox: &Sandbox, words: &[&str]) -> Output {
    let input = File::open(sandbox.work().join("input")).unwrap();
    let mut command = sandbox.command(CONFAB);
    command.args(words).stdin(Stdio::from(input)).output().unwrap()
}

/// What a file of a case stands for: templates are expanded, and characters that an editor would
/// spoil have their pictures.
fn bytes(text: &str) -> Vec<u8> {
    let text = expand(text, SEED).0.replace('␍', "\r").replace('␀', "\0");
    let mut bytes = Vec::new();
    for character in text.chars() {
        match character {
            // No UTF-8 holds this byte.
            '\u{fffd}' => bytes.push(0xff),
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// What Claude Code has recorded holds no secret: all of it comes through byte for byte.
#[test]
fn recorded_sessions_come_through_as_they_are() {
    let sandbox = Sandbox::new("filter-recorded");
    for recording in recordings() {
        fixtures::install(&recording, &sandbox.home().join(&recording));
    }
    let mut folders = vec![sandbox.home()];
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(ending) if ending == "jsonl" => all.extend(fs::read(path).unwrap()),
                _ => {}
            }
        }
    }
    assert!(all.len() > 1 << 20, "the corpus is there");
    fs::write(sandbox.work().join("input"), &all).unwrap();
    let output = run(&sandbox, &["redact", "--explain"]);
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && output.stdout == all, "{talk}");
    assert!(talk.starts_with("confab: 0 secrets in 0 of "), "{talk}");
}

/// As in `confab redact <history | head -1`: no complaint, and no work for nobody.
#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let sandbox = Sandbox::new("filter-broken-pipe");
    let mut command = sandbox.command(CONFAB);
    command.arg("redact").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let line = format!("{{\"text\":\"{}\"}}\n", "word ".repeat(1000));
    // More than all buffers on the way hold, so that a first line comes out before the end.
    let writer = std::thread::spawn(move || while stdin.write_all(line.as_bytes()).is_ok() {});
    let mut first = [0; 9];
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(&first, b"{\"text\":\"");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}

/// A filter over its own output changes nothing.
#[test]
fn twice_is_once() {
    each(cases(), |folder| {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let sandbox = Sandbox::new(&format!("filter-twice-{name}"));
        let input = fs::read_to_string(folder.join("input")).unwrap_or_default();
        fs::write(sandbox.work().join("input"), bytes(&input)).unwrap();
        let once = run(&sandbox, &["redact"]).stdout;
        fs::write(sandbox.work().join("input"), &once).unwrap();
        let twice = run(&sandbox, &["redact", "--explain"]);
        assert!(twice.stdout == once, "{name}: {}", String::from_utf8_lossy(&twice.stdout));
        assert_eq!(once.split(|b| *b == b'\n').count(), input.split('\n').count(), "{name}");
    });
}
