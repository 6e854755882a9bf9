//! LG-1, LG-2: the tree against the published vectors of RFC 6962's reference code, then against its definition.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use ledger::hash::Hash;
use ledger::memory::MemoryLog;
use ledger::tree::*;
use proptest::prelude::*;

/// The leaves of the reference code, in hexadecimal.
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

const H01: &str = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125";
const H23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const H45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const H67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const H0123: &str = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7";
const H4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const LEAF1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const LEAF4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn hash(hex: &str) -> Hash {
    hex.parse().unwrap()
}

/// A log of these entries, and the head after each of them.
fn log(entries: impl IntoIterator<Item = Vec<u8>>) -> (MemoryLog, Vec<TreeHead>) {
    let (mut log, mut frontier) = (MemoryLog::new(), Frontier::new());
    let mut heads = vec![frontier.head()];
    for entry in entries {
        frontier.push(log.append(&entry).unwrap().1);
        heads.push(frontier.head());
    }
    assert_eq!(log.publish().unwrap(), frontier.head());
    (log, heads)
}

fn numbered(count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|i| i.to_be_bytes().to_vec())
}

fn numbered_leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// The definition in RFC 6962 §2.1, word for word.
fn defined_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&defined_root(left), &defined_root(right))
        }
    }
}

/// PATH(m, D[n]) of RFC 6962 §2.1.1.
fn defined_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if m < k {
        (defined_path(m, left), defined_root(right))
    } else {
        (defined_path(m - k, right), defined_root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2.
fn defined_subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![defined_root(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if m <= k {
        (defined_subproof(m, left, known), defined_root(right))
    } else {
        (defined_subproof(m - k, right, false), defined_root(left))
    };
    path.push(sibling);
    path
}

#[test]
fn published_roots() {
    let (log, heads) = log(LEAVES.map(bytes));
    let mut frontier = Frontier::new();
    for (size, root) in ROOTS.into_iter().enumerate() {
        let expected = TreeHead { size: size as u64, root: hash(root) };
        assert_eq!(heads[size], expected);
        assert_eq!(frontier.head(), expected);
        assert_eq!(head(size as u64, log.hashes()).unwrap(), expected);
        if let Some(leaf) = LEAVES.get(size) {
            assert_eq!(frontier.push(leaf_hash(&bytes(leaf))), size as u64);
        }
    }
    assert_eq!(TreeHead::EMPTY, heads[0]);
}

#[test]
fn published_inclusion_proofs() {
    let (log, heads) = log(LEAVES.map(bytes));
    let check = |index: usize, size: usize, path: &[&str]| {
        let proof = log.prove_inclusion(index as u64, size as u64).unwrap();
        assert_eq!(proof.path, path.iter().map(|h| hash(h)).collect::<Vec<_>>(), "{index} in {size}");
        proof.verify(leaf_hash(&bytes(LEAVES[index])), &heads[size]).unwrap();
    };
    //    index size  path
    check(0, 1, &[]);
    check(0, 8, &[LEAF1, H23, H4567]);
    check(5, 8, &[LEAF4, H67, H0123]);
    check(2, 3, &[H01]);
    check(1, 5, &[ROOTS[1], H23, LEAF4]);
}

#[test]
fn published_consistency_proofs() {
    let (log, heads) = log(LEAVES.map(bytes));
    let check = |old: usize, new: usize, path: &[&str]| {
        let proof = log.prove_consistency(old as u64, new as u64).unwrap();
        assert_eq!(proof.path, path.iter().map(|h| hash(h)).collect::<Vec<_>>(), "{old} to {new}");
        proof.verify(&heads[old], &heads[new]).unwrap();
    };
    //    old new  path
    check(1, 1, &[]);
    check(1, 8, &[LEAF1, H23, H4567]);
    check(6, 8, &[H45, H67, H0123]);
    check(2, 5, &[H23, LEAF4]);
    check(0, 8, &[]);
}

#[test]
fn every_proof_of_small_trees_is_the_defined_one() {
    const SIZE: u64 = 70;
    let (log, heads) = log(numbered(SIZE));
    let leaves: Vec<_> = (0..SIZE).map(numbered_leaf).collect();
    for new in 1..=SIZE {
        let tree = &leaves[..new as usize];
        assert_eq!(heads[new as usize].root, defined_root(tree));
        for index in 0..new {
            let proof = log.prove_inclusion(index, new).unwrap();
            assert_eq!(proof.path, defined_path(index as usize, tree));
            proof.verify(numbered_leaf(index), &heads[new as usize]).unwrap();
        }
        for old in 1..=new {
            let proof = log.prove_consistency(old, new).unwrap();
            assert_eq!(proof.path, defined_subproof(old as usize, tree, true));
            proof.verify(&heads[old as usize], &heads[new as usize]).unwrap();
        }
    }
}

#[test]
fn refuses() {
    let (log, heads) = log(numbered(8));
    let proof = log.prove_inclusion(3, 8).unwrap();
    let leaf = numbered_leaf(3);
    assert_eq!(proof.verify(leaf, &heads[7]), Err(TreeError::OtherTree { expected: 7, found: 8 }));
    assert_eq!(
        verify_inclusion(8, leaf, &heads[8], &proof.path),
        Err(TreeError::Outside { index: 8, size: 8 })
    );
    assert_eq!(
        verify_inclusion(3, leaf, &heads[8], &proof.path[1..]),
        Err(TreeError::Length { expected: 3, found: 2 })
    );
    assert!(matches!(
        verify_inclusion(2, leaf, &heads[8], &proof.path),
        Err(TreeError::Root { size: 8, .. })
    ));
    assert_eq!(log.prove_inclusion(8, 8), Err(TreeError::Outside { index: 8, size: 8 }));
    assert_eq!(log.prove_consistency(8, 7), Err(TreeError::Shrinks { old: 8, new: 7 }));
    assert_eq!(verify_consistency(&heads[8], &heads[7], &[]), Err(TreeError::Shrinks { old: 8, new: 7 }));
    assert_eq!(
        verify_consistency(&heads[0], &heads[7], &[leaf]),
        Err(TreeError::Length { expected: 0, found: 1 })
    );
    let forked = TreeHead { size: 8, root: leaf };
    assert!(matches!(verify_consistency(&heads[8], &forked, &[]), Err(TreeError::Root { size: 8, .. })));
    let false_nothing = TreeHead { size: 0, root: leaf };
    assert!(matches!(
        verify_consistency(&false_nothing, &heads[8], &[]),
        Err(TreeError::Root { size: 0, .. })
    ));
    assert!(matches!(log.prove_inclusion(3, 9), Err(TreeError::Missing(Node { level: 0, index: 8 }))));
    assert_eq!(
        Frontier::from_parts(3, vec![leaf]),
        Err(TreeError::Frontier { size: 3, expected: 2, found: 1 })
    );
    assert_eq!(Frontier::from_parts(SIZE_MAX + 1, vec![]), Err(TreeError::Size { size: SIZE_MAX + 1 }));
}

#[test]
fn proofs_travel_as_json() {
    let (log, heads) = log(numbered(5));
    let proof = log.prove_inclusion(4, 5).unwrap();
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(json, format!(r#"{{"index":4,"size":5,"path":["{}"]}}"#, heads[4].root));
    assert_eq!(serde_json::from_str::<InclusionProof>(&json).unwrap(), proof);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A frontier that was stored and read again grows as one that was not.
    #[test]
    fn a_frontier_resumes(size in 0u64..600, more in 0u64..300) {
        let (log, heads) = log(numbered(size + more));
        let mut frontier = Frontier::read(size, log.hashes()).unwrap();
        prop_assert_eq!(&Frontier::from_parts(size, frontier.hashes().to_vec()).unwrap(), &frontier);
        prop_assert_eq!(frontier.head(), heads[size as usize]);
        for index in size..size + more {
            frontier.push(numbered_leaf(index));
        }
        prop_assert_eq!(frontier.head(), heads[(size + more) as usize]);
    }

    /// What is proved verifies; with any one hash, the leaf or a root changed it does not.
    #[test]
    fn proofs_hold_and_break(new in 1u64..700, a in any::<u64>(), b in any::<u64>(), at in any::<usize>()) {
        let (log, heads) = log(numbered(new));
        let (index, old, head) = (a % new, b % new + 1, heads[new as usize]);
        let inclusion = log.prove_inclusion(index, new).unwrap();
        inclusion.verify(numbered_leaf(index), &head).unwrap();
        prop_assert!(inclusion.verify(numbered_leaf(index + 1), &head).is_err());
        let consistency = log.prove_consistency(old, new).unwrap();
        consistency.verify(&heads[old as usize], &head).unwrap();
        let other = Hash::new([7; 32]);
        let (false_old, false_new) = (TreeHead { size: old, root: other }, TreeHead { size: new, root: other });
        prop_assert!(consistency.verify(&false_old, &head).is_err());
        prop_assert!(consistency.verify(&heads[old as usize], &false_new).is_err());
        for mut path in [inclusion.path, consistency.path] {
            if path.is_empty() {
                continue;
            }
            let at = at % path.len();
            path[at] = other;
            prop_assert!(verify_inclusion(index, numbered_leaf(index), &head, &path).is_err());
            prop_assert!(verify_consistency(&heads[old as usize], &head, &path).is_err());
        }
    }

    /// Any sizes, any path: an error, never a panic; and never accepted, for nobody knows such a preimage.
    #[test]
    fn verification_is_total(
        index: u64, size: u64, old: u64, path in proptest::collection::vec(any::<[u8; 32]>(), 0..130),
    ) {
        let path: Vec<_> = path.into_iter().map(Hash::new).collect();
        let root = Hash::new([1; 32]);
        let (old_head, new) = (TreeHead { size: old, root: Hash::new([3; 32]) }, TreeHead { size, root });
        prop_assert!(verify_inclusion(index, Hash::new([2; 32]), &new, &path).is_err());
        prop_assert!(verify_consistency(&old_head, &new, &path).is_err());
        let _ = inclusion_nodes(index, size);
        let _ = consistency_nodes(old, size);
        prop_assert_eq!(root_nodes(size).count(), size.count_ones() as usize);
    }
}
