//! What a hook costs Claude Code, as a whole process, beside `/bin/true`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::median;
use crate::sink::Sink;
use crate::world::{World, wait_for};

const RUNS: usize = 200;

pub fn run() {
    let sink = Sink::start();
    let world = World::new("hook", sink.port);
    let truth = median((0..RUNS).map(|_| time(&mut Command::new("/bin/true"))).collect());
    let live = {
        let input = world.input("live");
        time(&mut world.hook("session-start", &input));
        world.daemon("live");
        let times = (0..RUNS).map(|_| time(&mut world.hook("user-prompt-submit", &input)));
        let times = times.collect();
        world.kill("live");
        median(times)
    };
    let tools = tools(&world);
    let spawn = (0..RUNS).map(|run| {
        let id = format!("spawn-{run}");
        let input = world.input(&id);
        let took = time(&mut world.hook("session-start", &input));
        world.kill(&id);
        took
    });
    let spawn = median(spawn.collect());
    let end = {
        let input = world.input("end");
        time(&mut world.hook("session-start", &input));
        world.daemon("end");
        let took = time(&mut world.hook("session-end", &input));
        world.kill("end");
        took
    };
    let ratio = |time: Duration| time.as_secs_f64() / truth.as_secs_f64();
    println!("hook, whole process, median of {RUNS}; /bin/true {} us", truth.as_micros());
    let sessions = [
        ("session-start with a spawn", spawn),
        ("user-prompt-submit, daemon runs", live),
        ("session-end, daemon runs (once)", end),
    ];
    for (what, took) in sessions.into_iter().chain(tools) {
        println!("  {what}: {} us, {:.2} x true", took.as_micros(), ratio(took));
    }
}

/// What stands between Claude Code and each of its commands.
fn tools(world: &World) -> [(&'static str, Duration); 4] {
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
    let measure = |event: &str, command: &str| {
        let command = command.replace("@", repository.to_str().unwrap());
        let text = std::fs::read_to_string(&input).unwrap();
        let tool = serde_json::json!({ "command": command }).to_string();
        let path = world.home.join("bash.json");
        let text = text.trim_end_matches('}');
        let text = format!("{text},\"tool_name\":\"Bash\",\"tool_input\":{tool}}}");
        std::fs::write(&path, text).unwrap();
        median((0..RUNS).map(|_| time(&mut world.hook(event, &path))).collect())
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
