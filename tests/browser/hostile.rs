//! Transcripts of people who mean harm: nothing in them runs, loads, or breaks the page.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Case;
use crate::lines;
use crate::pipe::Browser;
use crate::stage::{File, Stage};
use crate::tab::Tab;

pub const CASES: &[Case] =
    &[("nothing_in_a_transcript_runs", tricks), ("huge_and_deep_lines_stay_small", huge)];

const TITLE: &str = "<img src=x onerror=boom()>\u{202e}<script>boom()</script>";

fn tricks(browser: &Browser) {
    let stage = Stage::new("browser-hostile");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/page/hostile.jsonl");
    let mut told = vec![lines::prompt(0, TITLE)];
    told.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
    let count = told.len();
    let names = ["../../<script>boom()</script>.jsonl", "agent-\u{202e}\"onload=boom().jsonl"];
    let mut files = vec![File { name: "hostile.jsonl", kind: "transcript", lines: told }];
    for name in names {
        files.push(File { name, kind: "agent", lines: vec![lines::prompt(1, TITLE)] });
    }
    let session = stage.upload("hostile", "/home/\u{202e}<svg onload=boom()>", &files);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelector('a.session .title').textContent.includes('<img')");
    tab.picture("hostile-list");
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.querySelector('.row')");
    // Every fold and every raw line is opened, along the whole of it.
    tab.value(OPENED);
    tab.wait("document.body.textContent.includes('the last line of all')");
    tab.picture("hostile");
    check_nothing(&tab);
    // Nothing is left out: every line is somewhere.
    tab.open(&format!("/sessions/{session}#L{count}"));
    tab.wait("document.querySelector('.here')");
    for name in names {
        let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        tab.open(&format!("/sessions/{session}?file={name}"));
        tab.wait("document.querySelector('.row.is-prompt')?.textContent.includes('<img src=x')");
    }
    tab.check();
}

/// What must not be there, and is counted.
fn check_nothing(tab: &Tab<'_>) {
    let nothing = [
        (
            "a script that the page does not have",
            "[...document.scripts].filter((node) => !node.src.includes('/assets/')).length",
        ),
        (
            "an element that can load",
            "document.querySelectorAll('main :is(iframe, object, embed, link, style, base, meta, form, video, audio, script, template)').length",
        ),
        (
            "a picture of another kind",
            "[...document.querySelectorAll('main img')].filter((node) => !/^data:image\\/(png|jpeg|gif|webp);base64,/.test(node.src)).length",
        ),
        (
            "a listener in the markup",
            "[...document.querySelectorAll('*')].filter((node) => [...node.attributes].some((attribute) => /^on/i.test(attribute.name))).length",
        ),
        (
            "a link that runs",
            "[...document.querySelectorAll('a')].filter((node) => !/^(https?|mailto):/.test(node.href)).length",
        ),
        (
            "a link to elsewhere that tells where it is",
            "[...document.querySelectorAll('a')].filter((node) => node.origin !== location.origin && !(node.rel.includes('noopener') && node.rel.includes('noreferrer'))).length",
        ),
        (
            "something that ran",
            "Number(typeof boom !== 'undefined') + Number({}.polluted === true)",
        ),
        (
            "a character that turns text around",
            "(document.body.textContent.match(/[\\u202a-\\u202e\\u2066-\\u2069]/g) ?? []).length",
        ),
        (
            "the same in the title",
            "(document.title.match(/[\\u202a-\\u202e\\u2066-\\u2069]/g) ?? []).length",
        ),
    ];
    for (what, found) in nothing {
        assert_eq!(tab.value(found), json!(0), "{what}");
    }
}

/// Opens whatever can be opened, again and again until nothing is left.
const OPENED: &str = "new Promise((done) => {
  const open = (left) => {
    for (const fold of document.querySelectorAll('main details:not([open])')) fold.open = true;
    for (const raw of document.querySelectorAll('.raw-button[aria-expanded=false]')) raw.click();
    for (const more of document.querySelectorAll('button.more')) more.click();
    scrollBy({ top: 2000, behavior: 'instant' });
    if (left) requestAnimationFrame(() => open(left - 1)); else done(true);
  };
  open(60);
})";

fn huge(browser: &Browser) {
    let stage = Stage::new("browser-huge");
    let wide = "x".repeat(3 << 20);
    let many = "<b>*a*</b> [x](javascript:boom())\n".repeat(60_000);
    let deep = format!("{}1{}", "{\"a\":".repeat(90), "}".repeat(90));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let keys: serde_json::Map<String, Value> =
        (0..20_000).map(|number| (format!("key {number}"), json!(number))).collect();
    let told = vec![
        lines::prompt(1, "huge"),
        lines::said(2, &wide),
        lines::said(3, &many),
        lines::call(4, "w", "Write", json!({"file_path": "/big", "content": many})),
        lines::call(5, "d", "Deep", deep),
        lines::call(6, "k", "Keys", Value::Object(keys)),
        lines::call(7, "b", "Bash", json!({"command": wide})),
        lines::result(8, "b", json!("\u{1b}[31mr\u{1b}[0m".repeat(200_000))),
        lines::call(
            9,
            "e",
            "Edit",
            json!({"old_string": "a\n".repeat(5000), "new_string": "b\n".repeat(5000)}),
        ),
        // A terminal's line that is written over and over.
        lines::call(10, "z", "Bash", json!({"command": "turn"})),
        lines::result(11, "z", json!(format!("{}end of it", "\r".repeat(390_000)))),
        lines::said(12, "the end"),
    ];
    let file = File { name: "huge.jsonl", kind: "transcript", lines: told };
    let session = stage.upload("huge", "/home/dev/project", &[file]);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.body.textContent.includes('the end')");
    let nodes = tab.value("document.querySelectorAll('*').length").as_u64().unwrap();
    assert!(nodes < 20_000, "{nodes} elements");
    tab.picture("huge");
    tab.value("document.querySelectorAll('button.more').forEach((more) => more.click())");
    tab.wait("document.querySelector('main').textContent.includes('end of it')");
    tab.check();
}
