//! Which sessions a query is about.

use super::fold::folded;

/// What is known of a session. Times are microseconds since 1970.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Last folder of the repository or of the working directory.
    pub project: String,
    /// Branch of the repository.
    pub branch: String,
    /// Name of the machine.
    pub machine: String,
    /// Account name, and address of the owner.
    pub users: [String; 2],
    /// Title and first message.
    pub texts: [String; 2],
    /// Models that answered, when [`SessionFilter::wants_models`].
    pub models: String,
    /// When it began.
    pub begun_at: i64,
    /// When it was last active.
    pub ended_at: i64,
}

/// A property of sessions that filters go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// `project:`
    Project,
    /// `branch:`
    Branch,
    /// `machine:`
    Machine,
    /// `user:`
    User,
    /// `model:`
    Model,
    /// A word without a name: title and first message.
    Text,
}

/// From when until when, microseconds since 1970; the end itself is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// `after:`
    pub from: i64,
    /// `before:`
    pub until: i64,
}

impl Times {
    /// No bounds.
    pub const ALL: Times = Times { from: i64::MIN, until: i64::MAX };

    /// Whether a time lies between the bounds.
    pub fn contains(&self, time: i64) -> bool {
        self.from <= time && time < self.until
    }
}

impl Default for Times {
    fn default() -> Times {
        Times::ALL
    }
}

/// Which sessions a query is about: those that have all of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SessionFilter {
    /// What is wanted, or not: part of the property's value, folded.
    pub wanted: Vec<(Property, String, bool)>,
    /// The session was active between these.
    pub times: Times,
}

impl SessionFilter {
    /// Whether every session passes.
    pub fn is_empty(&self) -> bool {
        *self == SessionFilter::default()
    }

    /// Whether [`SessionFacts::models`] is looked at.
    pub fn wants_models(&self) -> bool {
        self.wanted.iter().any(|(property, ..)| *property == Property::Model)
    }

    /// Whether a session passes.
    pub fn matches(&self, facts: &SessionFacts) -> bool {
        let is_active = facts.ended_at >= self.times.from && facts.begun_at < self.times.until;
        is_active
            && self.wanted.iter().all(|(property, part, is_wanted)| {
                let has = |text: &str| folded(text).contains(part.as_str());
                let found = match property {
                    Property::Project => has(&facts.project),
                    Property::Branch => has(&facts.branch),
                    Property::Machine => has(&facts.machine),
                    Property::Model => has(&facts.models),
                    Property::User => facts.users.iter().any(|text| has(text)),
                    Property::Text => facts.texts.iter().any(|text| has(text)),
                };
                found == *is_wanted
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_pass_by_parts_of_what_is_known_of_them() {
        let facts = SessionFacts {
            project: "Confab".into(),
            branch: "feature/x".into(),
            machine: "laptop".into(),
            users: ["dev".into(), "me@example.com".into()],
            texts: ["Ein Café".into(), "hello".into()],
            models: "claude-a,claude-b".into(),
            begun_at: 100,
            ended_at: 200,
        };
        let cases = [
            (Property::Project, "conf", true),
            (Property::Project, "x", false),
            (Property::Branch, "feature/", true),
            (Property::User, "example", true),
            (Property::User, "dev", true),
            (Property::Model, "claude-b", true),
            (Property::Text, "cafe", true),
            (Property::Text, "hello", true),
            (Property::Machine, "desktop", false),
        ];
        for (property, part, passes) in cases {
            for is_wanted in [true, false] {
                let wanted = vec![(property, part.into(), is_wanted)];
                let filter = SessionFilter { wanted, times: Times::ALL };
                assert_eq!(filter.matches(&facts), passes == is_wanted, "{property:?} {part}");
            }
        }
        let times =
            [(0, 50, false), (0, 101, true), (150, 160, true), (200, 300, true), (201, 300, false)];
        for (from, until, passes) in times {
            let filter = SessionFilter { wanted: Vec::new(), times: Times { from, until } };
            assert_eq!(filter.matches(&facts), passes, "{from} {until}");
        }
    }
}
