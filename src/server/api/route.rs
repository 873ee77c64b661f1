//! What paths name, by which methods, and what asking for them counts as.

use super::HEALTH;
use crate::server::http::percent_decoded;
use crate::server::limits::Kind;
use crate::server::web::Page;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Version,
    Capabilities,
    Validate,
    Init,
    Chunk,
    Event,
    Standing,
    Sessions,
    Session(String),
    Files(String),
    Links(String),
    Download(String),
    Condensed(String),
    Events(String),
    Outline(String),
    ByExternalId(String),
    Summary(String),
    Stream,
    LineStream(String),
    Shares(String),
    Share(String, String),
    Archive(String),
    Export(String),
    WatchSync,
    WatchSettings,
    Search,
    Stats,
    Status,
    OpenApi,
    DeviceCode,
    DeviceToken,
    SignIn,
    SignOut,
    Device,
    Style,
    Shell(Page),
    Asset(String, String),
}

impl Route {
    /// Its path with names in place of what differs: for logs and metrics.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Route::Health => HEALTH,
            Route::Version => "/api/v1/version",
            Route::Capabilities => "/api/v1/capabilities",
            Route::Validate => "/api/v1/auth/validate",
            Route::Init => "/api/v1/sync/init",
            Route::Chunk => "/api/v1/sync/chunk",
            Route::Event => "/api/v1/sync/event",
            Route::Standing => "/api/v1/sync/standing",
            Route::Sessions => "/api/v1/sessions",
            Route::Session(_) => "/api/v1/sessions/{id}",
            Route::Files(_) => "/api/v1/sessions/{id}/files",
            Route::Links(_) => "/api/v1/sessions/{id}/github-links",
            Route::Download(_) => "/api/v1/sessions/{id}/files/download",
            Route::Condensed(_) => "/api/v1/sessions/{id}/condensed-transcript",
            Route::Events(_) => "/api/v1/sessions/{id}/events",
            Route::Outline(_) => "/api/v1/sessions/{id}/outline",
            Route::WatchSync => "/api/v1/watch/sync",
            Route::WatchSettings => "/api/v1/watch/settings",
            Route::Search => "/api/v1/search",
            Route::Stats => "/api/v1/stats",
            Route::Status => "/api/v1/status",
            Route::OpenApi => "/api/v1/openapi.json",
            Route::ByExternalId(_) => "/api/v1/sessions/by-external-id/{id}",
            Route::Summary(_) => "/api/v1/sessions/{id}/summary",
            Route::Stream => "/api/v1/stream",
            Route::LineStream(_) => "/api/v1/sessions/{id}/stream",
            Route::Shares(_) => "/api/v1/sessions/{id}/shares",
            Route::Share(..) => "/api/v1/sessions/{id}/shares/{share}",
            Route::Archive(_) => "/api/v1/sessions/{id}/archive",
            Route::Export(_) => "/api/v1/sessions/{id}/export",
            Route::DeviceCode => "/auth/device/code",
            Route::DeviceToken => "/auth/device/token",
            Route::SignIn => "/auth/login",
            Route::SignOut => "/auth/logout",
            Route::Device => "/auth/device",
            Route::Style => "/assets/account.css",
            Route::Shell(Page::List) => "/",
            Route::Shell(Page::Session) => "/sessions/{id}",
            Route::Shell(Page::Shared) => "/s/{token}",
            Route::Shell(Page::Stats) => "/stats",
            Route::Shell(Page::Status) => "/status",
            Route::Asset(..) => "/assets/{version}/{name}",
        }
    }

    /// What a user's requests of this route count as, next to any request of an address.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Route::Init | Route::Chunk | Route::Event | Route::Standing => Some(Kind::Sync),
            Route::Files(_) | Route::Download(_) | Route::Condensed(_) => Some(Kind::Read),
            // A session's figures, a filtered list and sizes take as much as lines do.
            Route::Sessions | Route::Session(_) | Route::Status => Some(Kind::Read),
            Route::Stream | Route::LineStream(_) | Route::Export(_) => Some(Kind::Read),
            Route::Events(_) | Route::Outline(_) | Route::Search | Route::Stats => Some(Kind::Read),
            _ => None,
        }
    }

    /// True for what may be asked with a link.
    pub(super) fn is_for_guests(&self) -> bool {
        matches!(
            self,
            Route::Sessions
                | Route::Session(_)
                | Route::Files(_)
                | Route::Download(_)
                | Route::Condensed(_)
                | Route::Events(_)
                | Route::Outline(_)
                | Route::Export(_)
                | Route::LineStream(_)
        )
    }

    /// True for what people see.
    pub(super) fn is_page(&self) -> bool {
        use Route::{Asset, Device, Shell, SignIn, SignOut, Style};
        matches!(self, SignIn | SignOut | Device | Style | Shell(_) | Asset(..))
    }

    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Init | Route::Chunk | Route::Event | Route::Standing => &["POST"],
            Route::WatchSync => &["POST"],
            Route::WatchSettings => &["GET", "PUT"],
            Route::DeviceCode | Route::DeviceToken | Route::SignOut => &["POST"],
            Route::Archive(_) => &["POST"],
            Route::Share(..) => &["DELETE"],
            Route::Links(_) | Route::Shares(_) | Route::SignIn | Route::Device => &["GET", "POST"],
            Route::Summary(_) => &["PATCH"],
            Route::Session(_) => &["GET", "DELETE"],
            _ => &["GET"],
        }
    }
}

/// What a still encoded path names.
pub(super) fn route(path: &str) -> Option<Route> {
    let segments: Option<Vec<String>> =
        path.strip_prefix('/')?.split('/').map(|part| percent_decoded(part, false)).collect();
    let segments = segments?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let rest = match *segments.as_slice() {
        ["api", "v1", ref rest @ ..] => rest,
        ["health"] => return Some(Route::Health),
        ["auth", "login"] => return Some(Route::SignIn),
        ["auth", "logout"] => return Some(Route::SignOut),
        ["auth", "device"] => return Some(Route::Device),
        ["auth", "device", "code"] => return Some(Route::DeviceCode),
        ["auth", "device", "token"] => return Some(Route::DeviceToken),
        ["assets", "account.css"] => return Some(Route::Style),
        [""] => return Some(Route::Shell(Page::List)),
        ["s", token] if !token.is_empty() => return Some(Route::Shell(Page::Shared)),
        ["stats"] => return Some(Route::Shell(Page::Stats)),
        ["status"] => return Some(Route::Shell(Page::Status)),
        ["sessions", id] if !id.is_empty() => return Some(Route::Shell(Page::Session)),
        ["assets", version, name] => return Some(Route::Asset(version.into(), name.into())),
        _ => return None,
    };
    match *rest {
        ["version"] => Some(Route::Version),
        ["capabilities"] => Some(Route::Capabilities),
        ["auth", "validate"] => Some(Route::Validate),
        ["sync", "init"] => Some(Route::Init),
        ["sync", "chunk"] => Some(Route::Chunk),
        ["sync", "event"] => Some(Route::Event),
        ["sync", "standing"] => Some(Route::Standing),
        ["sessions"] => Some(Route::Sessions),
        ["sessions", "by-external-id", id] if !id.is_empty() => {
            Some(Route::ByExternalId(id.into()))
        }
        ["sessions", id] if !id.is_empty() => Some(Route::Session(id.into())),
        ["sessions", id, "files"] => Some(Route::Files(id.into())),
        ["sessions", id, "files", "download"] => Some(Route::Download(id.into())),
        ["sessions", id, "events"] => Some(Route::Events(id.into())),
        ["sessions", id, "outline"] => Some(Route::Outline(id.into())),
        ["watch", "sync"] => Some(Route::WatchSync),
        ["watch", "settings"] => Some(Route::WatchSettings),
        ["search"] => Some(Route::Search),
        ["stats"] => Some(Route::Stats),
        ["status"] => Some(Route::Status),
        ["openapi.json"] => Some(Route::OpenApi),
        ["sessions", id, "condensed-transcript"] => Some(Route::Condensed(id.into())),
        ["sessions", id, "github-links"] => Some(Route::Links(id.into())),
        ["stream"] => Some(Route::Stream),
        ["sessions", id, "stream"] => Some(Route::LineStream(id.into())),
        ["sessions", id, "shares"] => Some(Route::Shares(id.into())),
        ["sessions", id, "shares", share] => Some(Route::Share(id.into(), share.into())),
        ["sessions", id, "archive"] => Some(Route::Archive(id.into())),
        ["sessions", id, "export"] => Some(Route::Export(id.into())),
        ["sessions", id, "summary"] => Some(Route::Summary(id.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        assert_eq!(route("/api/v1/sessions/a%2Fb/files"), Some(Route::Files("a/b".into())));
        assert_eq!(route("/api/v1/sessions/x/summary"), Some(Route::Summary("x".into())));
        let by_external_id = Some(Route::ByExternalId("files".into()));
        assert_eq!(route("/api/v1/sessions/by-external-id/files"), by_external_id);
        let nowhere =
            ["", "*", "/sessions/", "//api/v1/version", "/api/v1/version/", "/api/v1/sessions/"];
        for path in nowhere {
            assert_eq!(route(path), None, "{path}");
        }
        assert_eq!(route("/api/v1/sessions/%zz"), None);
    }

    /// All routes; a new one does not compile before it is among them.
    fn routes() -> Vec<Route> {
        let next = |route: &Route| match route {
            Route::Health => Some(Route::Version),
            Route::Version => Some(Route::Capabilities),
            Route::Capabilities => Some(Route::Validate),
            Route::Validate => Some(Route::Init),
            Route::Init => Some(Route::Chunk),
            Route::Chunk => Some(Route::Event),
            Route::Event => Some(Route::Standing),
            Route::Standing => Some(Route::Sessions),
            Route::Sessions => Some(Route::Session("x".into())),
            Route::Session(_) => Some(Route::Files("x".into())),
            Route::Files(_) => Some(Route::Links("x".into())),
            Route::Links(_) => Some(Route::Download("x".into())),
            Route::Download(_) => Some(Route::Condensed("x".into())),
            Route::Condensed(_) => Some(Route::Events("x".into())),
            Route::Events(_) => Some(Route::Outline("x".into())),
            Route::Outline(_) => Some(Route::ByExternalId("x".into())),
            Route::ByExternalId(_) => Some(Route::Summary("x".into())),
            Route::Summary(_) => Some(Route::Stream),
            Route::Stream => Some(Route::LineStream("x".into())),
            Route::LineStream(_) => Some(Route::Shares("x".into())),
            Route::Shares(_) => Some(Route::Share("x".into(), "x".into())),
            Route::Share(..) => Some(Route::Archive("x".into())),
            Route::Archive(_) => Some(Route::Export("x".into())),
            Route::Export(_) => Some(Route::WatchSync),
            Route::WatchSync => Some(Route::WatchSettings),
            Route::WatchSettings => Some(Route::Search),
            Route::Search => Some(Route::Stats),
            Route::Stats => Some(Route::Status),
            Route::Status => Some(Route::OpenApi),
            Route::OpenApi => Some(Route::DeviceCode),
            Route::DeviceCode => Some(Route::DeviceToken),
            Route::DeviceToken => Some(Route::SignIn),
            Route::SignIn => Some(Route::SignOut),
            Route::SignOut => Some(Route::Device),
            Route::Device => Some(Route::Style),
            // Pages and what they are made of are for people.
            Route::Style | Route::Shell(_) | Route::Asset(..) => None,
        };
        std::iter::successors(Some(Route::Health), next).collect()
    }

    /// Whatever reads the database for its answer: only what takes one look at an index is left.
    #[test]
    fn whoever_reads_has_a_limit() {
        let unlimited: Vec<&str> = routes()
            .iter()
            .filter(|route| !route.is_page() && route.kind().is_none())
            .filter(|route| route.methods().contains(&"GET"))
            .map(Route::template)
            .collect();
        let expected = [
            HEALTH,
            "/api/v1/version",
            "/api/v1/capabilities",
            "/api/v1/auth/validate",
            "/api/v1/sessions/{id}/github-links",
            "/api/v1/sessions/by-external-id/{id}",
            "/api/v1/sessions/{id}/shares",
            "/api/v1/watch/settings",
            "/api/v1/openapi.json",
        ];
        assert_eq!(unlimited, expected);
    }

    /// `METHOD PATH` of all that is answered, and of all that is described.
    #[test]
    fn the_description_has_exactly_the_routes_of_the_server() {
        let answered = routes().into_iter().flat_map(|route| {
            let template = route.template();
            let path = template.replace("{id}", "x").replace("{share}", "x");
            assert_eq!(super::route(&path).as_ref(), Some(&route), "{template}");
            let methods = route.methods();
            methods.iter().map(move |method| format!("{method} {template}"))
        });
        let description: serde_json::Value =
            serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let answered: std::collections::BTreeSet<String> = answered.collect();
        let described: std::collections::BTreeSet<String> = described.collect();
        assert_eq!(answered, described);
    }
}
