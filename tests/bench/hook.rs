//! What a hook costs Claude Code, as a whole process, beside `/bin/true` and beside nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::figure::Figure;
use crate::sink::Sink;
use crate::world::{World, wait_for};

const RUNS: usize = 200;

pub fn run() {
    let sink = Sink::start();
    let world = World::new("hook", sink.port);
    let nothing = nothing(&world);
    let mut beside = Beside { nothing: nothing.as_deref(), truths: vec![], nothings: vec![] };
    let live = {
        let input = world.input("live");
        time(&mut world.hook("session-start", &input));
        world.daemon("live");
        let mut hook = || time(&mut world.hook("user-prompt-submit", &input));
        let times = (0..RUNS).map(|_| beside.measure(&mut hook)).collect();
        world.kill("live");
        times
    };
    let tools = tools(&world, &mut beside);
    let spawn = (0..RUNS).map(|run| {
        let id = format!("spawn-{run}");
        let input = world.input(&id);
        let took = beside.measure(&mut || time(&mut world.hook("session-start", &input)));
        world.kill(&id);
        took
    });
    let spawn = spawn.collect();
    let truth = Figure::of(beside.truths);
    let nothing = (!beside.nothings.is_empty()).then(|| Figure::of(beside.nothings));
    println!("hook, whole process, {RUNS} runs; /bin/true {truth}");
    if let Some(nothing) = &nothing {
        println!("  a static program that does nothing {nothing}");
    }
    let sessions: [(&str, Vec<Duration>); 2] =
        [("session-start with a spawn", spawn), ("user-prompt-submit, daemon runs", live)];
    for (what, times) in sessions.into_iter().chain(tools) {
        let took = Figure::of(times);
        let over = nothing
            .map_or(String::new(), |nothing| format!(", {:.2} x nothing", took.over(&nothing)));
        println!("  {what}: {took}, {:.2} x true{over}", took.over(&truth));
    }
}

/// What is measured beside each hook, in turn with it, so that both meet the same machine.
struct Beside<'a> {
    nothing: Option<&'a Path>,
    truths: Vec<Duration>,
    nothings: Vec<Duration>,
}

impl Beside<'_> {
    fn measure(&mut self, hook: &mut dyn FnMut() -> Duration) -> Duration {
        self.truths.push(time(&mut Command::new("/bin/true")));
        self.nothings.extend(self.nothing.map(|nothing| time(&mut Command::new(nothing))));
        hook()
    }
}

/// A static program that does nothing, where it can be built.
fn nothing(world: &World) -> Option<PathBuf> {
    let path = world.home.join("nothing");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/nothing.c");
    let built = Command::new("cc")
        .args(["-static", "-nostdlib", "-O2", "-o"])
        .args([path.as_os_str(), source.as_ref()])
        .status();
    if built.is_ok_and(|status| status.success()) {
        return Some(path);
    }
    println!("skipped: cc cannot build a static program that does nothing");
    None
}

/// What stands between Claude Code and each of its commands.
fn tools(world: &World, beside: &mut Beside<'_>) -> [(&'static str, Vec<Duration>); 4] {
    let input = world.input("tools");
    std::fs::write(world.transcript("tools"), "{}\n").unwrap();
    time(&mut world.hook("session-start", &input));
    let state = world.home.join(".confab/sync/tools.json");
    wait_for(|| std::fs::read_to_string(&state).ok()?.contains("session_url").then_some(()));
    let script = "git init -q repository && cd repository && git remote add origin git@github.com:o/r \
                  && git -c user.name=n -c user.email=e commit -q --allow-empty -m m";
    let made = Command::new("sh").args(["-c", script]).current_dir(&world.home).status();
    assert!(made.unwrap().success());
    let repository = world.home.join("repository");
    let mut measure = |event: &str, command: &str| {
        let command = command.replace("@", repository.to_str().unwrap());
        let text = std::fs::read_to_string(&input).unwrap();
        let tool = serde_json::json!({ "command": command }).to_string();
        let path = world.home.join("bash.json");
        let text = text.trim_end_matches('}');
        let text = format!("{text},\"tool_name\":\"Bash\",\"tool_input\":{tool}}}");
        std::fs::write(&path, text).unwrap();
        let mut hook = || time(&mut world.hook(event, &path));
        (0..RUNS).map(|_| beside.measure(&mut hook)).collect()
    };
    let times = [
        ("pre-tool-use, no commit", measure("pre-tool-use", "cd @ && cargo test")),
        ("pre-tool-use, a commit", measure("pre-tool-use", "cd @ && git commit -m x")),
        ("post-tool-use, no commit", measure("post-tool-use", "cd @ && cargo test")),
        ("post-tool-use, a commit", measure("post-tool-use", "cd @ && git commit -m x")),
    ];
    world.kill("tools");
    times
}

fn time(command: &mut Command) -> Duration {
    let started = Instant::now();
    assert!(command.status().unwrap().success());
    started.elapsed()
}
