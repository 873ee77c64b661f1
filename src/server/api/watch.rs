//! The watch on the server's own machine, for the user whose sessions it brings in; for others it
//! is not there.

use serde_json::{Map, Value};

use super::{Answer, Api, Refused, read_body, refuse};
use crate::server::caller::Caller;
use crate::server::connection::Body;
use crate::server::http::{Head, Response};
use crate::server::store::User;
use crate::server::watcher::{SETTINGS_BYTES_MAX, WatchSettings, Watcher};

impl Api {
    /// What the watch does; null when there is none, or when it is somebody else's.
    pub fn watch_state(&self, user: &User) -> Value {
        self.watcher_of(user).map_or(Value::Null, Watcher::state)
    }

    /// Lets it look at everything now, and answers what it does.
    pub(super) fn watch_sync(&self, user: &User) -> Answer {
        let watcher = self.watcher_of(user).ok_or_else(no_watch)?;
        match watcher.sync_now() {
            true => Ok(Response::json(202, &self.watch_state(user))),
            false => {
                let response = super::error_response(503, "The watch does not run");
                Err(Refused::With(response.with_header("Retry-After", "5")))
            }
        }
    }

    pub(super) fn watch_settings(&self, user: &User) -> Answer {
        let watcher = self.watcher_of(user).ok_or_else(no_watch)?;
        Ok(Response::json(200, &watcher.settings()))
    }

    /// Sets them. The watch may read more than its user, who may be far away: further folders are
    /// named only from the account and machine that it runs on.
    pub(super) fn set_watch(
        &self,
        user: &User,
        head: &Head,
        body: &mut Body<'_, '_>,
        caller: &Caller,
    ) -> Answer {
        let watcher = self.watcher_of(user).ok_or_else(no_watch)?;
        let (body, _reservation) = read_body(body, SETTINGS_BYTES_MAX)?;
        // serde would take a list for an object whose keys are left out.
        let settings: WatchSettings = serde_json::from_slice::<Map<String, Value>>(&body)
            .and_then(|object| serde_json::from_value(Value::Object(object)))
            .map_err(|_| refuse(400, super::INVALID_BODY))?;
        settings.check().map_err(|error| refuse(400, error.to_string()))?;
        if !watcher.has_folders(&settings.folders) && !self.is_operator(head, caller) {
            return Err(refuse(403, FOREIGN_FOLDER));
        }
        watcher
            .set(settings)
            .map_err(|error| Refused::Failed("Failed to keep the settings", error))?;
        self.store.set_retention(watcher.retention());
        Ok(Response::json(200, &watcher.settings()))
    }

    fn watcher_of(&self, user: &User) -> Option<&Watcher> {
        self.watcher.get().filter(|watcher| watcher.user() == user.id)
    }
}

const FOREIGN_FOLDER: &str = "further folders can be set only on the server's own machine and by its \
                              own account, or with --claude-dir";

fn no_watch() -> Refused {
    refuse(404, "There is no watch here")
}
