//! The text of a rewritten statement, cut where cells and parameters go.

use std::fmt::Write as _;

/// A statement's text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// A slot, and its server parameter from 1.
    Slot {
        slot: usize,
        server: usize,
    },
    /// A client parameter that stays plain: its own number, and its server parameter from 1.
    Plain {
        client: u32,
        server: usize,
    },
}

impl Template {
    /// For the simple protocol: `write` appends an SQL expression of type `bytea` for the slot with the given index.
    /// A parameter of the client, which the simple protocol does not have, keeps its number.
    pub fn render_inline(&self, write: &mut impl FnMut(usize, &mut String)) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Slot { slot, .. } => write(*slot, &mut out),
                Piece::Plain { client, .. } => push_parameter(&mut out, *client),
            }
        }
        out
    }

    /// For the extended protocol: every slot and every plain parameter is a `$n`, in the order of
    /// [`crate::Rewritten::parameters`].
    pub fn with_parameters(&self) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Slot { server, .. } | Piece::Plain { server, .. } => push_parameter(&mut out, server),
            }
        }
        out
    }
}

fn push_parameter(out: &mut String, number: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "${number}");
}
