//! Which sessions the list shows, in which order, and how far it goes.

use std::time::{Duration, SystemTime};

use confab::time::rfc3339;
use serde_json::json;

use crate::Case;
use crate::lines;
use crate::pipe::Browser;
use crate::stage::{File, Stage};
use crate::tab::Tab;

pub const CASES: &[Case] = &[
    ("history_that_is_brought_in_stands_where_it_was_said", history),
    ("the_list_goes_on_as_long_as_its_end_is_seen", long),
    ("the_way_back_leads_to_where_the_reader_was", back),
];

const HOUR: u64 = 3600;
/// What the list says, from top to bottom.
const TITLES: &str =
    "[...document.querySelectorAll('a.session .title')].map((node) => node.textContent)";
const DAYS: &str = "document.querySelectorAll('.sessions section').length";

/// A session in which something was said so long ago.
fn said(stage: &Stage, name: &str, ago: u64) -> String {
    let time = rfc3339(SystemTime::now() - Duration::from_secs(ago));
    let lines = vec![lines::prompt_at(&time, name)];
    stage.upload(name, "/home/dev/project", &[File { name: "t.jsonl", kind: "transcript", lines }])
}

fn shows(tab: &Tab<'_>, titles: &[&str]) {
    let titles = json!(titles);
    tab.wait(&format!("JSON.stringify({TITLES}) === JSON.stringify({titles})"));
}

/// All of it arrives today, the newest first.
fn history(browser: &Browser) {
    let stage = Stage::new("browser-history");
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelector('.empty')");
    let names = ["just now", "three days", "a week", "a month", "a year"];
    let ages = [0, 3 * 24, 7 * 24, 31 * 24, 366 * 24].map(|hours| hours * HOUR);
    let sessions: Vec<String> =
        names.iter().zip(ages).map(|(name, ago)| said(&stage, name, ago)).collect();
    shows(&tab, &names);
    assert_eq!(tab.value(DAYS), json!(5));
    assert_eq!(tab.value("document.querySelectorAll('.is-live').length"), json!(1));
    tab.wait("document.querySelector('section:first-of-type').dataset.day === 'Today'");
    // Whoever comes now sees the same.
    tab.open("/");
    shows(&tab, &names);
    assert_eq!(tab.value("document.querySelectorAll('.is-live').length"), json!(1));
    // What is put away has said nothing.
    stage.archive(&sessions[3]);
    tab.wait("document.querySelector('li.archived')");
    shows(&tab, &names);
    assert_eq!(tab.value(DAYS), json!(5));
    // What goes on comes to the top.
    let time = rfc3339(SystemTime::now());
    let lines = vec![lines::prompt_at(&time, "and on")];
    stage.append(&sessions[4], &File { name: "t.jsonl", kind: "transcript", lines }, 2);
    shows(&tab, &["a year", "just now", "three days", "a week", "a month"]);
    stage.delete(&sessions[0]);
    shows(&tab, &["a year", "three days", "a week", "a month"]);
    tab.check();
}

/// Rows that are hidden, and a screen that is higher than a page of the list.
fn long(browser: &Browser) {
    const SESSIONS: u64 = 150;
    let stage = Stage::new("browser-long-list");
    let sessions: Vec<String> = (0..SESSIONS)
        .map(|number| said(&stage, &format!("number {number}"), HOUR * (24 + number)))
        .collect();
    sessions[..70].iter().for_each(|session| stage.archive(session));
    let mut tab = Tab::new(browser, &stage.origin());
    tab.size(1280, 8000);
    tab.open("/");
    tab.wait(&format!("document.querySelectorAll('a.session').length === {SESSIONS}"));
    tab.wait("document.querySelector('.more-rows').textContent === ''");
    assert_eq!(tab.value("document.querySelectorAll('.empty').length"), json!(0));
    // While one list is on its way, another one is asked for.
    tab.value("(() => { const box = document.querySelector('#search'); for (const words of ['number', '']) { box.value = words; box.dispatchEvent(new Event('input')); } })()");
    tab.wait(&format!("document.querySelectorAll('a.session').length === {SESSIONS}"));
    tab.check();
}

fn back(browser: &Browser) {
    const SESSIONS: u64 = 150;
    let stage = Stage::new("browser-back");
    for number in 0..SESSIONS {
        said(&stage, &format!("number {number}"), HOUR * (24 + number));
    }
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    let last = "[...document.querySelectorAll('a.session')].find((link) => link.textContent.includes('number 140'))";
    tab.wait("document.querySelector('a.session')");
    tab.wait(&format!(
        "(scrollTo({{ top: document.documentElement.scrollHeight, behavior: 'instant' }}), {last})"
    ));
    let place = tab.value(&format!(
        "({last}.scrollIntoView({{ block: 'center', behavior: 'instant' }}), Math.round(scrollY))"
    ));
    assert!(place.as_u64().unwrap() > 1000, "{place} is where it is anyway");
    tab.value(&format!("({last}.click(), true)"));
    tab.wait("document.querySelector('.row.is-prompt')");
    tab.value("(history.back(), true)");
    tab.wait(&format!("document.activeElement === {last} && Math.abs(scrollY - {place}) <= 2"));
    // From there on, the reader goes where they want, whatever comes.
    tab.value("scrollTo({ top: 0, behavior: 'instant' })");
    said(&stage, "something new", 0);
    tab.wait("document.querySelector('a.session').textContent.includes('something new')");
    assert_eq!(tab.value("scrollY"), json!(0));
    tab.check();
}
