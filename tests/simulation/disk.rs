//! The folders of a machine: real ones in memory, with file times by the simulated clock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fastrand::Rng;

use crate::actions::FILES;

/// A session's files.
pub struct Disk {
    pub home: PathBuf,
    /// The project folder of each session's transcript.
    projects: Vec<String>,
    /// What is still to be written of a line that was begun.
    rests: Vec<Option<String>>,
    /// What was written to each file, which nobody else writes to.
    contents: Vec<Vec<u8>>,
    ids: Vec<String>,
    secret: String,
    n_lines: usize,
}

impl Disk {
    pub fn new(home: PathBuf, ids: &[&str], secret: &str) -> Disk {
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join(".claude/projects/-p0")).unwrap();
        fs::create_dir_all(home.join(".confab/sync")).unwrap();
        let key = ["cfb_", &"0123456789".repeat(4)].concat();
        let config = format!("{{\"backend_url\":\"http://localhost\",\"api_key\":\"{key}\"}}");
        fs::write(home.join(".confab/config.json"), config).unwrap();
        Disk {
            home,
            projects: vec!["-p0".to_owned(); ids.len()],
            rests: vec![None; ids.len() * FILES],
            contents: vec![Vec::new(); ids.len() * FILES],
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            secret: secret.to_owned(),
            n_lines: 0,
        }
    }

    pub fn path(&self, session: usize, file: usize) -> PathBuf {
        let project = self.home.join(".claude/projects").join(&self.projects[session]);
        let id = &self.ids[session];
        let agents = project.join(id).join("subagents");
        match file {
            0 => project.join(format!("{id}.jsonl")),
            1 => agents.join("agent-a1.jsonl"),
            2 => agents.join("deep/agent-b2.jsonl"),
            3 => project.join(format!("agent-c{session}.jsonl")),
            4 => agents.join("workflows/run-1/agent-w4.jsonl"),
            _ => agents.join("workflows/run-1/journal.jsonl"),
        }
    }

    /// The backend's name of a file.
    pub fn name(&self, session: usize, file: usize) -> String {
        match file {
            4 => "subagents/workflows/run-1/agent-w4.jsonl".to_owned(),
            5 => "subagents/workflows/run-1/journal.jsonl".to_owned(),
            _ => self.path(session, file).file_name().unwrap().to_string_lossy().into_owned(),
        }
    }

    /// The bytes of a file; none when it is not there.
    pub fn read(&self, session: usize, file: usize) -> &[u8] {
        &self.contents[session * FILES + file]
    }

    /// Whether a file holds what was written to it: nobody else may touch it.
    pub fn is_untouched(&self, session: usize, file: usize) -> bool {
        fs::read(self.path(session, file)).unwrap_or_default() == self.read(session, file)
    }

    /// Whether confab is to find a file: an old agent file must name its session first.
    pub fn is_reachable(&self, session: usize, file: usize) -> bool {
        let bytes = self.read(session, file);
        let named = format!("\"sessionId\":\"{}\"", self.ids[session]);
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').take(50);
        let mut names = lines.by_ref().filter(|line| line.ends_with(b"\n"));
        let has = |line: &[u8]| String::from_utf8_lossy(line).contains(&named);
        file != 3 || names.any(has)
    }

    /// Lines that no other line is like, each with its newline.
    pub fn lines(&mut self, session: usize, count: usize, random: &mut Rng) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..count {
            self.n_lines += 1;
            let (n, id) = (self.n_lines, self.ids[session].clone());
            match random.u8(0..9) {
                0 => text.extend(format!("#{n} is no JSON\n").bytes()),
                1 => text.extend(format!("\r\n#{n}\r\n\n").bytes()),
                2 => text.extend([b"#", n.to_string().as_bytes(), b"\xff\xfe\0\x1b\n"].concat()),
                3 => {
                    let long = format!("{n} ").repeat(random.usize(0..600));
                    text.extend(
                        format!("{{\"sessionId\":\"{id}\",\"long\":\"{long}\"}}\n").bytes(),
                    );
                }
                4 => {
                    let secret = &self.secret;
                    text.extend(
                        format!("{{\"type\":\"user\",\"sessionId\":\"{id}\",\"message\":{{\"role\":\"user\",\"content\":\"key {secret}\"}},\"n\":{n}}}\n")
                            .bytes(),
                    );
                }
                5 => {
                    text.extend(
                        format!(
                            "{{\"type\":\"summary\",\"summary\":\"{n}\",\"leafUuid\":\"u{n}\"}}\n"
                        )
                        .bytes(),
                    );
                }
                _ => text.extend(self.object(session).bytes().chain([b'\n'])),
            }
        }
        text
    }

    /// One line, without its newline.
    fn object(&mut self, session: usize) -> String {
        self.n_lines += 1;
        let (n, id) = (self.n_lines, &self.ids[session]);
        format!(
            "{{\"type\":\"assistant\",\"sessionId\":\"{id}\",\"n\":{n},\"agentId\":\"a1\",\"text\":\"ä\\u0000\"}}"
        )
    }

    /// Appends bytes behind the line that was begun last.
    pub fn append(&mut self, session: usize, file: usize, bytes: &[u8], now: SystemTime) {
        let mut text = self.rests[session * FILES + file].take().unwrap_or_default().into_bytes();
        let before = self.read(session, file);
        if before.is_empty() {
            text.clear();
            text.extend(self.object(session).bytes().chain([b'\n']));
        } else if text.is_empty() && !before.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(bytes);
        self.write(session, file, &text, now);
    }

    /// Begins a line.
    pub fn begin(&mut self, session: usize, file: usize, cut: Option<u64>, now: SystemTime) {
        self.append(session, file, b"", now);
        let line = self.object(session);
        let length = cut.map_or(line.len(), |cut| 1 + (cut as usize) % (line.len() - 1));
        let length = line.floor_char_boundary(length);
        self.write(session, file, &line.as_bytes()[..length], now);
        self.rests[session * FILES + file] = Some(format!("{}\n", &line[length..]));
    }

    fn write(&mut self, session: usize, file: usize, bytes: &[u8], now: SystemTime) {
        let path = self.path(session, file);
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true);
        let mut out = options.open(&path).unwrap_or_else(|_| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            options.open(&path).unwrap()
        });
        out.write_all(bytes).unwrap();
        self.contents[session * FILES + file].extend(bytes);
        out.set_modified(now).unwrap();
        touch(path.parent().unwrap(), now);
    }

    /// Gives a file another content, in place or as another file.
    pub fn replace(&mut self, session: usize, file: usize, bytes: &[u8], in_place: bool) {
        let path = self.path(session, file);
        self.rests[session * FILES + file] = None;
        self.contents[session * FILES + file] = bytes.to_vec();
        if in_place {
            fs::write(&path, bytes).unwrap();
            return;
        }
        let aside = self.home.join("aside");
        fs::write(&aside, bytes).unwrap();
        fs::rename(aside, &path).unwrap();
    }

    pub fn stamp(&self, session: usize, file: usize, now: SystemTime) {
        let path = self.path(session, file);
        if let Ok(out) = OpenOptions::new().append(true).open(&path) {
            out.set_modified(now).unwrap();
        }
        touch(path.parent().unwrap(), now);
    }

    pub fn delete(&mut self, session: usize, file: usize, now: SystemTime) {
        let path = self.path(session, file);
        self.rests[session * FILES + file] = None;
        self.contents[session * FILES + file].clear();
        let _ = fs::remove_file(&path);
        touch(path.parent().unwrap(), now);
    }

    /// Moves a transcript and the folder beside it into another project, as on entering a worktree.
    pub fn rename(&mut self, session: usize, now: SystemTime) {
        let (old, id) = (self.path(session, 0), self.ids[session].clone());
        if !old.exists() {
            return;
        }
        let number: usize = self.projects[session][2..].parse().unwrap();
        self.projects[session] = format!("-p{}", number + 1);
        // The old agent file stays behind, and the line that was begun in it as well.
        self.rests[session * FILES + 3] = None;
        self.contents[session * FILES + 3].clear();
        let new = self.path(session, 0);
        fs::create_dir_all(new.parent().unwrap()).unwrap();
        fs::rename(&old, &new).unwrap();
        let _ = fs::rename(old.with_file_name(&id), new.with_file_name(&id));
        touch(old.parent().unwrap(), now);
        touch(new.parent().unwrap(), now);
    }
}

fn touch(folder: &Path, now: SystemTime) {
    if let Ok(folder) = File::open(folder) {
        folder.set_modified(now).unwrap();
    }
}
