//! What another backend has, to here. The store compares what it has already with what comes.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::time::SystemTime;

use super::{Moved, Peer, REQUEST_TIME_MAX, Trouble};
use crate::error::{Context, Error, Result};
use crate::github::Link;
use crate::remote::{Client, PAUSE_TIME_MAX, Stream};
use crate::server::auth::{Random, new_uuid};
use crate::server::lines::Lines;
use crate::server::store::{Append, Appended, Opening, SessionUpdate, Store};
use crate::time::parse_rfc3339;
use crate::wire::{CHUNK_BODY_BYTES_MAX, FileEntry, LinkRequest, SessionDetail, TYPE_TRANSCRIPT};

/// Bytes of lines that are stored at once, beyond the first line.
const BATCH_BYTES_TARGET: usize = 4 << 20;
/// How often the list is read again for what has moved to its beginning meanwhile.
const LISTS_MAX: usize = 16;

/// What to fetch, and for whom.
pub struct Pull<'a> {
    /// Whose the sessions are here: a mail address or an account name.
    pub user: &'a str,
    /// The only sessions that are wanted: ids of the backend or of the agent. All when empty.
    pub only: &'a [String],
    /// The time.
    pub now: SystemTime,
    /// For ids.
    pub random: Random,
}

/// Fetches sessions, and makes the user when new. Each session of which something came is told.
/// Ends of sessions are not fetched: the protocol has no question for them.
///
/// # Errors
/// When the database fails, or the backend is away, does not take the key, or does not list
/// sessions for a key.
pub fn pull(
    store: &Store,
    pull: &Pull<'_>,
    peer: &mut Peer<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<Moved> {
    store.add_user(pull.user, pull.now)?;
    let user = store.user_by_email(pull.user)?;
    let user = user.ok_or_else(|| Error::new(format!("there is no user {}", pull.user)))?;
    let mut moved = Moved::default();
    let wanted = match pull.only {
        [] => listed(peer)?,
        only => only.to_vec(),
    };
    for id in &wanted {
        let mut n_lines = 0;
        let fetched = peer.patiently(&mut n_lines, |client, n_lines| {
            pull_session(store, pull, (user, id), client, n_lines)
        });
        moved.count(id, n_lines, fetched, tell)?;
    }
    Ok(moved)
}

/// The backend's ids of all sessions, the oldest first.
fn listed(peer: &mut Peer<'_>) -> Result<Vec<String>> {
    let (mut ids, mut known) = (Vec::new(), HashSet::new());
    for _ in 0..LISTS_MAX {
        let n_before = ids.len();
        let mut cursor: Option<String> = None;
        loop {
            let answer = peer.patiently(&mut 0, |client, _| {
                Ok(client.sessions(cursor.as_deref(), REQUEST_TIME_MAX)?)
            });
            let answer = answer.map_err(|trouble| match trouble {
                Trouble::Session(error) | Trouble::All(error) | Trouble::Passing(_, error) => error
                    .with_hint("the existing backend lists none for a key: name each --session ID"),
            })?;
            let n_known = known.len();
            let new = answer.sessions.into_iter().map(|session| session.id);
            ids.extend(new.filter(|id| known.insert(id.clone())));
            // A backend that answers any cursor with the same page would never end.
            cursor = answer.next_cursor.filter(|_| known.len() > n_known);
            if cursor.is_none() {
                break;
            }
        }
        // What is synced while the list is read moves to its beginning, past its reader.
        if ids.len() == n_before {
            break;
        }
    }
    ids.reverse();
    Ok(ids)
}

/// Fetches what is not here of a session, and counts the lines.
fn pull_session(
    store: &Store,
    pull: &Pull<'_>,
    (user, id): (i64, &str),
    client: &mut Client,
    n_lines: &mut u64,
) -> Result<(), Trouble> {
    let detail = detail_of(id, client)?;
    let new_id = new_uuid(pull.random).context(|| "make a session id".into())?;
    let opened = store.open_session(user, &opening(&detail), &new_id, pull.now)?;
    for file in &detail.files {
        let here = opened.files.get(&file.file_name).map_or(0, |there| there.last_synced_line);
        // Lines of a file never change: as many are the same.
        if here < file.last_synced_line {
            let stream = client.download(&detail.id, &file.file_name, PAUSE_TIME_MAX)?;
            let batches = Batches { store, pull, user, session: &opened.session_id, file, here };
            batches.store_all(stream, &detail, n_lines)?;
        }
    }
    for link in client.links(&detail.id, REQUEST_TIME_MAX)? {
        let Some(parsed) = Link::parse(&link.url) else { continue };
        let request = LinkRequest {
            url: link.url,
            title: link.title,
            source: link.source,
            link_type: Some(link.link_type),
        };
        store.add_link(user, &opened.session_id, &request, &parsed, pull.now)?;
    }
    Ok(())
}

fn detail_of(id: &str, client: &Client) -> Result<SessionDetail, Trouble> {
    if let Some(detail) = client.session(id, REQUEST_TIME_MAX)? {
        return Ok(detail);
    }
    let none = || Trouble::Session(Error::new("the backend has no such session"));
    let by_agent = client.session_id(id, REQUEST_TIME_MAX)?.ok_or_else(none)?;
    client.session(&by_agent, REQUEST_TIME_MAX)?.ok_or_else(none)
}

fn opening(detail: &SessionDetail) -> Opening {
    Opening {
        provider: detail.provider.clone(),
        external_id: detail.external_id.clone(),
        transcript_path: detail.transcript_path.clone().unwrap_or_default(),
        cwd: detail.cwd.clone().unwrap_or_default(),
        hostname: detail.hostname.clone().unwrap_or_default(),
        username: detail.username.clone().unwrap_or_default(),
        git_info: detail.git_info.clone(),
    }
}

/// Lines of one file on their way into the store.
struct Batches<'a> {
    store: &'a Store,
    pull: &'a Pull<'a>,
    user: i64,
    session: &'a str,
    file: &'a FileEntry,
    /// How many lines of it are here.
    here: u64,
}

impl Batches<'_> {
    /// Stores all lines that come, and counts those that were not here.
    fn store_all(
        &self,
        stream: Stream,
        detail: &SessionDetail,
        n_new: &mut u64,
    ) -> Result<(), Trouble> {
        let mut reader = BufReader::new(stream);
        let mut n_lines = 0;
        loop {
            let (lines, is_last) = self.batch(&mut reader)?;
            if lines.count() > 0 {
                self.store(n_lines as i64 + 1, &lines, detail)?;
                let n_after = n_lines + lines.count() as u64;
                *n_new += n_after.saturating_sub(self.here.max(n_lines));
                n_lines = n_after;
            }
            if is_last {
                break;
            }
        }
        if n_lines < self.file.last_synced_line {
            let what = format!("{}: {n_lines} lines came", self.file.file_name);
            return Err(Trouble::Passing(None, Error::new(what)));
        }
        Ok(())
    }

    /// The next lines, and whether they are the last ones.
    fn batch(&self, reader: &mut BufReader<Stream>) -> Result<(Lines, bool), Trouble> {
        let what = || format!("fetch {}", self.file.file_name);
        let (mut lines, mut line, mut n_bytes) = (Lines::default(), Vec::new(), 0);
        while n_bytes < BATCH_BYTES_TARGET {
            line.clear();
            // No backend takes longer lines than a request.
            let read =
                (&mut *reader).take(CHUNK_BODY_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
            let passing = |error| Trouble::Passing(None, Error::new(what()).caused_by(error));
            if read.map_err(passing)? == 0 {
                return Ok((lines, true));
            }
            match line.pop() {
                Some(b'\n') => {}
                _ if line.len() < CHUNK_BODY_BYTES_MAX => {
                    return Err(Trouble::Passing(
                        None,
                        Error::new(what()).caused_by("it is cut off"),
                    ));
                }
                _ => {
                    return Err(Trouble::Session(
                        Error::new(what()).caused_by("a line is too long"),
                    ));
                }
            }
            lines.push(std::str::from_utf8(&line).context(what)?);
            n_bytes += line.len() + 1;
        }
        Ok((lines, false))
    }

    fn store(&self, first_line: i64, lines: &Lines, detail: &SessionDetail) -> Result<()> {
        let update = match self.file.file_type == TYPE_TRANSCRIPT {
            true => SessionUpdate {
                summary: detail.summary.clone(),
                first_user_message: detail.first_user_message.clone(),
                first_seen: parse_rfc3339(&detail.first_seen),
                last_message_at: lines.newest_timestamp(),
                ..SessionUpdate::default()
            },
            false => SessionUpdate::default(),
        };
        let append = Append {
            session: self.session,
            file_name: &self.file.file_name,
            file_type: &self.file.file_type,
            first_line,
            lines,
            codex_metadata: false,
            update,
            report: None,
        };
        match self.store.append(self.user, &append, self.pull.now)? {
            Appended::Stored(_) => Ok(()),
            Appended::Anew => {
                Err(Error::new("it was removed for its age and has gone on: pull it again"))
            }
            Appended::NotContiguous(_) => {
                let what = format!("{}: what is here is another file", self.file.file_name);
                Err(Error::new(what).with_hint("fetch it for another --user"))
            }
            other => Err(Error::new(format!("{}: {other:?}", self.file.file_name))),
        }
    }
}
