//! Figures, and how the server is.

use super::{Answer, Api, Refused, refuse};
use crate::server::http::{Head, Response, query_value};
use crate::server::search::Query;
use crate::server::store::{By, User};
use crate::wire::{SessionDetail, StatsAnswer, StatusAnswer};

impl Api {
    /// Puts what is found out into what is said of a session; what is counted over all of its
    /// lines, only where that is wanted.
    pub(super) fn completed(
        &self,
        user: &User,
        mut detail: SessionDetail,
        wants_figures: bool,
    ) -> Result<SessionDetail, Refused> {
        let failed = |error| Refused::Failed("Failed to get session", error);
        let now = (self.world.now)();
        let entry = self.store.session_entry(user.id, &detail.id, now).map_err(failed)?;
        if let Some(entry) = entry {
            (detail.project, detail.branch) = (entry.project, entry.branch);
            (detail.model, detail.live) = (entry.model, entry.live);
            detail.archived = entry.archived;
        }
        if wants_figures {
            let prices = self.prices();
            let cost = |tokens: &_| prices.cost(tokens);
            detail.figures = self.store.figures(user.id, &detail.id, &cost).map_err(failed)?;
            detail.lineage = self.store.lineage(user.id, &detail.id).map_err(failed)?;
        }
        Ok(detail)
    }

    /// Figures of all sessions, grouped.
    pub(super) fn stats(&self, user: &User, head: &Head) -> Answer {
        let by = query_value(&head.query, "by").unwrap_or_else(|| "day".into());
        let by = By::parse(&by)
            .ok_or_else(|| refuse(400, "by is none of day, model, project, tool and session"))?;
        let mut text = query_value(&head.query, "q").unwrap_or_default();
        for name in ["after", "before"] {
            if let Some(value) = query_value(&head.query, name).filter(|value| !value.is_empty()) {
                text = format!("{name}:\"{}\" {text}", value.replace('"', ""));
            }
        }
        let filter = Query::parse(&text, (self.world.now)())
            .and_then(Query::into_session_filter)
            .map_err(|why| refuse(400, why))?;
        let prices = self.prices();
        let cost = |tokens: &_| prices.cost(tokens);
        let (rows, has_more) = self
            .store
            .stats(user.id, by, &filter, &cost)
            .map_err(|error| Refused::Failed("Failed to get figures", error))?;
        Ok(Response::json(200, &StatsAnswer { rows, has_more }))
    }

    /// How the server is, and which machines sync to it.
    pub(super) fn status(&self, user: &User) -> Answer {
        let failed = |error| Refused::Failed("Failed to get status", error);
        let sizes = self.store.sizes().map_err(failed)?;
        let machines = self.store.machines(user.id, (self.world.now)()).map_err(failed)?;
        let health = if self.trouble().is_none() { "ok" } else { "failing" };
        let answer = StatusAnswer {
            version: env!("CARGO_PKG_VERSION").into(),
            health: health.into(),
            database_bytes: sizes.database_bytes,
            wal_bytes: sizes.log_bytes,
            sessions: machines.iter().map(|machine| machine.sessions).sum(),
            lines: machines.iter().map(|machine| machine.lines).sum(),
            not_indexed_lines: self.store.not_indexed(user.id).map_err(failed)?,
            machines,
            watch: Some(self.watch_state(user)).filter(|state| !state.is_null()),
            prices: self.prices().entries(),
        };
        Ok(Response::json(200, &answer))
    }
}
