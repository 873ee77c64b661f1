//! Uploading from one client and from sixteen, in the large requests of a first sync and in the
//! small ones of daemons; memory under that load; bytes on disk; reading back.

use std::fs;
use std::time::{Duration, Instant};

use super::load::{Upload, send, uploads, write};
use super::process::{Folder, command};
use super::{RUNS, bytes_in, megabytes, started};
use crate::figure::{Figure, time};

const CLIENTS: usize = 16;
/// What all clients upload together.
const TOTAL_BYTES: usize = 160_000_000;
/// A request of a first sync, as the client makes it.
const LARGE_BYTES: usize = 4 << 20;
/// What a daemon finds in an interval.
const SMALL_BYTES: usize = 6_000;
const SMALL_TOTAL_BYTES: usize = 6_000_000;
const READ_BYTES: usize = 100_000_000;

pub fn run(lines: &[Vec<u8>]) {
    for (n_clients, bytes, total) in [
        (1, LARGE_BYTES, TOTAL_BYTES),
        (CLIENTS, LARGE_BYTES, TOTAL_BYTES),
        (1, SMALL_BYTES, SMALL_TOTAL_BYTES),
        (CLIENTS, SMALL_BYTES, SMALL_TOTAL_BYTES),
    ] {
        let runs: Vec<Run> = (0..RUNS).map(|_| ingest(lines, n_clients, bytes, total)).collect();
        tell(&runs, n_clients, bytes);
    }
    on_disk(lines);
    read_back(lines);
}

struct Run {
    n_requests: usize,
    bytes: usize,
    took: Duration,
    bare: Duration,
    peak_kib: u64,
}

fn ingest(lines: &[Vec<u8>], n_clients: usize, bytes: usize, total: usize) -> Run {
    let (_folder, server, key) = started();
    let clients: Vec<Vec<Upload>> = (0..n_clients)
        .map(|client| {
            let session = server.session(&key, &format!("client-{client}"));
            uploads(lines, &session, bytes, total / n_clients, client * 997)
        })
        .collect();
    let mut took = Duration::ZERO;
    server.cost_kib(|| took = send(&server, &key, &clients));
    let bare = write(&Folder::new().0, &clients);
    let bytes = clients.iter().flatten().map(|upload| upload.text.len()).sum();
    let n_requests = clients.iter().map(Vec::len).sum();
    Run { n_requests, bytes, took, bare, peak_kib: server.peak_kib() }
}

fn tell(runs: &[Run], n_clients: usize, bytes: usize) {
    let took = Figure::of(runs.iter().map(|run| run.took).collect());
    let bare = Figure::of(runs.iter().map(|run| run.bare).collect());
    let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or(0);
    let Run { n_requests, bytes: total, .. } = runs[0];
    println!(
        "ingest of {:.0} MB from {n_clients} in requests of {:.0} kB, median of {RUNS}",
        total as f64 / 1e6,
        bytes as f64 / 1e3,
    );
    println!(
        "  {took}, {:.0} MB/s, {:.0} requests/s",
        took.rate(total as u64),
        n_requests as f64 / took.median.as_secs_f64(),
    );
    println!(
        "  {:.2} x as long as a bare write and fsync: {bare}, {:.0} MB/s",
        took.over(&bare),
        bare.rate(total as u64),
    );
    println!("  peak memory {} MB", megabytes(peak));
}

/// Every recorded session once, in small requests: when it has just arrived, and at rest.
fn on_disk(lines: &[Vec<u8>]) {
    let (folder, server, key) = started();
    let total: usize = lines.iter().map(Vec::len).sum();
    let session = server.session(&key, "e");
    send(&server, &key, &[uploads(lines, &session, SMALL_BYTES, total, 0)]);
    assert!(server.terminate());
    let arrived = bytes_in(&folder.0);
    assert!(command(&["vacuum"], &folder.0).output().unwrap().status.success());
    let at_rest = bytes_in(&folder.0);
    let part = |bytes: u64| bytes as f64 / total as f64;
    println!("on disk: {:.1} MB of recorded sessions in small requests", total as f64 / 1e6);
    println!("  {:.2} of that as they arrived, {:.2} at rest", part(arrived), part(at_rest));
}

fn read_back(lines: &[Vec<u8>]) {
    let (folder, server, key) = started();
    let session = server.session(&key, "e");
    let clients = [uploads(lines, &session, LARGE_BYTES, READ_BYTES, 0)];
    send(&server, &key, &clients);
    let text: Vec<u8> = clients[0].iter().flat_map(|upload| upload.text.iter().copied()).collect();
    let plain = folder.0.join("plain");
    fs::write(&plain, &text).unwrap();
    let path = format!("/api/v1/sessions/{session}/files/download?file_name=t.jsonl");
    let mut took = Vec::new();
    server.cost_kib(|| {
        took.extend((0..RUNS).map(|_| {
            let started = Instant::now();
            let response = server.get(&path, &key);
            let elapsed = started.elapsed();
            assert!(response.body == text);
            elapsed
        }));
    });
    let read = || drop(fs::read(&plain).unwrap());
    let bare = Figure::of((0..RUNS).map(|_| time(read)).collect());
    let took = Figure::of(took);
    println!("reading back {:.0} MB, median of {RUNS}", text.len() as f64 / 1e6);
    println!(
        "  {took}, {:.0} MB/s; a plain file {bare}: {:.1} x",
        took.rate(text.len() as u64),
        took.over(&bare),
    );
    println!("  peak memory {} MB", megabytes(server.peak_kib()));
}
