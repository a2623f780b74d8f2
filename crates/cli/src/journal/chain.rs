//! Journals that go on from one another: a part's new one from its old one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drieslot_audit::{Held, Link};
use drieslot_journal::{Reader, successor};

use crate::failure::failure;

/// A journal among those that were named.
pub(crate) struct Named {
    pub(crate) folder: PathBuf,
    pub(crate) reader: Reader,
    /// The one that it goes on from.
    link: Option<Link>,
}

impl Named {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let reader = super::open(folder)?;
        let link = Link::of(&reader).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), reader, link })
    }

    pub(crate) fn all(folders: &[PathBuf]) -> Result<Vec<Self>> {
        folders.iter().map(|folder| Self::open(folder)).collect()
    }
}

/// What joins the journals, a sentence for each place where one goes on from another. An old journal that is not the one
/// that was linked is an error; one that was not named is said.
pub(crate) fn joints(named: &[Named]) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for one in named {
        let origin = one.reader.origin();
        said.extend(super::prune::note_on(origin, one.reader.pruned()));
        if let Some(link) = &one.link {
            let from = format!("{origin} goes on from {}, as {}", link.origin, link.why);
            said.push(match named.iter().find(|old| old.reader.origin() == link.origin) {
                None => format!("note: {from}: {}; that one was not named", entries(link)),
                Some(old) => format!("{from}: {}", held(link, old)?),
            });
        }
        let next = successor(&one.folder)?;
        let next = next.as_deref().map(|key| key.split_once('+').map_or(key, |(name, _)| name));
        if let Some(next) = next.filter(|next| !named.iter().any(|other| other.reader.origin() == *next)) {
            said.push(format!("note: {origin} has ended, and {next} goes on from it; that one was not named"));
        }
    }
    Ok(said)
}

fn entries(link: &Link) -> String {
    link.size.map_or_else(|| "nothing was known of it".to_owned(), |size| format!("{size} entries"))
}

fn held(link: &Link, old: &Named) -> Result<String> {
    let held = link.check(&old.reader).map_err(|error| {
        let hint =
            "name the folder of that journal, or of a mirror of it; tell who relies on it where there is no other";
        failure(format!("{}: {error}", old.folder.display()), hint)
    })?;
    Ok(match held {
        Held::All => format!("its {} are here, and are those", entries(link)),
        Held::More(more) => format!("its {} are here, and {more} more, which were not known then", entries(link)),
        Held::Less(less) => format!("the mirror has {less} of its {}, all that were signed for", entries(link)),
        Held::Unknown => "nothing was known of it".to_owned(),
    })
}

/// Old ones first. Journals that do not go on from one another have no such order.
pub(crate) fn in_order(mut named: Vec<Named>) -> Result<Vec<Named>> {
    let mut ordered: Vec<Named> = Vec::new();
    while !named.is_empty() {
        let is_next = |one: &Named| {
            let from = one.link.as_ref().map(|link| link.origin.as_str());
            match ordered.last() {
                Some(last) => from == Some(last.reader.origin()),
                None => !named.iter().any(|other| from == Some(other.reader.origin())),
            }
        };
        let Some(at) = named.iter().position(is_next) else {
            let what = "these journals do not go on from one another";
            return Err(failure(
                what,
                "name one journal, and those that it goes on from; or use `drieslot journal find`",
            ));
        };
        ordered.push(named.swap_remove(at));
    }
    Ok(ordered)
}
