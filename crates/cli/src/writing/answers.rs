//! Where the values of a new statement come from: flags, and what is missing from whoever sits at the terminal.
//!
//! Without a terminal nothing is ever asked: what is missing is an error that names its flag.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result};

use crate::failure::failure;

/// Asks, or refuses to.
pub(crate) struct Answers {
    terminal: bool,
}

/// One value of a statement.
pub(crate) struct Question<'a> {
    /// Its flag, without the dashes.
    pub(crate) flag: &'a str,
    /// One line: what it means, and what it may be.
    pub(crate) explained: String,
}

impl<'a> Question<'a> {
    pub(crate) fn new(flag: &'a str, explained: impl Into<String>) -> Self {
        Self { flag, explained: explained.into() }
    }
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdin().is_terminal() }
    }

    /// A value that must be there.
    pub(crate) fn required<T>(
        &self,
        question: &Question<'_>,
        given: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T> {
        if let Some(text) = given {
            return read(text).map_err(|why| wrong(question, &why));
        }
        if !self.terminal {
            let hint = format!("{}; or run the command on a terminal to be asked", question.explained);
            return Err(failure(format!("--{} is missing", question.flag), hint));
        }
        explain(question);
        loop {
            let answer = ask(question.flag)?;
            match read(&answer) {
                Ok(value) => return Ok(value),
                Err(why) => eprintln!("  {why}"),
            }
        }
    }

    /// A value that may be left out.
    pub(crate) fn optional<T>(
        &self,
        question: &Question<'_>,
        given: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        if given.is_none() && !self.terminal {
            return Ok(None);
        }
        self.required(question, given, |text| if text.is_empty() { Ok(None) } else { read(text).map(Some) })
    }

    /// Values until an empty answer; where flags gave some, nothing is asked.
    pub(crate) fn several<T>(
        &self,
        question: &Question<'_>,
        given: &[String],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let mut values = Vec::new();
        for text in given {
            values.push(read(text).map_err(|why| wrong(question, &why))?);
        }
        if !given.is_empty() || !self.terminal {
            return Ok(values);
        }
        explain(question);
        loop {
            let answer = ask(question.flag)?;
            if answer.is_empty() {
                return Ok(values);
            }
            match read(&answer) {
                Ok(value) => values.push(value),
                Err(why) => eprintln!("  {why}"),
            }
        }
    }

    /// The same, at least one.
    pub(crate) fn some<T>(
        &self,
        question: &Question<'_>,
        given: &[String],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        loop {
            let values = self.several(question, given, &read)?;
            if !values.is_empty() {
                return Ok(values);
            }
            if !self.terminal {
                let hint = format!("{}; it may be given several times", question.explained);
                return Err(failure(format!("--{} is missing", question.flag), hint));
            }
        }
    }
}

fn wrong(question: &Question<'_>, why: &str) -> anyhow::Error {
    failure(format!("--{}: {why}", question.flag), question.explained.clone())
}

/// On standard error, so that what is written can be told from what is asked.
fn explain(question: &Question<'_>) {
    eprintln!("\n{}", question.explained);
}

fn ask(flag: &str) -> Result<String> {
    eprint!("{flag}: ");
    std::io::stderr().flush().context("the terminal")?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).context("the terminal")? == 0 {
        return Err(failure(format!("no answer for {flag}"), "nothing was written; run the command again"));
    }
    Ok(line.trim().to_owned())
}
