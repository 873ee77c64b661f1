//! From the bytes of a `settings.json` to new ones. Pure.
//!
//! An event has a list of groups, each with a matcher and a list of hooks. A hook of confab's is
//! changed where it stands when its group is of the matcher that we want, and taken out otherwise;
//! a new hook gets a group of its own behind all others.

use crate::error::{Error, Result};
use crate::json_text::{Container, Layout, quoted, string};
use crate::settings::command::{self, Parsed, Program};
use crate::settings::{HOOK_SECONDS_MAX, HOOKS, Hook};

/// The byte order mark that some editors put in front.
const MARK: &str = "\u{feff}";

/// What a text becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The whole text.
    pub bytes: Vec<u8>,
    /// What was done; nothing when the text is as it was.
    pub changes: Vec<Change>,
    /// The text is an object without members.
    pub is_bare: bool,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub act: Act,
    /// The event of the hook.
    pub event: String,
    /// The command that is there now, or was there before where it is gone or another one.
    pub command: String,
}

/// What can be done to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It was missing.
    Added,
    /// It was of an old kind or started another program; now it is as it should be.
    Repaired,
    /// It is gone.
    Removed,
}

/// How one of our hooks is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Starts this program.
    Present,
    /// Nothing of the kind is there.
    Missing,
    /// Starts another confab.
    Elsewhere {
        /// The program that it starts.
        program: String,
    },
    /// Is an entry of another kind, which [`add`] replaces.
    Old {
        /// The command that is there.
        command: String,
    },
}

/// A hook of confab's that is not wanted: a second one, or one for an event that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// Its event.
    pub event: String,
    /// Its command.
    pub command: String,
}

/// What there is of us in a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The state of each of [`HOOKS`], in their order.
    pub states: Vec<State>,
    /// What [`add`] would remove.
    pub surplus: Vec<Surplus>,
    /// `disableAllHooks` is set.
    pub is_disabled: bool,
    /// A plugin called confab is switched on.
    pub has_plugin: bool,
}

impl Report {
    /// True when no hook of confab's is there.
    pub fn is_empty(&self) -> bool {
        self.surplus.is_empty() && self.states.iter().all(|state| *state == State::Missing)
    }
}

/// Puts our hooks in, in place of old ones where there are any; the rest keeps its bytes. No bytes
/// stand for a file that is missing or empty.
///
/// # Errors
/// When this is not valid JSON, or not of the shape that Claude Code reads.
pub fn add(bytes: &[u8], program: &Program) -> Result<Edit> {
    let mut document = Document::read(bytes)?;
    let Document { root, layout, .. } = &mut document;
    let mut changes = Vec::new();
    if root.position("hooks").is_none() {
        root.push(Some("hooks"), "{}", layout, "");
    }
    let at = root.position("hooks").expect("it was pushed");
    let mut hooks = hooks_of(&root.members[at].value)?;
    for hook in &HOOKS {
        add_hook(&mut hooks, hook, program, layout, &root.indent_at(at, ""), &mut changes)?;
    }
    for at in (0..hooks.members.len()).rev() {
        remove_hooks(&mut hooks, at, true, program, &mut changes);
    }
    root.members[at].value = hooks.text();
    Ok(document.edit(changes, bytes))
}

/// Takes everything of confab's out, and what is empty without it; the rest keeps its bytes.
///
/// # Errors
/// When this is not valid JSON.
pub fn remove(bytes: &[u8], program: &Program) -> Result<Edit> {
    let mut document = Document::read(bytes)?;
    let root = &mut document.root;
    let mut changes = Vec::new();
    if let Some(at) = root.position("hooks")
        && let Ok(mut hooks) = hooks_of(&root.members[at].value)
    {
        for at in (0..hooks.members.len()).rev() {
            remove_hooks(&mut hooks, at, false, program, &mut changes);
        }
        match hooks.members.is_empty() && !changes.is_empty() {
            true => root.remove(at),
            false => root.members[at].value = hooks.text(),
        }
    }
    changes.reverse();
    Ok(document.edit(changes, bytes))
}

/// Looks for our hooks.
///
/// # Errors
/// As [`add`].
pub fn inspect(bytes: &[u8], program: &Program) -> Result<Report> {
    let root = Document::read(bytes)?.root;
    let mut report = Report {
        states: vec![State::Missing; HOOKS.len()],
        surplus: Vec::new(),
        is_disabled: root.value("disableAllHooks") == Some("true"),
        has_plugin: has_plugin(&root),
    };
    for member in hooks_of(root.value("hooks").unwrap_or("{}"))?.members {
        let event = member.name().unwrap_or_default();
        let Some(groups) = groups_of(&event, &member.value)? else { continue };
        let found = find(&groups, program);
        let kept = kept(&event, &found, program);
        for (hook, at) in &kept {
            report.states[*hook] = found[*at].state(&HOOKS[*hook], program);
        }
        for (at, Found { command, .. }) in found.into_iter().enumerate() {
            if !kept.iter().any(|(_, kept)| *kept == at) {
                report.surplus.push(Surplus { event: event.clone(), command });
            }
        }
    }
    Ok(report)
}

/// Whether this is what `bytes` were before [`add`] had put our hooks in, as far as can be told:
/// nothing of ours is in it, and with our hooks it becomes what `bytes` are.
pub fn is_original(candidate: &[u8], bytes: &[u8], program: &Program) -> bool {
    inspect(candidate, program).is_ok_and(|report| report.is_empty())
        && differs_in_ours_only(candidate, bytes, program)
}

/// Whether two texts are the same but for hooks of confab's.
pub fn differs_in_ours_only(one: &[u8], other: &[u8], program: &Program) -> bool {
    match (add(one, program), add(other, program)) {
        (Ok(one), Ok(other)) => one.bytes == other.bytes,
        _ => false,
    }
}

/// A settings file, taken apart.
struct Document {
    has_mark: bool,
    root: Container,
    layout: Layout,
}

impl Document {
    fn read(bytes: &[u8]) -> Result<Document> {
        let hint = "correct it in an editor; confab leaves it as it is";
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::new("the file is not UTF-8").with_hint(hint))?;
        let (has_mark, text) = match text.strip_prefix(MARK) {
            Some(text) => (true, text),
            None => (false, text),
        };
        let text = if text.trim().is_empty() { "{}\n" } else { text };
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            return Err(Error::new("the file is not valid JSON").caused_by(error).with_hint(hint));
        }
        let root = Container::object(text).map_err(|_| misshapen("the file", "an object"))?;
        Ok(Document { has_mark, layout: Layout::of(text, &root), root })
    }

    fn edit(self, changes: Vec<Change>, before: &[u8]) -> Edit {
        let mark = if self.has_mark { MARK } else { "" };
        let bytes = match changes.is_empty() {
            true => before.to_vec(),
            false => [mark, &self.root.text()].concat().into_bytes(),
        };
        Edit { bytes, changes, is_bare: self.root.members.is_empty() }
    }
}

fn hooks_of(json: &str) -> Result<Container> {
    Container::object(json).map_err(|_| misshapen("its key hooks", "an object"))
}

/// The groups of an event; `None` where an event that is not ours has something else.
fn groups_of(event: &str, json: &str) -> Result<Option<Container>> {
    match Container::list(json) {
        Ok(groups) => Ok(Some(groups)),
        Err(_) if HOOKS.iter().all(|hook| hook.event != event) => Ok(None),
        Err(_) => Err(misshapen(&format!("its key hooks.{event}"), "a list")),
    }
}

fn misshapen(what: &str, shape: &str) -> Error {
    Error::new(format!("{what} is not {shape}"))
        .with_hint("Claude Code does not read that either: correct it; confab leaves it as it is")
}

/// `"enabledPlugins": {"confab@…": true}`.
fn has_plugin(root: &Container) -> bool {
    let plugins = root.value("enabledPlugins").and_then(|json| Container::object(json).ok());
    plugins.iter().flat_map(|plugins| &plugins.members).any(|member| {
        member.value == "true" && member.name().is_some_and(|name| name.starts_with("confab@"))
    })
}

/// A hook of confab's in the list of an event.
struct Found {
    group: usize,
    hook: usize,
    /// Of its group.
    matcher: Option<String>,
    command: String,
    parsed: Parsed,
    /// It says how long it may take.
    has_timeout: bool,
}

impl Found {
    /// It is called when this hook is to be called.
    fn is_called_as(&self, hook: &Hook) -> bool {
        match (hook.matcher, self.matcher.as_deref()) {
            (None, _) | (Some("*"), None | Some("" | "*")) => true,
            (wanted, found) => wanted == found,
        }
    }

    fn state(&self, hook: &Hook, program: &Program) -> State {
        if self.has_timeout && self.command == program.command(hook.verb) {
            return State::Present;
        }
        let Parsed { program: other, verb } = &self.parsed;
        let is_usual = self.has_timeout && other.starts_with('/');
        if is_usual && other != program.path() && verb.as_deref() == Some(hook.verb) {
            return State::Elsewhere { program: other.clone() };
        }
        State::Old { command: self.command.clone() }
    }
}

/// All hooks of confab's in the list of an event.
fn find(groups: &Container, program: &Program) -> Vec<Found> {
    let mut all = Vec::new();
    for (group_at, group) in groups.members.iter().enumerate() {
        let Ok(group) = Container::object(&group.value) else { continue };
        // What is no string matches nothing that we want.
        let matcher = group.value("matcher").map(|json| string(json).unwrap_or(json.to_owned()));
        let hooks = group.value("hooks").map(Container::list);
        let Some(Ok(hooks)) = hooks else { continue };
        for (hook_at, hook) in hooks.members.iter().enumerate() {
            let Ok(hook) = Container::object(&hook.value) else { continue };
            // With `args` there is no shell, and confab has never been installed that way.
            let is_command = hook.string("type").as_deref() == Some("command");
            let is_command = is_command && hook.value("args").is_none();
            let Some(command) = hook.string("command").filter(|_| is_command) else { continue };
            let Some(parsed) = command::parse(&command, program) else { continue };
            all.push(Found {
                group: group_at,
                hook: hook_at,
                matcher: matcher.clone(),
                command,
                parsed,
                has_timeout: has_timeout(&hook),
            });
        }
    }
    all
}

fn has_timeout(hook: &Container) -> bool {
    hook.value("timeout").is_some_and(|json| json.parse::<f64>().is_ok_and(|time| time > 0.0))
}

/// Which of our hooks (by their place in [`HOOKS`]) each has which of the found ones: the best
/// there is. Those found that are not in here are too many.
fn kept(event: &str, found: &[Found], program: &Program) -> Vec<(usize, usize)> {
    let ours = HOOKS.iter().enumerate().filter(|(_, hook)| hook.event == event);
    let best = |hook: &Hook| {
        let mut candidates: Vec<usize> =
            (0..found.len()).filter(|at| found[*at].is_called_as(hook)).collect();
        candidates.sort_by_key(|at| match found[*at].state(hook, program) {
            State::Present => 0,
            State::Elsewhere { .. } => 1,
            State::Old { .. } | State::Missing => 2,
        });
        candidates.first().copied()
    };
    ours.filter_map(|(at, hook)| Some((at, best(hook)?))).collect()
}

/// Sees to it that one of our hooks is what it should be. Others are left for [`remove_hooks`].
fn add_hook(
    hooks: &mut Container,
    hook: &Hook,
    program: &Program,
    layout: &Layout,
    indent: &str,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let event = hook.event.to_owned();
    let command = program.command(hook.verb);
    let Some(at) = hooks.position(&event) else {
        hooks.push(Some(&event), &format!("[{}]", hook.group(program)), layout, indent);
        changes.push(Change { act: Act::Added, event, command });
        return Ok(());
    };
    let indent = hooks.indent_at(at, indent);
    let value = &mut hooks.members[at].value;
    let mut groups = groups_of(&event, value)?.expect("the event is ours");
    let found = find(&groups, program);
    let kept = kept(&event, &found, program);
    match kept.iter().find(|(ours, _)| HOOKS[*ours] == *hook).map(|(_, at)| &found[*at]) {
        Some(found) if found.state(hook, program) == State::Present => return Ok(()),
        Some(found) => {
            repair(&mut groups, found, &command, layout, &indent);
            let command = found.command.clone();
            changes.push(Change { act: Act::Repaired, event, command });
        }
        None => {
            groups.push(None, &hook.group(program), layout, &indent);
            changes.push(Change { act: Act::Added, event, command });
        }
    }
    *value = groups.text();
    Ok(())
}

/// What [`find`] has found is there when the text is read again.
const READ: &str = "this was read before";

/// Gives a hook of confab's this command and a timeout, where it stands.
fn repair(groups: &mut Container, found: &Found, command: &str, layout: &Layout, indent: &str) {
    let indent = groups.indent_at(found.group, indent);
    let mut group = Container::object(&groups.members[found.group].value).expect(READ);
    let at = group.position("hooks").expect(READ);
    let indent = group.indent_at(at, &indent);
    let mut hooks = Container::list(&group.members[at].value).expect(READ);
    let indent = hooks.indent_at(found.hook, &indent);
    let mut hook = Container::object(&hooks.members[found.hook].value).expect(READ);
    let command_at = hook.position("command").expect(READ);
    hook.members[command_at].value = quoted(command);
    if !found.has_timeout {
        let timeout = HOOK_SECONDS_MAX.to_string();
        match hook.position("timeout") {
            Some(at) => hook.members[at].value = timeout,
            None => hook.push(Some("timeout"), &timeout, layout, &indent),
        }
    }
    hooks.members[found.hook].value = hook.text();
    group.members[at].value = hooks.text();
    groups.members[found.group].value = group.text();
}

/// Takes the hooks of confab's out of an event, but for those that are wanted when `keeps` is set,
/// and then what has become empty.
fn remove_hooks(
    hooks: &mut Container,
    event_at: usize,
    keeps: bool,
    program: &Program,
    changes: &mut Vec<Change>,
) {
    let Ok(mut groups) = Container::list(&hooks.members[event_at].value) else { return };
    let event = hooks.members[event_at].name().unwrap_or_default();
    let found = find(&groups, program);
    let kept = if keeps { kept(&event, &found, program) } else { Vec::new() };
    let n_before = changes.len();
    // From behind, so that places in front stay what they are.
    for (at, Found { group: group_at, hook, command, .. }) in found.into_iter().enumerate().rev() {
        if kept.iter().any(|(_, kept)| *kept == at) {
            continue;
        }
        let mut group = Container::object(&groups.members[group_at].value).expect(READ);
        let at = group.position("hooks").expect(READ);
        let mut entries = Container::list(&group.members[at].value).expect(READ);
        entries.remove(hook);
        let is_usual = |name: String| matches!(name.as_str(), "matcher" | "hooks");
        let is_ours = group.members.iter().all(|member| member.name().is_some_and(is_usual));
        if entries.members.is_empty() && is_ours {
            groups.remove(group_at);
        } else {
            group.members[at].value = entries.text();
            groups.members[group_at].value = group.text();
        }
        changes.push(Change { act: Act::Removed, event: event.clone(), command });
    }
    match groups.members.is_empty() && changes.len() > n_before {
        true => hooks.remove(event_at),
        false => hooks.members[event_at].value = groups.text(),
    }
}
