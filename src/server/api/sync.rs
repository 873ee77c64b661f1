//! What the client sends while a session runs: init, chunk, event.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{Answer, Api, INVALID_BODY, Refused};
use super::{busy, check_length, read_body, refuse, session_not_found};
use crate::error::Error;
use crate::server::auth::new_uuid;
use crate::server::connection::{Body, Reservation};
use crate::server::gate::{LARGE_BODY_BYTES_MIN, Pass};
use crate::server::http::{Head, Response};
use crate::server::json;
use crate::server::lines::Lines;
use crate::server::store::{Append, Appended, Changed, Opening, SessionUpdate, User};
use crate::time::parse_rfc3339;
use crate::wire::{self, ChunkAnswer, ChunkMetadata, EventAnswer, EventRequest, GitInfo};
use crate::wire::{InitAnswer, InitRequest, MachineReport};

/// A `latest_message_at` further ahead is a wrong clock's.
const FUTURE_MAX: Duration = Duration::from_secs(48 * 3600);
/// What Go sends for a time that was never set.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

impl Api {
    pub(super) fn init(&self, user: &User, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = decoded_body(head, body, wire::SMALL_BODY_BYTES_MAX)?;
        let request = json::small(body).map_err(|json::Malformed| refuse(400, INVALID_BODY))?;
        let opening = validated_opening(request)?;
        let failed = |error| Refused::Failed("Failed to initialize sync session", error);
        let new_id = new_uuid(self.world.random)
            .map_err(|error| failed(Error::new("make a session id").caused_by(error)))?;
        let now = (self.world.now)();
        let opened = self.store.open_session(user.id, &opening, &new_id, now).map_err(failed)?;
        Ok(Response::json(
            200,
            &InitAnswer {
                session_id: opened.session_id,
                provider: Some(opening.provider),
                files: opened.files,
                reports: true,
            },
        ))
    }

    pub(super) fn chunk(&self, user: &User, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let (encoding, body, mut reservation) =
            received_body(head, body, wire::CHUNK_BODY_BYTES_MAX)?;
        let _pass = self.pass(body.len())?;
        let body = decoded(encoding, body, &mut reservation, wire::CHUNK_BODY_BYTES_MAX)?;
        let chunk = json::chunk(body).map_err(|json::Malformed| refuse(400, INVALID_BODY))?;
        check_chunk(&chunk)?;
        let now = (self.world.now)();
        let metadata = chunk.metadata.unwrap_or_default();
        let codex_metadata = metadata.codex_rollout.is_some();
        let update = match chunk.file_type == wire::TYPE_TRANSCRIPT {
            true => session_update(metadata, &chunk.lines, now)?,
            false => SessionUpdate {
                said_at: chunk.lines.newest_timestamp(),
                ..SessionUpdate::default()
            },
        };
        let append = Append {
            session: &chunk.session_id,
            file_name: &chunk.file_name,
            file_type: &chunk.file_type,
            first_line: chunk.first_line,
            lines: &chunk.lines,
            codex_metadata,
            update,
            // A report of another time is none; the lines count.
            report: head
                .header(wire::REPORT_HEADER)
                .and_then(|report| serde_json::from_str(report).ok()),
        };
        let appended = self
            .store
            .append(user.id, &append, now)
            .map_err(|error| Refused::Failed("Failed to store chunk", error))?;
        if let Appended::Stored(_) = appended {
            let lines = chunk.lines.count() as u64;
            self.surroundings.metrics.lines.fetch_add(lines, Ordering::Relaxed);
        }
        answered(appended, chunk.first_line)
    }

    /// Leave to unpack and store a body of so many bytes; `None` for a small one, which needs none.
    fn pass(&self, body_bytes: usize) -> Result<Option<Pass<'_>>, Refused> {
        if body_bytes < LARGE_BODY_BYTES_MIN {
            return Ok(None);
        }
        let surroundings = &self.surroundings;
        let time_max = Duration::from_secs(surroundings.settings.request_seconds_max);
        surroundings.large_bodies.enter(time_max).map(Some).ok_or_else(busy)
    }

    pub(super) fn event(&self, user: &User, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let malformed = |json::Malformed| refuse(400, "Invalid JSON body");
        let (body, _reservation) = decoded_body(head, body, wire::SMALL_BODY_BYTES_MAX)?;
        let payload = json::payload(&body).map_err(malformed)?;
        let request: EventRequest = json::small(body).map_err(malformed)?;
        let unset = request.timestamp.is_empty() || request.timestamp == ZERO_TIME;
        let timestamp = parse_rfc3339(&request.timestamp);
        if timestamp.is_none() && !unset {
            return Err(malformed(json::Malformed));
        }
        check_present("session_id", &request.session_id)?;
        check_present("event_type", &request.event_type)?;
        if request.event_type != wire::EVENT_SESSION_END {
            return Err(refuse(400, "invalid event_type: must be 'session_end'"));
        }
        let timestamp = timestamp.ok_or_else(|| refuse(400, "timestamp is required"))?;
        let payload = payload.as_ref().map(|payload| payload.get());
        let event = (wire::EVENT_SESSION_END, timestamp, payload);
        let changed = self
            .store
            .record_event(user.id, &request.session_id, event, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to store event", error))?;
        match changed {
            Changed::Done => Ok(Response::json(200, &EventAnswer { success: true })),
            Changed::NoSession => Err(session_not_found()),
        }
    }
}

impl Api {
    /// How all sessions of a machine stand.
    pub(super) fn standing(&self, user: &User, head: &Head, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = decoded_body(head, body, wire::SMALL_BODY_BYTES_MAX)?;
        let report: MachineReport =
            json::small(body).map_err(|json::Malformed| refuse(400, INVALID_BODY))?;
        check_length("hostname", &report.hostname, wire::HOST_BYTES_MAX)?;
        self.store
            .note_machine(user.id, &report, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to store the standing", error))?;
        Ok(Response::json(200, &report))
    }
}

/// How a body is sent.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Identity,
    Zstd,
}

/// Reads a body, decompressed. Both forms are limited, and decompression stops at the limit.
fn decoded_body<'a>(
    head: &Head,
    body: &mut Body<'_, 'a>,
    bytes_max: usize,
) -> Result<(Vec<u8>, Reservation<'a>), Refused> {
    let (encoding, body, mut reservation) = received_body(head, body, bytes_max)?;
    Ok((decoded(encoding, body, &mut reservation, bytes_max)?, reservation))
}

/// Reads a body as it is sent.
fn received_body<'a>(
    head: &Head,
    body: &mut Body<'_, 'a>,
    bytes_max: usize,
) -> Result<(Encoding, Vec<u8>, Reservation<'a>), Refused> {
    let (encoding, sent_bytes_max) = match head.header("content-encoding") {
        None | Some("" | "identity") => (Encoding::Identity, bytes_max),
        // What does not shrink grows by less than one part in 128.
        Some("zstd") => (Encoding::Zstd, bytes_max + bytes_max / 128 + 64),
        Some(other) => {
            return Err(refuse(415, format!("Unsupported Content-Encoding: {other}")));
        }
    };
    let (body, reservation) = read_body(body, sent_bytes_max)?;
    Ok((encoding, body, reservation))
}

fn decoded(
    encoding: Encoding,
    packed: Vec<u8>,
    reservation: &mut Reservation<'_>,
    bytes_max: usize,
) -> Result<Vec<u8>, Refused> {
    if let Encoding::Identity = encoding {
        return Ok(packed);
    }
    if !reservation.resize(packed.len() + bytes_max) {
        return Err(busy());
    }
    // One call into one buffer: no window is allocated, whatever size the frame asks for, and only
    // the pages that are written become memory.
    let unpacked =
        zstd::bulk::decompress(&packed, bytes_max).map_err(|_| refuse(400, INVALID_BODY))?;
    // What is parsed from it is at most as large again.
    if !reservation.resize(2 * unpacked.len()) {
        return Err(busy());
    }
    Ok(unpacked)
}

fn check_present(name: &str, text: &str) -> Result<(), Refused> {
    if text.is_empty() {
        return Err(refuse(400, format!("{name} is required")));
    }
    Ok(())
}

fn validated_opening(request: InitRequest) -> Result<Opening, Refused> {
    let metadata = request.metadata.unwrap_or_default();
    let opening = Opening {
        provider: request.provider.unwrap_or_else(|| wire::PROVIDER.to_owned()),
        external_id: request.external_id,
        transcript_path: request.transcript_path,
        cwd: metadata.cwd.filter(|cwd| !cwd.is_empty()).or(request.cwd).unwrap_or_default(),
        hostname: metadata.hostname.unwrap_or_default(),
        username: metadata.username.unwrap_or_default(),
        git_info: metadata.git_info.or(request.git_info),
    };
    check_present("external_id", &opening.external_id)?;
    check_present("transcript_path", &opening.transcript_path)?;
    check_length("external_id", &opening.external_id, wire::EXTERNAL_ID_BYTES_MAX)?;
    check_length("transcript_path", &opening.transcript_path, wire::PATH_BYTES_MAX)?;
    check_length("cwd", &opening.cwd, wire::PATH_BYTES_MAX)?;
    check_length("hostname", &opening.hostname, wire::HOST_BYTES_MAX)?;
    check_length("username", &opening.username, wire::HOST_BYTES_MAX)?;
    if !wire::PROVIDERS.contains(&opening.provider.as_str()) {
        let known = wire::PROVIDERS.join(", ");
        let message = format!("unknown provider {:?}: must be one of {known}", opening.provider);
        return Err(refuse(400, message));
    }
    opening.git_info.as_ref().map_or(Ok(()), check_git_info)?;
    Ok(opening)
}

fn check_git_info(git_info: &GitInfo) -> Result<(), Refused> {
    if git_info.remotes.len() > wire::REMOTES_MAX {
        let message = format!("git_info.remotes exceeds maximum of {} entries", wire::REMOTES_MAX);
        return Err(refuse(400, message));
    }
    for (index, remote) in git_info.remotes.iter().enumerate() {
        let field = |name: &str| format!("git_info.remotes[{index}]{name}");
        check_present(&field(".name"), &remote.name)?;
        check_length(&field(".name"), &remote.name, wire::REMOTE_NAME_BYTES_MAX)?;
        let fetch = remote.fetch_url.as_deref().unwrap_or("");
        let push = remote.push_url.as_deref().unwrap_or("");
        if fetch.is_empty() && push.is_empty() {
            return Err(refuse(400, field(" requires fetch_url or push_url")));
        }
        check_length(&field(".fetch_url"), fetch, wire::REMOTE_URL_BYTES_MAX)?;
        check_length(&field(".push_url"), push, wire::REMOTE_URL_BYTES_MAX)?;
    }
    let tracking = git_info.tracking_remote.as_deref().unwrap_or("");
    check_length("git_info.tracking_remote", tracking, wire::REMOTE_NAME_BYTES_MAX)?;
    // The protocol limits only some of its texts; together they must fit where an init does.
    let whole = serde_json::to_string(git_info).expect("git info has string keys");
    check_length("git_info", &whole, wire::SMALL_BODY_BYTES_MAX)
}

fn check_chunk(chunk: &json::Chunk) -> Result<(), Refused> {
    check_present("session_id", &chunk.session_id)?;
    check_present("file_name", &chunk.file_name)?;
    check_present("file_type", &chunk.file_type)?;
    if chunk.file_type == "todo" {
        return Err(refuse(400, "todo file sync is no longer supported"));
    }
    if chunk.first_line < 1 {
        return Err(refuse(400, "first_line must be >= 1"));
    }
    if chunk.lines.count() == 0 {
        return Err(refuse(400, "lines array cannot be empty"));
    }
    check_length("file_name", &chunk.file_name, wire::FILE_NAME_BYTES_MAX)?;
    check_length("file_type", &chunk.file_type, FILE_TYPE_BYTES_MAX)?;
    if let Some(metadata) = &chunk.metadata {
        let texts = [
            ("summary", &metadata.summary, wire::SUMMARY_BYTES_MAX),
            ("first_user_message", &metadata.first_user_message, wire::FIRST_MESSAGE_BYTES_MAX),
            ("model", &metadata.model, wire::MODEL_BYTES_MAX),
        ];
        for (name, text, bytes_max) in texts {
            check_length(name, text.as_deref().unwrap_or(""), bytes_max)?;
        }
    }
    if let Some(index) = chunk.lines.with_newline() {
        return Err(refuse(400, format!("lines[{index}] contains a newline")));
    }
    Ok(())
}

/// Bytes of `file_type`; the protocol names none, an unbounded one would be stored.
const FILE_TYPE_BYTES_MAX: usize = 64;

/// What a transcript's chunk says of its session.
fn session_update(
    metadata: ChunkMetadata,
    lines: &Lines,
    now: SystemTime,
) -> Result<SessionUpdate, Refused> {
    if let Some(git_info) = &metadata.git_info {
        check_git_info(git_info)?;
    }
    let told = match metadata.latest_message_at {
        None => None,
        Some(text) => Some(parse_rfc3339(&text).ok_or_else(|| refuse(400, INVALID_BODY))?),
    };
    let told = told.filter(|time| *time <= now + FUTURE_MAX);
    let first_seen = match metadata.created_at {
        None => None,
        Some(text) => Some(parse_rfc3339(&text).ok_or_else(|| refuse(400, INVALID_BODY))?),
    };
    let filled = |text: &String| !text.is_empty();
    Ok(SessionUpdate {
        summary: metadata.summary,
        first_user_message: metadata.first_user_message.filter(filled),
        git_info: metadata.git_info,
        model: metadata.model.filter(filled),
        first_seen,
        last_message_at: told.max(lines.newest_timestamp()),
        said_at: None,
    })
}

fn answered(appended: Appended, first_line: i64) -> Answer {
    match appended {
        Appended::Stored(last_synced_line) => {
            Ok(Response::json(200, &ChunkAnswer { last_synced_line }))
        }
        Appended::NoSession => Err(session_not_found()),
        Appended::Anew => {
            let response = super::error_response(503, "The session begins anew: open it again");
            Err(Refused::With(response.with_header("Retry-After", "1")))
        }
        Appended::NotCodex => {
            Err(refuse(400, "codex_rollout metadata is only supported for codex sessions"))
        }
        Appended::NotContiguous(expected) => Err(refuse(
            400,
            format!("first_line must be {expected} (got {first_line}) - chunks must be contiguous"),
        )),
        Appended::TooManyChunks => {
            Err(refuse(400, format!("File has too many chunks (limit: {})", wire::FILE_CHUNKS_MAX)))
        }
        Appended::TooManyFiles => Err(refuse(400, "Session has too many files")),
        Appended::TooManyLines => Err(refuse(500, "Failed to store chunk")),
    }
}
