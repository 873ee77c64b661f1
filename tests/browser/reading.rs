//! Finding a session, and reading it.

use serde_json::{Value, json};

use crate::Case;
use crate::access::{SIMPLE, upload_tools};
use crate::lines;
use crate::pipe::Browser;
use crate::stage::{File, Stage, recorded};
use crate::tab::Tab;

pub const CASES: &[Case] = &[
    ("sessions_are_listed_and_opened_with_keys_alone", keys),
    ("what_was_said_is_found", search),
    ("a_session_reads_as_the_conversation_that_it_was", conversation),
    ("agents_stand_where_they_were_called", agents),
    ("fifty_thousand_lines_are_drawn_where_somebody_looks", long),
    ("every_page_can_be_read_by_everybody", everybody),
];

fn keys(browser: &Browser) {
    let stage = Stage::new("browser-keys");
    for (number, title) in ["the oldest", "the middle", "the newest"].into_iter().enumerate() {
        let lines = vec![lines::prompt(1, title), lines::said(2, "well")];
        let name = format!("s{number}.jsonl");
        let file = File { name: &name, kind: "transcript", lines };
        stage.upload(&format!("s{number}"), "/home/dev/project", &[file]);
    }
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelectorAll('a.session').length === 3");
    tab.picture("list-few");
    let focused = "document.activeElement.querySelector?.('.title')?.textContent";
    for (key, title) in
        [("j", "newest"), ("j", "middle"), ("j", "oldest"), ("j", "oldest"), ("k", "middle")]
    {
        tab.press(key);
        assert!(tab.text(focused).contains(title), "{key}: {title}");
    }
    tab.press("Enter");
    tab.wait("document.querySelector('.row.is-prompt')?.textContent.includes('the middle')");
    tab.press("Escape");
    tab.wait("location.pathname === '/' && document.querySelectorAll('a.session').length === 3");
    // Back where one was.
    tab.wait("document.activeElement.textContent.includes('the middle')");
    tab.press("/");
    tab.wait("document.activeElement.id === 'search'");
    tab.type_text("oldest");
    tab.wait("document.querySelectorAll('a.session').length === 1");
    tab.press("Escape");
    assert!(tab.text(focused).contains("oldest"));
    tab.press("Escape");
    tab.wait("document.querySelectorAll('a.session').length === 3 && location.search === ''");
    tab.press("?");
    tab.wait("document.querySelector('dialog[open]')");
    tab.press("Escape");
    tab.wait("!document.querySelector('dialog')");
    tab.check();
}

fn search(browser: &Browser) {
    let stage = Stage::new("browser-search");
    let lines = lines::long(400);
    let file = File { name: "long.jsonl", kind: "transcript", lines };
    stage.upload("long", "/home/dev/project", &[file]);
    upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelectorAll('a.session').length === 2");
    tab.press("/");
    tab.wait("document.activeElement.id === 'search'");
    tab.type_text("part_301");
    tab.wait("document.querySelector('a.hit mark')");
    tab.picture("search");
    tab.press("Escape");
    tab.press("Enter");
    tab.wait("location.hash === '#L301' && document.querySelector('.here')");
    let place = "(() => { const box = document.querySelector('.here').getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight / 2; })()";
    tab.wait(place);
    tab.open("/?q=project%3Ar%20tool%3ABash%20cat");
    tab.wait("document.querySelector('a.hit')");
    tab.check();
    tab.open("/?q=after%3Anonsense");
    tab.wait("!document.querySelector('.problem').hidden");
    tab.expect_problem("400");
    tab.check();
}

/// A session with everything that is drawn in a way of its own.
fn upload_everything(stage: &Stage) -> String {
    let red_dot = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==";
    let lines = vec![
        lines::prompt(1, "Make the *tests* pass. My key is [REDACTED:API_KEY], see `src/lib.rs`."),
        lines::blocks(2, json!([{"type": "thinking", "thinking": "First I look around.", "signature": ""}])),
        lines::said(3, "# Plan\n\n1. Look\n2. Change **it**\n\n| a | b |\n|---|---|\n| 1 | `x` |\n\n> quoted\n\n```rust\nfn main() {}\n```\n\nSee [the book](https://example.org/book), [https://a.example](https://a.example)."),
        lines::call(4, "c1", "Bash", json!({"command": "cargo test", "description": "Run the tests"})),
        lines::result(5, "c1", json!("running 2 tests\ntest a ... \u{1b}[32mok\u{1b}[0m\ntest b ... \u{1b}[1;31mFAILED\u{1b}[0m\nprogress 1%\rprogress 100%\n")),
        lines::call(6, "c2", "Edit", json!({"file_path": "/home/dev/project/src/lib.rs", "old_string": "fn a() {\n    1\n}", "new_string": "fn a() {\n    2\n}"})),
        lines::result(7, "c2", json!("updated")),
        lines::call(8, "c3", "Read", json!({"file_path": "/home/dev/project/dot.png"})),
        lines::result(9, "c3", json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": red_dot}}])),
        lines::call(10, "c4", "Read", json!({"file_path": "/home/dev/project/a.txt"})),
        lines::result(11, "c4", json!("    41\u{2192}line one\n    42\u{2192}line two")),
        lines::call(12, "c5", "TodoWrite", json!({"todos": [{"content": "Look", "status": "completed"}, {"content": "Change", "status": "in_progress"}]})),
        lines::result(13, "c5", json!("done")),
        lines::call(14, "c6", "mcp__weather__get", json!({"city": "Berlin", "days": 3})),
        lines::result(15, "c6", json!("sunny")),
        json!({"type": "user", "uuid": "u16", "message": {"role": "user", "content": [{"type": "text", "text": "[Request interrupted by user]"}]}}).to_string(),
        json!({"type": "system", "subtype": "compact_boundary", "compactMetadata": {"trigger": "auto", "preTokens": 155000}}).to_string(),
        json!({"type": "assistant", "isApiErrorMessage": true, "message": {"role": "assistant", "content": [{"type": "text", "text": "API Error: 529 overloaded"}]}}).to_string(),
        lines::prompt(19, "And again"),
        lines::call(20, "c7", "MultiEdit", json!({"file_path": "/a", "edits": [{"old_string": "x", "new_string": "y"}, {"old_string": "z", "new_string": "w"}]})),
        "{not json".into(),
    ];
    let file = File { name: "all.jsonl", kind: "transcript", lines };
    stage.upload("all", "/home/dev/project", &[file])
}

fn conversation(browser: &Browser) {
    let stage = Stage::new("browser-conversation");
    let session = upload_everything(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.size(1280, 1800);
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.querySelector('.is-broken')");
    tab.picture("conversation");
    let there = [
        "document.querySelector('.is-prompt em').textContent === 'tests'",
        "document.querySelector('mark.redacted').textContent === '[REDACTED:API_KEY]'",
        "document.querySelector('.fold.thinking').open === false",
        "document.querySelectorAll('.text table td').length === 2",
        "document.querySelector('.text a').href === 'https://example.org/book' && document.querySelector('.text a').rel.includes('noopener')",
        "document.querySelectorAll('.text a').length === 2 && !document.querySelector('a a')",
        "document.querySelector('.t-f2').textContent === 'ok' && document.querySelector('.t-bold.t-f1').textContent === 'FAILED'",
        "[...document.querySelectorAll('.output')].some((node) => node.textContent.includes('progress 100%') && !node.textContent.includes('progress 1%'))",
        "document.querySelector('.diff .removed').textContent.includes('1') && document.querySelector('.diff .added').textContent.includes('2')",
        "document.querySelector('img.picture').naturalWidth === 5",
        "document.querySelector('.numbered .line').dataset.number === '41'",
        "document.querySelectorAll('.todo').length === 2 && document.querySelectorAll('.todo.done').length === 1",
        "document.querySelector('.fields dt').textContent === 'city'",
        "document.querySelectorAll('.divider').length === 2",
        "document.querySelector('.is-error .problem').textContent.includes('529')",
        "[...document.querySelectorAll('.tool')].at(-1).classList.contains('waiting')",
        // The result stands beside its call, and has no row of its own.
        "!document.querySelector('.row[data-line=\"5\"]')",
    ];
    there.into_iter().for_each(|condition| tab.wait(condition));
    // The raw line is one click away.
    tab.click(".row[data-line='3'] .raw-button");
    tab.wait("document.querySelector('.raw pre').textContent.includes('\"msg-3\"')");
    // Where a browser copies nothing for a page, what is to be copied is selected.
    tab.value("Object.defineProperty(navigator, 'clipboard', { value: undefined }), true");
    tab.click(".raw > button");
    tab.wait("document.querySelector('.raw > button').textContent.includes('Ctrl+C') && document.activeElement.value.includes('\"msg-3\"') && document.activeElement.selectionEnd > 10");
    tab.value(STOPS);
    // A link for every line, those of results as well.
    tab.click(".tool .aside .line-link");
    tab.wait("location.hash === '#L5' && document.querySelector('.tool.here')");
    // From prompt to prompt.
    tab.press("g");
    tab.wait("scrollY === 0");
    tab.press("j");
    tab.wait("document.querySelector('.here')?.dataset.line === '19'");
    tab.press("k");
    tab.wait("document.querySelector('.here')?.dataset.line === '1'");
    tab.prefer("prefers-color-scheme", "dark");
    tab.picture("conversation-dark");
    tab.check();
}

/// What is a stop for keys, and does not scroll or has no name; and what scrolls, and is none.
const STOPS: &str = "(() => {
  const wrong = [...document.querySelectorAll('main :is(pre, .scrolls)')].filter((node) => {
    const scrolls = node.scrollHeight > node.clientHeight + 1 || node.scrollWidth > node.clientWidth + 1;
    return scrolls !== node.hasAttribute('tabindex') || (scrolls && !node.getAttribute('aria-label'));
  });
  if (wrong.length) throw new Error(wrong.map((node) => node.outerHTML.slice(0, 200)).join('\\n'));
  return true;
})()";

fn agents(browser: &Browser) {
    let stage = Stage::new("browser-agents");
    let main = format!("{SIMPLE}.jsonl");
    let names =
        ["a9a952861b425b25b", "ad6c4621fbc9e3a3a", "a9fba0b356ea378ba", "a0d3de44bbeef1082"];
    let names: Vec<String> = names.iter().map(|id| format!("agent-{id}.jsonl")).collect();
    let mut files =
        vec![File { name: &main, kind: "transcript", lines: recorded("subagents", &main) }];
    for name in &names {
        let lines = recorded("subagents", &format!("{SIMPLE}/subagents/{name}"));
        files.push(File { name, kind: "agent", lines });
    }
    let session = stage.upload(SIMPLE, "/home/dev/project", &files);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.click(".agent-fold > summary");
    tab.wait("document.querySelector('.agent-lines .row')");
    tab.picture("agents");
    // What links to a line of an agent opens its file.
    let link = tab.text("document.querySelector('.agent-lines .line-link').getAttribute('href')");
    assert!(link.contains("?file=agent-"), "{link}");
    tab.open(&link);
    tab.wait("document.querySelector('.notice a') && document.querySelector('.row')");
    tab.check();
}

fn long(browser: &Browser) {
    const LINES: usize = 50_000;
    let stage = Stage::new("browser-long");
    let file = File { name: "long.jsonl", kind: "transcript", lines: lines::long(LINES) };
    let session = stage.upload("long", "/home/dev/project", &[file]);
    let mut tab = Tab::new(browser, &stage.origin());
    // As those who have been here before: with the modules kept.
    tab.open("/");
    tab.wait("document.querySelector('a.session')");
    tab.open(&format!("/sessions/{session}"));
    tab.wait("document.querySelector('.row.is-said')");
    let first = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0";
    tab.wait(&format!("({first}) > 0"));
    let drawn = "Math.round(performance.getEntriesByName('confab-drawn')[0].startTime)";
    println!("browser: {LINES} lines: first lines drawn {} ms after the address", tab.value(drawn));
    let rows = "document.querySelectorAll('.row').length";
    let count = |tab: &Tab<'_>| tab.value(rows).as_u64().unwrap();
    assert!(count(&tab) < 1000, "{} rows are drawn", count(&tab));
    // To the end, to the middle, and along the way: always what is looked at, never all of it.
    tab.press("G");
    tab.wait("document.querySelector('.row:last-child') && document.body.textContent.includes('part 50000')");
    tab.open(&format!("/sessions/{session}#L25010"));
    tab.wait("document.querySelector('.here')?.dataset.line === '25010'");
    let frames = tab.value(SCROLLED);
    println!("browser: {LINES} lines: scrolled 20 000 pixels, slowest frame {frames} ms");
    // Dragged from end to end: what was passed is not waited for.
    tab.value(DRAGGED);
    tab.wait("[...document.querySelectorAll('.chunk')].at(-1).classList.contains('drawn')");
    assert!(count(&tab) < 2500, "{} rows are drawn", count(&tab));
    tab.open("/");
    tab.wait("document.querySelector('a.session')");
    tab.open(&format!("/sessions/{session}#L25010"));
    tab.wait("document.querySelector('.here')?.dataset.line === '25010'");
    // What is drawn above moves nothing: the line stays where it is.
    let top = "Math.round(document.querySelector('.here').getBoundingClientRect().top)";
    let before = tab.value(top);
    tab.wait("[...document.querySelectorAll('.chunk')].filter((node) => node.classList.contains('drawn')).length >= 2");
    tab.wait(&format!("Math.abs({top} - {before}) <= 2"));
    tab.press("j");
    tab.wait("document.querySelector('.here')?.dataset.line === '25020'");
    tab.check();
}

/// Drags the scroll bar over everything in 50 frames.
const DRAGGED: &str = "new Promise((done) => {
  let step = 0;
  const drag = () => {
    scrollTo({ top: (document.documentElement.scrollHeight * step) / 50, behavior: 'instant' });
    if ((step += 1) <= 50) requestAnimationFrame(drag); else done(true);
  };
  requestAnimationFrame(drag);
})";

/// Scrolls on for 200 frames, and says how long the slowest took.
const SCROLLED: &str = "new Promise((done) => {
  let slowest = 0, last = performance.now(), left = 200;
  const step = (now) => {
    slowest = Math.max(slowest, now - last);
    last = now;
    scrollBy({ top: 100, behavior: 'instant' });
    if ((left -= 1) > 0) requestAnimationFrame(step); else done(Math.round(slowest));
  };
  requestAnimationFrame(step);
})";

fn everybody(browser: &Browser) {
    let stage = Stage::new("browser-everybody");
    let session = upload_everything(&stage);
    upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    let session = format!("/sessions/{session}");
    let pages = [
        ("list", "/", "document.querySelectorAll('a.session').length === 2"),
        ("session", session.as_str(), "document.querySelector('.is-broken')"),
        ("figures", "/stats?days=0", "document.querySelectorAll('.figures-table').length === 4"),
        ("status", "/status", "document.querySelectorAll('.figure table tr').length > 1"),
    ];
    for (name, path, there) in pages {
        for (width, height) in [(1280, 860), (390, 844), (320, 640)] {
            for scheme in ["light", "dark"] {
                tab.size(width, height);
                tab.prefer("prefers-color-scheme", scheme);
                tab.open(path);
                tab.wait(there);
                tab.picture(&format!("{name}-{width}-{scheme}"));
                let wide = "document.documentElement.scrollWidth <= innerWidth";
                assert_eq!(tab.value(wide), json!(true), "{name} at {width} is too wide");
                for check in [NAMELESS, PALE, LANDMARKS] {
                    let found = tab.value(check);
                    assert_eq!(found, Value::Array(Vec::new()), "{name}, {width}, {scheme}");
                }
            }
        }
    }
    tab.check();
}

/// What can be used and has no name.
const NAMELESS: &str = "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, img, [role=img]')]
  .filter((node) => node.getClientRects().length)
  .filter((node) => !(node.getAttribute('aria-label') || node.getAttribute('alt') || node.textContent.trim() || node.labels?.length))
  .map((node) => node.outerHTML.slice(0, 200))";

/// Texts that stand out too little from what is behind them (WCAG 2.2, 1.4.3 AA).
const PALE: &str = "(() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
  const over = (top, back) => ({ r: top.r * top.a + back.r * (1 - top.a), g: top.g * top.a + back.g * (1 - top.a), b: top.b * top.a + back.b * (1 - top.a), a: 1 });
  const light = ({ r, g, b }) => [r, g, b].map((value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility?.({ opacityProperty: true }) || node.closest('noscript, script, .hidden, [aria-hidden=true]')) continue;
    const style = getComputedStyle(node);
    if (style.color === 'rgba(0, 0, 0, 0)') continue;
    const behind = [];
    let opacity = 1;
    for (let up = node; up; up = up.parentElement) { behind.push(parse(getComputedStyle(up).backgroundColor)); opacity *= Number(getComputedStyle(up).opacity); }
    const back = behind.reverse().reduce((back, top) => over(top, back), { r: 255, g: 255, b: 255, a: 1 });
    const front = parse(style.color);
    const [one, other] = [light(over({ ...front, a: front.a * opacity }, back)), light(back)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${walker.currentNode.data.slice(0, 40)}`);
  }
  return [...found];
})()";

/// What is missing of a page's parts.
const LANDMARKS: &str = "['header.site', 'main', 'nav[aria-label]', '[role=search]', 'h1', 'html[lang]'].filter((name) => !document.querySelector(name))";
