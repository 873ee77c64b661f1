//! The threads that work on sessions: started when they are needed, gone when they are not. Each
//! keeps one connection while it lives.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, Scope};
use std::time::Instant;

use crate::config::Account;
use crate::daemon::{Exchange, Meter, World};
use crate::error::{Context, Result};
use crate::wire::MachineReport;

use super::telling::tell;
use super::work::{Done, Ending, Job, work};
use super::{Base, Event};

/// Threads at once.
pub const THREADS_MAX: usize = 4;
/// Stack of a thread; only what is used of it costs memory.
const STACK_BYTES: usize = 2 << 20;

/// See the module.
pub struct Pool<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    base: &'env Base<'env>,
    events: SyncSender<Event>,
    /// Jobs that heed it are to end early, once it is set; all are to end by then.
    pub stop: Arc<OnceLock<Instant>>,
    meter: Arc<Meter>,
    workers: Vec<Worker>,
    n_started: u64,
}

struct Worker {
    orders: SyncSender<Order>,
    is_busy: bool,
}

/// What a thread is to do.
enum Order {
    Job(Job),
    Tell(MachineReport),
}

impl<'scope, 'env> Pool<'scope, 'env> {
    /// No thread yet. Jobs that are done go to `events`.
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        base: &'env Base<'env>,
        events: SyncSender<Event>,
    ) -> Pool<'scope, 'env> {
        let (stop, meter) = (Arc::default(), Arc::default());
        Pool { scope, base, events, stop, meter, workers: Vec::new(), n_started: 0 }
    }

    /// The backend takes reports.
    pub fn takes_reports(&self) -> bool {
        self.meter.takes_reports()
    }

    /// The backend is another one now, which has to say so itself.
    pub fn forget_reports(&self) {
        self.meter.forget_reports();
    }

    /// True when another job can be given.
    pub fn has_room(&self) -> bool {
        self.workers.len() < THREADS_MAX || self.workers.iter().any(|worker| !worker.is_busy)
    }

    /// Jobs that are being done.
    pub fn n_busy(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_busy).count()
    }

    /// Gives a job; there is room for it.
    ///
    /// # Errors
    /// When no thread can be started; the job is lost.
    pub fn give(&mut self, job: Job) -> Result<()> {
        self.order(Order::Job(job))
    }

    /// Has the backend told how all stands; there is room for it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn tell(&mut self, report: MachineReport) -> Result<()> {
        self.order(Order::Tell(report))
    }

    fn order(&mut self, order: Order) -> Result<()> {
        let idle = self.workers.iter().position(|worker| !worker.is_busy);
        let at = match idle {
            Some(at) => at,
            None => self.start()?,
        };
        self.workers[at].is_busy = true;
        // A thread ends only when this end of its channel is dropped.
        let _ = self.workers[at].orders.send(order);
        Ok(())
    }

    /// True while there are threads.
    pub fn is_awake(&self) -> bool {
        !self.workers.is_empty()
    }

    /// The thread of this number has done its job.
    pub fn finished(&mut self, number: usize) {
        if let Some(worker) = self.workers.get_mut(number) {
            worker.is_busy = false;
        }
    }

    /// Lets all threads go; none is busy.
    pub fn rest(&mut self) {
        self.workers.clear();
    }

    fn start(&mut self) -> Result<usize> {
        let (orders, receiver) = mpsc::sync_channel::<Order>(1);
        let meter = Arc::clone(&self.meter);
        let (base, events) = (self.base, self.events.clone());
        let (stop, number) = (Arc::clone(&self.stop), self.workers.len());
        self.n_started += 1;
        let seed = base.seed ^ self.n_started.rotate_left(17);
        Builder::new()
            .name(format!("work {number}"))
            .stack_size(STACK_BYTES)
            .spawn_scoped(self.scope, move || {
                let open = |account: &_| (base.connect)(account);
                let exchange = Exchange::new(&open, meter);
                let asked = RefCell::new(None);
                let connect = |account: &Account| {
                    asked.replace(Some(account.clone()));
                    exchange.connect(account)
                };
                let world = base.world(seed, &connect);
                while let Ok(order) = receiver.recv() {
                    let event = match order {
                        Order::Job(job) => {
                            let mut done = run(job, base, &world, &stop);
                            done.account = asked.take();
                            Event::Done(number, Box::new(done))
                        }
                        Order::Tell(report) => {
                            let told = catch_unwind(AssertUnwindSafe(|| tell(report, &world)));
                            // Asked for a report, which no job's outcome hangs on.
                            asked.take();
                            Event::Told(number, told.unwrap_or(false))
                        }
                    };
                    if events.send(event).is_err() {
                        return;
                    }
                }
            })
            .context(|| "start a thread for sessions".into())?;
        self.workers.push(Worker { orders, is_busy: false });
        Ok(self.workers.len() - 1)
    }
}

/// Does a job; a panic costs this one alone.
fn run(job: Job, base: &Base<'_>, world: &World<'_>, stop: &OnceLock<Instant>) -> Done {
    let (key, task, heeds_stop) = (job.key, job.task, job.heeds_stop);
    let is_over = |by: &Instant| heeds_stop || base.clock.now() >= *by;
    let mut interrupted = || stop.get().is_some_and(is_over);
    let done = catch_unwind(AssertUnwindSafe(|| work(job, world, &mut interrupted)));
    done.unwrap_or_else(|_| {
        let ending = Ending::refused(&"internal failure");
        Done { key, task, hand: None, ending, looks: 0, account: None }
    })
}
