//! Sessions that others may read: only those, only to read, only as long as they are shared.

use serde_json::{Value, json};

use super::process::{Folder, Response, Server, create_key};

struct Scene {
    _folder: Folder,
    server: Server,
    owner: String,
    friend: String,
    session: String,
    private: String,
}

const SAID: &str = r#"{"type":"user","message":{"role":"user","content":"needle <b>"}}"#;

fn scene() -> Scene {
    let folder = Folder::new();
    let owner = create_key(&folder.0, "me@x");
    let friend = create_key(&folder.0, "friend@x");
    let server = Server::start(&folder.0);
    let (session, private) = (server.session(&owner, "shared"), server.session(&owner, "private"));
    for id in [&session, &private] {
        assert_eq!(server.append(&owner, id, 1, &[SAID, "{}"]).status, 200);
    }
    Scene { _folder: folder, server, owner, friend, session, private }
}

impl Scene {
    fn ask(&self, method: &str, key: &str, path: &str) -> Response {
        let bearer = format!("Bearer {key}");
        let path = format!("/api/v1/sessions/{}{path}", self.session);
        self.server.request(method, &path, &[("Authorization", &bearer)], b"")
    }

    fn share(&self, with: &Value) -> Response {
        self.server.post(&format!("/api/v1/sessions/{}/shares", self.session), &self.owner, with)
    }

    fn list(&self, path: &str, key: &str) -> Vec<String> {
        let list = self.server.get(path, key).json();
        let id = |entry: &Value| entry["external_id"].as_str().unwrap().to_owned();
        list["sessions"].as_array().unwrap().iter().map(id).collect()
    }
}

#[test]
fn a_session_is_shared_with_a_user_to_read_and_taken_back() {
    let scene = scene();
    let Scene { server, owner, friend, session, private, .. } = &scene;
    assert_eq!(scene.ask("GET", friend, "").status, 404);
    let shared = scene.share(&json!({"email": "friend@x"}));
    assert_eq!((shared.status, &shared.json()["email"]), (201, &json!("friend@x")));
    let share = shared.json()["id"].clone();
    let detail = scene.ask("GET", friend, "").json();
    assert_eq!((&detail["is_owner"], &detail["owner_email"]), (&json!(false), &json!("me@x")));
    assert_eq!(server.download(friend, session), format!("{SAID}\n{{}}\n"));
    let markdown = scene.ask("GET", friend, "/export?format=markdown").text();
    assert!(markdown.contains("## User\n\nneedle <b>\n"), "{markdown}");
    let html = scene.ask("GET", friend, "/export?format=html");
    assert!(html.text().contains("needle &lt;b&gt;") && html.text().ends_with("</html>\n"));
    assert!(html.header("content-security-policy").unwrap().starts_with("sandbox"));
    let lines = scene.ask("GET", friend, "/export?format=jsonl");
    assert_eq!(lines.text(), format!("{SAID}\n{{}}\n"));
    assert_eq!(scene.ask("GET", friend, "/export?format=pdf").status, 400);
    assert_eq!(scene.list("/api/v1/sessions", friend), ["shared"]);
    assert_eq!(scene.list("/api/v1/sessions", owner), ["private", "shared"]);
    // To read, and only this one.
    assert_eq!(server.append(friend, session, 3, &["{}"]).status, 404);
    assert_eq!(scene.ask("DELETE", friend, "").status, 404);
    assert_eq!(scene.ask("GET", friend, "/shares").status, 404);
    assert_eq!(server.get(&format!("/api/v1/sessions/{private}"), friend).status, 404);
    assert_eq!(scene.ask("DELETE", friend, &format!("/shares/{share}")).status, 404);
    assert_eq!(scene.ask("DELETE", owner, &format!("/shares/{share}")).status, 204);
    assert_eq!(scene.ask("DELETE", owner, &format!("/shares/{share}")).status, 404);
    assert_eq!(scene.ask("GET", friend, "").status, 404);
    assert_eq!(scene.list("/api/v1/sessions", friend), [""; 0]);
    // And given back.
    assert_eq!(scene.share(&json!({"email": "friend@x"})).status, 201);
    assert_eq!(scene.ask("DELETE", owner, "/shares/mine").status, 404);
    assert_eq!(scene.ask("DELETE", friend, "/shares/mine").status, 204);
    assert_eq!(scene.ask("DELETE", friend, "/shares/mine").status, 404);
    assert_eq!(scene.ask("GET", friend, "").status, 404);
    assert_eq!(scene.ask("GET", owner, "/shares").json(), json!({"shares": []}));
}

#[test]
fn whoever_has_the_link_reads_one_session_and_nothing_else() {
    let scene = scene();
    let Scene { server, owner, session, private, .. } = &scene;
    let shared = scene.share(&json!({"expires_days": 2}));
    assert_eq!(shared.status, 201, "{}", shared.text());
    let url = shared.json()["url"].as_str().unwrap().to_owned();
    let token = url.strip_prefix("/s/").unwrap();
    let listed = scene.ask("GET", owner, "/shares").json();
    assert_eq!(listed["shares"].as_array().unwrap().len(), 1);
    assert_eq!(listed["shares"][0].get("url"), None, "it is told once");
    assert!(listed["shares"][0]["expires_at"].is_string());
    let ask = |method: &str, path: &str| {
        let between = if path.contains('?') { '&' } else { '?' };
        server.request(method, &format!("/api/v1{path}{between}share={token}"), &[], b"")
    };
    let detail = ask("GET", &format!("/sessions/{session}")).json();
    assert_eq!((&detail["is_owner"], &detail["owner_email"]), (&json!(false), &json!("")));
    let list = ask("GET", "/sessions").json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(list["sessions"][0]["id"], json!(session));
    // Not part by part either they are told whose it is.
    for query in ["user:me", "-user:me", "user:x", "shared%20user:m"] {
        assert_eq!(ask("GET", &format!("/sessions?q={query}")).status, 400, "{query}");
    }
    assert_eq!(ask("GET", "/sessions?q=machine:x").status, 200);
    for path in ["/files", "/export?format=html", "/files/download?file_name=t.jsonl"] {
        assert_eq!(ask("GET", &format!("/sessions/{session}{path}")).status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", format!("/sessions/{private}")),
        ("DELETE", format!("/sessions/{session}")),
        ("GET", format!("/sessions/{session}/shares")),
        ("GET", "/auth/validate".into()),
        ("GET", "/stream".into()),
    ] {
        assert_eq!(ask(method, &path).status, 404, "{method} {path}");
    }
    let other = server.request("GET", &format!("/api/v1/sessions/{session}?share=x"), &[], b"");
    assert_eq!(other.status, 404);
    let share = &listed["shares"][0]["id"];
    assert_eq!(scene.ask("DELETE", owner, &format!("/shares/{share}")).status, 204);
    assert_eq!(ask("GET", &format!("/sessions/{session}")).status, 404);
}

#[test]
fn what_cannot_be_shared_is_refused_and_what_is_archived_is_told_so() {
    let scene = scene();
    let refusals = [
        (json!({"email": "nobody@x"}), "There is no other user of this name"),
        (json!({"email": "me@x"}), "There is no other user of this name"),
        (json!({"expires_days": 0}), "expires_days must be 1 to 365"),
        (json!({"expires_days": 366}), "expires_days must be 1 to 365"),
        (json!({"email": "friend@x", "expires_days": 1}), "name either email or expires_days"),
        (json!({"email": 5}), "Invalid request body"),
    ];
    for (with, expected) in refusals {
        let refused = scene.share(&with);
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!(expected)), "{with}");
    }
    let archive = |archived: bool| {
        let path = format!("/api/v1/sessions/{}/archive", scene.session);
        let answer = scene.server.post(&path, &scene.owner, &json!({"archived": archived}));
        assert_eq!((answer.status, answer.json()), (200, json!({"archived": archived})));
    };
    for archived in [true, true, false] {
        archive(archived);
        let list = scene.server.get("/api/v1/sessions", &scene.owner).json();
        let entries = list["sessions"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["external_id"] == "shared").unwrap();
        assert_eq!(entry["archived"], json!(archived));
    }
}
