//! The requests of the sync API, and what each is for.

use super::http::Request;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Init,
    Chunk,
    Event,
    Summary,
    Capabilities,
    Validate,
    Link,
    Other,
}

/// Where a machine tells how it stands, if the backend takes that.
pub const STANDING: &str = "/api/v1/sync/standing";

/// What a request is for, by its method and path.
pub fn endpoint(request: &Request) -> Endpoint {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/sync/init") => Endpoint::Init,
        ("POST", "/api/v1/sync/chunk") => Endpoint::Chunk,
        ("POST", "/api/v1/sync/event") => Endpoint::Event,
        ("GET", "/api/v1/capabilities") => Endpoint::Capabilities,
        ("GET", "/api/v1/auth/validate") => Endpoint::Validate,
        ("POST", path) if linked(path).is_some() => Endpoint::Link,
        ("PATCH", path) if summary_of(path).is_some() => Endpoint::Summary,
        _ => Endpoint::Other,
    }
}

/// The session whose links a path names.
pub fn linked(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/sessions/")?.strip_suffix("/github-links")
}

/// The session whose summary a path names.
pub fn summary_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/sessions/")?.strip_suffix("/summary")
}
