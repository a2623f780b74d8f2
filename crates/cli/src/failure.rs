//! How the binary says that something failed: what happened, and what to do about it.

use std::fmt;

/// A failure that somebody can do something about: one line that says what, one that says how to go on.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// A failure with its remedy.
pub(crate) fn failure(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Failure { what: what.into(), hint: hint.into() })
}

/// The text for standard error: `error:` with the chain of causes, then `hint:` where one is known.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
    }
    if let Some(failure) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
        text.push_str("\nhint: ");
        text.push_str(&failure.hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{failure, report};

    #[test]
    fn the_remedy_comes_after_the_causes() {
        let error = failure("port 6432 is in use", "choose another with --port").context("the gateway did not start");
        assert_eq!(
            report(&error),
            "error: the gateway did not start\n  because: port 6432 is in use\nhint: choose another with --port"
        );
        assert_eq!(report(&anyhow::anyhow!("plain")), "error: plain");
    }
}
