//! How soon an appended line is taken with `"sync_interval": "live"`, and what a daemon costs while
//! nothing happens.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::figure::{Figure, time};
use crate::sink::Sink;
use crate::world::{World, proc_number, wait_for};

const APPENDS: usize = 200;
/// Between two appends: longer than anything that follows upon one.
const REST: Duration = Duration::from_millis(60);
/// How long nothing happens before being idle is measured: memory has been given back by then.
const SETTLE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_micros(100);

pub fn run(lines: &[Vec<u8>]) {
    let sink = Sink::start();
    let world = World::live("live", sink.port);
    let transcript = world.transcript("live");
    fs::write(&transcript, &lines[0]).unwrap();
    let sent = || sink.lines.load(Ordering::SeqCst);
    let input = world.input("live");
    assert!(world.hook("session-start", &input).status().unwrap().success());
    wait_for(|| (sent() >= 1).then_some(()));
    let (mut taken, mut bare) = (Vec::new(), Vec::new());
    for line in lines.iter().cycle().take(APPENDS) {
        sleep(REST);
        bare.push(time(|| post(sink.port, line)));
        let before = sent();
        let started = Instant::now();
        OpenOptions::new().append(true).open(&transcript).unwrap().write_all(line).unwrap();
        while sent() == before {
            sleep(LOOK);
        }
        taken.push(started.elapsed());
    }
    world.kill("live");
    let (taken, bare) = (Figure::of(taken), Figure::of(bare));
    println!("append to taken by the backend, live, {APPENDS} lines; a bare request {bare}");
    println!("  {taken}, {:.1} x the bare request; 10 ms of it are waited", taken.over(&bare));
}

/// The same bytes to the same backend, by hand.
fn post(port: u16, line: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("POST /bare HTTP/1.1\r\ncontent-length: {}\r\n\r\n", line.len());
    stream.write_all(&[head.as_bytes(), line].concat()).unwrap();
    let mut answer = [0; 256];
    assert!(stream.read(&mut answer).unwrap() > 0);
}

/// Daemons in which nothing happens for `limit`, beside a `sleep`.
pub fn idle(lines: &[Vec<u8>], limit: Duration) {
    let sink = Sink::start();
    let plain = World::new("idle", sink.port);
    let live = World::live("idle-live", sink.port);
    let mut pids = Vec::new();
    for (what, world) in [("30 s", &plain), ("live", &live)] {
        fs::write(world.transcript("idle"), lines.concat()).unwrap();
        let before = sink.lines.load(Ordering::SeqCst);
        let input = world.input("idle");
        let mut hook = world.hook("session-start", &input);
        hook.env_remove("CONFAB_SYNC_INTERVAL_MS").env_remove("CONFAB_SYNC_JITTER_MS");
        assert!(hook.status().unwrap().success());
        let n_lines = lines.len() as u64;
        wait_for(|| (sink.lines.load(Ordering::SeqCst) >= before + n_lines).then_some(()));
        pids.push((what, world.daemon("idle")));
    }
    let mut sleeper: Child = Command::new("sleep").arg("100000").spawn().unwrap();
    pids.push(("sleep", sleeper.id()));
    sleep(SETTLE);
    let before: Vec<[u64; 3]> = pids.iter().map(|(_, pid)| costs(*pid)).collect();
    sleep(limit);
    println!("idle for {limit:?}, the transcript sent");
    for ((what, pid), before) in pids.iter().zip(before) {
        let now = costs(*pid);
        let [woken, ticks, read] = [0, 1, 2].map(|at| now[at] - before[at]);
        let per_half_minute = woken as f64 * 30.0 / limit.as_secs_f64();
        println!(
            "  {what}: woken {woken} times, {per_half_minute:.2} in 30 s; {} ms of the processor, \
             {read} bytes read; private {} kB (dirty {} kB), resident {} kB",
            ticks * 10,
            proc_number(*pid, "smaps_rollup", "Private_Dirty:")
                + proc_number(*pid, "smaps_rollup", "Private_Clean:"),
            proc_number(*pid, "smaps_rollup", "Private_Dirty:"),
            proc_number(*pid, "status", "VmRSS:"),
        );
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    plain.kill("idle");
    live.kill("idle");
}

/// How often the threads of a process were woken, its processor time in ticks, what it has read.
fn costs(pid: u32) -> [u64; 3] {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let woken = threads.map(|thread| {
        let thread = thread.file_name().into_string().unwrap();
        proc_number(pid, &format!("task/{thread}/status"), "voluntary_ctxt_switches:")
    });
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    [woken.sum(), ticks, proc_number(pid, "io", "rchar:")]
}
