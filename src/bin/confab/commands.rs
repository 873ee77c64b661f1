//! Each command with what it needs of the world.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use confab::cli::doctor::Patient;
use confab::cli::finding::Finding;
use confab::cli::hooks::Folders;
use confab::cli::list::List;
use confab::cli::local_server::Machine;
use confab::cli::login::{Console, Login};
use confab::cli::save::Save;
use confab::cli::search::{Screen, Search};
use confab::cli::session::{self, Report, Restore, Stored, Verified};
use confab::cli::setup::Setup;
use confab::cli::uninstall::Uninstall;
use confab::cli::{self, Command, Exit, SessionAct};
use confab::config::Account;
use confab::daemon;
use confab::error::{Context, Error, Result};
use confab::files::Paths;
use confab::fleet::{self, Watched};
use confab::redact::Redactor;
use confab::settings::Outcome;
use confab::state::Launch;
use confab::sys;
use confab::time;

use crate::world::{
    Output, SystemClock, absolute, browse, client, complain, confirmed, has_screen, home,
    marked_config, network, paths, program, read_value, text, this_program, with_base, with_world,
};

/// Bytes that a filter writes at once.
const FILTER_BUFFER_BYTES: usize = 64 << 10;

pub fn run(command: Command) -> Result<Exit> {
    let mut stdout = Output(io::stdout());
    match command {
        Command::Hook(_) => unreachable!("hooks are answered before anything else"),
        Command::Daemon(launch) => run_daemon(launch).map(done),
        Command::Print(text) => print(&text),
        Command::ConfigGet(key) => cli::config::get(&paths()?, key, &mut stdout).map(done),
        Command::ConfigSet { key, value } => {
            let value = if value == "-" { read_value(key.name)? } else { value };
            cli::config::set(&paths()?, key, &value, &mut stdout).map(done)
        }
        Command::ConfigList { json } => cli::config::list(&paths()?, json, &mut stdout).map(done),
        Command::Login(login) => {
            let (login, network) = (named(login)?, network());
            let connect = |account: &Account| client(account, &network);
            let paths = paths()?;
            with_console(|console| cli::login::login(&paths, login, &connect, console)).map(done)
        }
        Command::Logout => cli::login::logout(&paths()?, &mut stdout).map(done),
        Command::List(list) => run_list(&list),
        Command::Save(save) => run_save(&save),
        Command::Search(search) => run_search(&search),
        Command::Session { id, act } => run_session(&id, act),
        Command::Setup { login, local, claude } => run_setup(login, local, claude).map(judged),
        Command::Install { folder } => run_install(folder.as_deref()),
        Command::Uninstall { yes, force, claude } => run_uninstall(yes, force, claude),
        Command::Status { json } => {
            // What is missing only because nothing has run yet is no finding.
            let _ = marked_config();
            let network = network();
            let connect = |account: &Account| client(account, &network);
            let paths = paths()?;
            let hooks = hook_findings(&Folders::new(Vec::new(), &paths), &paths);
            cli::status::run(&paths, hooks, &connect, json, &mut stdout).map(judged)
        }
        Command::Doctor { json } => {
            let _ = marked_config();
            let (paths, network) = (paths()?, network());
            let patient = Patient {
                paths: &paths,
                now: SystemTime::now(),
                connect: &|account| client(account, &network),
                hooks: hook_findings(&Folders::new(Vec::new(), &paths), &paths),
            };
            cli::doctor::run(patient, json, &mut stdout).map(judged)
        }
        Command::HooksAdd(_)
        | Command::HooksRemove(_)
        | Command::HooksCheck { .. }
        | Command::HooksExportPlugin(_) => run_hooks(command),
        Command::Watch(watched) => run_watch(watched).map(done),
        Command::Redact { explain } => run_redact(explain),
        Command::RedactionTest { file, json } => run_redaction_test(&file, json),
        Command::SyncStatus { json } => {
            cli::sync_status::run(&paths()?, json, &mut stdout).map(done)
        }
        Command::SyncFlush => {
            let paths = paths()?;
            with_world(&paths, "flush", |world| {
                let mut stderr = io::stderr();
                let on_terminal = stderr.is_terminal();
                let progress = on_terminal.then_some(&mut stderr as &mut dyn Write);
                let all = cli::sync_flush::run(world, &mut stdout, progress)?;
                Ok(judged(all))
            })
        }
    }
}

fn run_list(list: &List) -> Result<Exit> {
    let (mut out, mut talk) = (Output(io::stdout()), io::stderr());
    let (now, columns) = (SystemTime::now(), sys::terminal::columns(io::stdout()));
    cli::list::run(list, &paths()?, now, columns, &mut out, &mut talk).map(complete)
}

fn run_save(save: &Save) -> Result<Exit> {
    let is_dumb = text("TERM").is_none_or(|name| name == "dumb");
    let columns = sys::terminal::columns(io::stderr()).filter(|_| !is_dumb);
    with_world(&paths()?, "save", |world| {
        let mut desk = cli::save::Desk {
            world,
            wait: &std::thread::sleep,
            out: &mut Output(io::stdout()),
            talk: &mut io::stderr(),
            columns,
        };
        cli::save::run(save, &mut desk)
    })
}

fn run_watch(mut watched: Watched) -> Result<()> {
    sys::signals::block();
    sys::memory::keep_small();
    watched.folders = absolute(watched.folders)?;
    // The server that has started it tells so.
    watched.parent = text("CONFAB_WATCH_PARENT").and_then(|text| Launch::parent_of(&text));
    let is_dumb = text("TERM").is_none_or(|name| name == "dumb");
    let columns = sys::terminal::columns(io::stderr()).filter(|_| !is_dumb);
    let mut paths = paths()?.of_watch();
    // What is remembered of sessions there goes only when they have gone.
    paths.claude.extend(watched.folders.clone());
    with_base(&paths, "watch", |base| cli::watch::run(&watched, base, &mut io::stderr(), columns))
}

fn run_search(search: &Search) -> Result<Exit> {
    let network = network();
    let account = marked_config()?.account()?;
    let client = client(&account, &network)?;
    let is_dumb = text("TERM").is_none_or(|name| name == "dumb");
    let columns = sys::terminal::columns(io::stdout()).filter(|_| !is_dumb);
    let screen = Screen { out: &mut Output(io::stdout()), talk: &mut io::stderr(), columns };
    cli::search::run(search, &client, &account.url, screen).map(judged)
}

fn run_session(id: &str, act: SessionAct) -> Result<Exit> {
    let (paths, network) = (paths()?, network());
    let config = marked_config()?;
    let account = config.account()?;
    let client = client(&account, &network)?;
    let wait = &std::thread::sleep;
    let stored = Stored { paths: &paths, client: &client, url: &account.url, wait };
    let session = stored.find(id)?;
    let (mut out, mut talk) = (Output(io::stdout()), io::stderr());
    match act {
        SessionAct::ListFiles { json } => session::list_files(&session, json, &mut out).map(done),
        SessionAct::Download { folder: None } => {
            // Not the output that goes on when its reader has gone: there may be gigabytes left.
            session::download(&stored, &session, &mut io::stdout()).map(done)
        }
        SessionAct::Download { folder: Some(folder) } => {
            let errors = session::download_all(&stored, &session, &folder, &mut out)?;
            errors.iter().for_each(complain);
            Ok(judged(errors.is_empty()))
        }
        SessionAct::GetSummary { chars_max } => {
            session::get_summary(&stored, &session, chars_max, &mut out).map(done)
        }
        SessionAct::Open => {
            let page = session::page(&account.url, &session);
            if has_screen() && io::stdout().is_terminal() {
                browse(&page);
            }
            print(&format!("{page}\n"))
        }
        SessionAct::Verify { json } => {
            let (redactor, _) = Redactor::new(&config.redaction);
            let mut report = Report { json, out: &mut out, talk: &mut talk };
            let verified = session::verify(&stored, &session, &redactor, &mut report)?;
            Ok(match verified {
                Verified::Equal => Exit::Done,
                Verified::Pending => Exit::Skipped,
                Verified::Different | Verified::Failed => Exit::Failed,
            })
        }
        SessionAct::Restore { claude, cwd } => {
            let claude = absolute(claude)?.into_iter().next();
            let cwd = cwd.map(|cwd| absolute(vec![cwd])).transpose()?.and_then(|mut cwd| cwd.pop());
            let claude = claude.as_deref().unwrap_or(&paths.claude[0]);
            let restore = Restore { claude, cwd };
            session::restore(&stored, &session, &restore, &mut out, &mut talk).map(complete)
        }
        SessionAct::Delete { yes } => {
            if !yes && !confirmed(&format!("delete session {} on the backend?", session.id))? {
                return Ok(Exit::Failed);
            }
            let now = time::rfc3339(SystemTime::now());
            session::delete(&stored, &session, now, &mut out, &mut talk).map(done)
        }
    }
}

fn run_install(folder: Option<&Path>) -> Result<Exit> {
    let surroundings = cli::install::Surroundings {
        executable: this_program()?,
        home: home()?,
        path: env::var_os("PATH").unwrap_or_default(),
        shell: text("SHELL").unwrap_or_default(),
    };
    let mut out = Output(io::stdout());
    cli::install::run(folder, &surroundings, &mut out, &mut io::stderr()).map(done)
}

/// The key from standard input, if it is to come from there, and a name for a new one.
fn named(mut login: Login) -> Result<Login> {
    if login.api_key.as_deref() == Some("-") {
        login.api_key = Some(read_value("api_key")?);
    }
    let user = sys::process::username().unwrap_or_else(|| "user".into());
    let host = sys::process::hostname().unwrap_or_else(|| "host".into());
    login.name.get_or_insert(format!("{user}@{host} (confab)"));
    Ok(login)
}

fn with_console<T>(body: impl FnOnce(&mut Console<'_>) -> T) -> T {
    let (mut stdout, mut talk) = (Output(io::stdout()), io::stderr());
    let browse = (talk.is_terminal() && has_screen()).then_some(&browse as &dyn Fn(&str));
    body(&mut Console {
        out: &mut stdout,
        talk: &mut talk,
        browse,
        wait: &std::thread::sleep,
        clock: &SystemClock,
    })
}

fn run_setup(login: Login, local: bool, claude: Vec<PathBuf>) -> Result<bool> {
    let (login, network, paths) = (named(login)?, network(), paths()?);
    let (folders, program) = (Folders::new(absolute(claude)?, &paths), program()?);
    let connect = |account: &Account| client(account, &network);
    let (executable, path) = (this_program()?, env::var_os("PATH").unwrap_or_default());
    let environment = Launch::environment(env::vars_os());
    let machine = Machine {
        paths: &paths,
        executable: &executable,
        path: &path,
        environment: &environment,
        connect: &connect,
        wait: &std::thread::sleep,
        clock: &SystemClock,
    };
    let examine = || {
        let hooks = hook_findings(&folders, &paths);
        let now = SystemTime::now();
        cli::doctor::examine(Patient { paths: &paths, now, connect: &connect, hooks })
    };
    let setup = Setup {
        paths: &paths,
        login,
        local: local.then_some(machine),
        connect: &connect,
        add_hooks: &|out| tell_hooks(cli::hooks::add_to_all(&folders, &program), out),
        examine: &examine,
    };
    with_console(|console| cli::setup::run(setup, console))
}

fn run_uninstall(yes: bool, force: bool, claude: Vec<PathBuf>) -> Result<Exit> {
    let (paths, executable, program) = (paths()?, this_program()?, program()?);
    let folders = Folders::new(absolute(claude)?, &paths);
    if !yes && !confirmed("take away hooks, config, key, state and logs of confab?")? {
        return Ok(Exit::Failed);
    }
    let remove_hooks =
        |out: &mut dyn Write| tell_hooks(cli::hooks::remove_from_all(&folders, &program), out);
    let uninstall = Uninstall {
        paths: &paths,
        executable: &executable,
        force,
        wait: &std::thread::sleep,
        remove_hooks: &remove_hooks,
    };
    cli::uninstall::run(&uninstall, &mut Output(io::stdout())).map(judged)
}

/// What is the matter with the hooks in Claude Code's settings.
fn hook_findings(folders: &Folders, paths: &Paths) -> Vec<Finding> {
    let watches = fleet::standings(paths).into_iter();
    let watched: Vec<PathBuf> = watches.flat_map(|standing| standing.folders).collect();
    match program() {
        Ok(program) => cli::hooks::findings(folders, &program, &watched),
        Err(error) => vec![Finding::error("hooks", &error)],
    }
}

fn run_hooks(command: Command) -> Result<Exit> {
    let (paths, program) = (paths()?, program()?);
    let folders = |named| Ok::<_, Error>(Folders::new(absolute(named)?, &paths));
    let mut out = Output(io::stdout());
    match command {
        Command::HooksAdd(named) => {
            tell_hooks(cli::hooks::add_to_all(&folders(named)?, &program), &mut out).map(judged)
        }
        Command::HooksRemove(named) => {
            tell_hooks(cli::hooks::remove_from_all(&folders(named)?, &program), &mut out)
                .map(judged)
        }
        Command::HooksCheck { folders: named, json } => {
            cli::hooks::check(&folders(named)?, &program, json, &mut out).map(judged)
        }
        Command::HooksExportPlugin(folder) => {
            cli::hooks::export_plugin(&folder, &program, &mut out).map(done)
        }
        _ => unreachable!("only commands of the hooks come here"),
    }
}

/// Says what was done to the hooks of several folders, and what went wrong; true when nothing did.
fn tell_hooks(outcomes: Vec<Result<Outcome>>, out: &mut dyn Write) -> Result<bool> {
    let errors = cli::hooks::tell(outcomes, out)?;
    errors.iter().for_each(complain);
    Ok(errors.is_empty())
}

fn judged(is_well: bool) -> Exit {
    if is_well { Exit::Done } else { Exit::Failed }
}

fn complete(is_complete: bool) -> Exit {
    if is_complete { Exit::Done } else { Exit::Skipped }
}

fn done((): ()) -> Exit {
    Exit::Done
}

fn print(text: &str) -> Result<Exit> {
    let written = Output(io::stdout()).write_all(text.as_bytes());
    written.context(|| "write to standard output".into()).map(done)
}

fn run_redact(explain: bool) -> Result<Exit> {
    let config = marked_config()?;
    let (mut input, out) = (io::stdin().lock(), io::stdout().lock());
    let mut out = io::BufWriter::with_capacity(FILTER_BUFFER_BYTES, out);
    cli::redact::run(&config, explain, &mut input, &mut out, &mut io::stderr().lock())
}

fn run_redaction_test(file: &Path, json: bool) -> Result<Exit> {
    let config = marked_config()?;
    cli::redaction_test::run(&config, file, json, &mut io::stdout(), &mut io::stderr())
}

/// Detaches at once: until then the daemon belongs to the session and terminal of Claude Code.
fn run_daemon(launch: Launch) -> Result<()> {
    sys::signals::block();
    sys::memory::keep_small();
    let lock = sys::daemon::detach().context(|| "detach the daemon".into())?;
    let writer: String = launch.id.as_str().chars().take(8).collect();
    let paths = paths()?;
    with_world(&paths, &writer, |world| {
        daemon::run(launch, Some(lock), world).inspect_err(|error| log::error!("{error}"))
    })
}
