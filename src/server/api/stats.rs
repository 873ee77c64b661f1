//! Figures, and how the server is.

use super::{Answer, Api, Refused, refuse};
use crate::server::http::{Head, Response};
use crate::server::store::User;
use crate::wire::{SessionDetail, StatusAnswer};

impl Api {
    pub(super) fn with_figures(
        &self,
        user: &User,
        mut detail: SessionDetail,
    ) -> Result<SessionDetail, Refused> {
        let failed = |error| Refused::Failed("Failed to get session", error);
        let now = (self.world.now)();
        let entry = self.store.session_entry(user.id, &detail.id, now).map_err(failed)?;
        if let Some(entry) = entry {
            (detail.project, detail.branch) = (entry.project, entry.branch);
            (detail.model, detail.live) = (entry.model, entry.live);
        }
        Ok(detail)
    }

    pub(super) fn stats(&self, user: &User, head: &Head) -> Answer {
        let _ = (user, head);
        Err(refuse(404, "not yet"))
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
            watch: None,
        };
        Ok(Response::json(200, &answer))
    }
}
