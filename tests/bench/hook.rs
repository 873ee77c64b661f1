//! What a hook costs Claude Code, as a whole process, beside `/bin/true`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::median;
use crate::sink::Sink;
use crate::world::World;

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
    for (what, took) in [
        ("session-start with a spawn", spawn),
        ("user-prompt-submit, daemon runs", live),
        ("session-end, daemon runs (once)", end),
    ] {
        println!("  {what}: {} us, {:.2} x true", took.as_micros(), ratio(took));
    }
}

fn time(command: &mut Command) -> Duration {
    let started = Instant::now();
    assert!(command.status().unwrap().success());
    started.elapsed()
}
