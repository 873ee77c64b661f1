//! What is stored here, to another backend.

use super::{Moved, Peer, REQUEST_TIME_MAX, Trouble};
use crate::error::{Context, Error, Result};
use crate::remote::{Backend, Client};
use crate::server::store::{Download, Store, Stored};
use crate::wire::{
    ChunkMetadata, ChunkRequest, EventRequest, FileEntry, InitMetadata, InitRequest, LinkRequest,
    SessionDetail, TYPE_TRANSCRIPT,
};

/// Bytes of lines in a request, beyond its first line.
const CHUNK_BYTES_TARGET: usize = 4 << 20;
/// As in the store: requests are compressed once and sent once.
const COMPRESSION_LEVEL: i32 = 3;

/// Sends all sessions of a user, the oldest first; without a name, those of the only user that has
/// any. Each session that something was sent of is told.
///
/// # Errors
/// When there are several users and none is named, the database fails, or the backend is away or
/// does not take the key.
pub fn push(
    store: &Store,
    user: Option<&str>,
    peer: &mut Peer<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<Moved> {
    let mut sessions = store.stored(None)?;
    match user {
        Some(user) => sessions.retain(|session| session.email == user),
        None if sessions.iter().any(|session| session.user != sessions[0].user) => {
            return Err(Error::new("there are sessions of several users")
                .with_hint("a key is one user's: name them one by one with --user"));
        }
        None => {}
    }
    if let (Some(user), true) = (user, sessions.is_empty()) {
        return Err(Error::new(format!("there is no session of {user}"))
            .with_hint("`confab-server user list` shows all users"));
    }
    let mut moved = Moved::default();
    for session in &sessions {
        let mut n_lines = 0;
        let sent = peer.patiently(&mut n_lines, |client, n_lines| {
            push_session(store, session, client, n_lines)
        });
        moved.count(&session.id, n_lines, sent, tell)?;
    }
    Ok(moved)
}

/// Sends what the backend lacks of a session, and counts the lines.
fn push_session(
    store: &Store,
    session: &Stored,
    client: &mut Client,
    n_lines: &mut u64,
) -> Result<(), Trouble> {
    // It may have been deleted since it was listed.
    let Some(detail) = store.session(session.user, &session.id)? else { return Ok(()) };
    let opened = client.init(&opening(&detail), REQUEST_TIME_MAX)?;
    let stored_there = |file: &FileEntry| {
        opened.files.get(&file.file_name).map_or(0, |position| position.last_synced_line)
    };
    let id = &opened.session_id;
    let mut behind: Vec<&FileEntry> = Vec::new();
    for file in &detail.files {
        let (here, there) = (file.last_synced_line, stored_there(file));
        if there > here {
            let what = format!("{}: it has {there} lines there and {here} here", file.file_name);
            return Err(Trouble::Session(Error::new(what)));
        }
        if there < here {
            behind.push(file);
        }
    }
    // Before the lines: whoever is stopped in between begins with them again.
    if !behind.is_empty() || detail.files.is_empty() {
        push_surroundings(store, session, id, client)?;
    }
    let has_new = !behind.is_empty();
    for file in behind {
        let metadata = match file.file_type == TYPE_TRANSCRIPT {
            true => Some(metadata(store, session, &detail)?),
            false => None,
        };
        let download = store.download(session.user, &session.id, &file.file_name)?.flatten();
        let Some(download) = download else { continue };
        let goal = Goal { id, file, download };
        push_file(store, &goal, stored_there(file), metadata, (client, &mut *n_lines))?;
    }
    let summary = detail.summary.as_deref().unwrap_or_default();
    if has_new && !summary.is_empty() {
        client.summarise(&detail.external_id, summary, REQUEST_TIME_MAX)?;
    }
    Ok(())
}

/// A file on its way.
struct Goal<'a> {
    /// The backend's id of the session.
    id: &'a str,
    file: &'a FileEntry,
    download: Download,
}

fn opening(detail: &SessionDetail) -> InitRequest {
    InitRequest {
        provider: Some(detail.provider.clone()),
        external_id: detail.external_id.clone(),
        transcript_path: detail.transcript_path.clone().unwrap_or_default(),
        metadata: Some(InitMetadata {
            cwd: detail.cwd.clone(),
            git_info: detail.git_info.clone(),
            hostname: detail.hostname.clone(),
            username: detail.username.clone(),
        }),
        ..InitRequest::default()
    }
}

fn metadata(store: &Store, session: &Stored, detail: &SessionDetail) -> Result<ChunkMetadata> {
    let known = store.known_of(session.user, &session.id)?.unwrap_or_default();
    Ok(ChunkMetadata {
        git_info: detail.git_info.clone(),
        summary: detail.summary.clone(),
        first_user_message: detail.first_user_message.clone(),
        latest_message_at: known.last_message_at,
        created_at: Some(detail.first_seen.clone()),
        model: known.model,
        codex_rollout: None,
    })
}

/// Links and ends.
fn push_surroundings(
    store: &Store,
    session: &Stored,
    id: &str,
    client: &mut Client,
) -> Result<(), Trouble> {
    for link in store.links(session.user, &session.id)?.unwrap_or_default() {
        let request = LinkRequest {
            url: link.url,
            title: link.title,
            source: link.source,
            link_type: Some(link.link_type),
        };
        client.link(id, &request, REQUEST_TIME_MAX)?;
    }
    for event in store.session_events(session.user, &session.id)? {
        let request = EventRequest {
            session_id: id.to_owned(),
            event_type: event.event_type,
            timestamp: event.timestamp,
            payload: event.payload,
        };
        client.event(&request, REQUEST_TIME_MAX)?;
    }
    Ok(())
}

/// Sends the lines of a file behind those that the backend has, and counts them.
fn push_file(
    store: &Store,
    goal: &Goal<'_>,
    there: u64,
    mut metadata: Option<ChunkMetadata>,
    (client, n_sent): (&mut Client, &mut u64),
) -> Result<(), Trouble> {
    let mut line = i64::try_from(there + 1).unwrap_or(i64::MAX);
    while line <= goal.download.last_line {
        let (lines, next) = lines_at(store, &goal.download, line)?;
        let n_lines = lines.len() as u64;
        let request = ChunkRequest {
            session_id: goal.id.to_owned(),
            file_name: goal.file.file_name.clone(),
            file_type: goal.file.file_type.clone(),
            first_line: line,
            lines,
            // What is known of the session, once.
            metadata: metadata.take(),
        };
        let text = serde_json::to_vec(&request).context(|| "write a chunk".into())?;
        let body =
            zstd::bulk::compress(&text, COMPRESSION_LEVEL).context(|| "compress a chunk".into())?;
        drop((request, text));
        let answer = client.append(&body, None, REQUEST_TIME_MAX)?;
        if answer.last_synced_line != (next - 1).unsigned_abs() {
            let what = format!("{}: the backend acknowledges other lines", goal.file.file_name);
            return Err(Trouble::Session(Error::new(what)));
        }
        *n_sent += n_lines;
        line = next;
    }
    Ok(())
}

/// Lines for one request from a line on, and the number of the line behind them.
fn lines_at(store: &Store, download: &Download, first: i64) -> Result<(Vec<String>, i64)> {
    let (mut lines, mut n_bytes, mut line) = (Vec::new(), 0, first);
    while line <= download.last_line && n_bytes < CHUNK_BYTES_TARGET {
        let text = store.lines_from(&download.file, line)?;
        let (text, _) = text.ok_or_else(|| Error::new("the session has been deleted"))?;
        let text = String::from_utf8(text).context(|| format!("read line {line} on"))?;
        for one in text.split_terminator('\n') {
            if line > download.last_line || n_bytes >= CHUNK_BYTES_TARGET {
                break;
            }
            n_bytes += one.len();
            lines.push(one.to_owned());
            line += 1;
        }
    }
    Ok((lines, line))
}
