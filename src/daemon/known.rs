//! What is known of a session before it is followed: from a hook, the state file, the inbox, what
//! was kept after it was delivered, or from where transcripts always are.

use std::path::PathBuf;
use std::time::Duration;

use log::warn;

use crate::files::SessionId;
use crate::session;
use crate::state::{self, Kept, Launch, Loaded, Record};
use crate::sys::process::Process;

use super::World;

/// How long after its last line a session that nobody runs is taken for one that still does.
const LIVE_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What a hook has told of a session, else what the state file or the inbox remembers; `None` when
/// nobody knows where its transcript is.
pub fn known_record(world: &World<'_>, id: &SessionId, launch: Option<Launch>) -> Option<Record> {
    let mut record = load_record(world, id).unwrap_or_else(|| {
        let Kept { confab_session_id, files, .. } = Kept::load(world.paths, id);
        Record { confab_session_id, files, ..Record::default() }
    });
    if let Some(launch) = launch {
        record.transcript_path = launch.transcript;
        record.move_to(&launch.cwd);
        set_parent(&mut record, launch.parent);
    } else if record.transcript_path.as_os_str().is_empty() {
        let notes = state::read(world.paths, id).map_or(Vec::new(), |(notes, _)| notes);
        match notes.first() {
            Some(note) => {
                record.transcript_path = PathBuf::from(&note.hook_input.transcript_path);
                record.move_to(&note.hook_input.cwd);
            }
            // The state is damaged; the transcript is where it always is.
            None => record.transcript_path = find_transcript(world, id)?,
        }
    }
    Some(record)
}

/// Whether a session runs, or was written to a moment ago, or has still to be written.
pub fn is_live(record: &Record, parent: Process, world: &World<'_>) -> bool {
    let modified = std::fs::metadata(&record.transcript_path).and_then(|found| found.modified());
    let age = modified.ok().and_then(|modified| world.clock.wall().duration_since(modified).ok());
    world.processes.is_alive(parent) || age.is_none_or(|age| age < LIVE_WITHIN)
}

/// The transcript of a session where transcripts always are.
pub fn find_transcript(world: &World<'_>, id: &SessionId) -> Option<PathBuf> {
    let mut roots = world.paths.claude.iter();
    roots.find_map(|root| session::find_in_projects(&root.join("projects"), id))
}

/// The session belongs to this process from now on.
pub fn set_parent(record: &mut Record, parent: Option<Process>) {
    record.parent_pid = parent.map_or(0, |parent| parent.pid);
    record.parent_start = parent.map_or(0, |parent| parent.start);
}

fn load_record(world: &World<'_>, id: &SessionId) -> Option<Record> {
    match state::load(world.paths, id) {
        Ok(Loaded::Ours(record)) => Some(*record),
        Ok(_) => None,
        Err(error) => {
            warn!("the state of session {id} cannot be read: {error}");
            None
        }
    }
}
