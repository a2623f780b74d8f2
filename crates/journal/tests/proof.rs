//! Proofs: RFC 6962's known answers, and every proof of small trees, right and wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests")]

use drieslot_journal::hash::{self, Hash};
use drieslot_journal::proof::{consistency, consistent, includes, inclusion};

/// The eight leaves and the roots that Certificate Transparency's implementations share.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| unhex(text).try_into().unwrap()).collect()
}

fn known_leaves() -> Vec<Hash> {
    LEAVES.iter().map(|leaf| hash::leaf(&unhex(leaf))).collect()
}

#[test]
fn known_roots() {
    let leaves = known_leaves();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(hash::root(&leaves[..size]).to_vec(), unhex(root), "size {size}");
    }
}

#[test]
fn known_inclusion_proofs() {
    let leaves = known_leaves();
    let cases: [(u64, u64, &[&str]); 4] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ];
    for (index, size, path) in cases {
        assert_eq!(inclusion(leaves.as_slice(), index, size).unwrap(), hashes(path), "{index} of {size}");
    }
}

#[test]
fn known_consistency_proofs() {
    let leaves = known_leaves();
    let cases: [(u64, u64, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old, new, path) in cases {
        assert_eq!(consistency(leaves.as_slice(), old, new).unwrap(), hashes(path), "{old} to {new}");
    }
}

#[test]
fn every_proof_of_small_trees_holds_and_no_other() {
    let leaves: Vec<_> = (0..70_u8).map(|leaf| hash::leaf(&[leaf])).collect();
    let roots: Vec<_> = (0..=leaves.len()).map(|size| hash::root(&leaves[..size])).collect();
    for size in 1..=leaves.len() as u64 {
        let root = &roots[size as usize];
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let path = inclusion(leaves.as_slice(), index, size).unwrap();
            assert!(includes(leaf, index, size, &path, root), "{index} of {size}");
            assert!(!includes(leaf, index + 1, size, &path, root), "another index");
            assert!(!includes(&root.map(|byte| !byte), index, size, &path, root), "another leaf");
            assert!(!includes(leaf, index, size, &path, &roots[size as usize - 1]), "another root");
            for at in 0..path.len() {
                let mut bad = path.clone();
                bad[at][0] ^= 1;
                assert!(!includes(leaf, index, size, &bad, root));
                bad.remove(at);
                assert!(!includes(leaf, index, size, &bad, root));
            }
            assert!(!includes(leaf, index, size, &[path.clone(), vec![*leaf]].concat(), root), "too long");
        }
        for old in 0..=size {
            let (old_root, path) = (&roots[old as usize], consistency(leaves.as_slice(), old, size).unwrap());
            assert!(consistent(old, size, old_root, root, &path), "{old} to {size}");
            assert!(!consistent(old, size, &old_root.map(|byte| !byte), root, &path));
            assert!(!consistent(old, size, old_root, &root.map(|byte| !byte), &path) || old == 0);
            assert!(!consistent(old, size, old_root, root, &[path.clone(), vec![*root]].concat()), "too long");
            for at in 0..path.len() {
                let mut bad = path.clone();
                bad[at][31] ^= 1;
                assert!(!consistent(old, size, old_root, root, &bad), "{old} to {size}, step {at}");
                bad.remove(at);
                assert!(!consistent(old, size, old_root, root, &bad), "{old} to {size}, without step {at}");
            }
        }
    }
    assert!(inclusion(leaves.as_slice(), 5, 5).is_err());
    assert!(consistency(leaves.as_slice(), 6, 5).is_err());
    assert!(inclusion(leaves.as_slice(), 5, 71).is_err(), "more than there is");
}
