//! Commits and pull requests of a session.

use super::{Engine, Tools, time_left};
use crate::error::Error;
use crate::github::Link;
use crate::remote::{Failure, Verdict};
use crate::wire::{LINK_SOURCE_HOOK, LinkRequest};

impl Engine {
    /// Tells the backend of a commit or a pull request. One whose repository has a name that
    /// redaction would cut out is refused here.
    ///
    /// # Errors
    /// As the backend.
    pub fn send_link(&mut self, url: &str, tools: &mut Tools<'_>) -> Result<(), Failure> {
        let refuse = |why| {
            let failure = Failure::retry(Error::new(why));
            Err(Failure { verdict: Verdict::Reject, ..failure })
        };
        let Some(link) = Link::parse(url) else {
            return refuse("it is no commit and no pull request on GitHub");
        };
        let repository = link.repository.to_string();
        if tools.redactor.text(&repository) != repository {
            return refuse("the name of its repository is redacted");
        }
        let session_id = self.open(tools)?;
        let request = LinkRequest {
            url: link.to_string(),
            source: LINK_SOURCE_HOOK.to_owned(),
            ..LinkRequest::default()
        };
        let time_max = time_left(tools)?;
        tools.backend.link(&session_id, &request, time_max).inspect_err(|failure| {
            // What it says of a link it does not say of the lines.
            if matches!(failure.verdict, Verdict::Retry(_) | Verdict::SignIn) {
                self.forget(failure);
            }
        })
    }
}
