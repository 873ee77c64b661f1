//! A first sync of 100 MB and of 1 GB, with and without redaction, an idle daemon, and what
//! following costs in reading.
//!
//! # Where the time goes
//!
//! Instructions for each byte of a first sync of 5 MB (`save`, callgrind), setting up included,
//! before and after the largest costs were worked on in November 2026:
//!
//! | | before | after |
//! |---|---|---|
//! | keywords of all rules (1) | 17.4 | 15.1 |
//! | rest of redaction (2) | 14.8 | 11.1 |
//! | what lines say (3) | 12.7 | 2.8 |
//! | escaping (4) | 10.9 | 10.7 |
//! | the line's strings | 9.9 | 10.1 |
//! | names of keys | 7.6 | 7.6 |
//! | compression | 7.3 | 6.9 |
//! | base64 | 4.2 | 4.3 |
//! | memory, copies, others | 6.7 | 5.9 |
//!
//! 1. The largest by time, 46 % of redaction: a step of the automaton waits for the last one. Four
//!    parts of a text are read side by side now, which takes half the time, and the automaton is
//!    made in a fifth.
//! 2. The strings of a line stay in one place; whether one opens a private key is mostly ruled out
//!    by one byte.
//! 3. Lines that can tell nothing new are not read a third time.
//! 4. Short pieces cost no call of `memcpy` each: half the time of the static client.
//!
//! Processor time of 100 MB: 0.75 s before and 0.46 s after, and 1.05 s and 0.60 s of the static
//! client, whose libc copies short pieces slowly. Behind that, redaction and escaping of what is
//! read in one piece are halved between two threads.
//!
//! All of that was measured with lines whose long texts had been cut (see `lines`). With texts as
//! long as sessions have them, most of what is read are strings of kilobytes that name a key, a
//! token or a session somewhere, and each of them was decoded and then searched a second time: 71
//! of 100 bytes. Single-threaded redaction of such lines took 174 MB/s at best before and 272
//! after. By what was sampled of it:
//!
//! | | before | after |
//! |---|---|---|
//! | search for keywords (5) | 32 % | 30 % |
//! | base64 (6) | 18 % | 8 % |
//! | escapes undone, ends of strings (7) | 22 % | 16 % |
//! | what a keyword means where it stands (8) | 16 % | 15 % |
//!
//! 5. Once, in the raw line: in the string only what was suspicious there is looked at again. What
//!    four parts hold side by side is kept apart.
//! 6. Once; a run of 24 digits holds two whole words of eight, which few texts do.
//! 7. A word of eight bytes at a time: what a library's search takes to begin was most of it.
//! 8. Names behind which no value stands are not judged.
//!
//! Behind that, the two threads waited for each other: one of them while the other one read and
//! compressed, each for whoever took a long line last. A piece is begun now before the one in front
//! of it is compressed. Of 100 MB, in milliseconds of the thread that compresses and of the one
//! that helps:
//!
//! | | before | after |
//! |---|---|---|
//! | compressing, with whatever shares the processor | 271 to 320 | 350 |
//! | the helper is being started or has nothing to do | 145 | 95 |
//! | waiting for the helper | 42 | 7 |
//! | all of it, dynamic client | 633 to 788 | 597 to 705 |
//!
//! And the static client spent a quarter of its time on getting memory that it had just given back,
//! as musl's allocator does (see `sys::allocator`): 360 of 1,560 ms of the processor and 48,000
//! page faults before, 100 of 1,170 ms and 10,600 after. Most of those were the compressor's, made
//! anew for each request: 5,600 with one for all requests of a file. And between two requests both
//! threads begin anew: with requests of 8 MiB instead of 4 the dynamic client took 1.33 to 1.37
//! times what the bare stages take, in runs in which it was 1.40 to 1.48 before.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::figure::{Figure, time};
use crate::lines::{self, AsWritten};
use crate::sink::Sink;
use crate::world::{World, proc_number, processor_time, wait_for};

const SMALL_BYTES: u64 = 100_000_000;
const LARGE_BYTES: u64 = 1_000_000_000;
const RUNS: usize = 5;
const RUNS_LARGE: usize = 3;
/// A request of the client's.
const BODY_BYTES: usize = 8 << 20;
const APPENDS: usize = 20;

pub fn run() {
    let sink = Sink::start();
    let worlds = [World::new("sync", sink.port), World::plain("sync-plain", sink.port)];
    for (bytes, runs) in [(SMALL_BYTES, RUNS), (LARGE_BYTES, RUNS_LARGE)] {
        let text = worlds[0].home.join("text");
        let n_lines = write_lines(&text, AsWritten::new(), bytes);
        println!("first sync of {} MB, {n_lines} lines, {runs} runs", bytes / 1_000_000);
        first_syncs(&worlds, &sink, &text, (bytes, n_lines), runs);
    }
    let text = worlds[0].home.join("text");
    let n_lines = write_lines(&text, lines::recorded().into_iter().cycle(), SMALL_BYTES);
    println!("the same of {n_lines} lines whose long texts were cut, {RUNS} runs");
    first_syncs(&worlds, &sink, &text, (SMALL_BYTES, n_lines), RUNS);
    follow(&worlds[0], &sink);
}

/// First syncs of a text of so many bytes and lines, with and without redaction, and what they are
/// measured against.
fn first_syncs(worlds: &[World; 2], sink: &Sink, text: &Path, size: (u64, u64), runs: usize) {
    let [redacted, plain] = worlds;
    let (bytes, n_lines) = size;
    let mut peak = 0;
    let mut first = |world: &World, run: usize| {
        let id = format!("first-{bytes}-{n_lines}-{run}");
        let (took, processor, kilobytes) = first_sync(world, sink, &id, text, n_lines);
        peak = peak.max(kilobytes);
        (took, processor)
    };
    let mut times = [const { Vec::new() }; 7];
    let mut compressed = 0;
    for run in 0..runs {
        times[0].push(time(|| read_lines(text)));
        times[1].push(time(|| cat(text, bytes, sink.port)));
        times[2].push(time(|| compressed = bare_stages(text)));
        for (index, world) in [(3, plain), (5, redacted)] {
            let (took, processor) = first(world, run);
            times[index].push(took);
            times[index + 1].push(processor);
        }
    }
    let [read, cat, bare, unredacted, its_processor, took, processor] = times.map(Figure::of);
    println!("  reading its lines: {read}");
    println!("  cat to the same sink: {cat}");
    println!(
        "  read, escaped and compressed {:.1} to 1: {bare}, {:.0} MB/s",
        bytes as f64 / compressed as f64,
        bare.rate(bytes)
    );
    for (what, took, processor) in
        [("without redaction", unredacted, its_processor), ("with redaction", took, processor)]
    {
        println!(
            "  {what}: {took}, {:.0} MB/s, {:.2} x the bare stages, {:.2} x cat",
            took.rate(bytes),
            took.over(&bare),
            took.over(&cat)
        );
        println!("    of the processor: {processor}");
    }
    println!("  peak memory {:.1} MB", peak as f64 / 1024.0);
}

/// `cat` with a connection to the sink as its output.
fn cat(text: &Path, bytes: u64, port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let bytes = bytes.max(fs::metadata(text).unwrap().len());
    stream
        .write_all(format!("POST /bare HTTP/1.1\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())
        .unwrap();
    let output = Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    assert!(Command::new("cat").arg(text).stdout(output).status().unwrap().success());
    assert!(stream.read(&mut [0; 256]).unwrap() > 0);
}

/// What has to be done in any case: lines read, escaped as JSON strings, compressed in bodies of
/// the same size, one after the other. Returns the size of the bodies.
fn bare_stages(text: &Path) -> usize {
    let mut reader = BufReader::with_capacity(256 << 10, fs::File::open(text).unwrap());
    let (mut line, mut escaped) = (Vec::new(), Vec::new());
    let encoder = || zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let (mut body, mut size, mut compressed) = (encoder(), 0, 0);
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        escaped.clear();
        serde_json::to_writer(&mut escaped, std::str::from_utf8(&line).unwrap()).unwrap();
        body.write_all(&escaped).unwrap();
        size += escaped.len();
        if size > BODY_BYTES {
            compressed += std::mem::replace(&mut body, encoder()).finish().unwrap().len();
            size = 0;
        }
        line.clear();
    }
    compressed + body.finish().unwrap().len()
}

/// From the hook to the last line's acknowledgement; what the daemon took of the processor, and its
/// peak memory in kB.
fn first_sync(
    world: &World,
    sink: &Sink,
    id: &str,
    text: &Path,
    n_lines: u64,
) -> (Duration, Duration, u64) {
    fs::hard_link(text, world.transcript(id)).unwrap();
    let input = world.input(id);
    let before = sink.lines.load(Ordering::Relaxed);
    let started = Instant::now();
    assert!(world.hook("session-start", &input).status().unwrap().success());
    wait_for(|| (sink.lines.load(Ordering::Relaxed) - before >= n_lines).then_some(()));
    let took = started.elapsed();
    let peak = proc_number(world.daemon(id), "status", "VmHWM:");
    let processor = processor_time(world.daemon(id));
    world.kill(id);
    fs::remove_file(world.transcript(id)).unwrap();
    (took, processor, peak)
}

/// A daemon that has sent everything: its memory, what it reads while nothing happens, and what it
/// reads for what is appended.
fn follow(world: &World, sink: &Sink) {
    let id = "follow";
    let transcript = world.transcript(id);
    let mut lines = AsWritten::new();
    write_lines(&transcript, &mut lines, 10_000_000);
    let input = world.input(id);
    let sent = || sink.lines.load(Ordering::Relaxed);
    assert!(world.hook("session-start", &input).status().unwrap().success());
    let pid = world.daemon(id);
    let state = world.home.join(format!(".confab/sync/{id}.json"));
    let is_idle = || fs::read_to_string(&state).ok()?.contains("synced_at").then_some(());
    wait_for(is_idle);
    // Ten intervals in which nothing happens.
    let before = proc_number(pid, "io", "rchar:");
    std::thread::sleep(Duration::from_secs(2));
    let idle_read = proc_number(pid, "io", "rchar:") - before;
    let private = proc_number(pid, "smaps_rollup", "Private_Dirty:")
        + proc_number(pid, "smaps_rollup", "Private_Clean:");
    let dirty = proc_number(pid, "smaps_rollup", "Private_Dirty:");
    let resident = proc_number(pid, "status", "VmRSS:");
    println!("idle daemon after 10 MB");
    println!("  private {private} kB (dirty {dirty} kB), resident {resident} kB");
    println!("  read in 10 intervals: {idle_read} bytes, the transcript has 10 MB");
    let before = proc_number(pid, "io", "rchar:");
    let mut appended = 0;
    for _ in 0..APPENDS {
        let n_before = sent();
        let mut file = OpenOptions::new().append(true).open(&transcript).unwrap();
        let batch: Vec<u8> = lines.by_ref().take(100).flatten().collect();
        file.write_all(&batch).unwrap();
        appended += batch.len();
        wait_for(|| (sent() >= n_before + 100).then_some(()));
    }
    // Each pass also reads the configuration and /proc; that is counted too.
    let read = proc_number(pid, "io", "rchar:") - before;
    println!("following {APPENDS} appends of 100 lines");
    println!("  appended {appended} bytes, read {read}: {:.3}", read as f64 / appended as f64);
    world.kill(id);
}

/// Lines until there are so many bytes; how many lines that are.
fn write_lines(path: &Path, lines: impl Iterator<Item = Vec<u8>>, bytes: u64) -> u64 {
    let mut out = BufWriter::new(fs::File::create(path).unwrap());
    let (mut written, mut n_lines) = (0, 0);
    for line in lines {
        out.write_all(&line).unwrap();
        written += line.len() as u64;
        n_lines += 1;
        if written >= bytes {
            break;
        }
    }
    out.flush().unwrap();
    n_lines
}

fn read_lines(path: &Path) {
    let mut reader = BufReader::with_capacity(256 << 10, fs::File::open(path).unwrap());
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        line.clear();
    }
}
