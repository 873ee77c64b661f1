//! What a machine says of a session besides its lines, to the embedded backend alone: no content,
//! no paths.

use serde::{Deserialize, Serialize};

/// Header of a chunk that holds a [`SessionReport`] as JSON. Sent to a backend that says
/// [`super::InitAnswer::reports`], and to no other.
pub const REPORT_HEADER: &str = "x-confab-report";

/// How a session stands where it is written, once the chunk that this comes with is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionReport {
    /// Bytes of its files that are only there.
    pub pending_bytes: u64,
    /// Lines that others stand in for, as they were too large or could not be redacted.
    pub withheld_lines: u64,
    /// What went wrong just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ReportedFailure>,
}

/// How the sessions of a machine stand that one process follows all of: the body of
/// `POST /sync/standing`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineReport {
    /// Name of the machine; at most [`super::HOST_BYTES_MAX`].
    pub hostname: String,
    /// Sessions that the backend may not have whole.
    pub waiting_sessions: u64,
    /// Bytes of those of them that are being brought in.
    pub waiting_bytes: u64,
    /// Those of them that failed, and are tried again.
    pub failed_sessions: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedFailure {
    /// What.
    pub kind: FailureKind,
    /// When, RFC 3339.
    pub at: String,
}

/// What went wrong between a machine and the backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The backend could not be reached, or failed.
    Unavailable,
    /// An answer took too long.
    TimedOut,
    /// The backend was asked too often.
    Busy,
    /// The key was not accepted, or there was none.
    SignIn,
    /// The backend did not take it.
    Refused,
    /// A file could not be read or sent.
    File,
    /// Something that is not known here.
    #[default]
    #[serde(other)]
    Other,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [FailureKind; 7] = [
        FailureKind::Unavailable,
        FailureKind::TimedOut,
        FailureKind::Busy,
        FailureKind::SignIn,
        FailureKind::Refused,
        FailureKind::File,
        FailureKind::Other,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Unavailable => "unavailable",
            FailureKind::TimedOut => "timed_out",
            FailureKind::Busy => "busy",
            FailureKind::SignIn => "sign_in",
            FailureKind::Refused => "refused",
            FailureKind::File => "file",
            FailureKind::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_by_their_names_and_new_ones_are_other() {
        for kind in FailureKind::ALL {
            let written = serde_json::to_string(&kind).unwrap();
            assert_eq!(written, format!("\"{}\"", kind.name()));
            assert_eq!(serde_json::from_str::<FailureKind>(&written).unwrap(), kind);
        }
        let newer = r#"{"pending_bytes":1,"failure":{"kind":"eaten","at":"x","why":1},"more":2}"#;
        let report: SessionReport = serde_json::from_str(newer).unwrap();
        assert_eq!(report.failure.unwrap().kind, FailureKind::Other);
    }
}
