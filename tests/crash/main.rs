//! SIGKILL of the real server at random moments, under load from eight clients: six that speak the
//! protocol themselves and two daemons of the real client. After each restart every acknowledged
//! line is there, in order, none twice, and `confab-server check` finds nothing.
//!
//! `cargo test --test crash` is a short run that chooses the same moments every time;
//! `./build.sh crash [ROUNDS]` a long one that does not. `--seed N` repeats a run as far as a run
//! of many processes can be repeated.

// Everything here is test code; clippy takes only functions with `#[test]` for that.
#![allow(clippy::unwrap_used)]

mod client;
mod followed;
#[path = "../it/server/process.rs"]
#[allow(unused)]
mod process;
#[path = "../it/support/mod.rs"]
#[allow(unused)]
mod support;

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;

use client::{Client, Stored};
use followed::Followed;
use process::{Folder, Server, command, create_key};
use support::eventually::WAIT_MAX;

/// Kills of the short run.
const ROUNDS: u64 = 5;
/// Clients that speak for themselves. The first two send the same lines of the same file.
const CLIENTS: usize = 6;
/// Acknowledgements in a round, at most.
const ACKNOWLEDGED_MAX: usize = 120;
/// After them, the kill comes within this.
const MOMENT_MAX: Duration = Duration::from_millis(30);
/// Rounds after which clients go on to another session: a file may have only so many chunks.
const SESSION_ROUNDS: u64 = 50;
/// Below those that the system gives to outgoing connections: a client that connects while nobody
/// listens must not be given the port that it connects to.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// What to run.
struct Options {
    seed: u64,
    rounds: u64,
}

fn main() {
    let Some(Options { seed, rounds }) = options() else { return };
    println!("crash: {rounds} rounds from seed {seed}");
    let started = Instant::now();
    let mut random = Rng::with_seed(seed);
    let folder = Folder::new();
    let data = &folder.0;
    let key = create_key(data, "u@x");
    let (mut server, address) = first_server(data, &mut random);
    let mut followed = Followed::start(&server.url, &key);
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::new(&address, &key, random.u64(..))).collect();
    let mut stored: Vec<Stored> = Vec::new();
    for round in 0..rounds {
        if round % SESSION_ROUNDS == 0 {
            stored.extend(clients.iter().flat_map(Client::stored));
            for (number, client) in clients.iter_mut().enumerate() {
                // The first two share all of it.
                client.open(&server, number.max(1) as u64, round / SESSION_ROUNDS);
            }
        }
        load(server, &mut clients, &mut followed, &mut random);
        kill_while_starting(data, &address, &mut random);
        server = Server::start_at(data, &address);
        check(data);
        for (file, lines) in clients.iter().flat_map(Client::stored) {
            client::verify(&server, &key, &file, lines);
        }
        followed.verify(&server, &key);
        if (round + 1) % 10 == 0 {
            println!("crash: {} kills, {} s", round + 1, started.elapsed().as_secs());
        }
    }
    followed.finish(&server, &key);
    stored.extend(clients.iter().flat_map(Client::stored));
    for (file, lines) in &stored {
        client::verify(&server, &key, file, *lines);
    }
    assert!(server.terminate());
    check(data);
    let n_lines: u64 = stored.iter().map(|(_, lines)| lines).sum();
    let (cut, kept) =
        clients.iter().fold((0, 0), |(cut, kept), client| (cut + client.cut, kept + client.kept));
    println!(
        "crash: {rounds} kills, {n_lines} lines acknowledged, {} of daemons",
        followed.lines()
    );
    println!("crash: {cut} requests cut off, {kept} of them found stored when asked for");
    println!("crash: nothing lost, from seed {seed}, {} s", started.elapsed().as_secs());
}

/// Reads the command line; `None` when other tests were asked for.
fn options() -> Option<Options> {
    let (mut seed, mut rounds) = (None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        match word.as_str() {
            "--seed" => seed = Some(number()),
            "--rounds" => rounds = Some(number()),
            // `cargo test NAME` gives the name to every test program, this one too.
            word if !word.starts_with('-') && !"crash".contains(word) => return None,
            "--list" => return None,
            _ => {}
        }
    }
    let fresh = || SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as u64;
    let seed = seed.unwrap_or_else(|| if rounds.is_some() { fresh() } else { 1 });
    Some(Options { seed, rounds: rounds.unwrap_or(ROUNDS) })
}

/// A server at a port that stays the same over all restarts.
fn first_server(data: &Path, random: &mut Rng) -> (Server, String) {
    let mut address = || format!("127.0.0.1:{}", random.u16(PORTS));
    let is_free = |address: &String| std::net::TcpListener::bind(address).is_ok();
    let address = (0..100).map(|_| address()).find(is_free).expect("a free port");
    (Server::start_at(data, &address), address)
}

/// Clients send until the server is gone, which it is at some moment.
fn load(server: Server, clients: &mut [Client], followed: &mut Followed, random: &mut Rng) {
    let target = random.usize(..ACKNOWLEDGED_MAX);
    let moment = MOMENT_MAX.mul_f64(random.f64());
    let (sender, acknowledged) = channel();
    std::thread::scope(|scope| {
        for client in clients {
            let sender = sender.clone();
            scope.spawn(move || client.send_until_gone(&sender));
        }
        followed.append(random);
        for _ in 0..target {
            acknowledged.recv_timeout(WAIT_MAX).expect("the clients get on");
        }
        if random.u8(..8) == 0 {
            // It is just ending by itself.
            server.signal();
        }
        pass(&acknowledged, moment);
        server.kill_now();
        drop(server);
    });
}

/// Lets this much time pass.
fn pass<T>(channel: &Receiver<T>, time: Duration) {
    let deadline = Instant::now() + time;
    let left = || deadline.saturating_duration_since(Instant::now());
    while !left().is_zero() && channel.recv_timeout(left()).is_ok() {}
}

/// What a kill has left behind is put in order when the server starts: it is killed then, too, and
/// so is what works on all of the database.
fn kill_while_starting(data: &Path, address: &str, random: &mut Rng) {
    for _ in 0..random.u8(..3) {
        let words: &[&str] = match random.u8(..4) {
            0 => &["reindex"],
            1 => &["vacuum"],
            _ => &["serve", "--listen", address],
        };
        let mut command = command(words, data);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (_sender, nothing) = channel::<()>();
        pass(&nothing, MOMENT_MAX.mul_f64(random.f64()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn check(data: &Path) {
    let output = command(&["check"], data).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.ends_with(" 0 problems\n"), "{said}");
}
