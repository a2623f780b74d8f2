//! Which statements a principal may send at all, by their shapes: an injected one has another shape than those that
//! the application is made of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use drieslot_sql::{self as sql, Shape};

use crate::GatewayError;
use crate::config::{self, FirewallMode, FirewallRule};

/// Verdicts that are remembered of each principal, and the longest text that one is remembered of.
const MAX_VERDICTS: usize = 10_000;
const MAX_TEXT_BYTES: usize = 16 << 10;

const BACKSLASHES: &str = "it has backslashes, and standard_conforming_strings is off";

/// The rules of all principals that have one.
pub(crate) struct Firewall(BTreeMap<String, Rule>);

struct Rule {
    mode: FirewallMode,
    /// `None` allows everything.
    allowed: Option<HashSet<String>>,
    denied: HashSet<String>,
    verdicts: Mutex<HashMap<String, Verdict>>,
}

/// Why a statement is not allowed.
#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    pub(crate) why: &'static str,
    /// Empty for what is neither a query nor a change of rows.
    pub(crate) fingerprint: String,
}

type Verdict = Result<(), Stopped>;

/// What the session does with a text.
pub(crate) enum Decision {
    Pass,
    /// It passes, and is told of: the first time.
    Report(Stopped),
    Refuse(Stopped),
}

impl Firewall {
    /// Reads the files of the rules.
    pub(crate) fn open(rules: &[FirewallRule], principals: &BTreeSet<&str>) -> Result<Self, GatewayError> {
        let mut opened = BTreeMap::new();
        for FirewallRule { principal, mode, allow, deny } in rules {
            let wrong = |why: &str| GatewayError::Config(format!("firewall of `{principal}`: {why}"));
            if !principals.contains(principal.as_str()) {
                return Err(wrong("there is no such principal"));
            }
            if allow.is_none() && deny.is_none() {
                return Err(wrong("name a file with `allow`, `deny` or both"));
            }
            let rule = Rule {
                mode: *mode,
                allowed: allow.as_deref().map(read).transpose()?,
                denied: deny.as_deref().map(read).transpose()?.unwrap_or_default(),
                verdicts: Mutex::default(),
            };
            if opened.insert(principal.clone(), rule).is_some() {
                return Err(wrong("it has two rules; put them into one"));
            }
        }
        Ok(Self(opened))
    }

    /// Judges a text. What does not parse passes: the planner refuses it with its place.
    pub(crate) fn judge(&self, principal: &str, text: &str, standard_strings: bool) -> Decision {
        let Some(rule) = self.0.get(principal) else { return Decision::Pass };
        let (verdict, first) = match standard_strings || !text.contains('\\') {
            true => rule.verdict(text),
            // Where a string ends cannot be told from its text alone.
            false => (Err(Stopped { why: BACKSLASHES, fingerprint: String::new() }), true),
        };
        match (verdict, rule.mode) {
            (Ok(()), _) => Decision::Pass,
            (Err(stopped), FirewallMode::Enforce) => Decision::Refuse(stopped),
            (Err(stopped), FirewallMode::Report) if first => Decision::Report(stopped),
            (Err(_), FirewallMode::Report) => Decision::Pass,
        }
    }
}

impl Rule {
    /// The verdict, and whether it is new.
    fn verdict(&self, text: &str) -> (Verdict, bool) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = verdicts.get(text) {
            return (verdict.clone(), false);
        }
        let verdict = sql::shapes(text).unwrap_or_default().into_iter().try_for_each(|shape| self.of(shape));
        if text.len() <= MAX_TEXT_BYTES {
            if verdicts.len() >= MAX_VERDICTS {
                verdicts.clear();
            }
            verdicts.insert(text.to_owned(), verdict.clone());
        }
        (verdict, true)
    }

    fn of(&self, shape: Shape) -> Verdict {
        let stopped = |why, fingerprint| Err(Stopped { why, fingerprint });
        match shape {
            Shape::Session => Ok(()),
            Shape::Query { fingerprint, text } if self.denied.contains(&text) => {
                stopped("it is on the list of statements that are refused", fingerprint)
            }
            Shape::Query { fingerprint, text } => match &self.allowed {
                Some(allowed) if !allowed.contains(&text) => {
                    stopped("it is not on the list of statements that are allowed", fingerprint)
                }
                Some(_) | None => Ok(()),
            },
            Shape::Other if self.allowed.is_some() => {
                stopped("only queries, changes of rows and COPY by way of the client can be allowed", String::new())
            }
            Shape::Other => Ok(()),
        }
    }
}

/// The shapes of a file, whose statements may be written in any way.
fn read(path: &Path) -> Result<HashSet<String>, GatewayError> {
    let bad = |why: String| GatewayError::Config(format!("{}: {why}", path.display()));
    let shapes = sql::shapes(&config::read(path)?).map_err(|refusal| bad(refusal.message))?;
    let number = (1..).zip(shapes);
    let texts = number.map(|(number, shape)| match shape {
        Shape::Query { text, .. } => Ok(text),
        Shape::Session => Err(bad(format!("statement {number} is always allowed: take it out"))),
        Shape::Other => Err(bad(format!("statement {number} is neither a query nor a change of rows nor a COPY"))),
    });
    let texts: HashSet<_> = texts.collect::<Result<_, _>>()?;
    tracing::info!(file = %path.display(), statements = texts.len(), "a list of the firewall is read");
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backslashes_do_not_hide_a_second_statement() {
        let allowed = HashSet::from(["select a from t where b = $1".to_owned()]);
        let rule = Rule {
            mode: FirewallMode::Enforce,
            allowed: Some(allowed),
            denied: HashSet::new(),
            verdicts: Mutex::default(),
        };
        let firewall = Firewall(BTreeMap::from([("app".to_owned(), rule)]));
        let passes = |text: &str, standard| matches!(firewall.judge("app", text, standard), Decision::Pass);
        // Without standard strings the first string ends at the second quote but one.
        let text = r"SELECT a FROM t WHERE b = '\'; DELETE FROM t; --'";
        assert!(passes(r"SELECT a FROM t WHERE b = '\'; COMMIT; --'", true));
        assert!(!passes(text, true) && !passes(text, false));
        let hidden = r"SELECT a FROM t WHERE b = '\' /* '; DELETE FROM t; -- */'";
        assert!(!passes(hidden, false));
        assert!(
            passes("SELECT a FROM t WHERE b = 'x'", false) && passes("SET standard_conforming_strings = on", false)
        );
    }
}
