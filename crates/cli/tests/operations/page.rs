//! What docs/operations.md tells to do, read from the page itself: commands on hosts, and files that go from one to another.

use std::path::Path;

/// One step of the page, in its order.
#[derive(Debug)]
pub(crate) enum Step {
    /// A script, and the hosts that it is run on.
    Run { hosts: Vec<String>, script: String },
    /// A file in one host's home goes to the homes of others.
    Carry { from: String, file: String, to: Vec<String> },
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn carry(line: &str) -> Step {
    let (file, to) = line.split_once("->").unwrap_or_else(|| panic!("{line:?} is no `host:file -> hosts`"));
    let (from, file) = file.trim().split_once(':').unwrap_or_else(|| panic!("{line:?} names no host"));
    Step::Carry { from: from.into(), file: file.into(), to: words(to) }
}

/// All steps. A block in another language than `sh` and `carry` would not be run, so there is none.
pub(crate) fn steps() -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut steps = Vec::new();
    // Text and blocks take turns.
    for block in page.split("\n```").skip(1).step_by(2) {
        let (head, body) = block.split_once('\n').unwrap();
        match head.split_once(' ') {
            Some(("sh", hosts)) => steps.push(Step::Run { hosts: words(hosts), script: format!("{body}\n") }),
            None if head == "carry" => steps.extend(body.lines().map(carry)),
            _ => panic!("the block ```{head} says neither where it is run nor what is carried"),
        }
    }
    steps
}
