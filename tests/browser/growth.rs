//! What is being written appears while it is.

use crate::Case;
use crate::lines;
use crate::pipe::Browser;
use crate::stage::{File, Stage};
use crate::tab::Tab;

pub const CASES: &[Case] =
    &[("a_session_grows_before_the_readers_eyes", live), ("the_list_shows_what_happens", list)];

fn file(lines: Vec<String>) -> File<'static> {
    File { name: "live.jsonl", kind: "transcript", lines }
}

fn live(browser: &Browser) {
    let stage = Stage::new("browser-live");
    let start = lines::long(300);
    let session = stage.upload("live", "/home/dev/project", &[file(start)]);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.querySelector('.live-state.open')");
    // Whoever is at the end is taken along.
    tab.press("G");
    tab.wait("document.querySelector('.row[data-line=\"300\"]')");
    stage.append(&session, &file(vec![lines::said(301, "And on it goes")]), 301);
    tab.wait(
        "document.querySelector('.row[data-line=\"301\"]')?.textContent.includes('And on it goes')",
    );
    tab.wait("document.querySelector('.row[data-line=\"301\"]').getBoundingClientRect().bottom <= innerHeight");
    // A call is there before its result, which comes to stand beside it.
    let call = lines::call(302, "late", "Bash", serde_json::json!({"command": "sleep 9"}));
    stage.append(&session, &file(vec![call]), 302);
    tab.wait("document.querySelector('.row[data-line=\"302\"] .tool.waiting')");
    tab.picture("live");
    let result = lines::result(303, "late", "slept well".into());
    stage.append(&session, &file(vec![result]), 303);
    tab.wait("document.querySelector('.row[data-line=\"302\"] .tool:not(.waiting)')?.textContent.includes('slept well')");
    // Whoever reads further up stays there, and is told.
    tab.press("k");
    tab.press("k");
    tab.press("k");
    tab.wait("document.documentElement.scrollHeight - innerHeight - scrollY > 300");
    let place = "Math.round(document.querySelector('.here').getBoundingClientRect().top)";
    let before = tab.value(place);
    let more: Vec<String> = (304..=404).map(|number| lines::said(number, "more")).collect();
    stage.append(&session, &file(more), 304);
    tab.wait("!document.querySelector('.newer').hidden");
    tab.wait("document.querySelector('.newer').textContent.includes('101 new lines')");
    assert_eq!(tab.value(place), before);
    tab.click(".newer");
    tab.wait("document.querySelector('.row[data-line=\"404\"]')");
    assert_eq!(tab.value("performance.getEntriesByType('navigation').length"), 1);
    tab.check();
}

fn list(browser: &Browser) {
    let stage = Stage::new("browser-live-list");
    let other =
        File { name: "b.jsonl", kind: "transcript", lines: vec![lines::prompt(1, "the other")] };
    stage.upload("live", "/home/dev/project", &[file(vec![lines::prompt(1, "the first")])]);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelectorAll('a.session').length === 1");
    tab.press("j");
    tab.wait("document.activeElement.textContent.includes('the first')");
    stage.upload("b", "/home/dev/project", &[other]);
    tab.wait("document.querySelectorAll('a.session').length === 2");
    tab.wait("document.querySelector('a.session').textContent.includes('the other')");
    // Nobody's focus is taken away.
    tab.wait("document.activeElement.textContent.includes('the first')");
    tab.check();
}
