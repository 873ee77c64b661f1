//! What is being written appears while it is.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::Case;
use crate::lines;
use crate::pipe::Browser;
use crate::stage::{File, Stage, USER};
use crate::support::sandbox::append;
use crate::tab::Tab;

pub const CASES: &[Case] = &[
    ("a_session_grows_before_the_readers_eyes", live),
    ("the_list_shows_what_happens", list),
    ("an_agent_grows_within_its_call", agent),
    ("lines_are_seen_as_they_come", latency),
    ("what_is_watched_comes_by_itself", watched),
];

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
    // Whoever is at the end is taken along, and nothing is asked for twice.
    tab.press("G");
    tab.wait("document.querySelector('.row[data-line=\"300\"]')");
    let asked = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/events?') && Number(new URL(name).searchParams.get('from')) > 300).length";
    stage.append(&session, &file(vec![lines::said(301, "And on it goes")]), 301);
    tab.wait(
        "document.querySelector('.row[data-line=\"301\"]')?.textContent.includes('And on it goes')",
    );
    tab.wait("document.querySelector('.row[data-line=\"301\"]').getBoundingClientRect().bottom <= innerHeight");
    // A call is there before its result, which comes to stand beside it.
    let call = lines::call(302, "late", "Bash", json!({"command": "sleep 9"}));
    stage.append(&session, &file(vec![call]), 302);
    tab.wait("document.querySelector('.row[data-line=\"302\"] .tool.waiting')");
    tab.picture("live");
    let result = lines::result(303, "late", "slept well".into());
    stage.append(&session, &file(vec![result]), 303);
    tab.wait("document.querySelector('.row[data-line=\"302\"] .tool:not(.waiting)')?.textContent.includes('slept well')");
    assert_eq!(tab.value(asked), json!(0), "what the stream tells is not asked for");
    tab.value(NOT_COMPLETED);
    // Whoever reads further up stays there, and is told.
    (0..3).for_each(|_| tab.press("k"));
    tab.wait("document.documentElement.scrollHeight - innerHeight - scrollY > 300");
    tab.wait("document.querySelector('.here')?.dataset.line === '270'");
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
    // It is deleted: nobody is left with what was.
    stage.delete(&session);
    tab.wait("document.querySelector('.empty h1') && !document.querySelector('.row')");
    tab.check();
}

/// A chunk that is emptied is not fetched by what was fetching its end.
const NOT_COMPLETED: &str = "(async () => {
  const module = [...document.querySelectorAll('link[rel=modulepreload]')].find((link) => link.href.endsWith('/transcript.js'));
  const { Transcript } = await import(module.href);
  let asked = 0;
  const chunk = { state: 'drawn', from: 1, to: 40, events: [{ line: 1 }] };
  const page = {
    ask: async () => ((asked += 1), (chunk.state = 'empty'), (chunk.events = []), { events: [{ line: 2, raw: {} }] }),
    append: () => {},
    complete: Transcript.prototype.complete,
  };
  await page.complete(chunk);
  if (asked !== 1) throw new Error(`asked ${asked} times`);
  return true;
})()";

fn list(browser: &Browser) {
    let stage = Stage::new("browser-live-list");
    let other =
        File { name: "b.jsonl", kind: "transcript", lines: vec![lines::prompt(1, "the other")] };
    stage.upload("live", "/home/dev/project", &[file(vec![lines::prompt(0, "the first")])]);
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

/// An agent is found by its prompt before its result is there, and grows where it was called.
fn agent(browser: &Browser) {
    let stage = Stage::new("browser-live-agent");
    let input =
        json!({"subagent_type": "general-purpose", "prompt": "Look around", "description": "Look"});
    let call = lines::call(2, "a", "Agent", input);
    let session =
        stage.upload("live", "/home/dev/project", &[file(vec![lines::prompt(1, "go"), call])]);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.querySelector('.live-state.open')");
    tab.click(".agent-fold > summary");
    tab.wait("document.querySelector('.agent-lines .note')");
    let lines = |lines| File { name: "agent-a1.jsonl", kind: "agent", lines };
    stage.append(&session, &lines(vec![lines::prompt(1, "Look around")]), 1);
    tab.wait("document.querySelector('.agent-lines .row')?.textContent.includes('Look around')");
    stage.append(&session, &lines(vec![lines::said(2, "I have looked")]), 2);
    tab.wait("document.querySelector('.agent-lines').textContent.includes('I have looked')");
    tab.check();
}

/// Twenty sessions are written at once, and one of them is looked at: how long a line takes from
/// the request that brings it to the page that shows it.
fn latency(browser: &Browser) {
    const SESSIONS: usize = 20;
    const LINES: usize = 50;
    let stage = Stage::new("browser-latency");
    let session = |number: usize| {
        let file = file(vec![lines::prompt(1 + number * 1000, "all at once")]);
        stage.upload(&format!("live-{number}"), "/home/dev/project", &[file])
    };
    let sessions: Vec<String> = (0..SESSIONS).map(session).collect();
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{}", sessions[0]));
    tab.wait("document.querySelector('.live-state.open')");
    tab.press("G");
    tab.value(SEEN_AT);
    let mut sent = Vec::new();
    for number in 2..LINES + 2 {
        for (index, session) in sessions.iter().enumerate() {
            if index == 0 {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                sent.push(now.as_secs_f64() * 1000.0);
            }
            let line = lines::said(number + index * 1000, &format!("seen {number}"));
            stage.append(session, &file(vec![line]), number);
        }
    }
    tab.wait(&format!("window.seenAt[{}]", LINES + 1));
    let seen = tab.value("window.seenAt");
    let mut times: Vec<f64> =
        (0..LINES).map(|index| seen[index + 2].as_f64().unwrap() - sent[index]).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[LINES * part / 100];
    println!(
        "browser: {SESSIONS} live sessions: a line is seen {:.0} ms after it is sent (half of \
         them), {:.0} ms (99 of 100)",
        at(50),
        at(99)
    );
    tab.check();
}

/// Notes when each line is drawn.
const SEEN_AT: &str = "(() => {
  window.seenAt = [];
  new MutationObserver((changes) => {
    for (const node of changes.flatMap((change) => [...change.addedNodes])) {
      if (node.dataset?.line) window.seenAt[Number(node.dataset.line)] ??= performance.timeOrigin + performance.now();
    }
  }).observe(document.querySelector('.lines'), { childList: true, subtree: true });
  return true;
})()";

/// Notes what asks for the state later.
const TIMED: &str = "(() => {
  const [set, clear] = [setTimeout, clearTimeout];
  window.due = new Set();
  window.setTimeout = (act, delay) => {
    const timer = set(() => (due.delete(timer), act()), delay);
    if (delay === 10000) due.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => (due.delete(timer), clear(timer));
  return true;
})()";

/// One command is everything: what Claude Code writes appears, and the page sets how.
fn watched(browser: &Browser) {
    const ID: &str = "11111111-1111-4111-8111-111111111111";
    let stage = Stage::with("browser-watched", &["--watch", "--watch-user", USER]);
    let path = stage.transcript(ID);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelector('.empty')");
    append(&path, lines::prompt(1, "nobody has sent this") + "\n");
    tab.wait("document.querySelector('a.session')?.textContent.includes('nobody has sent this')");
    tab.click("a.session");
    tab.wait("document.querySelector('.live-state.open')");
    append(&path, lines::said(2, "and this neither") + "\n");
    tab.wait("document.querySelector('.row[data-line=\"2\"]')?.textContent.includes('neither')");
    tab.open("/status");
    tab.wait("document.querySelector('#sync-now') && document.querySelector('#setting-exclude')");
    // Each machine tells how it stands.
    tab.wait(
        "document.querySelector('[aria-label=Machines] tbody tr')?.textContent.endsWith('00none')",
    );
    tab.picture("status-watch");
    tab.click("#sync-now");
    tab.wait("document.body.textContent.includes('It looks at everything now.')");
    // Whoever asks at once does not ask more often from then on.
    tab.value(TIMED);
    let asked = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/api/v1/status')).length";
    for _ in 0..2 {
        let before = tab.value(asked);
        tab.click("#sync-now");
        tab.wait(&format!("{asked} > {before}"));
    }
    tab.wait("window.due.size === 1");
    tab.click("#setting-interval");
    tab.type_text("soon");
    tab.click("#save-settings");
    tab.wait("document.querySelector('[aria-label=Watching] [role=status]').textContent.includes('interval must be')");
    tab.expect_problem("400");
    tab.value("document.querySelector('#setting-interval').select()");
    tab.type_text("2s");
    tab.click("#setting-retention_days");
    tab.type_text("400");
    tab.click("#save-settings");
    // What is deleted does not come back: it is asked for twice.
    tab.wait("document.querySelector('#save-settings').textContent.includes('than 400 days')");
    tab.picture("status-retention");
    tab.click("#save-settings");
    tab.wait("document.body.textContent.includes('Saved.')");
    tab.open("/status");
    tab.wait("document.querySelector('#setting-interval')?.value === '2s'");
    tab.wait("document.querySelector('#setting-retention_days').value === '400'");
    tab.check();
}
