//! Signatures held against two other programs: `minisign` itself, where it is installed, and `minisign-verify`.

use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::process::{Command, Output};

fn key(number: u8) -> (SecretKey, String) {
    SecretKey::generate([number; 8], &[number; 32])
}

#[test]
fn another_library_proves_what_was_signed() {
    let (key, _) = key(1);
    let signature = String::from_utf8(key.sign(b"content", "000001.seal.json of prod")).unwrap();
    let reader = minisign_verify::PublicKey::decode(&key.public().to_text()).unwrap();
    let signature = minisign_verify::Signature::decode(&signature).unwrap();
    assert_eq!(signature.trusted_comment(), "000001.seal.json of prod");
    reader.verify(b"content", &signature, false).unwrap();
    assert!(reader.verify(b"contents", &signature, false).is_err());
}

/// A run of `minisign` in a folder; none where it is not installed.
fn minisign(folder: &Path, arguments: &[&str]) -> Option<Output> {
    let out = Command::new("minisign").current_dir(folder).args(arguments).output();
    if out.is_err() {
        let how = "no `minisign` in PATH: apt-get install minisign";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
        eprintln!("SKIPPED: {how}");
    }
    out.ok()
}

#[test]
fn minisign_proves_what_was_signed_and_its_keys_sign() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), b"content").unwrap();
    let (ours, text) = key(2);
    std::fs::write(at("ours.key"), text).unwrap();
    std::fs::write(at("ours.pub"), ours.public().to_text()).unwrap();
    std::fs::write(at("file.minisig"), ours.sign(b"content", "a comment")).unwrap();
    let Some(proved) = minisign(folder.path(), &["-V", "-H", "-m", "file", "-p", "ours.pub"]) else { return };
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    assert!(String::from_utf8_lossy(&proved.stdout).contains("a comment"));

    // Their key, our signature; our key, their signature.
    let made = minisign(folder.path(), &["-G", "-W", "-p", "theirs.pub", "-s", "theirs.key"]).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let theirs: SecretKey = std::fs::read_to_string(at("theirs.key")).unwrap().parse().unwrap();
    let public: PublicKey = std::fs::read_to_string(at("theirs.pub")).unwrap().parse().unwrap();
    assert_eq!(theirs.public(), public);
    std::fs::write(at("file.minisig"), theirs.sign(b"content", "")).unwrap();
    let proved = minisign(folder.path(), &["-V", "-m", "file", "-p", "theirs.pub"]).unwrap();
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    for kind in ["-S", "-Sl"] {
        let signed = minisign(folder.path(), &[kind, "-s", "ours.key", "-m", "file"]).unwrap();
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        let signature = std::fs::read(at("file.minisig")).unwrap();
        assert_eq!(verify(&[public, ours.public()], b"content", &signature), Ok(ours.public().id()), "{kind}");
    }
}

#[test]
fn what_is_not_signed_is_told_apart() {
    let ((one, _), (two, _)) = (key(1), key(2));
    let signature = one.sign(b"content", "comment");
    let text = String::from_utf8(signature.clone()).unwrap();
    let id = one.public().id();
    let keys = [two.public(), one.public()];
    assert_eq!(verify(&keys, b"content", &signature), Ok(id));
    assert_eq!(verify(&keys, b"other", &signature), Err(SignatureError::Wrong { key: id }));
    assert_eq!(verify(&[two.public()], b"content", &signature), Err(SignatureError::OtherKey { found: id }));
    assert_eq!(verify(&[], b"content", &signature), Err(SignatureError::OtherKey { found: id }));
    let comment = text.replace("comment: comment", "comment: another");
    assert_eq!(verify(&keys, b"content", comment.as_bytes()), Err(SignatureError::Wrong { key: id }));
    // Another key of the same id.
    let same_id = SecretKey::generate([1; 8], &[9; 32]).0;
    assert_eq!(verify(&[same_id.public()], b"content", &signature), Err(SignatureError::Wrong { key: id }));
    assert_eq!(verify(&[same_id.public(), one.public()], b"content", &signature), Ok(id));
    for (cut, what) in [(0, "first line"), (1, "second line"), (2, "third line"), (3, "fourth line")] {
        let cut: Vec<&str> = text.lines().take(cut).collect();
        let error = verify(&keys, b"content", cut.join("\n").as_bytes()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let long = format!("{UNTRUSTED}{}", "x".repeat(SIGNATURE_BYTES_MAX));
    assert!(verify(&keys, b"content", long.as_bytes()).unwrap_err().to_string().contains("longer than any"));
}

#[test]
fn keys_are_read_as_they_were_written() {
    let (secret, text) = key(3);
    assert_eq!(text.parse::<SecretKey>().unwrap().public(), secret.public());
    let public = secret.public().to_text();
    assert_eq!(public.parse(), Ok(secret.public()));
    assert_eq!(public.lines().nth(1).unwrap().parse(), Ok(secret.public()), "its second line alone");
    assert!(!format!("{secret:?}").contains(&text[60..90]), "no secret in a log");
    for (kind, text, what) in [
        ("swapped", public.clone(), "158 bytes"),
        ("nothing", String::new(), "158 bytes"),
        ("changed", text.replace("AwMDAwMDAwMDAwMD", "AwMDAwMDAwMDAwMA"), "checksum"),
        ("with a password", text.replace("RWQAAEIy", "RWRTY0Iy"), "has a password"),
    ] {
        let error = text.parse::<SecretKey>().expect_err(kind);
        assert!(error.to_string().contains(what), "{kind}: {error}");
    }
    assert!(text.parse::<PublicKey>().unwrap_err().to_string().contains("42 bytes"));
}

proptest! {
    #[test]
    fn a_changed_character_proves_nothing(at in 0usize..1000, to in 0x20u8..0x7f) {
        let (key, _) = key(1);
        let mut signature = key.sign(b"content", "comment");
        // Nobody signed the first line.
        let first = signature.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let at = first + at % (signature.len() - first - 1);
        prop_assume!(signature[at] != to);
        signature[at] = to;
        prop_assert!(verify(&[key.public()], b"content", &signature).is_err());
    }

    #[test]
    fn anything_is_read_to_an_end(data: Vec<u8>) {
        fuzz::fuzz_signature(&data);
    }
}
