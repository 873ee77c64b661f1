//! Commits and pull requests of sessions. A session of another user is as if it were not there.

use super::{Answer, Api, INVALID_BODY, Refused};
use super::{read_body, refuse, session_not_found};
use crate::github::Link;
use crate::server::connection::Body;
use crate::server::http::Response;
use crate::server::json as body_json;
use crate::server::store::User;
use crate::wire::{
    LINK_SOURCE_HOOK, LINK_SOURCE_MANUAL, LinkRequest, LinksAnswer, SMALL_BODY_BYTES_MAX,
};

impl Api {
    pub(super) fn link(&self, user: &User, session: &str, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = read_body(body, SMALL_BODY_BYTES_MAX)?;
        let request: LinkRequest =
            body_json::small(body).map_err(|body_json::Malformed| refuse(400, INVALID_BODY))?;
        let link = check(&request)?;
        let entry = self
            .store
            .add_link(user.id, session, &request, &link, (self.world.now)())
            .map_err(|error| Refused::Failed("Failed to create GitHub link", error))?;
        Ok(Response::json(201, &entry.ok_or_else(session_not_found)?))
    }

    pub(super) fn links(&self, user: &User, session: &str) -> Answer {
        let links = self
            .store
            .links(user.id, session)
            .map_err(|error| Refused::Failed("Failed to list GitHub links", error))?;
        Ok(Response::json(200, &LinksAnswer { links: links.ok_or_else(session_not_found)? }))
    }
}

/// What a request links to. GitHub Enterprise is GitHub too.
fn check(request: &LinkRequest) -> Result<Link, Refused> {
    if !matches!(request.source.as_str(), LINK_SOURCE_HOOK | LINK_SOURCE_MANUAL) {
        return Err(refuse(400, "source must be 'cli_hook' or 'manual'"));
    }
    let link = Link::parse(&request.url)
        .ok_or_else(|| refuse(400, "invalid GitHub URL: must be a PR or commit URL"))?;
    let kind = link.kind.name();
    match &request.link_type {
        Some(told) if !told.is_empty() && told != kind => {
            Err(refuse(400, format!("link_type '{told}' doesn't match URL type '{kind}'")))
        }
        _ => Ok(link),
    }
}
