//! A home of its own for each benchmark, and looks at processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The client that is measured, once that was said.
static CLIENT: OnceLock<PathBuf> = OnceLock::new();
/// How long anything is waited for.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// The client that is measured.
pub fn confab() -> &'static Path {
    CLIENT.get().expect("it was said which client is measured")
}

/// This client is measured, such as a static one; else the one that was built for this run. A copy
/// of it is, as an installed one is a copy: what the linker has written piece by piece lies in the
/// page cache in small pieces, and starts a third slower.
pub fn measure(client: Option<&Path>) {
    let client = client.unwrap_or(Path::new(env!("CARGO_BIN_EXE_confab")));
    println!("the client: {}", client.display());
    let folder = std::env::temp_dir().join(format!("confab-bench-client-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("confab");
    fs::copy(client, &copy).expect("the client exists");
    CLIENT.set(copy).expect("said once");
}

/// Takes the copy away.
pub fn clean_up() {
    let _ = confab().parent().map(fs::remove_dir_all);
}

pub struct World {
    pub home: PathBuf,
}

impl World {
    pub fn new(name: &str, port: u16) -> World {
        World::with(name, port, "")
    }

    /// With file events.
    pub fn live(name: &str, port: u16) -> World {
        World::with(name, port, r#","sync_interval":"live""#)
    }

    /// Without redaction.
    pub fn plain(name: &str, port: u16) -> World {
        World::with(name, port, r#","redaction":{"enabled":false}"#)
    }

    fn with(name: &str, port: u16, further: &str) -> World {
        let home = std::env::temp_dir().join(format!("confab-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(home.join(".confab")).unwrap();
        fs::create_dir_all(home.join(".claude/projects/-bench")).unwrap();
        let key = ["cfb_", &"b".repeat(40)].concat();
        let config =
            format!(r#"{{"backend_url":"http://127.0.0.1:{port}","api_key":"{key}"{further}}}"#);
        fs::write(home.join(".confab/config.json"), config).unwrap();
        World { home }
    }

    pub fn transcript(&self, id: &str) -> PathBuf {
        self.home.join(format!(".claude/projects/-bench/{id}.jsonl"))
    }

    /// A file with the input of a hook.
    pub fn input(&self, id: &str) -> PathBuf {
        let path = self.home.join(format!("{id}.json"));
        let transcript = self.transcript(id);
        let input =
            serde_json::json!({"session_id": id, "transcript_path": transcript, "cwd": "/"});
        fs::write(&path, input.to_string()).unwrap();
        path
    }

    pub fn hook(&self, event: &str, input: &Path) -> Command {
        let mut command = Command::new(confab());
        command.args(["hook", event]).env_clear().env("HOME", &self.home);
        command.env("CONFAB_SYNC_INTERVAL_MS", "200").env("CONFAB_SYNC_JITTER_MS", "0");
        // This process stands for Claude Code, as it is what the daemon must outlive.
        command.env("CLAUDE_PID", std::process::id().to_string());
        command.stdin(fs::File::open(input).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The daemon of a session, once it has said who it is.
    pub fn daemon(&self, id: &str) -> u32 {
        let path = self.home.join(format!(".confab/sync/{id}.lock"));
        wait_for(|| fs::read_to_string(&path).ok()?.split_once(' ')?.0.parse().ok())
    }

    pub fn kill(&self, id: &str) {
        let pid = self.daemon(id);
        Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        wait_for(|| (!Path::new(&format!("/proc/{pid}/exe")).exists()).then_some(()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Asks until there is an answer.
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A number of `/proc/PID/FILE`, behind `name`.
pub fn proc_number(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// What a process and its threads have taken of the processor, in steps of a hundredth of a second.
pub fn processor_time(pid: u32) -> Duration {
    const TICKS_A_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The 14th and 15th field; the second one, a name in brackets, may hold anything.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}
