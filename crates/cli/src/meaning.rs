//! What the statements of a dossier mean, in the words of who is about to sign one.

use drieslot_register::statement::{
    Approval, Attestation, Decision, Document, Exit, ExitEvent, Finding, Incident, Order, OrderStage, Risk, Statement,
};
use jiff::{SignedDuration, Timestamp};

/// Within which the supervisory authority is told of a breach: article 33 of the GDPR.
const AUTHORITY_WITHIN: SignedDuration = SignedDuration::from_hours(72);

/// With a heading, one thing a line; `None` for other kinds.
pub(crate) fn meaning(statement: &Statement, now: Timestamp) -> Option<String> {
    let (who, lines, replaces) = match statement {
        Statement::Approval(one) => ("the head".to_owned(), approval(one), &one.replaces),
        Statement::Attestation(one) => (one.who.clone(), attestation(one), &one.replaces),
        Statement::Order(one) => {
            let first = one.stage == OrderStage::Received && one.replaces.is_none();
            (if first { "any person of the charter" } else { "the head" }.to_owned(), order(one), &one.replaces)
        }
        Statement::Incident(one) => {
            let who = match one.closed {
                Some(_) => "the head, or a data-protection officer",
                None => "any person of the charter",
            };
            (who.to_owned(), incident(one, now), &one.replaces)
        }
        Statement::Exit(one) => ("officers of structure and of keys".to_owned(), exit(one), &one.replaces),
        Statement::Charter(_)
        | Statement::Classification(_)
        | Statement::Mandate(_)
        | Statement::Revocation(_)
        | Statement::KeyCheck(_)
        | Statement::KeyPolicy(_)
        | Statement::Rotation(_)
        | Statement::Retirement(_)
        | Statement::Officers(_)
        | Statement::Denial(_) => return None,
    };
    let mut text = format!("what {} `{}` means, once signed by {who}:\n", statement.kind(), statement.id());
    let replaced = replaces.iter().map(|old| format!("it takes the place of `{old}`"));
    lines.into_iter().chain(replaced).for_each(|line| text.push_str(&format!("  {line}\n")));
    Some(text)
}

fn approval(one: &Approval) -> Vec<String> {
    let decision = match one.decision {
        Decision::Approved => "approves",
        Decision::Refused => "refuses",
    };
    let mut lines = vec![format!("the head {decision}: {}", one.what), scope(&one.application, &one.processor)];
    lines.extend(one.conditions.iter().map(|condition| format!("on condition that: {condition}")));
    if !one.accepts.is_empty() {
        lines.push(format!("the head accepts that these risks stay open: {}", one.accepts.join(", ")));
    }
    lines.extend(documents("having read", &one.document));
    lines.push(format!("until {}", one.valid_until));
    lines
}

fn attestation(one: &Attestation) -> Vec<String> {
    let finding = match one.finding {
        Finding::Met => "is met",
        Finding::Partly => "is met in part only",
        Finding::NotMet => "is NOT met",
    };
    let mut lines = vec![format!("{} says that criterion {} {finding}: {}", one.who, one.criterion, one.why)];
    lines.push(scope(&one.application, &one.processor));
    lines.extend(documents("by", &one.document));
    lines.push(format!("until {}", one.valid_until));
    lines
}

fn order(one: &Order) -> Vec<String> {
    let what = format!("{} ({}), number {}, demands: {}", one.authority, one.country, one.reference, one.demands);
    let why = one.why.as_deref().unwrap_or_default();
    let stage = match one.stage {
        OrderStage::Received => format!("it was received on {}; the head has to decide", one.received),
        OrderStage::Granted => format!("the head carries it out by mandate `{}`: {why}", mandate(one)),
        OrderStage::Delivered => format!("what mandate `{}` gave was handed over: {why}", mandate(one)),
        OrderStage::Refused => format!("the head does NOT carry it out: {why}"),
        OrderStage::CannotDeliver => format!("there is nothing readable to hand over: {why}"),
        OrderStage::Withdrawn => format!("the authority asks no more: {why}"),
    };
    let mut lines = vec![what, stage];
    lines.extend(one.secret_until.map(|until| format!("nobody concerned is told before {until}")));
    lines.extend(documents("by", &one.document));
    lines.push("all parts and officers read this text in the register: it names no citizen".into());
    lines
}

fn mandate(one: &Order) -> &str {
    one.mandate.as_deref().unwrap_or_default()
}

fn incident(one: &Incident, now: Timestamp) -> Vec<String> {
    let mut lines = vec![one.what.clone(), format!("it was detected on {}", one.detected)];
    if one.exercise {
        lines.push("this is an exercise".into());
    }
    let due = one.detected.checked_add(AUTHORITY_WITHIN).unwrap_or(Timestamp::MAX);
    let authority = match (one.authority_told, one.closed, one.risk) {
        (Some(told), _, _) if told > due => format!("the authority was told on {told}, LATER than the 72 hours"),
        (Some(told), _, _) => format!("the authority was told on {told}, within 72 hours"),
        (None, _, Some(Risk::Unlikely)) => "the authority is not told, as a risk is unlikely".into(),
        (None, Some(_), _) => "the authority was not told".into(),
        (None, None, _) if now > due => format!("the authority has NOT been told, and had to be by {due}"),
        (None, None, _) => format!("the authority has to be told by {due}, unless a risk is unlikely"),
    };
    lines.push(authority);
    lines.push(match (one.subjects_told, one.risk) {
        (Some(told), _) => format!("the persons were told on {told}"),
        (None, Some(Risk::High)) => "the persons have NOT been told, and the risk is high".into(),
        (None, Some(Risk::Unlikely | Risk::Likely) | None) => "the persons have not been told".into(),
    });
    lines.extend(documents("by", &one.document));
    match one.closed {
        Some(closed) => lines.push(format!("it is over since {closed}, and nothing can be added to it any more")),
        None => lines.push("it stays open; the next step is written with replaces".into()),
    }
    lines
}

fn exit(one: &Exit) -> Vec<String> {
    let event = match one.event {
        ExitEvent::Drill => "a drill of the move",
        ExitEvent::Export => "an export",
        ExitEvent::Move => "the move",
    };
    let yes = |is: bool| if is { "" } else { "NOT " };
    let mut lines = vec![
        format!("{event} from {} to {}, of {}", one.from, one.to, one.databases.join(", ")),
        format!("from {} to {}", one.started, one.finished),
        format!("{}every row was there; protected values were {}read there", yes(one.complete), yes(one.readable)),
        format!("applications stood still for {} s; of the last changes {} s were missing", one.rto_s, one.rpo_s),
    ];
    lines.extend(one.phase.iter().map(|phase| format!("{}: {} s", phase.name, phase.seconds)));
    lines.extend(documents("by", std::slice::from_ref(&one.report)));
    lines
}

fn scope(application: &Option<String>, processor: &Option<String>) -> String {
    let application = application.as_ref().map_or("every application".to_owned(), |one| format!("application {one}"));
    let processor = processor.as_ref().map_or("every processor".to_owned(), |one| format!("processor {one}"));
    format!("for {application} at {processor}")
}

fn documents(how: &str, all: &[Document]) -> Vec<String> {
    all.iter().map(|one| format!("{how} \"{}\", sha256 {}", one.name, one.sha256)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/statements.md");

    fn said(example: &str) -> String {
        let statement = Statement::parse(example).unwrap();
        meaning(&statement, "2026-05-06T00:00:00Z".parse().unwrap()).unwrap_or_default()
    }

    /// The page's example of a kind.
    fn example(kind: &str) -> String {
        let mut blocks = PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.find(|block| block.starts_with(&format!("kind = \"{kind}\"\n"))).unwrap().to_owned()
    }

    fn says(text: &str, all: &[&str]) {
        let said = said(text);
        all.iter().for_each(|wanted| assert!(said.contains(wanted), "{wanted}: {said}"));
    }

    #[test]
    fn an_approval_says_what_stays_open_and_until_when() {
        let all = [
            "what approval `newcomers-2026` means, once signed by the head:\n  the head approves: the analysis",
            "  for application newcomers at processor datacentre.example\n",
            "  on condition that: the exit drill is repeated before September\n",
            "  the head accepts that these risks stay open: R01, R06\n",
            "  having read \"analysis of external access, version 3\", sha256 9f86d081",
            "  until 2026-08-01T00:00:00Z\n",
        ];
        says(&example("approval"), &all);
        let refusal = example("approval").replace("\"approved\"", "\"refused\"");
        let refusal: Vec<&str> =
            refusal.lines().filter(|line| !line.starts_with("accepts") && !line.starts_with("conditions")).collect();
        says(&refusal.join("\n"), &["the head refuses: the analysis"]);
    }

    #[test]
    fn an_attestation_is_one_person_s_word() {
        let all = ["once signed by Hilde Maes:\n  Hilde Maes says that criterion T10 is met: the letter names"];
        says(&example("attestation"), &all);
        let no = example("attestation").replace("\"met\"", "\"not-met\"");
        says(&no, &["criterion T10 is NOT met", "for every application at processor datacentre.example"]);
    }

    #[test]
    fn an_order_says_at_each_step_what_the_head_does() {
        says(
            &example("order"),
            &["signed by any person of the charter:", "nobody concerned is told before 2026-09-01"],
        );
        for (stage, extra, wanted) in [
            ("granted", "mandate = \"m-1\"\n", "the head carries it out by mandate `m-1`: it is lawful"),
            ("refused", "", "the head does NOT carry it out: it is lawful"),
            ("cannot-deliver", "", "there is nothing readable to hand over: it is lawful"),
            ("withdrawn", "", "the authority asks no more: it is lawful"),
        ] {
            let step = format!("stage = \"{stage}\"\n{extra}why = \"it is lawful\"\nreplaces = \"order-26-114\"");
            let text = example("order").replace("stage = \"received\"", &step);
            let text = text.replace("id = \"order-26-114\"", "id = \"order-26-114-2\"");
            says(&text, &["once signed by the head:", wanted, "it takes the place of `order-26-114`"]);
        }
    }

    #[test]
    fn an_incident_counts_the_72_hours() {
        says(&example("incident"), &["the authority is not told, as a risk is unlikely", "it stays open"]);
        let likely = example("incident").replace("\"unlikely\"", "\"high\"");
        let all = [
            "the authority has NOT been told, and had to be by 2026-04-05T08:00:00Z\n",
            "the persons have NOT been told, and the risk is high\n",
        ];
        says(&likely, &all);
        let later = likely.replace("2026-04-03T10:00:00Z", "2026-04-06T10:00:00Z");
        let told = |at: &str| format!("{later}authority_told = \"{at}\"\n");
        says(&told("2026-04-05T08:00:00Z"), &["told on 2026-04-05T08:00:00Z, within 72 hours"]);
        says(&told("2026-04-05T08:00:01Z"), &["LATER than the 72 hours"]);
    }

    #[test]
    fn an_exit_says_what_was_and_was_not_there() {
        let all = ["a drill of the move from datacentre.example to second.example, of civic", "copy: 18600 s"];
        says(&example("exit"), &all);
        let lost = example("exit").replace("complete = true", "complete = false");
        says(&lost, &["NOT every row was there; protected values were read there"]);
    }
}
