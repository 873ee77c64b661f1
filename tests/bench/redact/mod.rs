//! Speed and memory of redaction and of reading a line's facts, on one core.

mod lines;
mod memory;
mod plain;

use std::hint::black_box;
use std::time::Instant;

use confab::redact::{Redactor, Settings, rules};
use confab::transcript;

use crate::figure::{Figure, time};
use plain::Plain;

/// Bytes that are worked through for one figure.
const WORK_BYTES: usize = 100_000_000;
/// The same for what is slow or comes in hundreds.
const WORK_BYTES_SMALL: usize = 8_000_000;
/// Times that the rules are set up.
const STARTS: usize = 25;
/// Slowest keywords that are shown.
const KEYWORDS_SHOWN: usize = 3;

/// Prints one figure per kind of line. `recorded` are the lines of ordinary transcripts.
pub fn run(recorded: &[Vec<u8>]) {
    let recorded: Vec<Vec<u8>> =
        recorded.iter().map(|line| line.trim_ascii_end().to_vec()).collect();
    start_up();
    let (redactor, _) = Redactor::new(&Settings::default());
    let plain = Plain::new();
    beside("ordinary lines", &recorded, &redactor, &plain);
    beside("lines dense in secrets", &[lines::dense()], &redactor, &plain);
    beside("lines of nothing but secrets", &lines::samples(), &redactor, &plain);
    adversarial(&redactor);
    keywords(&redactor);
    memory::run(&redactor);
    facts(&recorded);
}

/// What a process pays before its first line, and for the first one.
fn start_up() {
    let prepare = || Redactor::new(&Settings::default()).0;
    let lines = lines::samples();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..STARTS {
        times[0].push(time(|| drop(black_box(Plain::new()))));
        times[1].push(time(|| drop(black_box(prepare()))));
        let redactor = prepare();
        let first = || lines.iter().for_each(|line| drop(black_box(redactor.line(line))));
        times[2].push(time(first));
    }
    let [plain, set_up, first] = times.map(Figure::of);
    println!("redact: start-up, {STARTS} runs; 33 patterns of the existing client {plain}");
    println!("  rule set {set_up}, {:.3} x", set_up.over(&plain));
    println!("  first use of every rule {first} more, {:.3} x", first.over(&plain));
}

/// Redaction beside the plain application of the existing client's patterns, in the same run.
fn beside(name: &str, lines: &[Vec<u8>], redactor: &Redactor, plain: &Plain) {
    let ours = speed(lines, WORK_BYTES, |line| redact(redactor, line));
    let theirs = speed(lines, WORK_BYTES_SMALL, |line| plain.line(line).len());
    println!("redact: {name}: {ours:.0} MB/s, {:.1} x the plain {theirs:.1} MB/s", ours / theirs);
}

fn adversarial(redactor: &Redactor) {
    println!("redact: adversarial lines of a megabyte, slowest first");
    let mut speeds: Vec<(f64, String)> = lines::adversarial()
        .into_iter()
        .map(|(name, line)| (speed(&[line], WORK_BYTES_SMALL, |line| redact(redactor, line)), name))
        .collect();
    speeds.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (speed, name) in speeds {
        println!("  {speed:.0} MB/s, {name}");
    }
}

/// Every keyword of every rule, again and again, and once with what its token may consist of.
fn keywords(redactor: &Redactor) {
    let words =
        || rules::all().flat_map(|rule| rule.keywords.iter().map(move |word| (rule.id, *word)));
    for (kind, line) in lines::OF_KEYWORDS {
        let mut speeds: Vec<(f64, &str, &str)> = words()
            .map(|(rule, word)| {
                let line = line(word);
                (speed(&[line], 1, |line| redact(redactor, line)), rule, word)
            })
            .collect();
        speeds.sort_by(|one, other| one.0.total_cmp(&other.0));
        println!("redact: {} keywords {kind}, slowest first", speeds.len());
        for (speed, rule, word) in speeds.iter().take(KEYWORDS_SHOWN) {
            println!("  {speed:.0} MB/s, {word} of {rule}");
        }
    }
}

fn facts(recorded: &[Vec<u8>]) {
    let measure = |name: &str, work: fn(&[u8]) -> usize| {
        println!("transcript: {name}: {:.0} MB/s", speed(recorded, WORK_BYTES, work));
    };
    measure("inspect", |line| transcript::inspect(line).uuid.map_or(0, |uuid| uuid.len()));
    measure("is_json", |line| usize::from(transcript::is_json(line)));
    measure("outline", |line| {
        let mut outline = transcript::Outline::new();
        outline.feed(line);
        outline.finish().uuid.map_or(0, |uuid| uuid.len())
    });
}

fn redact(redactor: &Redactor, line: &[u8]) -> usize {
    redactor.line(line).map_or(0, |line| line.len())
}

/// MB/s of some work on these lines, again and again until `bytes_min` bytes were worked through.
fn speed(lines: &[Vec<u8>], bytes_min: usize, work: impl Fn(&[u8]) -> usize) -> f64 {
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let rounds = bytes_min.div_ceil(bytes);
    let started = Instant::now();
    for _ in 0..rounds {
        for line in lines {
            black_box(work(black_box(line)));
        }
    }
    (rounds * bytes) as f64 / 1e6 / started.elapsed().as_secs_f64()
}
