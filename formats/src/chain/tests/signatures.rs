//! Who signed a recording.

use super::*;
use crate::signature::SecretKey;

/// Signs every seal and the close.
fn sign(files: &mut Files, key: &SecretKey) {
    for (name, bytes) in files.clone() {
        match name.parse::<FileName>() {
            Ok(name) if name.is_ledger() => {
                files.push((name.signature().to_string(), key.sign(&bytes, &name.to_string())));
            }
            _ => {}
        }
    }
}

#[test]
fn who_signed_is_asked_only_where_keys_are_given() {
    let [ours, theirs] = [1, 2].map(|number| SecretKey::generate([number; 8], &[number; 32]).0);
    let keys = [theirs.public(), ours.public()];
    let signed = || {
        let mut files = recording(&id("node-1"), 3);
        sign(&mut files, &ours);
        files
    };
    let asked = |files: &Files, keys: &[_]| {
        verify_signed(&id("node-1"), &found(files), keys).map_err(|fault| fault.to_string())
    };
    assert_eq!(asked(&signed(), &keys).unwrap().signatures, 4);
    assert_eq!(check(&signed()).unwrap().signatures, 4);
    let fault = asked(&recording(&id("node-1"), 3), &keys).unwrap_err();
    assert_eq!(fault, "000001.seal.json is not signed");
    let fault = asked(&signed(), &keys[..1]).unwrap_err();
    assert_eq!(fault, "000001.seal.json was signed with the key 0101010101010101, which is none of those given");
    type Edit = fn(&mut Files);
    let cases: &[(&str, Edit, &str)] = &[
        ("close", |files| files.retain(|(name, _)| name != "close.json.minisig"), "close.json is not signed"),
        (
            "another file's",
            |files| {
                let signature = files[at(files, "000001.seal.json.minisig")].1.clone();
                let second = at(files, "000002.seal.json.minisig");
                files[second].1 = signature;
            },
            "000002.seal.json does not have the signature of the key 0101010101010101: one of both was changed",
        ),
        (
            "cut",
            |files| {
                let third = at(files, "000003.seal.json.minisig");
                files[third].1.truncate(50);
            },
            "000003.seal.json.minisig is no signature of minisign: not 74 bytes in base64 in its second line",
        ),
        (
            "of nothing",
            |files| files.push(("000004.seal.json.minisig".into(), Vec::new())),
            "000004.seal.json.minisig was sealed by nobody",
        ),
    ];
    for (case, edit, want) in cases {
        let mut files = signed();
        edit(&mut files);
        assert_eq!(&asked(&files, &keys).expect_err(case), want, "{case}");
    }
    // Whoever forges the whole chain cannot forge these.
    let mut forged = recording_with(&id("node-1"), 3, |seal| seal.counts.seen.packets += 1);
    forged.extend(signed().into_iter().filter(|(name, _)| name.ends_with("minisig")));
    check(&forged).unwrap();
    assert!(asked(&forged, &keys).unwrap_err().starts_with("000001.seal.json does not have the signature"));
    // On its way: the signature comes before what it signs.
    let mut open = signed();
    open.retain(|(name, _)| !["000003.seal.json", "close.json", "close.json.minisig"].contains(&name.as_str()));
    assert!(check(&open).unwrap_err().starts_with("close.json is missing"));
}
