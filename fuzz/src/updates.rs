//! TUF: metadata of the four roles, and a whole refresh against a repository that answers anything.

use governance::Timestamp as Instant;
use proof::tuf::{
    Document, Envelope, Fetched, Metadata, Persist, Profile, ROTATIONS_MAX, Role, Root, Snapshot, Stored,
    Targets, Timestamp, Trusted, Updater, VerifyKey as _, quoted, root_follows, root_self_signed,
    target_name_valid,
};
use serde_json::Value;
use trust::tuf::ForeignKeys;

use crate::seeds::{NOW_MILLIS, TUF_SEEDS, key};

/// Between the files of [`tuf_updater`]'s input.
pub const SEPARATOR: u8 = 0x1e;
/// A file that begins so is signed by every key of the tests before it is handed over.
pub const SIGN_ME: u8 = b'+';
/// Files asked for beyond the roots: three, and the last root that is not there.
const FILES_MAX: u32 = ROTATIONS_MAX + 4;

/// Metadata of any role: what was read is the same when written and read again, under the same signatures.
pub fn tuf_document(data: &[u8]) -> bool {
    let Ok(envelope) = Envelope::parse(data) else { return false };
    let Ok(message) = envelope.message() else { return false };
    let written = envelope.to_bytes().expect("what was read can be written");
    let again = Envelope::parse(&written).expect("what was written can be read");
    assert_eq!(again, envelope);
    assert_eq!(again.message().ok(), Some(message), "written anew, its signatures cover something else");
    if let Ok(root) = Document::<Root>::parse(data) {
        let _ = root_self_signed(&root);
        assert!(root_follows(&root, &root.signed).is_err(), "a root follows itself");
    }
    if let Ok(targets) = Document::<Targets>::parse(data) {
        for name in targets.signed.targets.keys().filter(|name| target_name_valid(name)) {
            assert!(!name.contains(['/', '\\', '\0']), "a target outside its folder");
        }
    }
    let roles = [role::<Root>(data), role::<Targets>(data), role::<Snapshot>(data), role::<Timestamp>(data)];
    roles.contains(&true)
}

fn role<T: Metadata + PartialEq + core::fmt::Debug>(data: &[u8]) -> bool {
    let Ok(document) = Document::<T>::parse(data) else { return false };
    // Unknown members are dropped: what is known must survive.
    let known = Envelope::new(&document.signed).expect("metadata has a JSON form");
    let again = known.document::<T>().expect("known metadata is read again");
    assert_eq!(again.signed, document.signed);
    true
}

/// Targets metadata of a foreign repository: its delegations and keys, whatever they are.
pub fn tuf_foreign(data: &[u8]) -> bool {
    let any = Profile::Any(&ForeignKeys);
    let Ok(targets) = Document::<Targets>::parse_as(data, any) else { return false };
    let Some(delegations) = &targets.signed.delegations else { return false };
    for key in delegations.keys.values() {
        assert_eq!(ForeignKeys.verify(key, b"never signed", &[0; 64]), None, "a signature of nothing holds");
    }
    let names = targets.signed.targets.keys().map(String::as_str);
    for path in names.chain(["file", "dir/file", "", "/", "a.tgz"]) {
        for role in delegations.roles.iter().flatten() {
            let _ = role.speaks_for(path);
            let nobody = targets.signatures.threshold_check(&role.keys, &delegations.keys, String::new);
            assert!(nobody.is_err() || !targets.signatures.signatures.is_empty(), "no signature is enough");
        }
        if let Some(bins) = &delegations.succinct_roles {
            let bin = bins.bin(path);
            let number = bin.strip_prefix(&bins.name_prefix).and_then(|rest| rest.strip_prefix('-'));
            let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            assert!(number.is_some_and(|number| number < 1 << bins.bit_length), "a bin that does not exist");
        }
        assert!(!quoted(path).contains('/'), "a name that leads elsewhere");
    }
    true
}

/// A refresh: stored root, timestamp, snapshot and targets, then the answers in order. An empty file is none.
pub fn tuf_updater(data: &[u8]) -> bool {
    let mut files = data.split(|byte| *byte == SEPARATOR).map(file);
    let mut next = || files.next().flatten();
    let mut store =
        Stored { root: next().unwrap_or_default(), timestamp: next(), snapshot: next(), targets: next() };
    let now = Instant::from_millis(NOW_MILLIS);
    let Ok(updater) = Updater::new(store.clone(), now) else { return false };
    let first = refresh(updater, &mut store, |_| next());
    // Whatever happened, what is kept is a store one can go on from.
    let updater = Updater::new(store.clone(), now).expect("the kept root is sound");
    let Some(first) = first else {
        let _ = updater.finish();
        return false;
    };
    for expires in
        [first.root().expires, first.timestamp().expires, first.snapshot().expires, first.targets().expires]
    {
        assert!(!expires.passed(now), "expired metadata is trusted");
    }
    for name in first.targets().targets.keys() {
        let _ = first.target(name);
    }
    let kept = store.clone();
    let again = refresh(updater, &mut store, |role| match role {
        Role::Root => None,
        Role::Timestamp => kept.timestamp.clone(),
        Role::Snapshot => kept.snapshot.clone(),
        Role::Targets => kept.targets.clone(),
    });
    assert_eq!(again, Some(first), "the same repository again gives something else");
    true
}

fn file(bytes: &[u8]) -> Option<Vec<u8>> {
    match bytes {
        [] => None,
        [SIGN_ME, rest @ ..] => {
            let signed: Value = serde_json::from_slice(rest).ok()?;
            let mut envelope = Envelope { signatures: Vec::new(), signed };
            TUF_SEEDS.iter().try_for_each(|seed| envelope.sign(&key(*seed))).ok()?;
            envelope.to_bytes().ok()
        }
        _ => Some(bytes.to_vec()),
    }
}

/// Runs a refresh to its end and keeps what it says to keep.
fn refresh(
    mut updater: Updater,
    store: &mut Stored,
    mut answer: impl FnMut(Role) -> Option<Vec<u8>>,
) -> Option<Trusted> {
    let mut asked = 0;
    while let Ok(Some(want)) = updater.want() {
        asked += 1;
        assert!(asked <= FILES_MAX, "the refresh does not end");
        let role = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets]
            .into_iter()
            .find(|role| want.path.ends_with(role.file_name()))
            .expect("a file of a role");
        assert!(
            want.path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'),
            "a path of more than a name"
        );
        let bytes = answer(role);
        for act in updater.give(bytes.as_deref().map_or(Fetched::NotFound, Fetched::Bytes)) {
            let (role, bytes) = match act {
                Persist::Write { role, bytes } => (role, Some(bytes)),
                Persist::Delete(role) => (role, None),
            };
            match role {
                Role::Root => store.root = bytes.expect("a root is never deleted"),
                Role::Timestamp => store.timestamp = bytes,
                Role::Snapshot => store.snapshot = bytes,
                Role::Targets => store.targets = bytes,
            }
        }
    }
    updater.finish().ok()
}
