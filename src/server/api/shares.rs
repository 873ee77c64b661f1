//! Who else may read a session, sessions that are put aside, and sessions as one file to take away.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sessions::{harmless_name, transcript_of};
use super::{Answer, Api, INVALID_BODY, Refused, read_body, refuse, session_not_found};
use crate::error::{Context, Error};
use crate::server::auth::{hash, new_token};
use crate::server::connection::Body;
use crate::server::export::{Exporter, Format};
use crate::server::http::{Head, Payload, Response, query_value};
use crate::server::json as body_json;
use crate::server::store::{Changed, Share, Shared, User, With};
use crate::wire::SMALL_BODY_BYTES_MAX;

/// Days that a link can be read when nobody says how many.
const LINK_DAYS_DEFAULT: u64 = 7;
/// Days that a link can be read.
const LINK_DAYS_MAX: u64 = 365;
/// How a reader calls the share that they have.
const OWN_SHARE: &str = "mine";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// With whom to share: a user, or whoever gets a link that can be read for some days.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ShareRequest {
    email: Option<String>,
    expires_days: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ArchiveRequest {
    archived: bool,
}

#[derive(Debug, Serialize)]
struct ShareAnswer {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The path of the page, told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl ShareAnswer {
    fn new(share: Share, url: Option<String>) -> ShareAnswer {
        let Share { id, email, created_at, expires_at } = share;
        ShareAnswer { id, email, url, created_at, expires_at }
    }
}

impl Api {
    pub(super) fn shares(&self, user: &User, id: &str) -> Answer {
        let shares = self
            .store
            .shares(user.id, id, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to list shares", error))?
            .ok_or_else(session_not_found)?;
        let shares: Vec<_> =
            shares.into_iter().map(|share| ShareAnswer::new(share, None)).collect();
        Ok(Response::json(200, &json!({ "shares": shares })))
    }

    pub(super) fn share(&self, user: &User, id: &str, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = read_body(body, SMALL_BODY_BYTES_MAX)?;
        let request: ShareRequest =
            body_json::small(body).map_err(|body_json::Malformed| refuse(400, INVALID_BODY))?;
        let now = (self.world.now)();
        let failed = |error: Error| Refused::Failed("Failed to share the session", error);
        let (shared, url) = match (&request.email, request.expires_days) {
            (Some(_), Some(_)) => {
                return Err(refuse(400, "name either email or expires_days"));
            }
            (Some(email), None) => {
                (self.store.share(user.id, id, With::User(email), now).map_err(failed)?, None)
            }
            (None, days) => {
                let days = days.unwrap_or(LINK_DAYS_DEFAULT);
                if !(1..=LINK_DAYS_MAX).contains(&days) {
                    let message = format!("expires_days must be 1 to {LINK_DAYS_MAX}");
                    return Err(refuse(400, message));
                }
                let ends_at = now + DAY * u32::try_from(days).unwrap_or(1);
                let token = new_token(self.world.random)
                    .context(|| "make a link".into())
                    .map_err(failed)?;
                let with = With::Link(&hash(&token), ends_at);
                let url = format!("{}/s/{token}", self.surroundings.settings.base_path);
                (self.store.share(user.id, id, with, now).map_err(failed)?, Some(url))
            }
        };
        match shared {
            Shared::Done(share) => Ok(Response::json(201, &ShareAnswer::new(share, url))),
            Shared::NoSession => Err(session_not_found()),
            Shared::NoUser => Err(refuse(400, "There is no other user of this name")),
            Shared::TooMany => Err(refuse(400, "The session is shared too often")),
            Shared::ReaderFull => Err(refuse(400, "Too much is shared with this user")),
        }
    }

    /// Takes a share back, or gives back one's own.
    pub(super) fn unshare(&self, user: &User, id: &str, share: &str) -> Answer {
        let not_found = || refuse(404, "Share not found");
        let failed = |error| Refused::Failed("Failed to take the share back", error);
        let was_there = match share {
            OWN_SHARE => self.store.leave(user.id, id).map_err(failed)?,
            number => {
                let number = number.parse().map_err(|_| not_found())?;
                self.store.unshare(user.id, id, number).map_err(failed)?
            }
        };
        if was_there { Ok(Response::empty(204)) } else { Err(not_found()) }
    }

    pub(super) fn archive(&self, user: &User, id: &str, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = read_body(body, SMALL_BODY_BYTES_MAX)?;
        let request: ArchiveRequest =
            body_json::small(body).map_err(|body_json::Malformed| refuse(400, INVALID_BODY))?;
        let changed = self
            .store
            .set_archived(user.id, id, request.archived, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to archive the session", error))?;
        match changed {
            Changed::Done => Ok(Response::json(200, &json!({"archived": request.archived}))),
            Changed::NoSession => Err(session_not_found()),
        }
    }

    /// A session as one file: its main transcript as it was uploaded, or all of it to be read.
    pub(super) fn export(&self, user: &User, id: &str, head: &Head) -> Answer {
        let detail = self
            .store
            .session(user.id, id)
            .map_err(|error| Refused::Failed("Failed to get session", error))?
            .ok_or_else(session_not_found)?;
        let name = harmless_name(&detail.external_id);
        let (format, kind, name) = match query_value(&head.query, "format").as_deref() {
            Some("html") => (Format::Html, "text/html; charset=utf-8", format!("{name}.html")),
            Some("markdown") => {
                (Format::Markdown, "text/markdown; charset=utf-8", format!("{name}.md"))
            }
            Some("jsonl") => {
                let file = transcript_of(&detail);
                let file = file.ok_or_else(|| refuse(404, "Transcript not found"))?;
                return self.download_file(user, id, &file.file_name, head);
            }
            _ => return Err(refuse(400, "format must be jsonl, markdown or html")),
        };
        let (store, access) = (Arc::clone(&self.store), self.access(user, head)?);
        let mut exporter = Exporter::new(user.id, detail, format);
        let headers = vec![
            ("Content-Type", kind.into()),
            ("Content-Disposition", format!("attachment; filename=\"{name}\"")),
            // Opened here and not saved, it may do even less than its own policy lets it.
            ("Content-Security-Policy", "sandbox; default-src 'none'".into()),
            ("X-Content-Type-Options", "nosniff".into()),
        ];
        let payload = Payload::Endless(Box::new(move || {
            access.check()?;
            exporter.next(&store)
        }));
        Ok(Response { status: 200, headers, payload })
    }
}
