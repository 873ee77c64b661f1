//! What is done with a session: shared, exported, put away, deleted.

use crate::Case;
use crate::access::upload_tools;
use crate::pipe::Browser;
use crate::stage::Stage;
use crate::tab::Tab;

pub const CASES: &[Case] = &[("a_session_is_shared_exported_and_deleted", share)];

fn share(browser: &Browser) {
    let stage = Stage::new("browser-share");
    let session = upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.click("#share");
    tab.wait("document.querySelector('dialog .quiet')?.textContent.includes('Nobody')");
    tab.click("#make-link");
    tab.wait("document.querySelector('dialog input.link')");
    tab.wait("document.querySelector('.shares li')");
    tab.picture("share");
    let link = tab.text("new URL(document.querySelector('dialog input.link').value).pathname");
    // Whoever has the link reads it, signed in or not, and nothing in it runs.
    let mut stranger = Tab::new(browser, &stage.origin());
    stranger.open(&link);
    stranger.wait("document.body.textContent.includes('do it')");
    stranger.picture("shared");
    stranger.check();
    tab.click(".shares button.small:last-child");
    tab.wait("!document.querySelector('.shares')");
    stranger.open(&link);
    stranger.wait("!document.body.textContent.includes('do it')");
    tab.press("Escape");
    tab.wait("!document.querySelector('dialog')");
    tab.click("#export");
    tab.wait("document.querySelectorAll('a.choice').length === 3");
    tab.picture("export");
    for format in ["html", "markdown", "jsonl"] {
        let address = format!("document.querySelector('a.choice[href$=\"format={format}\"]').href");
        let body = tab.text(&format!("fetch({address}).then((answer) => {{ if (!answer.ok) throw new Error(answer.status); return answer.text(); }})"));
        assert!(body.contains("do it"), "{format}");
    }
    tab.press("Escape");
    tab.click("#archive");
    tab.wait("document.querySelector('#archive').textContent === 'Bring back'");
    tab.click("#delete");
    tab.click("#delete-now");
    tab.wait("location.pathname === '/' && document.querySelector('.empty')");
    tab.check();
}
