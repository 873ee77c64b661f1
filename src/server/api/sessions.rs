//! What a user asks about stored sessions. A session of another user is as if it were not there.

use std::sync::Arc;

use serde_json::json;

use super::access::Access;
use super::{Answer, Api, INVALID_BODY, Refused};
use super::{check_length, limit_of, read_body, refuse, session_not_found};
use crate::error::Error;
use crate::server::condensed::Condensed;
use crate::server::connection::Body;
use crate::server::http::{Head, Payload, Response, query_value};
use crate::server::json as body_json;
use crate::server::ranges::{Wanted, wanted};
use crate::server::store::{Changed, Cursor, Download, User};
use crate::wire::{
    self, CondensedAnswer, CondensedMetadata, ExternalIdAnswer, FileEntry, FilesAnswer,
    SessionDetail, SessionsAnswer, SummaryRequest,
};

/// Sessions of a list when the request names no limit.
const LIST_DEFAULT: usize = 100;
/// Files of agents that a condensed transcript takes in, as in the existing backend.
const CONDENSED_AGENTS_MAX: usize = 200;
/// Sessions of a list.
const LIST_MAX: usize = 1000;

impl Api {
    pub(super) fn sessions(&self, user: &User, head: &Head) -> Answer {
        let limit = limit_of(head, LIST_DEFAULT, LIST_MAX)?;
        let filter = self.session_filter(user, head)?;
        let after = match query_value(&head.query, "cursor") {
            None => None,
            Some(text) => {
                let cursor = Cursor::parse(&text);
                Some(cursor.ok_or_else(|| refuse(400, "cursor is not one of this server"))?)
            }
        };
        // Noted before the list is read: what comes between them is told twice rather than never.
        let stream_position = (user.id > 0).then(|| self.position(self.store.arrivals.count()));
        let (sessions, next) = self
            .store
            .sessions(user.id, &filter, after, limit, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to list sessions", error))?;
        let next_cursor = next.map(|cursor| cursor.to_string());
        Ok(Response::json(200, &SessionsAnswer { sessions, next_cursor, stream_position }))
    }

    pub(super) fn session(&self, user: &User, id: &str, head: &Head) -> Answer {
        let wants_figures =
            query_value(&head.query, "figures").is_none_or(|value| value != "false");
        let detail = self
            .store
            .session(user.id, id)
            .map_err(|error| Refused::Failed("Failed to get session", error))?;
        let detail = detail.ok_or_else(session_not_found)?;
        Ok(Response::json(200, &self.completed(user, detail, wants_figures)?))
    }

    pub(super) fn delete_session(&self, user: &User, id: &str) -> Answer {
        let was_there = self
            .store
            .delete_session(user.id, id)
            .map_err(|error| Refused::Failed("Failed to delete session", error))?;
        if was_there { Ok(Response::empty(204)) } else { Err(session_not_found()) }
    }

    pub(super) fn files(&self, user: &User, id: &str) -> Answer {
        let files = self
            .store
            .files(user.id, id)
            .map_err(|error| Refused::Failed("Failed to list files", error))?;
        Ok(Response::json(200, &FilesAnswer { files: files.ok_or_else(session_not_found)? }))
    }

    pub(super) fn download(&self, user: &User, id: &str, head: &Head) -> Answer {
        let name = query_value(&head.query, "file_name").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| refuse(400, "Missing file_name query parameter"))?;
        self.download_file(user, id, &name, head)
    }

    /// A file, or the part of it that is wanted.
    pub(super) fn download_file(&self, user: &User, id: &str, name: &str, head: &Head) -> Answer {
        let download = self
            .store
            .download(user.id, id, name)
            .map_err(|error| Refused::Failed("Failed to read file", error))?
            .ok_or_else(session_not_found)?
            .ok_or_else(|| refuse(404, "File not found"))?;
        let disposition = format!("attachment; filename=\"{}\"", harmless_name(name));
        let mut headers = vec![
            ("Content-Type", "text/plain; charset=utf-8".into()),
            ("Content-Disposition", disposition),
            // The lines are the user's own text, never a page of this origin.
            ("X-Content-Type-Options", "nosniff".into()),
            ("Accept-Ranges", "bytes".into()),
        ];
        let length = download.bytes;
        let access = self.access(user, head)?;
        let (status, payload) = match wanted(head, length) {
            Wanted::Whole => (200, self.streamed(access, download, (1, 0), length)),
            Wanted::Part(first, last) => {
                headers.push(("Content-Range", format!("bytes {first}-{last}/{length}")));
                let (line, before) = self
                    .store
                    .line_before(&download.file, first)
                    .map_err(|error| Refused::Failed("Failed to read file", error))?
                    .ok_or_else(session_not_found)?;
                (206, self.streamed(access, download, (line, first - before), last - first + 1))
            }
            Wanted::Nothing => {
                let response = Response::text(416, "416 the file has no such part\n");
                let range = format!("bytes */{length}");
                return Err(Refused::With(response.with_header("Content-Range", range)));
            }
        };
        Ok(Response { status, headers, payload })
    }

    /// So many bytes of a file's lines, from a line on but for some bytes at its beginning; one
    /// block in memory at a time. It is cut off when the file is not theirs to read any more.
    fn streamed(
        &self,
        access: Access,
        download: Download,
        (mut line, skipped): (i64, u64),
        length: u64,
    ) -> Payload {
        let store = Arc::clone(&self.store);
        let mut skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Payload::Stream(
            length,
            Box::new(move || {
                if line > download.last_line {
                    return Ok(None);
                }
                access.check()?;
                let lines = store.lines_from(&download.file, line)?;
                let (mut text, next) = lines.ok_or_else(|| Error::new("the file is gone"))?;
                line = next;
                // A block may have been divided since its length was looked up.
                let cut = skipped.min(text.len());
                text.drain(..cut);
                skipped -= cut;
                Ok(Some(text))
            }),
        )
    }

    /// What was said in a session, read block by block: its end, when it is longer than wanted.
    pub(super) fn condensed(&self, user: &User, id: &str, head: &Head) -> Answer {
        let chars_max = match query_value(&head.query, "max_chars") {
            None => None,
            Some(text) => match text.parse::<usize>() {
                Ok(chars_max @ 1..) => Some(chars_max),
                _ => return Err(refuse(400, "max_chars must be a positive integer")),
            },
        };
        let failed = |error| Refused::Failed("Failed to read transcript", error);
        let detail = self.store.session(user.id, id).map_err(failed)?;
        let detail = detail.ok_or_else(session_not_found)?;
        let file = transcript_of(&detail).ok_or_else(|| refuse(404, "Transcript not found"))?;
        let mut condensed = Condensed::new(chars_max);
        for file in std::iter::once(file).chain(agents_of(&detail).take(CONDENSED_AGENTS_MAX)) {
            let download = self.store.download(user.id, id, &file.file_name).map_err(failed)?;
            // It may have been deleted since it was listed.
            let Some(download) = download.flatten() else { continue };
            let mut line = 1;
            while line <= download.last_line {
                let lines = self.store.lines_from(&download.file, line).map_err(failed)?;
                let (text, next) = lines.ok_or_else(session_not_found)?;
                text.split(|byte| *byte == b'\n').for_each(|line| condensed.add(line));
                line = next;
            }
        }
        let transcript = condensed.finish();
        Ok(Response::json(200, &CondensedAnswer { metadata: about(detail), transcript }))
    }

    pub(super) fn by_external_id(&self, user: &User, external_id: &str) -> Answer {
        let session_id = self
            .store
            .session_by_external_id(user.id, external_id)
            .map_err(|error| Refused::Failed("Failed to look up session", error))?
            .ok_or_else(session_not_found)?;
        Ok(Response::json(200, &ExternalIdAnswer { session_id }))
    }

    pub(super) fn summary(
        &self,
        user: &User,
        external_id: &str,
        body: &mut Body<'_, '_>,
    ) -> Answer {
        let (body, _reservation) = read_body(body, wire::SMALL_BODY_BYTES_MAX)?;
        let request: SummaryRequest =
            body_json::small(body).map_err(|body_json::Malformed| refuse(400, INVALID_BODY))?;
        check_length("summary", &request.summary, wire::SUMMARY_BYTES_MAX)?;
        let changed = self
            .store
            .set_summary(user.id, external_id, &request.summary)
            .map_err(|error| Refused::Failed("Failed to update summary", error))?;
        match changed {
            Changed::Done => Ok(Response::json(200, &json!({"status": "ok"}))),
            Changed::NoSession => Err(session_not_found()),
        }
    }
}

/// A session's main transcript.
pub(super) fn transcript_of(detail: &SessionDetail) -> Option<&FileEntry> {
    let is_transcript = |file: &&FileEntry| file.file_type == wire::TYPE_TRANSCRIPT;
    let own = format!("{}.jsonl", detail.external_id);
    let files = || detail.files.iter().filter(is_transcript);
    files().find(|file| file.file_name == own).or_else(|| files().next())
}

/// The files of a session's agents, by name.
fn agents_of(detail: &SessionDetail) -> impl Iterator<Item = &FileEntry> {
    detail.files.iter().filter(|file| file.file_type == wire::TYPE_AGENT)
}

fn about(detail: SessionDetail) -> CondensedMetadata {
    let counted = agents_of(&detail).chain(transcript_of(&detail));
    let total_lines = counted.map(|file| file.last_synced_line).sum();
    let git_info = detail.git_info.unwrap_or_default();
    CondensedMetadata {
        total_lines,
        session_id: detail.id,
        external_id: detail.external_id,
        title: detail.summary.unwrap_or_default(),
        repo: git_info.repo_url.as_deref().and_then(repository),
        branch: git_info.branch,
        first_seen: detail.first_seen,
        last_sync_at: Some(detail.last_sync_at),
    }
}

/// `owner/name` at the end of an address.
fn repository(url: &str) -> Option<String> {
    let mut parts = url.trim_end_matches('/').trim_end_matches(".git").rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !owner.is_empty()).then(|| format!("{owner}/{name}"))
}

/// A name that fits between quotes in a header and is one file in any folder.
pub(super) fn harmless_name(name: &str) -> String {
    let harmless = |c: char| matches!(c, ' '..='~') && !matches!(c, '/' | '\\' | '"');
    name.chars().map(|c| if harmless(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_the_end_of_its_address() {
        let cases = [
            ("https://github.com/o/r.git", Some("o/r")),
            ("git@github.com:o/r", Some("o/r")),
            ("r", None),
            ("", None),
        ];
        for (url, expected) in cases {
            assert_eq!(repository(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_download_name_is_plain() {
        let cases = [
            ("a b.jsonl", "a b.jsonl"),
            ("subagents/x.jsonl", "subagents_x.jsonl"),
            ("../\"\r\n\u{0}é", "..______"),
        ];
        for (name, harmless) in cases {
            assert_eq!(harmless_name(name), harmless, "{name:?}");
        }
    }
}
