//! Lines of what others share are found, no others of theirs, and no longer than they share it.

use serde_json::{Value, json};

use super::{World, said};
use crate::server::process::create_key;

/// Whoever has shared something, a friend and a stranger.
struct Scene {
    world: World,
    friend: String,
    stranger: String,
    shared: String,
}

/// So many sessions of the friend's own that the newest ones alone do not reach the shared one.
const OWN_SESSIONS: usize = 40;

fn scene() -> Scene {
    let world = World::new();
    let friend = create_key(&world.folder.0, "friend@x");
    let stranger = create_key(&world.folder.0, "stranger@x");
    let shared = world.session("shared", json!({"cwd": "/home/me/alpha", "hostname": "laptop"}));
    let private = world.session("private", json!({"cwd": "/home/me/alpha", "hostname": "laptop"}));
    let lines = |name: &str| -> [Value; 2] {
        let time = "2026-11-20T10:00:00Z";
        [said(time, &format!("the {name} needle_case")), said(time, "hay in the common stack")]
    };
    world.send(&shared, "shared.jsonl", 1, &lines("shared"));
    world.send(&private, "private.jsonl", 1, &lines("private"));
    for number in 0..OWN_SESSIONS {
        let own = world.server.session(&friend, &format!("own {number}"));
        let line = said("2026-11-21T10:00:00Z", "my own common word").to_string();
        assert_eq!(world.server.append(&friend, &own, 1, &[&line]).status, 200);
    }
    world.indexed();
    Scene { world, friend, stranger, shared }
}

impl Scene {
    /// What somebody finds of the owner.
    fn of_owner(&self, key: &str, query: &str, limit: usize) -> Vec<String> {
        let mut hits = self.world.hits_of(key, query, limit);
        hits.retain(|hit| !hit.starts_with("t.jsonl"));
        hits.sort_unstable();
        hits
    }

    fn share(&self, with: &Value) -> Value {
        let path = format!("/api/v1/sessions/{}/shares", self.shared);
        let answer = self.world.server.post(&path, &self.world.key, with);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    fn unshare(&self, share: &Value) {
        let path = format!("/api/v1/sessions/{}/shares/{}", self.shared, share["id"]);
        let bearer = format!("Bearer {}", self.world.key);
        let headers = [("Authorization", bearer.as_str())];
        assert_eq!(self.world.server.request("DELETE", &path, &headers, b"").status, 204);
    }
}

/// Each finds lines of the shared and the private session in another way: by words, by parts, by
/// what the session is, by the owner's lines as such.
const QUERIES: [(&str, &str); 11] = [
    ("needle", "1"),
    ("needle_case", "1"),
    ("need*", "1"),
    ("\"shared needle_case\"", "1"),
    ("common", "2"),
    ("common -my", "2"),
    ("role:user", "1 2"),
    ("project:alpha", "1 2"),
    ("machine:laptop hay", "2"),
    ("user:me", "1 2"),
    ("after:2026-11-20 before:2026-11-21", "1 2"),
];

#[test]
fn what_is_shared_is_found_as_long_as_it_is_and_nothing_else() {
    let scene = scene();
    let nothing = |key: &str| {
        for (query, _) in QUERIES {
            assert_eq!(scene.of_owner(key, query, 20), [""; 0], "{query}");
        }
    };
    nothing(&scene.friend);
    let share = scene.share(&json!({"email": "friend@x"}));
    for (query, lines) in QUERIES {
        let expected: Vec<String> =
            lines.split(' ').map(|line| format!("shared.jsonl:{line}")).collect();
        for limit in [1, 3, 100] {
            let found = scene.of_owner(&scene.friend, query, limit);
            assert_eq!(found, expected, "{query} by {limit}");
        }
    }
    let own = scene.world.hits_of(&scene.friend, "common", 7).len();
    assert_eq!(own, OWN_SESSIONS + 1, "what is shared is among what is one's own");
    // Whoever reads is told whose it is, the owner is not.
    let hit = |key: &str| {
        let answer = scene.world.server.get("/api/v1/search?q=shared%20needle", key);
        answer.json()["hits"][0].clone()
    };
    assert_eq!(hit(&scene.friend)["shared_by"], "me@x");
    assert_eq!(hit(&scene.friend)["session_id"], json!(scene.shared));
    assert_eq!(hit(&scene.world.key).get("shared_by"), None);
    // It is the friend's to find, not the stranger's, and theirs is not the owner's.
    nothing(&scene.stranger);
    assert_eq!(scene.world.hits("own", 20), [""; 0]);
    // A search that was begun before the share was taken back does not go on with it.
    let begun = scene.world.server.get("/api/v1/search?q=common&limit=1", &scene.friend).json();
    scene.unshare(&share);
    nothing(&scene.friend);
    let cursor = begun["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/search?q=common&limit=100&cursor={cursor}");
    let rest = scene.world.server.get(&path, &scene.friend).text();
    assert!(rest.contains("\"hits\":[{") && !rest.contains("shared"), "{rest}");
}

#[test]
fn a_link_lets_nobody_search_and_what_is_deleted_is_not_found_by_friends() {
    let scene = scene();
    let link = scene.share(&json!({"expires_days": 1}));
    let token = link["url"].as_str().unwrap().strip_prefix("/s/").unwrap().to_owned();
    let path = format!("/api/v1/search?q=needle&share={token}");
    assert_eq!(scene.world.server.request("GET", &path, &[], b"").status, 404);
    scene.share(&json!({"email": "friend@x"}));
    assert_eq!(scene.of_owner(&scene.friend, "needle", 20), ["shared.jsonl:1"]);
    let bearer = format!("Bearer {}", scene.world.key);
    let headers = [("Authorization", bearer.as_str())];
    let path = format!("/api/v1/sessions/{}", scene.shared);
    assert_eq!(scene.world.server.request("DELETE", &path, &headers, b"").status, 204);
    assert_eq!(scene.of_owner(&scene.friend, "needle", 20), [""; 0]);
}
