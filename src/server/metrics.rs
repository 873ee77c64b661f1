//! What happened so far, in numbers, and the page of them that Prometheus reads.
//!
//! Routes are named by their template, never by what they were asked for, so that the page tells
//! nothing of users and cannot grow. It has a listener of its own, which the operator turns on:
//! one reader at a time, each within [`READER_TIME_MAX`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::accept::Shared;
use super::http::{Head, Response};
use super::store::Sizes;
use super::stream::{Stream, Traffic};

/// For one reader of the page.
const READER_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a reader's request.
const HEAD_BYTES_MAX: usize = 4 << 10;
/// Upper ends of the durations that are counted apart, in milliseconds.
const STEPS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Bytes over the network.
    pub traffic: Traffic,
    /// Connections that were turned away because there were too many.
    pub refused: AtomicU64,
    /// Lines that were acknowledged, also those that were there already.
    pub lines: AtomicU64,
    routes: Mutex<BTreeMap<&'static str, Counts>>,
}

/// What is counted of a route.
#[derive(Debug, Default)]
struct Counts {
    statuses: BTreeMap<u16, u64>,
    /// How many took longer than one step and not longer than the next; the last are the rest.
    durations: [u64; STEPS_MS.len() + 1],
    total: Duration,
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn count(&self, route: &'static str, status: u16, time: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = routes.entry(route).or_default();
        *counts.statuses.entry(status).or_default() += 1;
        let step = STEPS_MS.iter().position(|step| time <= Duration::from_millis(*step));
        counts.durations[step.unwrap_or(STEPS_MS.len())] += 1;
        counts.total += time;
    }

    /// The page, with what the database is found to be, if it is found at all.
    pub fn page(&self, connections: usize, sizes: Option<&Sizes>) -> String {
        let mut page = Page(String::new());
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        page.title("confab_build_info", "gauge", "The version that runs.");
        page.sample("confab_build_info", &version, 1);
        self.requests(&mut page);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = [
            ("confab_received_bytes_total", load(&self.traffic.received), "Bytes from clients."),
            ("confab_sent_bytes_total", load(&self.traffic.sent), "Bytes to clients."),
            ("confab_connections_refused_total", load(&self.refused), "Connections too many."),
            ("confab_lines_received_total", load(&self.lines), "Lines acknowledged."),
        ];
        for (name, value, help) in counters {
            page.title(name, "counter", help);
            page.sample(name, "", value);
        }
        let gauge = |page: &mut Page, name: &str, value: u64, help: &str| {
            page.title(name, "gauge", help);
            page.sample(name, "", value);
        };
        gauge(&mut page, "confab_connections", connections as u64, "Open connections.");
        let up = u64::from(sizes.is_some());
        gauge(&mut page, "confab_database_up", up, "1 when the database can be read.");
        if let Some(sizes) = sizes {
            let at = |time: Option<SystemTime>| {
                time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                    .map_or(0, |since| since.as_secs())
            };
            let gauges = [
                ("confab_database_bytes", sizes.database_bytes, "Bytes of the database."),
                ("confab_wal_bytes", sizes.log_bytes, "Bytes of the write-ahead log."),
                ("confab_sessions", sizes.sessions, "Stored sessions."),
                (
                    "confab_last_checkpoint_timestamp_seconds",
                    at(sizes.checkpointed_at),
                    "When the write-ahead log was last moved into the database.",
                ),
            ];
            gauges.into_iter().for_each(|(name, value, help)| gauge(&mut page, name, value, help));
        }
        page.0
    }

    fn requests(&self, page: &mut Page) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        page.title("confab_requests_total", "counter", "Requests that were answered.");
        for (route, counts) in routes.iter() {
            for (status, count) in &counts.statuses {
                let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
                page.sample("confab_requests_total", &labels, *count);
            }
        }
        let name = "confab_request_seconds";
        page.title(name, "histogram", "From a request's first byte to its answer's last.");
        for (route, counts) in routes.iter() {
            let mut sum = 0;
            let ends = STEPS_MS.iter().map(|step| (*step as f64 / 1000.0).to_string());
            for (end, count) in ends.chain(["+Inf".to_owned()]).zip(&counts.durations) {
                sum += count;
                let labels = format!("{{route=\"{route}\",le=\"{end}\"}}");
                page.sample(&format!("{name}_bucket"), &labels, sum);
            }
            let labels = format!("{{route=\"{route}\"}}");
            page.sample(&format!("{name}_sum"), &labels, counts.total.as_secs_f64());
            page.sample(&format!("{name}_count"), &labels, sum);
        }
    }
}

/// Text in Prometheus' format.
struct Page(String);

impl Page {
    fn title(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// Shows the page to one reader after the other until the process ends.
pub fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((socket, _)) => show(&socket, shared),
            Err(error) => {
                log::warn!("accept a reader of the metrics: {error}");
                shared.pause();
            }
        }
    }
}

/// A reader that is slow or wants something else is let go: nobody is hurt by that.
fn show(socket: &TcpStream, shared: &Shared) {
    let surroundings = shared.surroundings();
    // Its bytes are not those of clients.
    let traffic = Traffic::default();
    let mut stream = Stream::new(socket, None, surroundings.monotonic, &traffic);
    let deadline = stream.now() + READER_TIME_MAX;
    let Some(head) = request(&mut stream, deadline) else { return };
    let response = match (head.method.as_str(), head.path.as_str()) {
        ("GET", "/metrics") => {
            let sizes = shared.store().sizes();
            if let Err(error) = &sizes {
                log::error!("{error}");
            }
            let page = surroundings.metrics.page(shared.open_connections(), sizes.as_ref().ok());
            let mut response = Response::text(200, &page);
            response.headers = vec![("Content-Type", "text/plain; version=0.0.4".into())];
            response
        }
        (_, "/metrics") => Response::empty(405).with_header("Allow", "GET"),
        _ => Response::text(404, "404 the metrics are at /metrics\n"),
    };
    let mut bytes = response.head(false).into_bytes();
    if let super::http::Payload::Bytes(body) = response.payload {
        bytes.extend(body);
    }
    if stream.write(&bytes, deadline).and_then(|()| stream.finish(deadline)).is_ok() {
        // What comes is dropped until the reader closes: else the page might be lost on its way.
        while matches!(stream.read(&mut [0; 512], deadline), Ok(1..)) {}
    }
}

fn request(stream: &mut Stream<'_>, deadline: Instant) -> Option<Head> {
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    let mut length = 0;
    loop {
        length += stream.read(&mut buffer[length..], deadline).ok().filter(|count| *count > 0)?;
        match Head::parse(&buffer[..length], HEAD_BYTES_MAX) {
            Ok(Some((head, _))) => return Some(head),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_counts_routes_and_adds_up_durations() {
        let metrics = Metrics::default();
        metrics.count("/a/{id}", 200, Duration::from_millis(1));
        metrics.count("/a/{id}", 200, Duration::from_millis(30));
        metrics.count("/a/{id}", 404, Duration::from_secs(60));
        metrics.traffic.received.fetch_add(7, Ordering::Relaxed);
        let sizes = Sizes {
            database_bytes: 8192,
            log_bytes: 5,
            sessions: 3,
            checkpointed_at: Some(UNIX_EPOCH + Duration::from_secs(9)),
        };
        let page = metrics.page(2, Some(&sizes));
        let expected = [
            "confab_requests_total{route=\"/a/{id}\",status=\"200\"} 2",
            "confab_requests_total{route=\"/a/{id}\",status=\"404\"} 1",
            "confab_request_seconds_bucket{route=\"/a/{id}\",le=\"0.001\"} 1",
            "confab_request_seconds_bucket{route=\"/a/{id}\",le=\"0.025\"} 1",
            "confab_request_seconds_bucket{route=\"/a/{id}\",le=\"0.05\"} 2",
            "confab_request_seconds_bucket{route=\"/a/{id}\",le=\"30\"} 2",
            "confab_request_seconds_bucket{route=\"/a/{id}\",le=\"+Inf\"} 3",
            "confab_request_seconds_sum{route=\"/a/{id}\"} 60.031",
            "confab_request_seconds_count{route=\"/a/{id}\"} 3",
            "confab_received_bytes_total 7",
            "confab_connections 2",
            "confab_database_up 1",
            "confab_database_bytes 8192",
            "confab_wal_bytes 5",
            "confab_sessions 3",
            "confab_last_checkpoint_timestamp_seconds 9",
        ];
        for line in expected {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        let without = metrics.page(0, None);
        assert!(without.contains("confab_database_up 0\n") && !without.contains("wal"));
    }
}
