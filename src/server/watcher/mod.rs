//! `confab watch` on the server's machine, as a child of the server: one command is the whole
//! session manager.
//!
//! The child has a key of its own and a configuration of its own, in a private file in the data
//! folder: the user's, with address and key of this server. With it comes a state of its own, so
//! that hooks, which may send to another backend, neither get nor give anything of it. It is
//! started again when it ends, behind a wait that grows, and ends with the server, also when that
//! is killed: it is told which process to look at.

mod settings;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::World;
use super::auth::{KeyHash, hash, new_key};
use super::store::{Retention, Store};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::sys::process::Process;
use crate::sys::signals;

pub use settings::{SETTINGS_BYTES_MAX, WatchSettings};

/// What the key of the child is called.
const KEY_NAME: &str = "confab watch";
/// Whose sessions they are when nobody is there yet.
const USER_DEFAULT: &str = "admin@local.dev";
/// Bytes of a configuration, and of what the child says of itself.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a line that the child says.
const LINE_BYTES_MAX: u64 = 4096;
/// The first wait before the child is started again; it doubles,
const RESTART_WAIT_MIN: Duration = Duration::from_secs(1);
/// and is never longer.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(300);
/// A child that has run for so long was well.
const WELL_TIME: Duration = Duration::from_secs(60);
/// How often the child is looked at where the system does not tell of its end.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Time for the child to end, be it for good or for new settings: a little more than it takes
/// itself.
const STOP_TIME_MAX: Duration = Duration::from_secs(35);

/// What is needed to start the child; `main` fills it in.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program `confab`.
    pub program: PathBuf,
    /// Its whole environment, but for what is told here.
    pub environment: Vec<(OsString, OsString)>,
    /// The data folder, where its configuration and settings are kept.
    pub data: PathBuf,
    /// The configuration of the server's user, which counts but for address and key.
    pub user_config: PathBuf,
    /// Where the child says what it does: its `watch.json`, see [`files::Paths::of_watch`].
    pub state: PathBuf,
    /// Claude's folders, when the command line names some.
    pub folders: Vec<PathBuf>,
    /// Whose sessions they are; the first user when nobody is named.
    pub user: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    user: i64,
    key: KeyHash,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    /// Of this server, for the child.
    url: String,
    key: String,
    monotonic: fn() -> Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    settings: WatchSettings,
    child: Option<u32>,
    restarts: u64,
    /// The last line that a child said, or why it did not start.
    last_line: Option<String>,
    /// It is to be started again at once.
    is_stale: bool,
    /// When the child was told to end.
    told_at: Option<Instant>,
    has_ended: bool,
    is_stopped: bool,
}

impl Watcher {
    /// Makes a key for the child and keeps it running until [`Watcher::stop`].
    ///
    /// # Errors
    /// When the settings cannot be read, the database fails, or no thread can be started.
    pub fn start(plan: Plan, url: String, store: &Store, world: World) -> Result<Watcher> {
        let settings = WatchSettings::load(&settings_path(&plan))?;
        settings.check().context(|| format!("use {}", settings_path(&plan).display()))?;
        let (user, key) = key(&plan, store, world)?;
        let hash = hash(&key);
        let state = Mutex::new(State { settings, ..State::default() });
        let monotonic = world.monotonic;
        let changed = Condvar::new();
        let shared = Arc::new(Shared { plan, url, key, monotonic, state, changed });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("watch".into());
        let thread = thread.spawn(move || own.keep()).context(|| "start a thread".into())?;
        Ok(Watcher { shared, thread: Mutex::new(Some(thread)), user, key: hash })
    }

    /// The number of the user whose key the child uses.
    pub fn user(&self) -> i64 {
        self.user
    }

    /// Whether this is the child's key.
    pub fn is_key(&self, hash: &KeyHash) -> bool {
        super::auth::is_same(&self.key, hash)
    }

    /// What the child does, as far as it has said so.
    pub fn state(&self) -> Value {
        let (child, restarts, last_line) = {
            let state = self.shared.state();
            (state.child, state.restarts, state.last_line.clone())
        };
        let bytes = files::read_bounded(&self.shared.plan.state, FILE_BYTES_MAX);
        let said: Option<Map<String, Value>> =
            bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let said = said.filter(|said| said.get("pid") == child.map(Value::from).as_ref());
        let mut told = said.unwrap_or_default();
        told.insert("running".into(), child.is_some().into());
        told.insert("pid".into(), json!(child));
        told.insert("restarts".into(), restarts.into());
        told.insert("last_line".into(), json!(last_line));
        Value::Object(told)
    }

    /// Lets the child look at everything now; false while it does not run.
    pub fn sync_now(&self) -> bool {
        let state = self.shared.state();
        state.child.is_some_and(|pid| signals::wake(pid).is_ok())
    }

    /// What is set.
    pub fn settings(&self) -> WatchSettings {
        self.shared.state().settings.clone()
    }

    /// How long sessions of the user are kept.
    pub fn retention(&self) -> Retention {
        Retention { user: self.user, days: self.shared.state().settings.retention_days }
    }

    /// Whether these folders may be set by somebody who is not the operator: those that are set,
    /// and what lies in those that the operator has named. The child may read more than its user.
    pub fn has_folders(&self, folders: &[PathBuf]) -> bool {
        let state = self.shared.state();
        let is_plain =
            |folder: &Path| !folder.components().any(|part| part == Component::ParentDir);
        folders.iter().all(|folder| {
            let named = &self.shared.plan.folders;
            let is_named = named.iter().any(|named| folder.starts_with(named));
            state.settings.folders.contains(folder) || is_named && is_plain(folder)
        })
    }

    /// Sets it, for good, and starts the child anew when that is its business.
    ///
    /// # Errors
    /// When it cannot be kept; then nothing has changed.
    pub fn set(&self, settings: WatchSettings) -> Result<()> {
        let mut state = self.shared.state();
        // Nobody else sets anything meanwhile: what is kept is what is used.
        settings.save(&settings_path(&self.shared.plan))?;
        let retention_days = settings.retention_days;
        let before = std::mem::replace(&mut state.settings, settings);
        if (WatchSettings { retention_days, ..before }) == state.settings {
            return Ok(());
        }
        state.is_stale = true;
        self.shared.end_child(&mut state);
        Ok(())
    }

    /// Ends the child, which delivers the rest first.
    pub fn stop(&self) {
        {
            let mut state = self.shared.state();
            state.is_stopped = true;
            self.shared.end_child(&mut state);
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic was told when it happened.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Shared {
    /// Nothing is left half done by a panic while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the child to end, and whoever waits that this is so.
    fn end_child(&self, state: &mut State) {
        if let Some(pid) = state.child {
            state.told_at.get_or_insert_with(self.monotonic);
            // It may have ended just now; then nobody has to be told.
            let _ = signals::stop(pid);
        }
        self.changed.notify_all();
    }

    /// Starts the child again and again.
    fn keep(&self) {
        let mut wait = RESTART_WAIT_MIN;
        loop {
            let started = (self.monotonic)();
            if let Err(error) = self.run_once() {
                log::warn!("{error}");
                self.state().last_line = Some(error.to_string());
            }
            if (self.monotonic)().saturating_duration_since(started) >= WELL_TIME {
                wait = RESTART_WAIT_MIN;
            }
            let mut state = self.state();
            if !state.is_stopped && !state.is_stale {
                log::warn!("confab watch has ended; it is started again in {wait:?}");
                let is_idle = |state: &mut State| !state.is_stopped && !state.is_stale;
                let waited = self.changed.wait_timeout_while(state, wait, is_idle);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                wait = (wait * 2).min(RESTART_WAIT_MAX);
            }
            if state.is_stopped {
                return;
            }
            if std::mem::take(&mut state.is_stale) {
                wait = RESTART_WAIT_MIN;
            }
            state.restarts += 1;
        }
    }

    fn run_once(&self) -> Result<()> {
        let what = || format!("start {}", self.plan.program.display());
        let mut child = {
            let mut state = self.state();
            if state.is_stopped {
                return Ok(());
            }
            (state.is_stale, state.has_ended, state.told_at) = (false, false, None);
            let settings = state.settings.clone();
            let config = write_config(&self.plan, &self.url, &self.key, &settings.exclude)?;
            let child = self.spawn(&settings, &config).context(what)?;
            state.child = Some(child.id());
            child
        };
        log::info!("confab watch runs, process {}", child.id());
        let talk = child.stderr.take();
        // Its number is its own until it was waited for, so that nobody else gets its signals.
        let process = Process::find(child.id());
        std::thread::scope(|scope| {
            // A child that nobody listens to would wait for a reader.
            let listening = talk.map(|talk| scope.spawn(|| self.listen(talk)));
            let _ = scope.spawn(|| self.see_end(process));
            self.wait(&mut child);
            let _ = listening.map(std::thread::ScopedJoinHandle::join);
        });
        Ok(())
    }

    fn spawn(&self, settings: &WatchSettings, config: &Path) -> std::io::Result<Child> {
        let own = Process::current();
        let mut arguments = settings.arguments();
        if settings.folders.is_empty() {
            let named = WatchSettings { folders: self.plan.folders.clone(), ..Default::default() };
            arguments.extend(named.arguments());
        }
        Command::new(&self.plan.program)
            .arg("watch")
            .args(arguments)
            .env_clear()
            .envs(self.plan.environment.iter().map(|(name, value)| (name, value)))
            .env("CONFAB_CONFIG_PATH", config)
            .env("CONFAB_WATCH_PARENT", format!("{}:{}", own.pid, own.start))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Says when the child has ended.
    fn see_end(&self, process: Option<Process>) {
        while !process.is_none_or(|process| process.wait_for_end(LOOK_INTERVAL)) {}
        self.state().has_ended = true;
        self.changed.notify_all();
    }

    /// Waits for the end of the child, and ends it when it takes too long after it was told to.
    fn wait(&self, child: &mut Child) {
        let mut state = self.state();
        while !state.has_ended {
            let since = |at| (self.monotonic)().saturating_duration_since(at);
            let left = state.told_at.map(|at| STOP_TIME_MAX.saturating_sub(since(at)));
            state = match left {
                Some(left) if !left.is_zero() => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => {
                    if left.is_some() {
                        log::warn!("confab watch does not end and is killed");
                        let _ = child.kill();
                        state.told_at = None;
                    }
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        state.child = None;
        drop(state);
        match child.wait() {
            Ok(status) => log::info!("confab watch has ended: {status}"),
            Err(error) => log::warn!("wait for confab watch: {error}"),
        }
    }

    fn listen(&self, talk: ChildStderr) {
        let mut talk = BufReader::new(talk);
        loop {
            let mut line = Vec::new();
            match talk.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(n_bytes) if n_bytes > 0 => {}
                _ => return,
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            log::info!("watch: {line}");
            self.state().last_line = Some(line);
        }
    }
}

fn settings_path(plan: &Plan) -> PathBuf {
    plan.data.join("watch-settings.json")
}

/// Where the configuration of the child lies, by the data folder.
pub fn config_path(data: &Path) -> PathBuf {
    data.join("watch.json")
}

/// The user and the key of the child: the last one, as long as it works.
fn key(plan: &Plan, store: &Store, world: World) -> Result<(i64, String)> {
    let user = match &plan.user {
        Some(user) => user.clone(),
        None => {
            let first = store.users()?.into_iter().find(|user| user.disabled_at.is_none());
            first.map_or(USER_DEFAULT.to_owned(), |user| user.email)
        }
    };
    let known = object(&config_path(&plan.data)).remove("api_key");
    if let Some(Value::String(key)) = known
        && let Some(owner) = store.user_of_key(&hash(&key))?
        && owner.email == user
    {
        return Ok((owner.id, key));
    }
    let key = new_key(world.random).context(|| "make a key".into())?;
    store.create_key(&user, KEY_NAME, &hash(&key), (world.now)())?;
    let id = store.user_by_email(&user)?;
    let id = id.ok_or_else(|| Error::new(format!("the user {user} has just been removed")))?;
    Ok((id, key))
}

/// Writes the configuration of the child; where it is.
fn write_config(plan: &Plan, url: &str, key: &str, exclude: &[String]) -> Result<PathBuf> {
    let mut config = object(&plan.user_config);
    let before = config.get("exclude").and_then(Value::as_array).cloned().unwrap_or_default();
    let excluded = before.into_iter().chain(exclude.iter().map(|entry| entry.as_str().into()));
    let excluded: Vec<Value> = excluded.collect();
    config.insert("exclude".into(), excluded.into());
    config.insert("backend_url".into(), url.into());
    config.insert("api_key".into(), key.into());
    let path = config_path(&plan.data);
    let what = || format!("write {}", path.display());
    let text = serde_json::to_vec_pretty(&config).context(what)?;
    files::replace(&path, &text).context(what)?;
    Ok(path)
}

/// A JSON object in a file; an empty one when there is none.
fn object(path: &Path) -> Map<String, Value> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::SystemTime;

    use super::*;

    /// Each look at this clock takes longer than the child has for its end.
    fn fast() -> Instant {
        static LOOKS: AtomicU32 = AtomicU32::new(0);
        Instant::now() + STOP_TIME_MAX * LOOKS.fetch_add(1, Ordering::Relaxed)
    }

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A watcher whose child never ends by itself.
    fn stubborn(name: &str, folders: Vec<PathBuf>) -> (PathBuf, Watcher) {
        let name = format!("confab-watcher-{name}-{}", std::process::id());
        let data = std::env::temp_dir().join(name);
        let store = Store::open(&data).unwrap();
        let program = data.join("watch.sh");
        let script = "#!/bin/sh\ntrap '' TERM\necho \"ready $$\" >&2\nexec sleep 1000 2>&-\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let plan = Plan {
            program,
            environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())],
            data: data.clone(),
            user_config: data.join("config.json"),
            state: data.join("state.json"),
            folders,
            user: None,
        };
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let world = World { now: SystemTime::now, monotonic: fast, random };
        (data, Watcher::start(plan, "http://localhost:1".into(), &store, world).unwrap())
    }

    /// The child, once it cannot be told to end any more.
    fn child(watcher: &Watcher) -> Option<u32> {
        let state = watcher.shared.state();
        let ready = state.child.map(|pid| format!("ready {pid}"));
        state.child.filter(|_| state.last_line == ready)
    }

    #[test]
    fn settings_count_also_for_a_child_that_does_not_end() {
        let (data, watcher) = stubborn("settings", Vec::new());
        eventually("there is a child", || child(&watcher).is_some());
        let before = child(&watcher);
        let settings = WatchSettings { interval: Some("2s".into()), ..WatchSettings::default() };
        watcher.set(settings.clone()).unwrap();
        eventually("there is another one", || {
            child(&watcher).is_some_and(|pid| Some(pid) != before)
        });
        assert_eq!(WatchSettings::load(&settings_path(&watcher.shared.plan)).unwrap(), settings);
        watcher.stop();
        assert_eq!(watcher.shared.state().child, None);
        let _ = std::fs::remove_dir_all(data);
    }

    /// What is kept is what is used, whoever comes last.
    #[test]
    fn settings_that_are_set_at_once_are_kept_as_they_are_used() {
        let (data, watcher) = stubborn("at-once", Vec::new());
        let set = |days: u32| {
            for days in (days..days + 50).step_by(2) {
                let retention_days = Some(days);
                watcher.set(WatchSettings { retention_days, ..WatchSettings::default() }).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| set(1));
            set(2);
        });
        let kept = WatchSettings::load(&settings_path(&watcher.shared.plan)).unwrap();
        assert_eq!(kept, watcher.settings());
        watcher.stop();
        let _ = std::fs::remove_dir_all(data);
    }

    #[test]
    fn only_what_the_operator_has_named_may_be_set_by_others() {
        let (data, watcher) = stubborn("folders", vec!["/named".into()]);
        let folders = vec!["/set".into()];
        watcher.set(WatchSettings { folders, ..WatchSettings::default() }).unwrap();
        let cases = [
            ("/set", true),
            ("/named", true),
            ("/named/below", true),
            ("/named/../home/other", false),
            ("/set/below", false),
            ("/namedtoo", false),
            ("/", false),
        ];
        for (folder, may) in cases {
            assert_eq!(watcher.has_folders(&[folder.into()]), may, "{folder}");
        }
        assert!(watcher.has_folders(&[]));
        assert!(!watcher.has_folders(&["/set".into(), "/home/other".into()]));
        watcher.stop();
        let _ = std::fs::remove_dir_all(data);
    }
}
