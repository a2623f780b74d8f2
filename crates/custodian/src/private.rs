//! Files that nobody else may read, and new ones. Owns the question who can read a file; refuses what more than its owner can.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::CustodianError;

const MAX_FILE_BYTES: usize = 64 << 10;
const ROOT: u32 = 0;

/// Reads a file of at most 64 KiB that this process alone can read, and root.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, CustodianError> {
    let at = |source| CustodianError::File { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(at)?;
    let metadata = file.metadata().map_err(at)?;
    if metadata.permissions().mode() & 0o077 != 0 && !given_to_us_alone(&file, &metadata) {
        let why = "others than its owner may read it: chmod 600, and consider it as known to them".into();
        return Err(CustodianError::Secret { path: path.to_owned(), why });
    }
    // Sized ahead, so that no half-filled copy is left behind by growth.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES));
    file.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes).map_err(at)?;
    Ok(bytes)
}

/// systemd gives a credential as a file of root's with an access control list that lets the service's user read it. Its mode
/// then shows 0440, for the bits of the group are the list's mask; so it is the list that says who can read it.
fn given_to_us_alone(file: &fs::File, metadata: &fs::Metadata) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let mut list = [0_u8; 512];
    let Ok(length) = rustix::fs::fgetxattr(file, c"system.posix_acl_access", &mut list) else { return false };
    let owned = [ROOT, us].contains(&metadata.uid());
    owned && list.get(..length).is_some_and(|list| only_for(list, us))
}

/// The list as the kernel gives it: version 2 in four bytes, then entries of tag (2), permissions (2) and id (4), little-endian
/// ([posix_acl_xattr.h](https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/posix_acl_xattr.h)).
fn only_for(list: &[u8], us: u32) -> bool {
    const VERSION: [u8; 4] = [2, 0, 0, 0];
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const MASK: u16 = 0x10;
    let Some(entries) = list.strip_prefix(&VERSION) else { return false };
    let (entries, rest) = entries.as_chunks::<8>();
    let harmless = |[tag0, tag1, permission0, permission1, id @ ..]: &[u8; 8]| {
        let (tag, permissions) = (u16::from_le_bytes([*tag0, *tag1]), u16::from_le_bytes([*permission0, *permission1]));
        permissions == 0 || matches!(tag, OWNER | MASK) || (tag == USER && u32::from_le_bytes(*id) == us)
    };
    rest.is_empty() && !entries.is_empty() && entries.iter().all(harmless)
}

/// Makes a file of mode 0600; one that is there is an error.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CustodianError> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let at = |source: std::io::Error| match source.kind() == std::io::ErrorKind::AlreadyExists {
        true => CustodianError::Exists(path.to_owned()),
        false => CustodianError::File { path: path.to_owned(), source },
    };
    let mut file = opened.map_err(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: u8 = 0x01;
    const USER: u8 = 0x02;
    const GROUP_OF_FILE: u8 = 0x04;
    const GROUP: u8 = 0x08;
    const MASK: u8 = 0x10;
    const OTHER: u8 = 0x20;

    fn list(entries: &[(u8, u8, u32)]) -> Vec<u8> {
        let mut list = vec![2, 0, 0, 0];
        for (tag, permissions, id) in entries {
            list.extend([*tag, 0, *permissions, 0]);
            list.extend(id.to_le_bytes());
        }
        list
    }

    /// As systemd makes it for a unit with `User=`: owner, the service's user, the file's group, the mask, others.
    fn systemd(user: u32, group: u8, other: u8) -> Vec<u8> {
        let nobody = u32::MAX;
        let entries = [
            (OWNER, 4, nobody),
            (USER, 4, user),
            (GROUP_OF_FILE, group, nobody),
            (MASK, 4, nobody),
            (OTHER, other, nobody),
        ];
        list(&entries)
    }

    #[test]
    fn a_list_lets_in_nobody_but_us() {
        assert!(only_for(&systemd(7, 0, 0), 7));
        for (why, bad) in [
            ("another user", systemd(8, 0, 0)),
            ("the file's group", systemd(7, 4, 0)),
            ("everybody", systemd(7, 0, 4)),
            ("a group", list(&[(OWNER, 4, 0), (USER, 4, 7), (GROUP, 4, 9), (MASK, 4, 0), (OTHER, 0, 0)])),
            ("a second user", list(&[(OWNER, 4, 0), (USER, 4, 7), (USER, 4, 8), (MASK, 4, 0), (OTHER, 0, 0)])),
            ("an unknown tag", list(&[(0x40, 4, 7)])),
            ("no entry", list(&[])),
            ("another version", vec![3, 0, 0, 0]),
            ("half an entry", systemd(7, 0, 0)[..40].to_vec()),
        ] {
            assert!(!only_for(&bad, 7), "{why}");
        }
    }

    #[test]
    fn a_credential_of_systemd_is_read_and_a_file_for_a_group_is_not() {
        let folder = std::env::temp_dir().join(format!("drieslot-private-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("credential");
        fs::write(&path, "secret").unwrap();
        let us = rustix::process::geteuid().as_raw();
        let give = |list: &[u8]| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&path, c"system.posix_acl_access", list, flags)
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(read_private(&path), Err(CustodianError::Secret { .. })), "0440 without a list");
        if let Err(error) = give(&systemd(us, 0, 0)) {
            assert_eq!(error, rustix::io::Errno::OPNOTSUPP, "only a file system without such lists is an excuse");
        } else {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o440);
            assert_eq!(read_private(&path).unwrap().as_slice(), b"secret");
            give(&systemd(us + 1, 0, 0)).unwrap();
            assert!(read_private(&path).is_err(), "another user may read it");
            give(&systemd(us, 4, 0)).unwrap();
            assert!(read_private(&path).is_err(), "its group may read it");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
