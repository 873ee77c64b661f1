//! `confab watch`: bringing in history, how soon appended lines are taken in many sessions at once,
//! and what it costs while nothing happens.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::figure::Figure;
use crate::live::costs;
use crate::server::finding::unindexed;
use crate::server::process::{Folder, Server, create_key};
use crate::sink::Sink;
use crate::world::{World, confab, proc_number, wait_for};

const SIZES: [u64; 2] = [100_000_000, 1_000_000_000];
/// Bytes of one session.
const SESSION_BYTES: u64 = 500_000;
const RUNS: usize = 3;
const LIVE_SESSIONS: usize = 20;
const APPENDS: usize = 400;
/// Between two appends to all sessions together.
const REST: Duration = Duration::from_millis(15);
const IDLE_SESSIONS: usize = 10_000;
/// Memory has been given back by then.
const SETTLE: Duration = Duration::from_secs(20);
/// What was written then is not followed.
const LONG_AGO: Duration = Duration::from_secs(100_000);

/// A running watch.
struct Watch(Child);

impl Watch {
    fn start(world: &World, arguments: &[&str]) -> Watch {
        let mut command = Command::new(confab());
        command.arg("watch").args(arguments).env_clear().env("HOME", &world.home);
        Watch(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// What it has written down of itself.
    fn standing(&self, world: &World) -> serde_json::Value {
        let text = fs::read(world.home.join(".confab/watch.json")).unwrap_or_default();
        let standing: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if standing["pid"] == self.0.id() { standing } else { serde_json::Value::Null }
    }

    fn follows(&self, world: &World) {
        wait_for(|| (self.standing(world)["phase"] == "following").then_some(()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run(lines: &[Vec<u8>]) {
    for bytes in SIZES {
        bring_in(lines, bytes);
    }
    appends(lines);
}

fn id(number: usize) -> String {
    format!("{number:08x}-1111-4111-8111-111111111111")
}

fn transcript(world: &World, number: usize) -> PathBuf {
    let folder = world.home.join(format!(".claude/projects/-p{}", number % 40));
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{}.jsonl", id(number)))
}

/// History into an empty server, until that has acknowledged everything.
fn bring_in(lines: &[Vec<u8>], bytes: u64) {
    let world = World::new(&format!("watch-{bytes}"), 1);
    let mut next = lines.iter().cycle();
    let n_sessions = usize::try_from(bytes / SESSION_BYTES).unwrap();
    for number in 0..n_sessions {
        let path = transcript(&world, number);
        let mut text = Vec::new();
        while (text.len() as u64) < SESSION_BYTES {
            text.extend_from_slice(next.next().unwrap());
        }
        fs::write(&path, text).unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - LONG_AGO).unwrap();
    }
    let (mut took, mut indexed, mut peak, mut server_peak) = (Vec::new(), Vec::new(), 0, 0);
    fs::create_dir_all(world.home.join(".confab")).unwrap();
    for _ in 0..RUNS {
        let folder = Folder::new();
        let key = create_key(&folder.0, "bench@x");
        let server = Server::start(&folder.0);
        let url = format!("http://{}", server.address);
        let config = serde_json::json!({"backend_url": url, "api_key": key}).to_string();
        fs::remove_dir_all(world.home.join(".confab")).unwrap();
        fs::create_dir(world.home.join(".confab")).unwrap();
        fs::write(world.home.join(".confab/config.json"), config).unwrap();
        let started = Instant::now();
        let watch = Watch::start(&world, &[]);
        watch.follows(&world);
        took.push(started.elapsed());
        wait_for(|| (unindexed(&server, &key) == 0).then_some(()));
        indexed.push(started.elapsed());
        peak = peak.max(proc_number(watch.0.id(), "status", "VmHWM:"));
        server_peak = server_peak.max(proc_number(server.pid(), "status", "VmHWM:"));
    }
    let took = Figure::of(took);
    let megabytes = bytes / 1_000_000;
    println!("watch: {megabytes} MB in {n_sessions} sessions into an empty server");
    println!("  acknowledged in {took}, {:.0} MB/s", took.rate(bytes));
    let indexed = Figure::of(indexed);
    println!("  all of it found after {indexed}, {:.0} MB/s", indexed.rate(bytes));
    println!("  peak memory {peak} kB, of the server {server_peak} kB");
}

/// From an append to its acknowledgement, with sessions that all grow.
fn appends(lines: &[Vec<u8>]) {
    let sink = Sink::start();
    let world = World::new("watch-live", sink.port);
    for number in 0..LIVE_SESSIONS {
        fs::write(transcript(&world, number), &lines[0]).unwrap();
    }
    let watch = Watch::start(&world, &[]);
    let sent = || sink.lines.load(Ordering::SeqCst);
    wait_for(|| (sent() >= LIVE_SESSIONS as u64).then_some(()));
    watch.follows(&world);
    let mut took = Vec::new();
    for (turn, line) in lines.iter().cycle().take(APPENDS).enumerate() {
        sleep(REST);
        let path = transcript(&world, turn % LIVE_SESSIONS);
        let before = sent();
        let started = Instant::now();
        OpenOptions::new().append(true).open(path).unwrap().write_all(line).unwrap();
        while sent() == before {
            sleep(Duration::from_micros(100));
        }
        took.push(started.elapsed());
    }
    took.sort();
    let at = took[took.len() * 99 / 100];
    println!("watch: append to taken by the backend, {LIVE_SESSIONS} sessions, {APPENDS} lines");
    println!("  {}, 99th percentile {at:.3?}; 10 ms of it are waited", Figure::of(took));
}

/// Ten thousand sessions in which nothing happens for `limit`.
pub fn idle(limit: Duration) {
    let sink = Sink::start();
    let world = World::new("watch-idle", sink.port);
    for number in 0..IDLE_SESSIONS {
        let path = transcript(&world, number);
        fs::write(&path, "{\"type\":\"user\"}\n").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - LONG_AGO).unwrap();
    }
    // Once with all of them to be brought in, once with all of them known.
    for what in ["brought in", "known"] {
        let watch = Watch::start(&world, &[]);
        watch.follows(&world);
        sleep(SETTLE);
        let pid = watch.0.id();
        let before = costs(pid);
        sleep(limit);
        let now = costs(pid);
        let [woken, ticks, read] = [0, 1, 2].map(|at| now[at] - before[at]);
        println!("watch: {IDLE_SESSIONS} sessions, {what}, idle for {limit:?}");
        println!(
            "  woken {woken} times, {} ms of the processor, {read} bytes read; resident {} kB \
             (dirty {} kB), at most {} kB",
            ticks * 10,
            proc_number(pid, "status", "VmRSS:"),
            proc_number(pid, "smaps_rollup", "Private_Dirty:"),
            proc_number(pid, "status", "VmHWM:"),
        );
    }
}
