//! The words of a classification: logical types, protections, domains, columns, tables.
//!
//! Owns no key, no SQL and no signature; `seal`, `sql` and `register` share these words so that none of them
//! needs to import another.

mod classification;
mod element;
mod enum_name;
mod mask;
mod types;

pub use classification::{
    Class, Classification, ClassificationError, Column, ColumnId, Domain, Protected, Protection, Subject, Table,
    TableId, Unlisted,
};
pub use element::Element;
pub use enum_name::{EnumLabels, EnumName};
pub use mask::{HIDDEN, Mask};
pub use types::{LogicalType, MAX_ORDER_BITS, TypeError};
