//! Other people's sessions: no question about one is answered differently from a question about one
//! that does not exist, and no order changes it.

use serde_json::json;

use crate::server::process::{Folder, Response, Server, chunk, create_key};

/// An id that no session has.
const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

/// What can be asked about a session, and ordered: method, path, body. `$ID` is the server's id of
/// it, `$EXTERNAL` the agent's.
fn questions() -> Vec<(&'static str, &'static str, String)> {
    let get = |path| ("GET", path, String::new());
    let event = json!({
        "session_id": "$ID",
        "event_type": "session_end",
        "timestamp": "2026-01-01T00:00:00Z",
    });
    let link = json!({"url": "https://github.com/o/r/pull/1", "source": "manual"});
    vec![
        get("/api/v1/sessions/$ID"),
        get("/api/v1/sessions/$ID/files"),
        get("/api/v1/sessions/$ID/files/download?file_name=t.jsonl"),
        get("/api/v1/sessions/$ID/files/download?file_name=none"),
        get("/api/v1/sessions/$ID/files/download"),
        get("/api/v1/sessions/$ID/condensed-transcript"),
        get("/api/v1/sessions/$ID/github-links"),
        get("/api/v1/sessions/by-external-id/$EXTERNAL"),
        get("/api/v1/sessions/by-external-id/$ID"),
        ("DELETE", "/api/v1/sessions/$ID", String::new()),
        ("POST", "/api/v1/sessions/$ID/github-links", link.to_string()),
        ("POST", "/api/v1/sessions/$ID/github-links", "{}".into()),
        ("PATCH", "/api/v1/sessions/$EXTERNAL/summary", json!({"summary": "s"}).to_string()),
        ("POST", "/api/v1/sync/event", event.to_string()),
        ("POST", "/api/v1/sync/chunk", chunk("$ID", 1, &["a"]).to_string()),
        ("POST", "/api/v1/sync/chunk", chunk("$ID", 2, &["b"]).to_string()),
        ("POST", "/api/v1/sync/chunk", chunk("$ID", 7, &["b"]).to_string()),
        ("POST", "/api/v1/sync/chunk", chunk("$ID", 7, &[]).to_string()),
    ]
}

fn ask(
    server: &Server,
    key: &str,
    (method, path, body): &(&str, &str, String),
    (id, external_id): (&str, &str),
) -> Response {
    let filled = |text: &str| text.replace("$ID", id).replace("$EXTERNAL", external_id);
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut response = server.request(method, &filled(path), &headers, filled(body).as_bytes());
    // Names of requests differ, and names that were asked for may be repeated.
    response.headers.retain(|(name, _)| name != "x-request-id");
    response
}

#[test]
fn a_strangers_session_is_answered_as_one_that_is_not_there() {
    let folder = Folder::new();
    let mine = create_key(&folder.0, "me@x");
    let stranger = create_key(&folder.0, "stranger@x");
    let server = Server::start(&folder.0);
    let external_id = "11111111-1111-4111-8111-111111111111";
    let session = server.session(&mine, external_id);
    assert_eq!(server.append(&mine, &session, 1, &["a"]).status, 200);
    let path = format!("/api/v1/sessions/{session}");
    let before = server.get(&path, &mine).body;
    for question in questions() {
        let answers = [(session.as_str(), external_id), (NOBODYS, NOBODYS)]
            .map(|ids| ask(&server, &stranger, &question, ids));
        let [of_mine, of_nobodys] = answers.map(|it| (it.status, it.headers.clone(), it.text()));
        assert_eq!(of_mine, of_nobodys, "{question:?}");
        assert!(of_mine.0 >= 400, "{question:?}: {of_mine:?}");
        for key in ["", "cfb_", "nonsense"] {
            assert_eq!(ask(&server, key, &question, (&session, external_id)).status, 401);
        }
    }
    assert_eq!(server.get(&path, &mine).body, before, "nothing has changed");
    assert_eq!(server.download(&mine, &session), "a\n");
    // The questions are real ones: whom the session belongs to gets another answer to most of them.
    let ids = (session.as_str(), external_id);
    let answered =
        questions().iter().filter(|it| ask(&server, &mine, it, ids).status < 300).count();
    assert!(answered > 5, "{answered}");
}
