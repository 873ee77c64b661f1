//! The configuration: what it means never ends the program, and a key that is set and removed
//! leaves the others as they were.

use std::path::Path;

use confab::config::keys::Key;
use confab::config::{self, Config, Overrides};

use super::Target;
use super::corpus::{Corpus, JSON};
use super::world::Home;

const SAMPLES: [&str; 4] = [
    r#"{"backend_url":"https://confab.example:8443/x","api_key":"cfb_0123456789012345678901234567890123456789","sync_interval":"live"}"#,
    "{\n  \"sync_interval\": \"1m30s\",\n  \"log_level\": \"debug\",\n  \"exclude\": [\"~/a/**\", \"/b\", \"11111111-1111-4111-8111-111111111111\"]\n}\n",
    r#"{"redaction":{"enabled":true,"patterns":[{"name":"a","pattern":"a(b)c","type":"x","capture_group":1}],"allow":["x"],"stable_markers":true}}"#,
    r#"{"links":{"github":false},"ca_file":"/x/y.pem","telemetry":null}"#,
];

pub fn target(corpus: &Corpus) -> Target {
    let home = Home::new("config");
    let mut samples: Vec<Vec<u8>> = corpus.files("commands", "config.json");
    samples.extend(SAMPLES.iter().map(|sample| sample.as_bytes().to_vec()));
    Target {
        name: "config",
        samples,
        tricky: JSON,
        check: Box::new(move |input, seed| check(&home, input, seed)),
        counted: "configurations read",
        rounds: 1500,
    }
}

fn check(home: &Home, input: &[u8], seed: u64) -> Result<usize, String> {
    if let Ok(config) = config::parse(input) {
        ask(&config, home);
    }
    home.clear();
    std::fs::write(&home.paths.config, input).unwrap();
    if let Ok(config) = config::load(&home.paths) {
        ask(&config, home);
    }
    let Ok(before) = config::Document::load(&home.paths) else { return Ok(0) };
    let names = ["backend_url", "sync_interval", "log_level", "exclude"];
    let key = Key::find(names[seed as usize % names.len()]).expect("a key");
    let Ok(value) = before.get(key) else { return Ok(0) };
    let mut set = before.clone();
    set.set(key, Some("\"x\"")).map_err(|error| error.to_string())?;
    if set.get(key).ok().flatten().as_deref() != Some("\"x\"") {
        return Err(format!("{} is set to {:?}", key.name, set.get(key)));
    }
    let mut back = set.clone();
    back.set(key, value.as_deref()).map_err(|error| error.to_string())?;
    if back.get(key).ok().flatten() != value {
        return Err(format!("{} is back as {:?}", key.name, back.get(key)));
    }
    if value.is_some() && back != before {
        return Err(format!("{back:?} is not what it was"));
    }
    if before.names().ok() != back.names().ok() {
        return Err(format!("{back:?} has other keys"));
    }
    Ok(1)
}

/// Everything that is asked of a configuration.
fn ask(config: &Config, home: &Home) {
    let _ = (config.account(), config.address(), config.links(), config.is_live());
    let _ = (config.level(), config.exclude_problems());
    let overrides = [None, Some("1e9".to_owned()), Some("99999999999999999999".to_owned())];
    for text in overrides {
        let _ = config.interval(&Overrides { interval_ms: text.clone(), jitter_ms: text });
    }
    for cwd in ["/", "/a/b", "/b", ""] {
        let _ = config.excludes(&home.id(), Path::new(cwd), &home.paths);
    }
    let _ = confab::redact::Redactor::new(&config.redaction);
}
