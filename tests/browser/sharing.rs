//! What is done with a session: shared, exported, put away, deleted.

use crate::Case;
use crate::access::upload_tools;
use crate::pipe::Browser;
use crate::stage::{PASSWORD, Stage, USER};
use crate::tab::Tab;

pub const CASES: &[Case] = &[
    ("a_session_is_shared_exported_and_deleted", share),
    ("a_session_is_shared_with_a_colleague", colleague),
];

fn share(browser: &Browser) {
    let stage = Stage::new("browser-share");
    let session = upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    // What is counted comes to stand above the buttons.
    tab.wait("document.querySelector('.counted')?.children.length");
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
    // What is put away is out of the way, and found again.
    tab.press("Escape");
    tab.wait("document.querySelector('li.archived') && !document.querySelector('a.session').checkVisibility()");
    tab.click(".show-archived");
    tab.wait("document.querySelector('a.session').checkVisibility()");
    tab.click("a.session");
    tab.wait("document.querySelector('#archive')?.textContent === 'Bring back'");
    // Everything that is asked of it is answered.
    for end in ["/outline", &session] {
        let asked = format!(
            "performance.getEntriesByType('resource').filter(({{ name }}) => name.split('?')[0].endsWith('{end}') && !name.includes('figures')).length"
        );
        tab.wait(&format!("{asked} >= 2"));
    }
    tab.click("#delete");
    tab.click("#delete-now");
    tab.wait("location.pathname === '/' && document.querySelector('.empty')");
    tab.check();
}

fn sign_in(tab: &Tab<'_>, user: &str) {
    tab.open("/");
    tab.click("#user");
    tab.type_text(user);
    tab.click("#password");
    tab.type_text(PASSWORD);
    tab.press("Enter");
    tab.wait("location.pathname === '/' && document.querySelector('main h1')");
}

fn colleague(browser: &Browser) {
    const OTHER: &str = "other@example.org";
    let stage = Stage::new("browser-colleague");
    let session = upload_tools(&stage);
    stage.add_user(OTHER);
    [USER, OTHER].into_iter().for_each(|user| stage.set_password(user));
    let mut other = Tab::new(browser, &stage.origin());
    sign_in(&other, OTHER);
    other.wait("document.querySelector('.empty')");
    let mut tab = Tab::new(browser, &stage.origin());
    sign_in(&tab, USER);
    tab.open(&format!("/sessions/{session}"));
    // What is counted comes to stand above the buttons.
    tab.wait("document.querySelector('.counted')?.children.length");
    tab.click("#share");
    tab.click("#share-email");
    tab.type_text("nobody@example.org");
    tab.press("Enter");
    tab.wait("document.querySelector('dialog .problem')?.textContent.includes('no other user')");
    tab.expect_problem("400");
    tab.value("document.querySelector('#share-email').select()");
    tab.type_text(OTHER);
    tab.press("Enter");
    tab.wait(&format!("document.querySelector('.shares li')?.textContent.includes('{OTHER}')"));
    tab.check();
    other.open("/");
    other.wait("document.querySelector('a.session .shared')");
    other.picture("list-shared");
    other.click("a.session");
    other.wait("document.querySelector('.row.is-prompt')");
    // They may read it, and take a copy along.
    other.wait("document.querySelectorAll('.actions button').length === 1");
    other.check();
    tab.click(".shares button.small");
    tab.wait("!document.querySelector('.shares')");
    other.open(&format!("/sessions/{session}"));
    other.wait("document.querySelector('.empty h1')");
    other.expect_problem("404");
    other.check();
}
