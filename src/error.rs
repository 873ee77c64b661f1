//! The one error that a human reads: what was being done to which object, why it failed, and,
//! where the user can act, a hint.
//!
//! Rules: lower case, no full stop, the object is named. Policy never branches on this type or its
//! text; where it must branch there is a typed value instead (`remote::Verdict`).

use std::fmt;

/// What went wrong, readable on one line: `read config /x: permission denied`.
pub struct Error(Box<Inner>);

struct Inner {
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result whose error is meant for a human.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a deeper cause. `what` names action and object.
    pub fn new(what: impl Into<String>) -> Error {
        Error(Box::new(Inner { what: what.into(), hint: None, cause: None }))
    }

    /// The same error with its cause, which is printed behind a colon.
    #[must_use]
    pub fn caused_by(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        self.0.cause = Some(cause.into());
        self
    }

    /// The same error with advice on what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// The nearest advice in the chain of causes.
    pub fn hint(&self) -> Option<&str> {
        if self.0.hint.is_some() {
            return self.0.hint.as_deref();
        }
        self.0.cause.as_ref()?.downcast_ref::<Error>()?.hint()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// Adds to any error what was being done when it happened.
pub trait Context<T> {
    /// `what` names action and object: `read config /x`.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(what()).caused_by(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_outermost_first_with_the_nearest_hint() {
        let inner = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let middle = Error::new("read /x").caused_by(inner).with_hint("try chmod 600");
        let outer: Result<()> = Err(middle).context(|| "load config".into());
        let outer = outer.unwrap_err();
        assert_eq!(outer.to_string(), "load config: read /x: permission denied");
        assert_eq!(outer.hint(), Some("try chmod 600"));
    }
}
