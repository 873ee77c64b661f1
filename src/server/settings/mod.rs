//! What an operator may set: one struct, read from a JSON file and from the command line of
//! `serve`, the latter last.
//!
//! Every setting has one row in the table `keys`: its key in the file, its option on the command
//! line, its limits and what it is for. What is in no row does not exist: unknown keys and values
//! out of range are refused by name, never ignored.

mod keys;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use self::keys::{KEYS, Key};
use crate::error::{Context, Error, Result};

/// Bytes of the file.
pub const FILE_BYTES_MAX: usize = 256 << 10;

/// How often somebody may ask: a bucket that holds `burst` requests and is filled at `per_hour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in an hour in the long run; 0 is no limit.
    pub per_hour: u64,
    /// Requests at once after a pause.
    pub burst: u64,
}

/// Everything that an operator may set. The file says times in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: String,
    /// Certificates in PEM, the server's own first; with `tls_key`, TLS is spoken.
    pub tls_cert: Option<PathBuf>,
    /// Its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Where everything lies behind the host, `/confab`; empty for the root.
    pub base_path: String,
    /// What users reach this server at, without a slash at the end.
    pub public_url: Option<String>,
    /// Names of this server in `Host`, next to those of loopback and of `public_url`.
    pub hosts: Vec<String>,
    /// Peers whose `X-Forwarded-…` headers are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Address and port of the metrics.
    pub metrics: Option<String>,
    /// Table of what tokens cost; without, the one of this program.
    pub prices: Option<PathBuf>,
    /// Where the log goes; standard error without.
    pub log_file: Option<PathBuf>,
    /// Bytes at which a log file is put aside as `FILE.1`.
    pub log_bytes_max: u64,
    /// Bytes of the database; more is answered as a full disk is. 0 is no limit.
    pub database_bytes_max: u64,
    /// Connections at once.
    pub connections_max: u64,
    /// Connections at once from one address.
    pub address_connections_max: u64,
    /// Answers at once that go on as long as somebody listens.
    pub streams_max: u64,
    /// Of these, for one user or one link.
    pub reader_streams_max: u64,
    /// Bytes of a request line and its headers.
    pub head_bytes_max: u64,
    /// Bytes of bodies that are in memory at once, over all connections, and as many of large
    /// answers.
    pub bodies_bytes_max: u64,
    /// Large bodies that are unpacked and stored at once; others wait as they came.
    pub large_bodies_max: u64,
    /// Bytes of a body that nobody wants, read only so that the answer arrives.
    pub unwanted_bytes_max: u64,
    /// From a connection's or a head's first byte to the head's last.
    pub head_seconds_max: u64,
    /// From a request's first byte to its last, next to what `bytes_per_second_min` grants.
    pub request_seconds_max: u64,
    /// Between two requests.
    pub idle_seconds_max: u64,
    /// For each 256 KiB of an answer.
    pub answer_seconds_max: u64,
    /// For a body that nobody wants.
    pub unwanted_seconds_max: u64,
    /// For requests in flight when the server is told to stop.
    pub stop_seconds_max: u64,
    /// A body that arrives at least as fast may take longer than `request_seconds_max`.
    pub bytes_per_second_min: u64,
    /// Any requests of one address.
    pub requests: Rate,
    /// Requests that sign in, of one address.
    pub sign_in: Rate,
    /// Questions whether a key is valid, of one address.
    pub validate: Rate,
    /// Requests that store, of one user.
    pub sync: Rate,
    /// Requests that read stored lines, of one user.
    pub read: Rate,
}

impl Default for Settings {
    fn default() -> Settings {
        let per_second = |per_second: u64, burst| Rate { per_hour: per_second * 3600, burst };
        Settings {
            listen: "127.0.0.1:8787".into(),
            tls_cert: None,
            tls_key: None,
            base_path: String::new(),
            public_url: None,
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            metrics: None,
            prices: None,
            log_file: None,
            log_bytes_max: 64 << 20,
            database_bytes_max: 0,
            connections_max: 512,
            address_connections_max: 128,
            streams_max: 256,
            reader_streams_max: 64,
            head_bytes_max: 16 << 10,
            bodies_bytes_max: 512 << 20,
            large_bodies_max: 2,
            unwanted_bytes_max: 32 << 20,
            head_seconds_max: 10,
            request_seconds_max: 60,
            idle_seconds_max: 75,
            answer_seconds_max: 30,
            unwanted_seconds_max: 5,
            stop_seconds_max: 10,
            bytes_per_second_min: 8 << 10,
            requests: per_second(100, 200),
            sign_in: per_second(1, 30),
            validate: Rate { per_hour: 1800, burst: 10 },
            sync: Rate { per_hour: 10_000, burst: 2000 },
            read: per_second(30, 60),
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is what this program thinks sane.
    Default,
    /// The file says so.
    File,
    /// The command line says so.
    CommandLine,
}

/// Settings, and where each of them comes from. As JSON, it is what `confab-server config` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    origins: Vec<Origin>,
}

impl Effective {
    /// The defaults, changed by what a file says, then by options of the command line, which are
    /// [known](option). Paths in the file are relative to its folder.
    ///
    /// # Errors
    /// With the key's or option's name and a hint: an unknown key, a value of the wrong kind or out
    /// of range, and TLS with one of its two files.
    pub fn read(file: Option<(&Path, &[u8])>, options: &[(&str, String)]) -> Result<Effective> {
        let mut effective =
            Effective { settings: Settings::default(), origins: vec![Origin::Default; KEYS.len()] };
        if let Some((path, bytes)) = file {
            effective.take_file(path, bytes).context(|| format!("read {}", path.display()))?;
        }
        for (name, text) in options {
            effective.take_option(name, text)?;
        }
        if effective.settings.tls_cert.is_some() != effective.settings.tls_key.is_some() {
            return Err(Error::new("tls_cert and tls_key belong together").with_hint("set both"));
        }
        Ok(effective)
    }

    fn take_file(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let document: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
            Error::new("it is no JSON object")
                .caused_by(error)
                .with_hint("`confab-server config` shows all keys")
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (name, value) in document {
            let Some(index) = KEYS.iter().position(|key| key.name == name) else {
                return Err(unknown(&name));
            };
            // Null is how JSON says that something is not set.
            if !value.is_null() {
                KEYS[index]
                    .set(&mut self.settings, &value, folder)
                    .map_err(|expected| refused(&name, &value.to_string(), &expected))?;
                self.origins[index] = Origin::File;
            }
        }
        Ok(())
    }

    fn take_option(&mut self, name: &str, text: &str) -> Result<()> {
        let Some(index) = KEYS.iter().position(|key| key.option == name) else {
            return Err(unknown(name));
        };
        let key = &KEYS[index];
        let value = match (key.is_list(), key.is_number()) {
            (true, _) if self.origins[index] == Origin::CommandLine => {
                let mut values = key.value(&self.settings);
                values.as_array_mut().expect("a list is an array").push(json!(text));
                values
            }
            (true, _) => json!([text]),
            (_, true) => text.parse::<u64>().map_or(json!(text), Value::from),
            _ => json!(text),
        };
        key.set(&mut self.settings, &value, Path::new(""))
            .map_err(|expected| refused(&format!("--{name}"), &format!("{text:?}"), &expected))?;
        self.origins[index] = Origin::CommandLine;
        Ok(())
    }
}

/// The option of this name, without its dashes, when it is one of a setting.
pub fn option(name: &str) -> Option<&'static str> {
    KEYS.iter().map(|key| key.option).find(|option| *option == name)
}

fn unknown(name: &str) -> Error {
    // Names are compared by what they share at their beginning: enough for `_max` left away.
    let shared =
        |key: &&Key| key.name.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let nearest = KEYS.iter().max_by_key(shared).filter(|key| shared(key) >= 3);
    let hint = match nearest {
        Some(key) => format!("is {} meant? `confab-server config` shows all keys", key.name),
        None => "`confab-server config` shows all keys".to_owned(),
    };
    Error::new(format!("there is no setting {name}")).with_hint(hint)
}

fn refused(name: &str, value: &str, expected: &str) -> Error {
    Error::new(format!("{name} cannot be {value}")).with_hint(format!("it takes {expected}"))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::CommandLine => "command line",
        })
    }
}

impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(KEYS.len()))?;
        for (key, origin) in KEYS.iter().zip(&self.origins) {
            let entry = json!({
                "value": key.value(&self.settings),
                "from": origin.to_string(),
                "about": key.about,
            });
            map.serialize_entry(key.name, &entry)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Effective> {
        Effective::read(Some((Path::new("/d/server.json"), text.as_bytes())), &[])
    }

    fn options(options: &[(&str, &str)]) -> Result<Effective> {
        let options: Vec<(&str, String)> =
            options.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        Effective::read(None, &options)
    }

    #[test]
    fn the_command_line_is_stronger_than_the_file_and_that_than_the_defaults() {
        let text = r#"{"listen": "[::1]:1", "hosts": ["a", "b"], "sync_burst": 7, "metrics": null,
            "tls_cert": "c.pem", "tls_key": "/k.pem"}"#;
        let line = [("listen", "[::1]:2"), ("host", "c"), ("host", "d")]
            .map(|(name, text)| (name, text.to_owned()));
        let path = Path::new("/d/server.json");
        let Effective { settings, .. } =
            Effective::read(Some((path, text.as_bytes())), &line).unwrap();
        let expected = Settings {
            listen: "[::1]:2".into(),
            hosts: vec!["c".into(), "d".into()],
            sync: Rate { per_hour: 10_000, burst: 7 },
            tls_cert: Some("/d/c.pem".into()),
            tls_key: Some("/k.pem".into()),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_printed_says_where_it_comes_from_and_can_be_read_back() {
        let effective = options(&[("connections-max", "9")]).unwrap();
        let printed: Value = serde_json::to_value(&effective).unwrap();
        assert_eq!(printed["connections_max"]["value"], 9);
        assert_eq!(printed["connections_max"]["from"], "command line");
        assert_eq!(printed["listen"]["from"], "default");
        let plain: Map<String, Value> = printed
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, entry)| (name.clone(), entry["value"].clone()))
            .collect();
        let read = file(&Value::Object(plain).to_string()).unwrap();
        assert_eq!(read.settings, effective.settings);
    }

    #[test]
    fn every_key_takes_its_own_default_and_has_one_name() {
        let settings = Settings::default();
        for (index, key) in KEYS.iter().enumerate() {
            let value = key.value(&settings);
            let mut changed = settings.clone();
            if !value.is_null() {
                key.set(&mut changed, &value, Path::new("")).unwrap();
            }
            assert_eq!(changed, settings, "{}", key.name);
            assert!(
                KEYS[index + 1..]
                    .iter()
                    .all(|other| other.name != key.name && other.option != key.option)
            );
            assert!(!key.about.is_empty() && !key.about.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn what_is_refused_is_named_with_a_hint() {
        let cases = [
            (r#"{"connections": 1}"#, "no setting connections", "connections_max"),
            (r#"{"zzz": 1}"#, "no setting zzz", "shows all keys"),
            (r#"{"connections_max": 0}"#, "connections_max cannot be 0", "a number from 1 to"),
            (r#"{"connections_max": "9"}"#, "connections_max cannot be \"9\"", "a number"),
            (r#"{"connections_max": 1.5}"#, "connections_max cannot be 1.5", "a number"),
            (r#"{"listen": 8787}"#, "listen cannot be 8787", "ADDRESS:PORT"),
            (r#"{"listen": "8787"}"#, "listen cannot be \"8787\"", "ADDRESS:PORT"),
            (r#"{"base_path": "confab"}"#, "base_path", "/confab"),
            (r#"{"base_path": "/a/../b"}"#, "base_path", "/confab"),
            (r#"{"hosts": "a"}"#, "hosts", "a list"),
            (r#"{"hosts": ["a:1"]}"#, "hosts", "names without a port"),
            (r#"{"trusted_proxies": ["proxy"]}"#, "trusted_proxies", "IP addresses"),
            (r#"{"public_url": "x"}"#, "public_url", "https://"),
            (r#"{"public_url": "https://x/?a"}"#, "public_url", "https://"),
            (r#"{"tls_cert": "x"}"#, "belong together", "set both"),
            ("[]", "no JSON object", "shows all keys"),
        ];
        for (text, what, hint) in cases {
            let error = file(text).unwrap_err();
            assert!(error.to_string().contains(what), "{text}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{text}: {:?}", error.hint());
        }
        let error = options(&[("idle-seconds-max", "soon")]).unwrap_err();
        assert_eq!(error.to_string(), "--idle-seconds-max cannot be \"soon\"");
        assert_eq!(error.hint(), Some("it takes a number from 1 to 3600"));
    }
}
