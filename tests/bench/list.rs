//! `confab list` on ten thousand sessions, beside `ls -lR` of the same folders.

use std::fs;
use std::process::{Command, Stdio};

use crate::figure::{Figure, time};
use crate::sink::Sink;
use crate::world::{CONFAB, World};

const SESSIONS: usize = 10_000;
const FOLDERS: usize = 100;
/// Recorded lines of each session.
const LINES: usize = 10;
const RUNS: usize = 15;

pub fn run(lines: &[Vec<u8>]) {
    let sink = Sink::start();
    let world = World::new("list", sink.port);
    let projects = world.home.join(".claude/projects");
    for number in 0..SESSIONS {
        let folder = projects.join(format!("-bench-{}", number % FOLDERS));
        fs::create_dir_all(&folder).unwrap();
        let text: Vec<u8> =
            lines.iter().cycle().skip(number).take(LINES).flatten().copied().collect();
        let name = format!("{number:08x}-1111-4111-8111-111111111111.jsonl");
        fs::write(folder.join(name), text).unwrap();
    }
    let quiet = |command: &mut Command| {
        command.env_clear().env("HOME", &world.home).stdout(Stdio::null());
        assert!(command.status().unwrap().success());
    };
    let (mut plain, mut latest, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        plain.push(time(|| quiet(Command::new("/bin/ls").arg("-lR").arg(&projects))));
        latest.push(time(|| quiet(Command::new(CONFAB).arg("list"))));
        all.push(time(|| quiet(Command::new(CONFAB).args(["list", "--all"]))));
    }
    let (plain, latest, all) = (Figure::of(plain), Figure::of(latest), Figure::of(all));
    println!("list, {SESSIONS} sessions; ls -lR {plain}");
    println!("  the latest 25: {latest}, {:.2} x ls", latest.over(&plain));
    println!("  --all: {all}, {:.2} x ls", all.over(&plain));
}
