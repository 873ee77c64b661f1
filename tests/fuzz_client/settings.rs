//! Claude's settings: what is put in can be found and taken out again, and the rest keeps its
//! bytes.

use std::fs;
use std::path::Path;

use confab::settings::{
    Program, State, add, add_to, inspect, inspect_in, remove, remove_from, settings_file,
};
use serde_json::Value;

use super::Target;
use super::corpus::{Corpus, JSON};
use super::world::Home;

pub fn target(corpus: &Corpus) -> Target {
    let home = Home::new("settings");
    Target {
        name: "settings",
        samples: corpus.files("settings", ".json"),
        tricky: JSON,
        check: Box::new(move |input, _| check(&home, input)),
        counted: "settings changed",
        rounds: 4000,
    }
}

fn check(home: &Home, input: &[u8]) -> Result<usize, String> {
    let program = Program::new(Path::new("/opt/a b/confab")).unwrap();
    let removed = remove(input, &program);
    let Ok(added) = add(input, &program) else { return Ok(0) };
    let Ok(removed) = removed else { return Err("it can be added to alone".into()) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let report = inspect(&added.bytes, &program).map_err(|error| error.to_string())?;
    if report.states.iter().any(|state| *state != State::Present) || !report.surplus.is_empty() {
        return Err(format!("{report:?} after adding: {}", text(&added.bytes)));
    }
    let again = add(&added.bytes, &program).map_err(|error| error.to_string())?;
    if !again.changes.is_empty() || again.bytes != added.bytes {
        return Err(format!("adding twice makes {}", text(&again.bytes)));
    }
    let report = inspect(input, &program).map_err(|error| error.to_string())?;
    if report.is_empty() {
        check_file(home, input, &program)?;
    }
    let twice = remove(&removed.bytes, &program).map_err(|error| error.to_string())?;
    if !twice.changes.is_empty() || twice.bytes != removed.bytes {
        return Err(format!("removing twice makes {}", text(&twice.bytes)));
    }
    check_rest(input, &added.bytes)?;
    check_rest(input, &removed.bytes)?;
    Ok(1)
}

/// A file in which nothing was of ours is the same, byte for byte, once our hooks are out again.
fn check_file(home: &Home, input: &[u8], program: &Program) -> Result<(), String> {
    home.clear();
    let folder = home.folder.join(".claude");
    let file = settings_file(&folder);
    fs::write(&file, input).unwrap();
    add_to(&folder, program).map_err(|error| error.to_string())?;
    if !inspect_in(&folder, program).is_ok_and(|report| !report.is_empty()) {
        return Err("nothing of ours is in the file".into());
    }
    remove_from(&folder, program).map_err(|error| error.to_string())?;
    let back = fs::read(&file).unwrap_or_default();
    match back == input {
        true => Ok(()),
        false => Err(format!("adding and removing makes {}", String::from_utf8_lossy(&back))),
    }
}

/// All members but the hooks are as they were.
fn check_rest(before: &[u8], after: &[u8]) -> Result<(), String> {
    let rest = |bytes: &[u8]| -> Option<Value> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        value.as_object_mut()?.remove("hooks");
        Some(value)
    };
    // What is no UTF-8, or beyond what a value can hold, is not compared.
    match (rest(before), rest(after)) {
        (Some(before), Some(after)) if before != after => Err(format!("{before} is {after} now")),
        (Some(_), None) => Err("it is no JSON any more".into()),
        _ => Ok(()),
    }
}
