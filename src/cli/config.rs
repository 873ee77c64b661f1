//! `confab config get|set|list`: the configuration file, value by value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::keys::{Form, KEYS, Key};
use crate::config::{self, Document};
use crate::error::{Context, Error, Result};
use crate::files::Paths;

/// Prints the value of a key, or what counts while it is not set.
///
/// # Errors
/// When the file cannot be read, or nothing is set and nothing counts instead.
pub fn get(paths: &Paths, key: &Key, out: &mut dyn Write) -> Result<()> {
    config::load(paths)?;
    let document = Document::load(paths)?;
    let shown = match document.get(key)? {
        Some(json) => key.shown(&json),
        None => key.default.to_owned(),
    };
    if shown.is_empty() {
        return Err(Error::new(format!("{} is not set", key.name))
            .with_hint(format!("confab config set {} VALUE sets it", key.name)));
    }
    writeln!(out, "{shown}").context(|| "write to standard output".into())
}

/// Checks a value and writes it; an empty one removes the key.
///
/// # Errors
/// When the value is not right or the file cannot be written; the file is untouched then.
pub fn set(paths: &Paths, key: &Key, value: &str, out: &mut dyn Write) -> Result<()> {
    let json = key.json_of(value)?;
    let changed = config::edit(paths, |document| {
        let was_right = document.config().is_ok();
        document.set(key, json.as_deref())?;
        match document.config() {
            Err(_) if was_right => Err(Error::new(format!("{} cannot be this value", key.name))
                .with_hint("the README shows what each key looks like")),
            Ok(mut config) if json.is_some() => {
                config.read_rules(paths);
                key.check(&config)
            }
            result => result.map(|_| ()),
        }
    })?;
    let name = key.name;
    let already = if changed { "" } else { " already" };
    match json {
        Some(json) => writeln!(out, "{name} is{already} {}", key.shown(&json)),
        None if key.default.is_empty() => writeln!(out, "{name} is{already} not set"),
        None => writeln!(out, "{name} is{already} not set, so {} counts", key.default),
    }
    .context(|| "write to standard output".into())
}

/// The configuration as `list` prints it.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    path: String,
    values: Vec<Value<'a>>,
    /// Outermost keys of the file that are not ours.
    unknown: Vec<String>,
}

/// One value.
#[derive(Debug, Serialize)]
struct Value<'a> {
    key: &'a str,
    /// Null when nothing is set and nothing counts instead.
    value: Option<Box<RawValue>>,
    /// Otherwise the value is the default.
    set: bool,
    #[serde(skip)]
    shown: String,
}

/// Prints all values, as JSON or for people.
///
/// # Errors
/// When the file cannot be read or the output not be written.
pub fn list(paths: &Paths, json: bool, out: &mut dyn Write) -> Result<()> {
    config::load(paths)?;
    let document = Document::load(paths)?;
    let mut unknown = document.names()?;
    unknown.retain(|name| KEYS.iter().all(|key| key.path().first() != Some(&name.as_str())));
    let values = KEYS.iter().map(|key| value(key, &document)).collect::<Result<Vec<_>>>()?;
    let listing = Listing { path: paths.config.display().to_string(), values, unknown };
    let written = match json {
        true => serde_json::to_writer_pretty(&mut *out, &listing)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        false => print(&listing, out),
    };
    written.context(|| "write to standard output".into())
}

fn value(key: &'static Key, document: &Document) -> Result<Value<'static>> {
    let written = document.get(key)?;
    let shown = written.as_ref().map_or(key.default.to_owned(), |json| key.shown(json));
    // What is a string in the file is one here, but without what nobody is to see.
    let is_text = matches!(key.form, Form::Text | Form::Address | Form::Secret);
    let json = match (shown.as_str(), is_text) {
        ("", _) => None,
        (text, true) => Some(serde_json::Value::from(text).to_string()),
        (json, false) => Some(json.to_owned()),
    };
    let value = json.map(RawValue::from_string).transpose();
    let value = value.context(|| format!("show {}", key.name))?;
    Ok(Value { key: key.name, value, set: written.is_some(), shown })
}

fn print(listing: &Listing<'_>, out: &mut dyn Write) -> io::Result<()> {
    let width = KEYS.iter().map(|key| key.name.len()).max().unwrap_or_default();
    writeln!(out, "{}", listing.path)?;
    for Value { key, shown, set, .. } in &listing.values {
        match (set, shown.as_str()) {
            (true, shown) => writeln!(out, "{key:width$}  {shown}")?,
            (false, "") => writeln!(out, "{key:width$}  (not set)")?,
            (false, shown) => writeln!(out, "{key:width$}  {shown} (not set)")?,
        }
    }
    for name in &listing.unknown {
        writeln!(out, "{name:width$}  (no key of confab; left alone)")?;
    }
    Ok(())
}
