//! What machines say of how their sessions stand, on the status page of whose sessions they are.

use serde_json::{Value, json};

use super::process::{Folder, Response, Server, chunk, create_key};

struct Scene {
    _folder: Folder,
    server: Server,
    key: String,
}

fn scene() -> Scene {
    let folder = Folder::new();
    let key = create_key(&folder.0, "me@x");
    let server = Server::start(&folder.0);
    Scene { _folder: folder, server, key }
}

impl Scene {
    fn session(&self, id: &str, machine: &str) -> String {
        let body = json!({"external_id": id, "transcript_path": "/t.jsonl",
            "metadata": {"hostname": machine}});
        let answer = self.server.post("/api/v1/sync/init", &self.key, &body).json();
        assert_eq!(answer["reports"], true);
        answer["session_id"].as_str().unwrap().to_owned()
    }

    fn append(&self, session: &str, first: u64, report: &str) -> Response {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("X-Confab-Report", report),
        ];
        let body = chunk(session, first, &["{}"]).to_string();
        self.server.request("POST", "/api/v1/sync/chunk", &headers, body.as_bytes())
    }

    fn send(&self, session: &str, first: u64, report: &Value) {
        assert_eq!(self.append(session, first, &report.to_string()).status, 200);
    }

    /// Name, sessions behind, pending bytes, withheld lines and last failure of each machine.
    fn machines(&self, key: &str) -> Vec<Value> {
        let status = self.server.get("/api/v1/status", key).json();
        let mut machines = status["machines"].as_array().unwrap().clone();
        machines.sort_by_key(|machine| machine["machine"].to_string());
        let told = machines.iter().map(|machine| {
            let part = |name: &str| machine[name].clone();
            json!([
                part("machine"),
                part("behind_sessions"),
                part("pending_bytes"),
                part("withheld_lines"),
                part("last_failure"),
            ])
        });
        told.collect()
    }
}

#[test]
fn each_machine_has_what_is_only_there_what_was_left_out_and_what_failed_last() {
    let scene = scene();
    let [one, two] = ["one", "two"].map(|id| scene.session(id, "laptop"));
    let other = scene.session("three", "desktop");
    let failure = |kind: &str, at: &str| json!({"kind": kind, "at": at});
    let (early, late) = ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z");
    scene.send(&one, 1, &json!({"pending_bytes": 100, "withheld_lines": 2}));
    let report = json!({"pending_bytes": 11, "failure": failure("timed_out", late)});
    scene.send(&two, 1, &report);
    let report = json!({"withheld_lines": 1, "failure": failure("sign_in", early)});
    scene.send(&one, 2, &json!({"pending_bytes": 90, "failure": failure("busy", early)}));
    scene.send(&other, 1, &report);
    let expected = [
        json!(["desktop", 0, 0, 1, failure("sign_in", early)]),
        json!(["laptop", 2, 101, 2, failure("timed_out", late)]),
    ];
    assert_eq!(scene.machines(&scene.key), expected);
    // It catches up; what failed last stays known.
    scene.send(&one, 3, &json!({"pending_bytes": 0}));
    scene.send(&two, 2, &json!({"pending_bytes": 0}));
    let expected = json!(["laptop", 0, 0, 2, failure("timed_out", late)]);
    assert_eq!(scene.machines(&scene.key)[1], expected);
    // It is nobody else's business.
    let stranger = create_key(&scene._folder.0, "stranger@x");
    assert_eq!(scene.machines(&stranger), [Value::Null; 0]);
    // And goes with the session.
    let bearer = format!("Bearer {}", scene.key);
    let headers = [("Authorization", bearer.as_str())];
    let path = format!("/api/v1/sessions/{two}");
    assert_eq!(scene.server.request("DELETE", &path, &headers, b"").status, 204);
    let expected = json!(["laptop", 0, 0, 2, failure("busy", early)]);
    assert_eq!(scene.machines(&scene.key)[1], expected);
}

#[test]
fn a_watch_tells_of_sessions_that_have_not_come() {
    let scene = scene();
    let session = scene.session("one", "laptop");
    scene.send(&session, 1, &json!({"pending_bytes": 5}));
    scene.session("two", "desktop");
    let stranger = create_key(&scene._folder.0, "stranger@x");
    let tell =
        |key: &str, report: &Value| scene.server.post("/api/v1/sync/standing", key, report).status;
    let report = |machine: &str, waiting: u64, bytes: u64, failed: u64| {
        json!({"hostname": machine, "waiting_sessions": waiting, "waiting_bytes": bytes,
            "failed_sessions": failed})
    };
    let told = |key: &str| -> Vec<[Value; 4]> {
        let status = scene.server.get("/api/v1/status", key).json();
        let mut machines = status["machines"].as_array().unwrap().clone();
        machines.sort_by_key(|machine| machine["machine"].to_string());
        let names = ["machine", "waiting_sessions", "waiting_bytes", "failed_sessions"];
        machines.iter().map(|machine| names.map(|name| machine[name].clone())).collect()
    };
    let row = |name: &str, numbers: [u64; 3]| {
        let [waiting, bytes, failed] = numbers.map(|number| json!(number));
        [json!(name), waiting, bytes, failed]
    };
    assert_eq!(tell(&scene.key, &report("laptop", 8000, 1 << 30, 2)), 200);
    // Somebody else's machine of this name, and one that nothing has come from.
    assert_eq!(tell(&stranger, &report("desktop", 1, 1, 1)), 200);
    assert_eq!(tell(&scene.key, &report("elsewhere", 1, 1, 1)), 200);
    let expected = [row("desktop", [0; 3]), row("laptop", [8000, 1 << 30, 2])];
    assert_eq!(told(&scene.key), expected);
    assert_eq!(told(&stranger).len(), 0);
    assert_eq!(tell(&scene.key, &report("laptop", 0, 0, 0)), 200);
    assert_eq!(told(&scene.key)[1], row("laptop", [0; 3]));
    // Nothing is too large, and what is no report is refused.
    assert_eq!(tell(&scene.key, &report("laptop", u64::MAX, u64::MAX, u64::MAX)), 200);
    assert_eq!(told(&scene.key)[1], row("laptop", [1 << 40; 3]));
    for bad in [report(&"x".repeat(256), 0, 0, 0), json!([]), json!({"waiting_sessions": -1})] {
        assert_eq!(tell(&scene.key, &bad), 400, "{bad}");
    }
    assert_eq!(tell("", &report("laptop", 0, 0, 0)), 401);
}

#[test]
fn a_report_that_is_none_costs_no_line_and_a_refused_chunk_moves_nothing() {
    let scene = scene();
    let session = scene.session("one", "laptop");
    let odd = ["", "{", "[]", "5", r#"{"pending_bytes":-1}"#, r#"{"pending_bytes":"1"}"#];
    for (first, report) in (1..).zip(odd) {
        let answer = scene.append(&session, first, report);
        assert_eq!((answer.status, answer.json()["last_synced_line"].as_u64()), (200, Some(first)));
    }
    assert_eq!(scene.machines(&scene.key), [json!(["laptop", 0, 0, 0, null])]);
    scene.send(&session, 7, &json!({"pending_bytes": 50}));
    // A time that has not come yet is now, and a kind of a later version is some.
    let failure = json!({"kind": "eaten", "at": "9999-01-01T00:00:00Z"});
    assert_eq!(scene.append(&session, 99, r#"{"pending_bytes":0}"#).status, 400);
    assert_eq!(scene.machines(&scene.key), [json!(["laptop", 1, 50, 0, null])]);
    scene.send(&session, 8, &json!({"pending_bytes": u64::MAX, "failure": failure}));
    scene.send(&scene.session("two", "laptop"), 1, &json!({"pending_bytes": i64::MAX}));
    let machines = scene.machines(&scene.key);
    assert_eq!(machines[0][2], json!(2_u64 << 40));
    assert_eq!(machines[0][4]["kind"], "other");
    assert!(!machines[0][4]["at"].as_str().unwrap().starts_with("9999"), "{machines:?}");
}
