//! Queries: which sessions, and which lines.

use std::time::UNIX_EPOCH;

use super::{Answer, Api, Refused, limit_of, refuse};
use crate::server::http::{Head, Response, query_value};
use crate::server::search::{Property, Query, SessionFilter};
use crate::server::store::{Asked, SearchCursor, User};
use crate::wire::SearchAnswer;

/// Lines of an answer when the request names no limit.
const HITS_DEFAULT: usize = 20;
/// Lines of an answer.
const HITS_MAX: usize = 100;

impl Api {
    /// Which sessions the query of a request lets through.
    pub(super) fn session_filter(
        &self,
        reader: &User,
        head: &Head,
    ) -> Result<SessionFilter, Refused> {
        let text = query_value(&head.query, "q").unwrap_or_default();
        let query = Query::parse(&text, (self.world.now)());
        let filter = query.and_then(Query::into_session_filter).map_err(|why| refuse(400, why))?;
        // Part by part they would find out whose session it is.
        let asks_whose = filter.wanted.iter().any(|(property, ..)| *property == Property::User);
        match reader.is_guest() && asks_whose {
            true => Err(refuse(400, "a link does not say whose session it leads to")),
            false => Ok(filter),
        }
    }

    /// Lines that match, the newest and best first.
    pub(super) fn search(&self, user: &User, head: &Head) -> Answer {
        let limit = limit_of(head, HITS_DEFAULT, HITS_MAX)?;
        let after = match query_value(&head.query, "cursor") {
            None => None,
            Some(text) => {
                let cursor = SearchCursor::parse(&text);
                Some(cursor.ok_or_else(|| refuse(400, "cursor is not one of this server"))?)
            }
        };
        let now = (self.world.now)();
        let text = query_value(&head.query, "q").unwrap_or_default();
        let query = Query::parse(&text, now).map_err(|why| refuse(400, why))?;
        if !query.has_positive() {
            return Err(refuse(400, "a query needs a word or filter that lines must have"));
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let asked = Asked { user: user.id, query: &query, limit, after, now };
        let found = self.store.search(asked);
        let (hits, next) = found.map_err(|error| Refused::Failed("Failed to search", error))?;
        let next_cursor = next.map(|cursor| cursor.to_string());
        Ok(Response::json(200, &SearchAnswer { hits, next_cursor }))
    }
}
