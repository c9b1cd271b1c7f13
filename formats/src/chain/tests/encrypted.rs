//! Recordings whose files are encrypted.

use super::*;
use crate::age::Identity;
use crate::seal::Encrypted;

/// A recording whose packets are encrypted.
fn encrypted(segments: u32) -> Files {
    let recipients = vec![Identity::from_bytes([1; 32]).recipient()];
    let stored = |name: &FileName| format!("nobody reads {name}").into_bytes();
    let mut files = recording_with(&id("node-1"), segments, |seal| {
        let file = &mut seal.files[0];
        let name = file.name.encrypted();
        let bytes = stored(&name);
        let plain = SealedFile { bytes: bytes.len() as u64, sha256: Hash256::of(&bytes), name, encrypted: None };
        let SealedFile { name, bytes, sha256, .. } = std::mem::replace(file, plain);
        file.encrypted = Some(Encrypted { name, bytes, sha256, recipients: recipients.clone() });
    });
    for sequence in 1..=segments {
        let plain = FileName::segment(sequence, PACKETS);
        let file = at(&files, &plain.to_string());
        files[file] = (plain.encrypted().to_string(), stored(&plain.encrypted()));
    }
    files
}

#[test]
fn what_is_encrypted_is_proved_without_a_key_and_once_it_is_decrypted() {
    let files = encrypted(2);
    let sound = check(&files).unwrap();
    assert_eq!((sound.files, sound.recipients.len()), (6, 1));
    let plain = FileName::segment(1, PACKETS);
    let content = format!("what is in {plain} of {}", id("node-1")).into_bytes();
    let place = at(&files, &plain.encrypted().to_string());
    let mut beside = files.clone();
    beside.push((plain.to_string(), content.clone()));
    assert_eq!(check(&beside), Ok(sound.clone()), "beside it");
    let mut instead = files.clone();
    instead[place] = (plain.to_string(), content);
    assert_eq!(check(&instead), Ok(sound), "in its place");

    instead[place].1.push(b'!');
    assert!(check(&instead).unwrap_err().starts_with("000001.pcapng.zst has "));
    let last = beside.len() - 1;
    beside[last].1[0] ^= 1;
    assert!(check(&beside).unwrap_err().starts_with("000001.pcapng.zst was changed"));
    let mut gone = files.clone();
    gone.remove(place);
    assert_eq!(check(&gone).unwrap_err(), "000001.pcapng.zst.age is missing");
    let mut changed = files;
    changed[place].1[0] ^= 1;
    assert!(check(&changed).unwrap_err().starts_with("000001.pcapng.zst.age was changed"));
}

#[test]
fn what_a_key_opens_is_held_against_the_seal_and_hides_nothing_beside_it() {
    let plain = FileName::segment(1, PACKETS);
    let content = |sequence| format!("what is in {} of {}", FileName::segment(sequence, PACKETS), id("node-1"));
    // The packets are decrypted to `inside`, and `beside` lies there too.
    let opened = |inside: &str, beside: Option<&str>| {
        let mut found = found(&encrypted(2));
        let file = found.iter_mut().find(|file| file.name == plain.encrypted().to_string()).unwrap();
        let (bytes, sha256) = file.content.stored().unwrap();
        let (plain_bytes, plain_sha256) = (inside.len() as u64, Hash256::of(inside.as_bytes()));
        file.content = Content::Opened { bytes, sha256, plain_bytes, plain_sha256 };
        let beside = beside.map(|text| (plain.to_string(), text.as_bytes().to_vec()));
        found.extend(self::found(&beside.into_iter().collect()));
        verify(&id("node-1"), &found).map(drop).map_err(|fault| fault.to_string())
    };
    let (own, other) = (content(1), content(2));
    assert_eq!(opened(&own, None), Ok(()));
    assert_eq!(opened(&own, Some(&own)), Ok(()));
    let forged = opened(&own, Some("forged")).unwrap_err();
    assert!(forged.starts_with("000001.pcapng.zst has 6 bytes"), "{forged}");
    let swapped = opened(&other, Some(&own)).unwrap_err();
    let want = "000001.pcapng.zst.age decrypted holds what was sealed as 000002.pcapng.zst: swapped or renamed";
    assert_eq!(swapped, want);
}
