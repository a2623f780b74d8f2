//! Which paths of a journal may be served, by [tlog-tiles](https://c2sp.org/tlog-tiles), and beside them the last cosigned
//! checkpoint. A path is read into numbers and
//! written anew from them, so that no other file of a folder can be named.

use crate::{COSIGNED, pruning, tile};

/// What a served file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signed tree head: another one soon.
    Checkpoint,
    /// From where on there are entries; another one where more are pruned.
    Pruned,
    /// Hashes: never another content.
    Tile,
    /// Entries: never another content.
    Bundle,
}

/// A file that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its path below the journal's folder.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// The file that a request's path names, without its leading slash; `None` for any other path, and for any other
/// spelling of these.
#[must_use]
pub fn served(path: &str) -> Option<Served> {
    if path == "checkpoint" || path == COSIGNED {
        return Some(Served { path: path.to_owned(), kind: Kind::Checkpoint });
    }
    if path == pruning::FILE {
        return Some(Served { path: path.to_owned(), kind: Kind::Pruned });
    }
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok().filter(|width| (1..tile::WIDTH).contains(width))?),
        None => (rest, tile::WIDTH),
    };
    let index = parse_index(index)?;
    let (path_again, kind) = match level {
        "entries" => (tile::entries_path(index, width), Kind::Bundle),
        level => (tile::hash_path(level.parse().ok().filter(|level| *level < 64)?, index, width), Kind::Tile),
    };
    (path_again == path).then_some(Served { path: path_again, kind })
}

fn parse_index(path: &str) -> Option<u64> {
    path.split('/').try_fold(0_u64, |index, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let value: u64 = digits.parse().ok().filter(|value| *value < 1000)?;
        index.checked_mul(1000)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_the_specification_are_served() {
        for (path, kind) in [
            ("checkpoint", Kind::Checkpoint),
            ("pruned", Kind::Pruned),
            ("checkpoint.cosigned", Kind::Checkpoint),
            ("tile/0/000", Kind::Tile),
            ("tile/0/x001/x234/067", Kind::Tile),
            ("tile/2/000.p/17", Kind::Tile),
            ("tile/63/000", Kind::Tile),
            ("tile/entries/273.p/112", Kind::Bundle),
            ("tile/entries/x001/000", Kind::Bundle),
        ] {
            assert_eq!(served(path), Some(Served { path: path.into(), kind }));
        }
    }

    #[test]
    fn nothing_else_is() {
        for path in [
            "",
            "/",
            "wal",
            "lock",
            "mirror",
            "checkpoint/",
            "checkpoint.new",
            "checkpoint.cosigned.new",
            "/checkpoint",
            "./checkpoint",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/+01",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p",
            "tile/0/000.new",
            "tile/0/../../wal",
            "tile/entries/../../../identity",
            "tile/entries/%2e%2e/wal",
            "tile/entries/..",
            "tile/Entries/000",
            "tile/0/999/x999/999/999/999/999/999/999/999",
            "../checkpoint",
            "tile\\0\\000",
            "tile/0/000\0",
        ] {
            assert_eq!(served(path), None, "{path}");
        }
    }
}
