//! What `find` finds in journals of thousands of entries, and proofs of entries before a foreign verifier.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::process::Command;

use common::{Gateway, at, python_verifies, tool};
use drieslot_audit::{AuditError, Filter, Found, Look, Progress, find, proof};
use drieslot_journal::{Checkpoint, Reader};

fn looks(found: Vec<Found>) -> Vec<Look> {
    let look = |one| match one {
        Found::Look(look) => *look,
        Found::Event(event) => panic!("{event:?}"),
    };
    found.into_iter().map(look).collect()
}

fn all(reader: &Reader, filter: &Filter) -> Result<Vec<Found>, AuditError> {
    find(reader, filter).collect()
}

fn of_kind(kind: &str) -> Filter {
    Filter { kind: strings(&[kind]), ..Filter::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Sessions that overlap: an intent's outcomes come far after it, in other bundles.
fn busy() -> Gateway {
    let mut gateway = Gateway::new("civic/gateway-1");
    let mut open = Vec::new();
    for turn in 0..2_000_i64 {
        let third = usize::try_from(turn % 3).unwrap();
        let principal = ["app_intake", "app_tax", "app_\"quoted\""][third];
        let columns = ["public.person.name", "public.person.town", "other.person.name"];
        open.push((turn, gateway.intent(turn, principal, &format!("m-{}", turn % 5), &columns[..1 + third])));
        if turn % 7 == 0 {
            gateway.refused(turn, principal);
        }
        if open.len() == 300 {
            let (begun, intent) = open.remove(0);
            gateway.outcome(turn, intent, 2, "more", &["AAAAAAAAAAAAAAAAAAAAAA"]);
            if begun % 2 == 0 {
                gateway.outcome(turn, intent, 1, "done", &["BBBBBBBBBBBBBBBBBBBBBB"]);
            }
        }
    }
    gateway
}

#[test]
fn filters_choose_looks_and_their_outcomes_are_counted_however_far_away() {
    let mut gateway = busy();
    // Before the close most of it is in the write-ahead file too.
    for _ in 0..2 {
        gateway.settle();
        let reader = Reader::open(&gateway.journal()).unwrap();
        let ask = |filter: Filter| looks(all(&reader, &filter).unwrap());
        let of_tax = ask(Filter { principal: strings(&["app_tax"]), ..of_kind("intent") });
        assert_eq!(of_tax.len(), 667);
        for look in &of_tax {
            let turn = look.time.duration_since(at(0)).as_secs();
            let wanted = match (turn <= 1_700, turn % 2) {
                (false, _) => (0, Progress::NothingReleased, 0),
                (true, 0) => (3, Progress::Done, 2),
                (true, _) => (2, Progress::Unfinished, 1),
            };
            assert_eq!((look.rows, look.state, look.subjects.len()), wanted, "turn {turn}");
        }
        assert!(of_tax.is_sorted_by_key(|look| look.first));
        let by_quoted = ask(Filter { principal: strings(&["app_\"quoted\""]), ..of_kind("intent") });
        assert_eq!(by_quoted.len(), 666);
        let narrow = Filter {
            mandate: strings(&["m-2", "m-3"]),
            purpose: strings(&["purpose of m-3"]),
            end_user: strings(&["app_intake-user"]),
            since: Some(at(100)),
            until: Some(at(200)),
            ..Filter::default()
        };
        let found: Vec<_> = ask(narrow).iter().map(|look| look.time.duration_since(at(0)).as_secs()).collect();
        assert_eq!(found, (100..200).filter(|turn| turn % 5 == 3 && turn % 3 == 0).collect::<Vec<i64>>());
        for (column, table, count) in [
            (&["public.person.town"][..], &[][..], 1_333),
            (&["town"][..], &[][..], 1_333),
            (&["own"][..], &[][..], 0),
            (&["name"][..], &["other.person"][..], 666),
            (&[][..], &["person"][..], 2_000),
            (&[][..], &["rson"][..], 0),
        ] {
            let filter = Filter { column: strings(column), table: strings(table), ..Filter::default() };
            assert_eq!(ask(filter).len(), count, "{column:?} {table:?}");
        }
        let refused = all(&reader, &Filter { refused: true, ..Filter::default() }).unwrap();
        assert!(
            refused.len() == 286
                && refused.iter().all(|one| matches!(one, Found::Event(event) if event.kind == "refused"))
        );
        let raw = all(&reader, &of_kind("outcome")).unwrap();
        assert!(raw.len() > 2_500 && raw.iter().all(|one| matches!(one, Found::Event(_))), "{}", raw.len());
        assert_eq!(all(&reader, &Filter::default()).unwrap().len(), 2_286);
        if gateway.is_open() {
            gateway.close();
        }
    }
}

#[test]
fn an_entry_that_lacks_a_member_is_refused_with_its_place() {
    let mut gateway = Gateway::new("civic/gateway-1");
    gateway.write(1, "note", &serde_json::json!({}));
    gateway.write(1, "intent", &serde_json::json!({"session": "0", "principal": "app"}));
    gateway.settle();
    let reader = Reader::open(&gateway.journal()).unwrap();
    let error = all(&reader, &Filter::default()).unwrap_err().to_string();
    assert!(error.contains("entry 1 of journal `civic/gateway-1`") && error.contains("missing field"), "{error}");
}

/// Neither a look without an end nor one that ends far away holds up what comes after it for long; nor is any lost.
#[test]
fn what_is_found_is_given_out_on_the_way() {
    let mut gateway = Gateway::new("civic/gateway-1");
    let lost = gateway.intent(0, "app", "m", &["public.person.name"]);
    let late = gateway.intent(0, "app", "m", &["public.person.name"]);
    let mut expected = vec![(lost, 0), (late, 7)];
    for turn in 0..70_000 {
        let intent = gateway.intent(turn, "app", "m", &["public.person.name"]);
        let state = ["done", "suspended", "failed"][usize::try_from(turn % 3).unwrap()];
        gateway.outcome(turn, intent, 2, state, &[]);
        expected.push((intent, 2));
    }
    gateway.write(70_000, "unheard_of", &serde_json::json!({}));
    gateway.outcome(70_000, late, 7, "done", &[]);
    gateway.close();
    let (reader, filter) = (Reader::open(&gateway.journal()).unwrap(), of_kind("intent"));
    let mut finding = find(&reader, &filter);
    let first = finding.next().unwrap().unwrap();
    assert_eq!((first.place().2, finding.unknown_kinds()), (lost, 0), "it was given out before the end was read");
    let rest = looks(finding.by_ref().collect::<Result<_, _>>().unwrap());
    let found: Vec<_> = std::iter::once((lost, 0)).chain(rest.iter().map(|look| (look.first, look.rows))).collect();
    assert!(found == expected, "{} looks", found.len());
    assert_eq!(finding.unknown_kinds(), 1);
}

#[test]
fn a_foreign_verifier_accepts_each_proof_and_no_other_entry() {
    if !python_verifies() {
        return;
    }
    let mut gateway = busy();
    gateway.close();
    let reader = Reader::open(&gateway.journal()).unwrap();
    let checkpoint = Checkpoint::open(reader.note(), &gateway.verifier()).unwrap();
    let entries = gateway.folder.path().join("entries");
    std::fs::create_dir(&entries).unwrap();
    let last = checkpoint.size - 1;
    for index in [0, 1, 255, 256, 1_000, last - 1, last] {
        let proven = proof::prove(&reader, &checkpoint, index).unwrap();
        let path = entries.join(format!("{index:012}.json"));
        std::fs::write(path.with_extension("json.tlog-proof"), proven.proof).unwrap();
        std::fs::write(path, proven.entry).unwrap();
    }
    assert!(proof::prove(&reader, &checkpoint, last + 1).is_err());
    let vkey = gateway.verifier().vkey();
    let verify = |vkey: &str| {
        let mut command = Command::new("python3");
        let output = command.arg(tool("verify_export.py")).arg(gateway.folder.path()).arg(vkey).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    assert_eq!(verify(&vkey), (Some(0), "verified: 7 entries of civic/gateway-1\n".into()));
    let other = Gateway::new("civic/gateway-1");
    let (code, said) = verify(&other.verifier().vkey());
    assert!(code == Some(1) && said.contains("not signed by"), "{said}");

    let (first, second) = (entries.join("000000000000.json"), entries.join("000000000001.json"));
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, std::fs::read(&second).unwrap()).unwrap();
    let (code, said) = verify(&vkey);
    assert!(code == Some(1) && said.contains("not the one that was signed for"), "{said}");
    // With the other's proof it is another entry than its name says.
    let proof = std::fs::read(second.with_extension("json.tlog-proof")).unwrap();
    std::fs::write(first.with_extension("json.tlog-proof"), proof).unwrap();
    let (code, said) = verify(&vkey);
    assert!(code == Some(1) && said.contains("it is entry 1"), "{said}");
    std::fs::write(&first, bytes).unwrap();
    std::fs::remove_file(first.with_extension("json.tlog-proof")).unwrap();
    assert_eq!(verify(&vkey).0, Some(1));
}

#[test]
fn an_entry_that_was_changed_is_not_proven() {
    let mut gateway = busy();
    // So that what was first is no longer in the write-ahead file.
    for turn in 0..2_000 {
        gateway.write(turn, "note", &serde_json::json!({"filler": "x".repeat(6_000)}));
    }
    gateway.close();
    let bundle = gateway.journal().join("tile/entries/001");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let place = bytes.windows(8).position(|eight| eight == b"app_tax\"").unwrap();
    bytes[place] = b'b';
    std::fs::write(&bundle, bytes).unwrap();
    let reader = Reader::open(&gateway.journal()).unwrap();
    let checkpoint = Checkpoint::open(reader.note(), &gateway.verifier()).unwrap();
    let errors: Vec<_> = (256..512)
        .filter_map(|index| proof::prove(&reader, &checkpoint, index).err())
        .map(|error| error.to_string())
        .collect();
    assert!(errors.len() == 1 && errors[0].contains("not the entry that was signed for"), "{errors:?}");
}
