//! Parse, bind, decide, rewrite: which values of an SQL statement become cells, and which statements are refused.
//!
//! Owns no key, no ciphertext and no socket. A statement that touches a protected column gives exactly what plain
//! PostgreSQL would have given, or is refused; what is not understood is refused, never forwarded.

#![allow(clippy::result_large_err, reason = "a refusal ends its statement: no fast path carries one")]

mod administers;
mod array;
mod bind;
mod catalog;
mod census;
mod copy;
mod ddl;
mod decide;
mod env;
mod explain;
mod named;
mod overlay;
mod parse;
mod plan;
mod reflect;
mod refusal;
mod settings;
mod shape;
mod statement;
mod subjects;
mod template;
mod types;
mod walk;

pub use array::elements as array_elements;
pub use catalog::{CATALOG_SQL, Catalog, CatalogColumn, CatalogError, Ctype, Relation, SYSTEM_CATALOG_SQL};
pub use ddl::{cell_condition, check_name as cell_check_name};
pub use plan::{Session, plan};
pub use refusal::Refusal;
pub use shape::{Shape, shapes};
pub use statement::{
    CellSlot, ClientParameter, Command, CopyField, CopyFormat, CopyPlan, Effects, Kind, LetterCase, Own, OwnName,
    PassProof, PatternPart, Purpose, ResultColumn, Rewritten, Search, SearchPart, SearchTest, ServerParameter, Slot,
    SlotSource, Statement, Typed, Use,
};
pub use subjects::{SubjectColumn, Subjects, Without};
pub use template::Template;
pub use types::quoted;
