//! Answers without end, and answers that ask for patience.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::port::{Port, join};
use super::{Backend, ID, Sandbox, append, arrives_whole, config, fails, lines, port_of};
use crate::support::backend::{Endpoint, Fault, Manner, Moment};
use crate::support::http::read_request;
use crate::support::parallel::each;

const MEMORY_KIB_MAX: u64 = 32 << 10;
/// More than any buffer on the way holds.
const ENDLESS_BYTES: usize = 128 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// An answer: how it begins, what is repeated up to so many bytes, and how it ends.
#[derive(Debug, Clone)]
struct Flood {
    name: &'static str,
    start: String,
    repeated: String,
    bytes: usize,
    end: &'static str,
    /// The client closes the connection before all of it is sent. Where this is false, the time of
    /// the request is the limit, which is not waited for here, or the answer is not long enough.
    is_cut_off: bool,
}

fn floods() -> Vec<Flood> {
    let endless = |name, start: &str, repeated: &str| Flood {
        name,
        start: start.into(),
        repeated: repeated.into(),
        bytes: ENDLESS_BYTES,
        end: "",
        is_cut_off: true,
    };
    let ok = "HTTP/1.1 200 OK\r\n";
    let long = "content-length: 99999999999\r\n\r\n";
    let chunked = format!("{ok}transfer-encoding: chunked\r\n\r\n");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let by_time = |flood| Flood { is_cut_off: false, ..flood };
    vec![
        endless("body", &format!("{ok}\r\n"), " "),
        endless("long-body", &format!("{ok}{long}"), " "),
        endless("error-body", &format!("HTTP/1.1 500 Oops\r\n{long}"), "x"),
        endless("chunks", &chunked, &chunk),
        endless("chunk-length", &chunked, "0"),
        endless("chunk-extension", &format!("{chunked}1;"), "x"),
        endless("status-line", "HTTP/1.1 200 ", "x"),
        endless("no-http", "", "x"),
        endless("header", &format!("{ok}a: "), "x"),
        endless("headers", ok, "name: value\r\n"),
        by_time(endless("trailers", &format!("{chunked}0\r\n"), "a: b\r\n")),
        by_time(endless("continue", "", "HTTP/1.1 100 Continue\r\n\r\n")),
        by_time(endless("early-hints", "", "HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n")),
        Flood {
            bytes: 1 << 20,
            end: "\r\ncontent-length: 2\r\n\r\n{}",
            ..by_time(endless("header-of-1-mb", &format!("{ok}a: "), "x"))
        },
    ]
}

impl Flood {
    /// Fails when the client has had enough.
    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        read_request(&mut reader)?;
        client.write_all(self.start.as_bytes())?;
        let piece = self.repeated.repeat(PIECE_BYTES.div_ceil(self.repeated.len()));
        for _ in 0..self.bytes.div_ceil(piece.len()) {
            client.write_all(piece.as_bytes())?;
        }
        client.write_all(self.end.as_bytes())
    }
}

/// The daemon survives such an answer, stays small, and delivers once the backend is well.
#[test]
fn answers_without_end_are_cut_off() {
    each(floods(), |flood| {
        let (name, is_cut_off) = (flood.name, flood.is_cut_off);
        let backend = Backend::at_localhost();
        let sandbox = Sandbox::new(&format!("flood-{name}"));
        let (is_well, is_sent) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (well, sent, port) = (Arc::clone(&is_well), Arc::clone(&is_sent), port_of(&backend));
        let port = Port::open(move |client| {
            if well.load(Ordering::SeqCst) {
                join(client, TcpStream::connect(("127.0.0.1", port)).unwrap());
            } else if flood.answer(client).is_ok() {
                sent.store(true, Ordering::SeqCst);
            }
        });
        let url = format!("http://127.0.0.1:{}", port.number());
        sandbox.configure(&config(&backend, &url, &json!({})));
        let error = fails(&sandbox);
        assert!(error.contains("/api/v1/sync/init"), "{name}: {error}");
        let daemon = sandbox.daemon();
        is_well.store(true, Ordering::SeqCst);
        backend.eventually_holds(ID, &lines(ID, 1, 3));
        assert_eq!(sandbox.daemon(), daemon, "{name}");
        assert!(peak_kib(daemon) < MEMORY_KIB_MAX, "{name}: {} KiB", peak_kib(daemon));
        assert!(!(is_cut_off && is_sent.load(Ordering::SeqCst)), "{name}: all of it was taken");
        arrives_whole(&sandbox, &backend);
    });
}

/// The most memory that a process has had.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// A backend that answers 429, then is well; with the times of all requests.
fn patient(
    name: &str,
    endpoint: Endpoint,
    retry_after: &str,
) -> (Backend, Sandbox, Arc<Mutex<Vec<SystemTime>>>) {
    let backend = Backend::at_localhost();
    let times: Arc<Mutex<Vec<SystemTime>>> = Arc::default();
    let noted = Arc::clone(&times);
    backend.observe(move |_, moment| {
        if moment == Moment::Arrived {
            noted.lock().unwrap().push(SystemTime::now());
        }
    });
    let headers = vec![("Retry-After".to_owned(), retry_after.to_owned())];
    backend.fail(endpoint, Fault::new(Manner::Status(429, headers)));
    let sandbox = Sandbox::with_backend(name, &backend);
    (backend, sandbox, times)
}

/// An HTTP date so many seconds from now, by the machine's `date`: the client's own reading of
/// dates has no part in it.
fn http_date(in_seconds: u64) -> (SystemTime, String) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seconds = now.as_secs() + in_seconds;
    let mut command = Command::new("date");
    command.env("LC_ALL", "C").args(["-u", "-d", &format!("@{seconds}")]);
    let output = command.arg("+%a, %d %b %Y %H:%M:%S GMT").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(text.ends_with(" GMT"), "{text}");
    (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), text)
}

/// W-47: no request comes before the time, however many lines do.
#[test]
fn retry_after_is_waited_for() {
    let wait = Duration::from_secs(3);
    let (date, text) = http_date(5);
    let cases = [("seconds", "3".to_owned(), None), ("date", text, Some(date))];
    each(cases.to_vec(), |(name, retry_after, date)| {
        let (backend, sandbox, times) =
            patient(&format!("patience-{name}"), Endpoint::Init, &retry_after);
        let error = fails(&sandbox);
        assert!(error.contains("429"), "{error}");
        append(&sandbox.transcript(ID), lines(ID, 4, 4));
        sandbox.prompt(ID);
        backend.eventually_holds(ID, &lines(ID, 1, 4));
        let times = times.lock().unwrap();
        let earliest = date.unwrap_or(times[0] + wait);
        assert!(times[0] < earliest, "{name}: the first request came in time");
        let early = earliest.duration_since(times[1]).unwrap_or_default();
        assert_eq!(early, Duration::ZERO, "{name}: the second request");
    });
}

/// A wait that fits into the time that is left at the end is waited for.
#[test]
fn retry_after_is_waited_for_at_the_end_when_there_is_time() {
    let (backend, sandbox, times) = patient("patience-at-the-end", Endpoint::Event, "2");
    append(&sandbox.transcript(ID), lines(ID, 1, 3));
    sandbox.session_start(ID);
    sandbox.session_end(ID);
    sandbox.daemons_end();
    assert_eq!(backend.transcript(ID), lines(ID, 1, 3));
    assert_eq!(backend.session(ID).unwrap().events.len(), 1);
    assert_eq!(sandbox.sync_files(), Vec::<String>::new());
    let arrived = backend.arrived();
    let refused = arrived.iter().position(|arrived| arrived.status == 429).unwrap();
    let times = times.lock().unwrap();
    let waited = times[refused + 1].duration_since(times[refused]).unwrap_or_default();
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
}

/// One that does not fit ends the daemon at once; the session stays pending and is delivered later.
#[test]
fn a_retry_after_of_an_hour_does_not_hold_up_the_end() {
    let hour = vec![("Retry-After".to_owned(), "3600".to_owned())];
    for endpoint in [Endpoint::Init, Endpoint::Chunk, Endpoint::Event] {
        let backend = Backend::at_localhost();
        let sandbox = Sandbox::with_backend(&format!("hour-{endpoint:?}"), &backend);
        backend.fail_always(endpoint, Fault::new(Manner::Status(429, hour.clone())));
        append(&sandbox.transcript(ID), lines(ID, 1, 3));
        sandbox.session_start(ID);
        sandbox.session_end(ID);
        // That is sooner than the 30 s that a daemon has for its end.
        sandbox.daemons_end();
        assert_eq!(sandbox.state(ID).expect("a state")["status"], "pending", "{endpoint:?}");
        let n_refused = backend.count(endpoint);
        assert!((1..=2).contains(&n_refused), "{endpoint:?}: {n_refused} requests");
        backend.heal();
        let outcome = sandbox.run(&["sync", "flush"]);
        assert!(outcome.status.success(), "{outcome:?}");
        assert_eq!(backend.transcript(ID), lines(ID, 1, 3), "{endpoint:?}");
        assert_eq!(backend.session(ID).unwrap().events.len(), 1, "{endpoint:?}");
        assert_eq!(sandbox.sync_files(), Vec::<String>::new(), "{endpoint:?}");
    }
}
