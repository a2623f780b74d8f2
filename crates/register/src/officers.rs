//! Who the officers are after a change of them.

use std::collections::BTreeSet;

use ssh_key::public::KeyData;

use crate::statement::{Charter, Officers, Person, read_key};

/// The charter as it stands after the change: the same rules hold for its persons as on the first day. `former` are
/// keys that were taken away before; they never come back.
pub(crate) fn changed(charter: &Charter, change: &Officers, former: &BTreeSet<KeyData>) -> Result<Charter, String> {
    let mut next = charter.clone();
    for name in &change.remove {
        let is_theirs = |one: &Person| one.name == *name && one.function.function() == Some(change.function);
        let Some(at) = next.person.iter().position(is_theirs) else {
            return Err(format!("`{name}` is no officer of {}", change.function));
        };
        next.person.remove(at);
    }
    for new in &change.add {
        let key = read_key(&new.name, &new.key)?;
        if former.contains(&key) || charter.person.iter().any(|one| read_key(&one.name, &one.key).as_ref() == Ok(&key))
        {
            return Err(format!("the key of `{}` is or was somebody's already: make a new one", new.name));
        }
        next.person.push(Person { name: new.name.clone(), function: change.function.into(), key: new.key.clone() });
    }
    next.check()?;
    Ok(next)
}

/// The keys that a change takes away.
pub(crate) fn taken_away<'a>(charter: &'a Charter, change: &'a Officers) -> impl Iterator<Item = KeyData> + 'a {
    let gone = charter.person.iter().filter(|person| change.remove.contains(&person.name));
    gone.filter_map(|person| read_key(&person.name, &person.key).ok())
}
