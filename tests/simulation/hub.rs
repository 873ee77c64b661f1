//! Time, daemons and who may run: every daemon is a thread, and one thread runs at a time.
//!
//! A daemon that waits, or whose request is on its way, hands the baton back with the time at which
//! it wants to go on; the one that is due first gets it. So a sequence is the same each time it is
//! played, and an hour costs what happens in it.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use confab::cli::{self, Command};
use confab::config::{Account, Overrides};
use confab::daemon::{self, Event, Events, Redactors, World};
use confab::error::Result;
use confab::files::Paths;
use confab::remote::Backend;
use confab::state::Launch;
use confab::sys::machine::Processes;
use confab::sys::process::Process;
use confab::time::Clock;

use crate::backend::{Connection, Store};

/// Steps of one sequence: daemons that never come to rest are told.
const STEPS_MAX: usize = 200_000;
/// When a sequence begins, in seconds since 1970: before the times of files that are made for it.
const BEGIN: u64 = 1_700_000_000;
/// From being started to running.
const START_TIME: Duration = Duration::from_millis(2);

/// One daemon.
pub struct Task {
    pub session: String,
    pub process: Process,
    pub is_over: bool,
    /// It is to be told of the end of these.
    watched: Vec<Process>,
    events: VecDeque<Event>,
    /// When it is to go on; `None` while it runs.
    due: Option<Duration>,
    /// An event lets it go on at once.
    listens: bool,
    /// Steps to its end by force.
    steps_left: Option<usize>,
    resume: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Task {
    /// It is not to end by force any more.
    pub fn spare(&mut self) {
        self.steps_left = None;
    }
}

/// What all share; whoever runs may change it.
pub struct Core {
    pub now: Duration,
    /// How far the wall clock is off, in seconds.
    pub wall_offset: i64,
    /// Nobody runs on beyond this: something happens then.
    pub until: Duration,
    pub tasks: Vec<Task>,
    pub alive: BTreeSet<u32>,
    pub starts_to_fail: usize,
    pub store: Store,
    pub complaints: Vec<String>,
    n_processes: u32,
    n_steps: usize,
}

/// What stands still while everything runs.
pub struct Hub {
    pub paths: Paths,
    pub redactors: Arc<Redactors>,
    core: Mutex<Core>,
    begin: Instant,
    baton: Sender<()>,
}

/// A daemon's place at the hub.
pub struct Seat {
    pub hub: Arc<Hub>,
    me: usize,
    resume: Mutex<Receiver<()>>,
    thread: ThreadId,
}

struct Killed;

impl Hub {
    pub fn new(paths: Paths, redactors: Arc<Redactors>, store: Store) -> (Arc<Hub>, Receiver<()>) {
        let (baton, returned) = channel();
        let core = Core {
            now: Duration::ZERO,
            wall_offset: 0,
            until: Duration::ZERO,
            tasks: Vec::new(),
            alive: BTreeSet::new(),
            starts_to_fail: 0,
            store,
            complaints: Vec::new(),
            n_processes: 1000,
            n_steps: 0,
        };
        let hub = Hub { paths, redactors, core: Mutex::new(core), begin: Instant::now(), baton };
        (Arc::new(hub), returned)
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wall(&self) -> SystemTime {
        self.core().wall()
    }

    pub fn complain(&self, what: String) {
        self.core().complaints.push(what);
    }

    /// Lets everybody run who is due by `until`, and makes it that late.
    pub fn run_until(&self, until: Duration, returned: &Receiver<()>) {
        loop {
            let resume = {
                let mut core = self.core();
                core.until = until;
                let due = |(index, task): (usize, &Task)| Some((task.due?, index));
                let next = core.tasks.iter().enumerate().filter_map(due).min();
                let Some((at, index)) = next.filter(|(at, _)| *at <= until) else {
                    core.now = core.now.max(until);
                    return;
                };
                core.now = core.now.max(at);
                core.tasks[index].due = None;
                core.tasks[index].resume.clone()
            };
            if resume.send(()).is_ok() {
                returned.recv().expect("the hub holds a sender");
            }
        }
    }

    /// Ends all daemons by force and waits for their threads.
    pub fn kill_all(&self, returned: &Receiver<()>) {
        let now = {
            let mut core = self.core();
            let now = core.now;
            for index in 0..core.tasks.len() {
                core.kill(index, 0);
            }
            now
        };
        self.run_until(now, returned);
        let threads: Vec<_> =
            self.core().tasks.iter_mut().filter_map(|task| task.thread.take()).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Starts a daemon, whose thread waits for its turn.
    fn start(self: &Arc<Hub>, launch: Launch, lock: File) -> io::Result<()> {
        let (resume, resumed) = channel();
        let mut core = self.core();
        if core.starts_to_fail > 0 {
            core.starts_to_fail -= 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let process = core.new_process();
        let me = core.tasks.len();
        let (hub, session) = (Arc::clone(self), launch.id.to_string());
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            if resumed.recv().is_err() {
                return;
            }
            let thread = std::thread::current().id();
            let seat = Seat { hub, me, resume: Mutex::new(resumed), thread };
            live(Arc::new(seat), launch, lock, process);
        })?;
        let due = Some(core.now + START_TIME);
        core.tasks.push(Task {
            session,
            process,
            is_over: false,
            watched: Vec::new(),
            events: VecDeque::new(),
            due,
            listens: false,
            steps_left: None,
            resume,
            thread: Some(thread),
        });
        Ok(())
    }
}

impl Core {
    pub fn wall(&self) -> SystemTime {
        let since = Duration::from_secs(BEGIN.saturating_add_signed(self.wall_offset)) + self.now;
        SystemTime::UNIX_EPOCH + since
    }

    pub fn new_process(&mut self) -> Process {
        self.n_processes += 1;
        self.alive.insert(self.n_processes);
        Process { pid: self.n_processes, start: 7 }
    }

    /// A process that is no daemon has ended.
    pub fn end_process(&mut self, begin: Instant, process: Process) {
        if !self.alive.remove(&process.pid) {
            return;
        }
        for index in 0..self.tasks.len() {
            if self.tasks[index].watched.contains(&process) {
                let at = begin + self.now;
                self.tell(index, Event::ParentGone(process, at));
            }
        }
    }

    pub fn tell(&mut self, index: usize, event: Event) {
        let now = self.now;
        let task = &mut self.tasks[index];
        task.events.push_back(event);
        if task.listens {
            task.due = task.due.map(|due| due.min(now));
        }
    }

    /// The daemon ends by force at its `steps`th step from now on.
    pub fn kill(&mut self, index: usize, steps: usize) {
        let now = self.now;
        let task = &mut self.tasks[index];
        if task.is_over {
            return;
        }
        task.steps_left = Some(task.steps_left.unwrap_or(usize::MAX).min(steps));
        if steps == 0 {
            task.due = Some(now);
        }
    }

    /// The daemon that was started last for a session and still runs.
    pub fn daemon_of(&self, session: &str) -> Option<usize> {
        self.tasks.iter().rposition(|task| !task.is_over && task.session == session)
    }

    /// True when nobody else is due before this.
    fn is_next(&self, me: usize, at: Duration) -> bool {
        let others = self.tasks.iter().enumerate().filter(|(index, _)| *index != me);
        at <= self.until && others.filter_map(|(_, task)| task.due).all(|due| due > at)
    }
}

impl Hub {
    pub fn end_process(&self, process: Process) {
        self.core().end_process(self.begin, process);
    }

    pub fn instant(&self) -> Instant {
        self.begin + self.core().now
    }
}

impl Seat {
    /// Every step of a daemon comes by here, and may be its last.
    pub fn touch(&self) {
        let mut core = self.hub.core();
        core.n_steps += 1;
        if core.n_steps == STEPS_MAX {
            core.complaints.push("the daemons never come to rest".to_owned());
        }
        let is_endless = core.n_steps >= STEPS_MAX;
        let left = core.tasks[self.me].steps_left.get_or_insert(usize::MAX);
        let is_last = *left == 0 || is_endless;
        if *left != usize::MAX {
            *left = left.saturating_sub(1);
        }
        if is_last {
            core.tasks[self.me].steps_left = Some(0);
            drop(core);
            resume_unwind(Box::new(Killed));
        }
    }

    /// Time passes. A request that is made from another thread of the daemon takes none.
    pub fn pause(&self, time: Duration, listens: bool) {
        self.touch();
        {
            let mut core = self.hub.core();
            let until = core.now + time;
            let is_told = listens && !core.tasks[self.me].events.is_empty();
            if is_told || std::thread::current().id() != self.thread {
                return;
            }
            if core.is_next(self.me, until) {
                core.now = until;
                return;
            }
            core.tasks[self.me].due = Some(until);
            core.tasks[self.me].listens = listens;
        }
        let _ = self.hub.baton.send(());
        let resumed = self.resume.lock().unwrap_or_else(PoisonError::into_inner).recv();
        self.hub.core().tasks[self.me].listens = false;
        if resumed.is_err() {
            resume_unwind(Box::new(Killed));
        }
        self.touch();
    }
}

/// The life of a daemon.
fn live(seat: Arc<Seat>, launch: Launch, lock: File, process: Process) {
    let hub = Arc::clone(&seat.hub);
    let connect = |_: &Account| -> Result<Box<dyn Backend>> {
        seat.touch();
        Ok(Box::new(Connection { seat: Arc::clone(&seat) }))
    };
    let events = || -> Result<Box<dyn Events>> { Ok(Box::new(News { seat: Arc::clone(&seat) })) };
    let table = Table { hub: Arc::clone(&hub), seat: Some(Arc::clone(&seat)), claude: None };
    let world = World {
        paths: &hub.paths,
        clock: Arc::new(Hands { seat: Arc::clone(&seat) }),
        seed: seat.me as u64,
        overrides: Overrides {
            interval_ms: Some("600000".to_owned()),
            jitter_ms: Some("60000".to_owned()),
        },
        connect: &connect,
        redactors: Arc::clone(&hub.redactors),
        events: &events,
        processes: &table,
        process,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| daemon::run(launch, Some(lock), &world)));
    if let Err(cause) = ended
        && !cause.is::<Killed>()
    {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        hub.complain(format!("a daemon panicked: {}", text.unwrap_or_default()));
    }
    let mut core = hub.core();
    core.alive.remove(&process.pid);
    core.tasks[seat.me].is_over = true;
    core.tasks[seat.me].due = None;
    drop(core);
    let _ = hub.baton.send(());
}

struct Hands {
    seat: Arc<Seat>,
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        self.seat.touch();
        self.seat.hub.instant()
    }

    fn wall(&self) -> SystemTime {
        self.seat.touch();
        self.seat.hub.wall()
    }
}

struct News {
    seat: Arc<Seat>,
}

impl Events for News {
    fn watch(&mut self, parent: Option<Process>) -> Result<()> {
        self.seat.touch();
        let Some(process) = parent else { return Ok(()) };
        let mut core = self.seat.hub.core();
        if !core.tasks[self.seat.me].watched.contains(&process) {
            core.tasks[self.seat.me].watched.push(process);
            if !core.alive.contains(&process.pid) {
                let at = self.seat.hub.begin + core.now;
                core.tell(self.seat.me, Event::ParentGone(process, at));
            }
        }
        Ok(())
    }

    fn wait(&self, limit: Duration) -> Event {
        self.seat.pause(limit, true);
        self.poll().unwrap_or(Event::Tick)
    }

    fn poll(&self) -> Option<Event> {
        self.seat.touch();
        self.seat.hub.core().tasks[self.seat.me].events.pop_front()
    }

    fn sender(&self) -> Option<Sender<Event>> {
        // Files are looked at; there are no events of them here.
        None
    }

    fn rest(&self) {}
}

/// The processes, seen by a daemon or, without a seat, by a hook below `claude`.
pub struct Table {
    pub hub: Arc<Hub>,
    pub seat: Option<Arc<Seat>>,
    pub claude: Option<Process>,
}

impl Table {
    fn touch(&self) {
        if let Some(seat) = &self.seat {
            seat.touch();
        }
    }

    fn tell(&self, daemon: Process, event: impl Fn(Instant) -> Event) {
        let mut core = self.hub.core();
        let at = self.hub.begin + core.now;
        let found = core.tasks.iter().position(|task| !task.is_over && task.process == daemon);
        if let Some(index) = found {
            core.tell(index, event(at));
        }
    }
}

impl Processes for Table {
    fn is_alive(&self, process: Process) -> bool {
        self.touch();
        self.hub.core().alive.contains(&process.pid)
    }

    fn claude(&self, _: Option<u32>) -> Option<Process> {
        self.claude
    }

    fn wake(&self, daemon: Process) {
        self.touch();
        self.tell(daemon, Event::Wake);
    }

    fn stop(&self, daemon: Process) {
        self.touch();
        self.tell(daemon, Event::Stop);
    }

    fn start(&self, arguments: &[OsString], lock: File) -> io::Result<()> {
        self.touch();
        match cli::parse(arguments.to_vec()) {
            Ok(Command::Daemon(launch)) => self.hub.start(launch, lock),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
