//! What happens in a sequence: values that can be printed, left out and played again.

use fastrand::Rng;

/// Sessions of a sequence.
pub const SESSIONS: usize = 2;
/// Files of a session: transcript, agents of three layouts, workflow agent and journal.
pub const FILES: usize = 6;
/// Bytes of a line that is too long to be held.
const HUGE_BYTES: usize = 16 << 20;
/// Actions of a sequence.
const ACTIONS_MAX: usize = 28;

/// One thing that happens, `after` milliseconds after the last one.
#[derive(Debug, Clone)]
pub struct Step {
    pub after: u64,
    pub session: usize,
    pub action: Action,
}

/// What happens to a session. `seed` decides contents and places.
#[derive(Debug, Clone)]
pub enum Action {
    // Files.
    Append {
        file: usize,
        lines: usize,
        seed: u64,
    },
    AppendLarge {
        file: usize,
        bytes: usize,
    },
    Partial {
        file: usize,
        seed: u64,
    },
    Unterminated {
        file: usize,
    },
    Truncate {
        file: usize,
        seed: u64,
    },
    CutLine {
        file: usize,
        seed: u64,
    },
    Rewrite {
        file: usize,
        seed: u64,
        in_place: bool,
    },
    Copy {
        file: usize,
    },
    Delete {
        file: usize,
    },
    Swap {
        file: usize,
        other: usize,
    },
    Rename,
    // Claude Code.
    Hook {
        event: Hook,
        times: usize,
    },
    OldHook {
        event: Hook,
    },
    ParentDies,
    NewParent,
    // The daemon.
    Kill {
        steps: usize,
    },
    /// It is killed at the end of the session, between putting aside what is kept and removing the
    /// state.
    KillAtEnd,
    Stop,
    SpawnFails {
        times: usize,
    },
    // The disk.
    DiskFull {
        is_full: bool,
    },
    StateLost,
    StateZeroed,
    StateSaved,
    StateOld,
    HashesLost,
    HashesTorn {
        bytes: u64,
    },
    HashesDamaged {
        seed: u64,
    },
    TornNote,
    // The backend.
    Fault {
        fault: Fault,
        times: usize,
    },
    Slow {
        millis: u64,
        times: usize,
    },
    Rollback {
        lines: usize,
    },
    Forget,
    // The clocks.
    WallJump {
        seconds: i64,
    },
    /// Nothing else for a while: what is followed must be complete then.
    Settle,
}

impl Action {
    /// The files that it may change; all of them when that depends.
    pub fn files(&self) -> Vec<usize> {
        match *self {
            Action::Append { file, .. }
            | Action::AppendLarge { file, .. }
            | Action::Partial { file, .. }
            | Action::Unterminated { file }
            | Action::Truncate { file, .. }
            | Action::CutLine { file, .. }
            | Action::Rewrite { file, .. }
            | Action::Copy { file }
            | Action::Delete { file } => vec![file],
            Action::Swap { file, other } => vec![file, other],
            _ => (0..FILES).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Start,
    Prompt,
    End,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused before anything was stored.
    Before,
    /// Stored, and the answer was lost.
    After,
    TimeoutBefore,
    TimeoutAfter,
    /// 429 or 503 with a time.
    Busy,
    /// 400, say.
    Reject,
    /// 404.
    Gone,
    /// 401.
    Key,
    /// Acknowledges another line than the last one.
    WrongLine,
    /// Says that it has more than it has.
    InitMore,
    /// Says that it has less than it has.
    InitLess,
}

const FAULTS: [Fault; 11] = [
    Fault::Before,
    Fault::After,
    Fault::TimeoutBefore,
    Fault::TimeoutAfter,
    Fault::Busy,
    Fault::Reject,
    Fault::Gone,
    Fault::Key,
    Fault::WrongLine,
    Fault::InitMore,
    Fault::InitLess,
];

/// The sequence of a seed.
pub fn sequence(seed: u64) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let mut steps =
        vec![Step { after: 0, session: 0, action: Action::Hook { event: Hook::Start, times: 1 } }];
    if random.u8(0..16) > 0 {
        // Waiting for a file that does not appear is much work with little news.
        let action = Action::Append { file: 0, lines: 1, seed: random.u64(..) };
        steps.push(Step { after: random.u64(0..100), session: 0, action });
    }
    for _ in 0..random.usize(4..=ACTIONS_MAX) {
        let session = usize::from(random.u8(0..4) == 0);
        steps.push(Step { after: delay(&mut random), session, action: action(&mut random) });
    }
    steps
}

fn delay(random: &mut Rng) -> u64 {
    match random.u32(0..1000) {
        0..=449 => random.u64(0..60),
        450..=699 => random.u64(0..4000),
        700..=969 => random.u64(0..700_000),
        970..=993 => random.u64(0..3_600_000),
        994..=998 => random.u64(0..7_200_000),
        _ => 26 * 3_600_000,
    }
}

fn action(random: &mut Rng) -> Action {
    let file = if random.bool() { 0 } else { random.usize(0..FILES) };
    let seed = random.u64(..);
    match random.u32(0..1000) {
        0..=279 => Action::Append { file, lines: random.usize(1..6), seed },
        280..=281 => {
            // Now and then longer than any line that is sent.
            let is_huge = random.u8(0..32) == 0;
            let bytes = if is_huge { HUGE_BYTES } else { random.usize(400_000..1_500_000) };
            Action::AppendLarge { file, bytes }
        }
        282..=319 => Action::Partial { file, seed },
        320..=339 => Action::Unterminated { file },
        340..=359 => Action::Truncate { file, seed },
        360..=369 => Action::CutLine { file, seed },
        370..=404 => Action::Rewrite { file, seed, in_place: random.bool() },
        405..=414 => Action::Copy { file },
        415..=434 => Action::Delete { file },
        435..=449 => Action::Swap { file, other: random.usize(0..FILES) },
        450..=464 => Action::Rename,
        465..=634 => {
            let event = [Hook::Start, Hook::Prompt, Hook::Prompt, Hook::End][random.usize(0..4)];
            Action::Hook { event, times: 1 + usize::from(random.u8(0..8) == 0) }
        }
        635..=644 => Action::OldHook { event: if random.bool() { Hook::Start } else { Hook::End } },
        645..=664 => Action::ParentDies,
        665..=684 => Action::NewParent,
        685..=689 => Action::KillAtEnd,
        690..=759 => {
            let most = [3, 30, 300][random.usize(0..3)];
            Action::Kill { steps: random.usize(0..most) }
        }
        760..=774 => Action::Stop,
        775..=779 => Action::SpawnFails { times: random.usize(1..3) },
        780..=804 => Action::DiskFull { is_full: random.bool() },
        805..=814 => Action::StateLost,
        815..=822 => Action::StateZeroed,
        823..=832 => Action::StateSaved,
        833..=842 => Action::StateOld,
        843..=849 => Action::HashesLost,
        850..=854 => Action::HashesTorn { bytes: random.u64(1..40) },
        855..=857 => Action::HashesDamaged { seed },
        858..=864 => Action::TornNote,
        865..=929 => {
            let fault = FAULTS[random.usize(0..FAULTS.len())];
            let most = if random.u8(0..6) == 0 { 12 } else { 3 };
            Action::Fault { fault, times: random.usize(1..=most) }
        }
        930..=954 => Action::Slow { millis: random.u64(10..20_000), times: random.usize(1..8) },
        955..=964 => Action::Rollback { lines: random.usize(1..8) },
        965..=967 => Action::Forget,
        968..=979 => Action::WallJump { seconds: random.i64(-90_000..90_000) },
        _ => Action::Settle,
    }
}
