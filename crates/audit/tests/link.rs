//! Whether an old journal is the one that another goes on from.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::Gateway;
use drieslot_audit::{Held, Link, Reason};
use drieslot_journal::{Checkpoint, IdentityKey, Mirror, Reader};

fn gateway(entries: i64) -> Gateway {
    let mut gateway = Gateway::new("civic/gateway-1");
    for second in 0..entries {
        gateway.refused(second, "app");
    }
    gateway.close();
    gateway
}

fn more(gateway: &mut Gateway, entries: i64) {
    gateway.open();
    for second in 0..entries {
        gateway.refused(1000 + second, "app");
    }
    gateway.close();
}

fn reader(gateway: &Gateway) -> Reader {
    Reader::open(&gateway.journal()).unwrap()
}

fn broken(link: &Link, reader: &Reader) -> String {
    link.check(reader).unwrap_err().to_string()
}

#[test]
fn a_link_is_written_and_read_back() {
    let gateway = gateway(3);
    let link = Link::to(&reader(&gateway), &gateway.verifier(), Reason::Key).unwrap();
    let bytes = link.entry("2026-01-01T00:00:00Z").unwrap();
    assert_eq!(Link::read("o", &bytes).unwrap(), Some(link));
    assert_eq!(Link::of(&reader(&gateway)).unwrap(), None, "it begins with something else");
}

#[test]
fn an_old_journal_is_what_was_linked_or_it_is_said_what_it_is() {
    let mut gateway = gateway(300);
    let at_300 = reader(&gateway);
    let key = gateway.verifier();
    let link = Link::to(&at_300, &key, Reason::Key).unwrap();
    assert_eq!(link.check(&at_300).unwrap(), Held::All);
    assert_eq!(Link::to_unknown(&key, Reason::Lost).check(&at_300).unwrap(), Held::Unknown);
    more(&mut gateway, 5);
    let at_305 = reader(&gateway);
    assert!(broken(&link, &at_305).contains("went on after its end: 5 entries"));
    let checkpoint = Checkpoint::open(at_300.note(), &key).unwrap();
    let lost = Link::to_note(at_300.note(), &checkpoint, &key, Reason::Lost);
    assert_eq!(lost.check(&at_305).unwrap(), Held::More(5), "found again");
    let whole = Link::to(&at_305, &key, Reason::Key).unwrap();
    assert!(broken(&whole, &at_300).contains("it has 300 entries, and 305 were linked"));
    let other = Link { root: Some("00".repeat(32)), ..whole.clone() };
    assert!(broken(&other, &at_305).contains("are not those that were linked"));
    let stranger = IdentityKey::generate().unwrap().vkey("civic/gateway-1").unwrap();
    assert!(broken(&Link { key: stranger, ..whole }, &at_305).contains("not signed by"));
}

#[test]
fn a_mirror_has_what_was_signed_and_the_link_what_came_after() {
    let mut gateway = gateway(300);
    let folder = gateway.folder.path().join("mirror");
    let mut mirror = Mirror::open(&folder, gateway.verifier()).unwrap();
    let key = gateway.verifier();
    let signed = reader(&gateway).note().to_owned();
    mirror.follow(gateway.journal().as_path(), &signed).unwrap();
    more(&mut gateway, 5);
    // As if the last five were not under a checkpoint.
    let mut link = Link::to(&reader(&gateway), &key, Reason::Key).unwrap();
    assert!(broken(&link, &Reader::open(&folder).unwrap()).contains("it has 300 entries, and 305 were linked"));
    link.checkpoint = Some(signed);
    assert_eq!(link.check(&Reader::open(&folder).unwrap()).unwrap(), Held::Less(300));
}
