//! Who sees the page, and from where.

use crate::Case;
use crate::pipe::Browser;
use crate::stage::{File, PASSWORD, Stage, USER, recorded};
use crate::tab::Tab;

pub const CASES: &[Case] = &[
    ("who_is_alone_on_loopback_signs_in_nowhere", alone),
    ("who_has_a_password_signs_in_and_comes_back", sign_in),
    ("the_page_lies_below_a_base_path", base_path),
    ("a_page_of_before_an_upgrade_loads_itself_anew", upgraded),
];

pub const SIMPLE: &str = "11111111-1111-4111-8111-111111111111";

/// Stores the recorded tools.
pub fn upload_tools(stage: &Stage) -> String {
    let name = format!("{SIMPLE}.jsonl");
    let lines = recorded("tools", &name);
    let file = File { name: &name, kind: "transcript", lines };
    stage.upload(SIMPLE, "/home/dev/project", &[file])
}

fn alone(browser: &Browser) {
    let stage = Stage::new("browser-alone");
    upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelectorAll('a.session').length === 1");
    assert_eq!(tab.text("document.querySelector('#user').textContent"), USER);
    assert_eq!(tab.value("document.querySelector('form[action]')"), serde_json::Value::Null);
    // Without being asked again, as long as nobody else is there.
    tab.check();
    stage.add_user("somebody@example.org");
    tab.open("/stats?days=7");
    tab.wait("location.pathname === '/auth/login'");
    assert_eq!(tab.text("document.querySelector('[name=next]').value"), "/stats?days=7");
    tab.check();
}

fn sign_in(browser: &Browser) {
    let stage = Stage::new("browser-sign-in");
    let session = upload_tools(&stage);
    stage.set_password(USER);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&format!("/sessions/{session}"));
    tab.wait("location.pathname === '/auth/login'");
    tab.picture("sign-in");
    tab.click("#user");
    tab.type_text(USER);
    tab.press("Tab");
    tab.type_text("not the password at all");
    tab.press("Enter");
    tab.wait("document.querySelector('[role=alert]')");
    tab.expect_problem("401");
    tab.click("#password");
    tab.type_text(PASSWORD);
    tab.press("Enter");
    tab.wait(&format!("location.pathname === '/sessions/{session}'"));
    tab.wait("document.querySelector('.row.is-prompt')");
    tab.click(".account form button");
    tab.wait("location.pathname === '/auth/login'");
    tab.open("/");
    tab.wait("location.pathname === '/auth/login'");
    tab.check();
}

fn base_path(browser: &Browser) {
    let stage = Stage::with("browser-base", &["--base-path", "/team/confab"]);
    let session = upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open(&stage.path("/"));
    tab.click("a.session");
    tab.wait(&format!("location.pathname === '/team/confab/sessions/{session}'"));
    tab.wait("document.querySelector('.row.is-prompt')");
    tab.press("Escape");
    tab.wait("location.pathname === '/team/confab/' && document.querySelector('a.session')");
    tab.check();
}

/// Modules that are not there any more are those of another version.
fn upgraded(browser: &Browser) {
    let stage = Stage::new("browser-upgraded");
    upload_tools(&stage);
    let mut tab = Tab::new(browser, &stage.origin());
    tab.open("/");
    tab.wait("document.querySelector('a.session')");
    tab.value("window.isOld = true");
    tab.block(&["/stats.js"]);
    tab.click("nav a[href$='/stats']");
    tab.wait("!window.isOld && document.querySelector('main .problem button')");
    tab.block(&[]);
    tab.click("main .problem button");
    tab.wait("document.querySelector('.page-head h1')");
    tab.check();
}
