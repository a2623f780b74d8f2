//! A plain SQL dump, read as psql reads it: statements, COPY data and the few backslash commands of dumps.
//!
//! Owns the splitting of the text into statements; refuses what psql would do beyond SQL (variables, conditions, shell).

mod lexer;
mod reader;

pub(crate) use reader::{Item, Reader};
