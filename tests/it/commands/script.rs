//! A backend that expects certain requests in a certain order and answers as it is told; anything
//! else is a failure. For what the backend of [`crate::support::backend`] does not know.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::Value;

use crate::network::port::Port;
use crate::support::http::{Answer, Request, read_request};

/// One expected request and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// `GET /api/v1/auth/validate`.
    expect: String,
    /// The key that must come with it; none must when it is absent.
    key: Option<String>,
    /// The JSON that must be its body; none must when it is absent.
    body: Option<Value>,
    status: u16,
    /// A header of the answer.
    date: Option<String>,
    /// A header of the answer.
    location: Option<String>,
    /// The answer's body.
    json: Option<Value>,
    /// The answer's body, where it is no JSON.
    text: Option<String>,
}

/// See the module.
pub struct Script {
    port: Port,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    left: Vec<Exchange>,
    wrong: Vec<String>,
}

impl Script {
    /// Opens a port whose script is still to come: it may name the port.
    pub fn open() -> Script {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        Script { port: Port::open(move |stream| serve(&shared, stream)), state }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Sets the script, a JSON object a line.
    pub fn set(&self, text: &str) {
        let read = |line| serde_json::from_str(line).expect("an exchange");
        let exchanges: Vec<Exchange> = text.lines().rev().map(read).collect();
        self.state.lock().unwrap().left = exchanges;
    }

    /// What went otherwise than written.
    pub fn complaints(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let missing = state.left.iter().rev().map(|left| format!("did not come: {}", left.expect));
        state.wrong.iter().cloned().chain(missing).collect()
    }
}

fn serve(state: &Mutex<State>, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Ok(Some(request)) = read_request(&mut reader) {
        let answer = answer(&mut state.lock().unwrap(), &request);
        if stream.write_all(&answer.bytes()).is_err() {
            break;
        }
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    let line = format!("{} {}", request.method, request.path);
    let Some(exchange) = state.left.pop() else {
        state.wrong.push(format!("not expected: {line}"));
        return Answer::text(500, "not expected");
    };
    let authorization = exchange.key.map(|key| format!("Bearer {key}"));
    let body = String::from_utf8_lossy(&request.body);
    let sent: Option<Value> = serde_json::from_str(&body).ok();
    let is_right = line == exchange.expect
        && request.header("authorization") == authorization.as_deref()
        && sent == exchange.body;
    if !is_right {
        state.wrong.push(format!("{} was expected, and came: {line} {body}", exchange.expect));
    }
    let mut answer = match (exchange.json, exchange.text) {
        (Some(json), _) => Answer::json(exchange.status, &json),
        (None, text) => Answer::text(exchange.status, &text.unwrap_or_default()),
    };
    let headers = [("date", exchange.date), ("location", exchange.location)];
    for (name, value) in headers {
        answer.headers.extend(value.map(|value| (name.to_string(), value)));
    }
    answer
}
