//! `confab hooks add|remove|check|export-plugin`: our hooks in the settings of Claude's folders.
//! One folder that fails does not keep the others from being done.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::finding::{Finding, Level, is_well, print};
use crate::error::{Context, Error, Result};
use crate::files::{self, Paths};
use crate::settings::{
    self, Act, Change, HOOKS, Outcome, PLUGIN_MANIFEST, Program, Report, State, Surplus,
};

/// Bytes of a plugin's manifest.
const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// What a check of the hooks is called among the findings.
const CHECK: &str = "hooks";

/// Claude's folders that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    folders: Vec<PathBuf>,
    /// The user has named them.
    are_named: bool,
}

impl Folders {
    /// Those that the user has named; without any, those that the environment names, or else
    /// `~/.claude`.
    pub fn new(named: Vec<PathBuf>, paths: &Paths) -> Folders {
        if !named.is_empty() {
            return Folders { folders: named, are_named: true };
        }
        let folders = match paths.claude.split_last() {
            Some((_, of_environment)) if !of_environment.is_empty() => of_environment.to_vec(),
            _ => paths.claude.clone(),
        };
        Folders { folders, are_named: false }
    }

    /// The command that puts the hooks into this folder.
    fn remedy(&self, folder: &Path) -> String {
        match self.are_named {
            true => format!("confab hooks add --claude-dir {}", folder.display()),
            false => "confab hooks add".to_owned(),
        }
    }
}

/// Puts the hooks into all folders; what was done in each, in their order.
pub fn add_to_all(folders: &Folders, program: &Program) -> Vec<Result<Outcome>> {
    folders.folders.iter().map(|folder| settings::add_to(folder, program)).collect()
}

/// Takes everything of confab's out of all folders; what was done in each, in their order.
pub fn remove_from_all(folders: &Folders, program: &Program) -> Vec<Result<Outcome>> {
    folders.folders.iter().map(|folder| settings::remove_from(folder, program)).collect()
}

/// Says what was done in each folder; returns what went wrong.
///
/// # Errors
/// When the output cannot be written.
pub fn tell(outcomes: Vec<Result<Outcome>>, out: &mut dyn Write) -> Result<Vec<Error>> {
    let mut errors = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                print_outcome(&outcome, out).context(|| "write to standard output".into())?;
            }
            Err(error) => errors.push(error),
        }
    }
    Ok(errors)
}

fn print_outcome(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let Outcome { file, changes, backup, is_gone } = outcome;
    write!(out, "{}: {}", file.display(), summary(changes))?;
    if let Some(backup) = backup {
        write!(out, "; as it was before: {}", backup.display())?;
    }
    if *is_gone {
        write!(out, "; nothing else was in the file, so it is gone")?;
    }
    writeln!(out)?;
    let mut told = None;
    // One line will do for two hooks of an event that ran the same command.
    for change @ Change { act, event, command } in changes {
        if told.replace(change) == Some(change) {
            continue;
        }
        let command = command.escape_debug();
        match act {
            Act::Added => {}
            Act::Repaired => writeln!(out, "  {event}: was {command}")?,
            Act::Removed => writeln!(out, "  {event}: removed {command}")?,
        }
    }
    Ok(())
}

/// `5 hooks added, 2 repaired`.
fn summary(changes: &[Change]) -> String {
    let acts = [(Act::Added, "added"), (Act::Repaired, "repaired"), (Act::Removed, "removed")];
    let mut parts: Vec<String> = Vec::new();
    for (act, word) in acts {
        let n = changes.iter().filter(|change| change.act == act).count();
        let noun = match (parts.len(), n) {
            (0, 1) => " hook",
            (0, _) => " hooks",
            _ => "",
        };
        if n > 0 {
            parts.push(format!("{n}{noun} {word}"));
        }
    }
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
}

/// What `check --json` prints.
#[derive(Debug, Serialize)]
struct Checked {
    well: bool,
    directories: Vec<Directory>,
}

#[derive(Debug, Serialize)]
struct Directory {
    file: PathBuf,
    /// Empty when the file cannot be read.
    hooks: Vec<HookState>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct HookState {
    event: &'static str,
    matcher: Option<&'static str>,
    /// `present`, `missing`, `elsewhere` or `old`.
    state: &'static str,
    /// The other program, or the old command.
    found: Option<String>,
}

/// Writes how the hooks are set up, as JSON or for people; true when all is well.
///
/// # Errors
/// When the output cannot be written.
pub fn check(
    folders: &Folders,
    program: &Program,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let directory = |folder: &PathBuf| {
        let report = settings::inspect_in(folder, program);
        let hooks = report.as_ref().map_or(Vec::new(), |report| states(&report.states));
        let findings = findings_of(folder, &report, folders, program);
        Directory { file: settings::settings_file(folder), hooks, findings }
    };
    let directories: Vec<Directory> = folders.folders.iter().map(directory).collect();
    let well = directories.iter().all(|directory| is_well(&directory.findings));
    let written = match json {
        true => serde_json::to_writer_pretty(&mut *out, &Checked { well, directories })
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => directories.iter().try_for_each(|directory| print(&directory.findings, out)),
    };
    written.context(|| "write to standard output".into())?;
    Ok(well)
}

fn states(states: &[State]) -> Vec<HookState> {
    let state = |(hook, state): (&settings::Hook, &State)| {
        let (state, found) = match state {
            State::Present => ("present", None),
            State::Missing => ("missing", None),
            State::Elsewhere { program } => ("elsewhere", Some(program.clone())),
            State::Old { command } => ("old", Some(command.clone())),
        };
        HookState { event: hook.event, matcher: hook.matcher, state, found }
    };
    HOOKS.iter().zip(states).map(state).collect()
}

/// What is the matter with the hooks in all folders. Those that `confab watch` follows, which runs,
/// need none.
pub fn findings(folders: &Folders, program: &Program, watched: &[PathBuf]) -> Vec<Finding> {
    let of = |folder: &PathBuf| {
        let report = settings::inspect_in(folder, program);
        let is_empty =
            |report: &Report| report.is_empty() && !report.has_plugin && !report.is_disabled;
        if report.as_ref().is_ok_and(is_empty) && watched.contains(folder) {
            let file = settings::settings_file(folder);
            let what = format!("{} has none; confab watch needs none", file.display());
            return vec![Finding::ok(CHECK, what)];
        }
        findings_of(folder, &report, folders, program)
    };
    folders.folders.iter().flat_map(of).collect()
}

fn findings_of(
    folder: &Path,
    report: &Result<Report>,
    folders: &Folders,
    program: &Program,
) -> Vec<Finding> {
    let report = match report {
        Ok(report) => report,
        Err(error) => return vec![Finding::error(CHECK, error)],
    };
    let file = settings::settings_file(folder);
    let file = file.display();
    let remedy = folders.remedy(folder);
    let mut findings = Vec::new();
    if report.is_disabled {
        let what = format!("{file} switches all hooks off");
        findings.push(Finding::fail(CHECK, what, "take disableAllHooks out of it"));
    }
    if report.is_empty() {
        findings.push(match report.has_plugin {
            true => Finding::ok(CHECK, format!("{file} has the plugin of confab")),
            false => Finding::fail(CHECK, format!("{file} has no hooks of confab"), &remedy),
        });
        return findings;
    }
    for (hook, state) in HOOKS.iter().zip(&report.states) {
        let what = match state {
            State::Present => continue,
            State::Missing => "is missing".to_owned(),
            State::Elsewhere { program } => format!("starts another program: {program}"),
            State::Old { command } => format!("is an old entry: {command}"),
        };
        findings.push(Finding::fail(CHECK, format!("{file}: {} {what}", hook.name()), &remedy));
    }
    for Surplus { event, command } in &report.surplus {
        let what = format!("{file}: {event} has one more: {command}");
        findings.push(Finding::warn(CHECK, what, &remedy));
    }
    if findings.iter().all(|finding| finding.level == Level::Ok) {
        let what = format!("{file}: {} hooks start {}", HOOKS.len(), program.path());
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

/// Writes the hooks as a Claude Code plugin into a folder, which is made when it is missing. One
/// that holds anything but such a plugin is left alone.
///
/// # Errors
/// When the folder is somebody else's or cannot be written.
pub fn export_plugin(folder: &Path, program: &Program, out: &mut dyn Write) -> Result<()> {
    let what = || format!("write the plugin to {}", folder.display());
    if !is_free(folder).context(what)? {
        return Err(Error::new(what())
            .caused_by(Error::new("something else is there"))
            .with_hint("name a folder that is empty or not there yet"));
    }
    for (path, bytes) in settings::plugin(program)? {
        let path = folder.join(path);
        let parent = path.parent().expect("a file of the plugin is in a folder of it");
        files::make_folder(parent).context(what)?;
        files::replace(&path, &bytes).context(what)?;
    }
    let folder = folder.display();
    writeln!(out, "{folder}: {} hooks start {}", HOOKS.len(), program.path())
        .and_then(|()| writeln!(out, "try it with: claude --plugin-dir {folder}"))
        .context(|| "write to standard output".into())
}

/// Missing, empty, or a plugin of ours.
fn is_free(folder: &Path) -> io::Result<bool> {
    let is_empty = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        entries => entries?.next().is_none(),
    };
    #[derive(serde::Deserialize)]
    struct Manifest {
        name: String,
    }
    let manifest = files::read_bounded(&folder.join(PLUGIN_MANIFEST), MANIFEST_BYTES_MAX);
    let manifest = manifest.ok().and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    Ok(is_empty || manifest.is_some_and(|manifest| manifest.name == "confab"))
}
