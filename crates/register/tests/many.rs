//! A register of ten thousand statements.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod people;

use drieslot_register::{Asker, Operation, State, Status};
use drieslot_schema::{ColumnId, Domain, TableId};
use people::{Log, now};

#[test]
fn ten_thousand_statements_fold_to_the_state_that_their_sum_gives() {
    let (log, entries) = people::many(4_000, 3_000, 3_000);
    let mut state = State::new(drieslot_register::Hex32::sha256(&log.charter));
    for (index, entry) in entries.iter().enumerate() {
        state.apply(index as u64, entry).unwrap();
    }
    assert_eq!(state.statements().len(), 10_000 + 2, "with the charter and the classification");
    let count = |status: Status| state.statements().iter().filter(|one| one.status == status).count();
    assert_eq!((count(Status::Revoked), count(Status::Pending)), (3_000, 3_000));
    assert_eq!(state.mandates_of("app_intake").count(), 1_000);
    let table = TableId { schema: "public".into(), table: "newcomers".into() };
    let name = ColumnId { table, column: "name".into() };
    let asker = Asker::new("app_intake", "civic");
    let permit = state.permit(&asker, now(), &[(name, Operation::Read)]).unwrap();
    assert_eq!(permit.mandates, ["m3000"], "the first that is left");
    assert!(state.domain_use(&Domain("person".into()), 1, &log.gateway, now()).is_ok());
    // An entry that is refused leaves nothing behind, however much there is.
    let before = format!("{state:?}");
    let refused = Log::statement_entry(&people::mandate("m0", ""));
    assert!(state.apply(state.revision(), &refused).is_err());
    assert_eq!(format!("{state:?}"), before);
}
