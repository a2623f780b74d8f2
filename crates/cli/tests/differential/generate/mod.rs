//! The generator of queries and classifications, and the judge over what both sides answered.

pub(crate) mod change;
pub(crate) mod connection;
pub(crate) mod expr;
pub(crate) mod from;
pub(crate) mod generator;
pub(crate) mod judge;
pub(crate) mod lists;
pub(crate) mod random;
pub(crate) mod scheme;
pub(crate) mod scope;
pub(crate) mod select;
pub(crate) mod setup;
pub(crate) mod value;
pub(crate) mod world;
