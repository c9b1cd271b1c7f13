//! Ours beside itself; `recorder/tests` holds it against the program of that name.

use super::*;
use proptest::prelude::*;
use std::io::{Read, Write};

fn key(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}

fn encrypt(plain: &[u8], to: &[Recipient]) -> Vec<u8> {
    let mut file = Encrypt::new(Vec::new(), to).unwrap();
    file.write_all(plain).unwrap();
    file.finish().unwrap()
}

/// What comes out, and the error behind it.
fn decrypt(file: &[u8], keys: &[Identity]) -> (Vec<u8>, Option<AgeError>) {
    let mut plain = Vec::new();
    let read = Decrypt::open(file, keys).and_then(|mut file| file.read_to_end(&mut plain));
    let error = read.err().map(|error| *error.get_ref().unwrap().downcast_ref::<AgeError>().unwrap());
    (plain, error)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

#[test]
fn keys_are_those_of_age() {
    // Written by age-keygen 1.1.1.
    let secret = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let identity: Identity = secret.parse().unwrap();
    assert_eq!(identity.recipient().to_string(), "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj");
    assert_eq!(identities(&identity.to_text()).unwrap()[0].recipient(), identity.recipient());
    let text = format!("# ours\n\n {} \n", identity.recipient());
    assert_eq!(recipients(&text), Ok(vec![identity.recipient()]));
}

#[test]
fn what_is_no_key_is_named_with_its_line() {
    let public = key(1).recipient().to_string();
    for (text, want) in [
        (String::new(), "no key stands in it"),
        (format!("{public}\nage1x\n"), "line 2 is no public key of age"),
        (key(1).to_text(), "line 2 is a secret key"),
        (public.replacen("age1", "age1q", 1), "line 1 is no public key"),
        (public.replacen('1', "2", 1), "line 1 is no public key"),
        (format!("{public}\n").repeat(65), "more than 64 keys"),
    ] {
        let error = recipients(&text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
    assert!(identities(&public).unwrap_err().to_string().starts_with("line 1 is no secret key"));
}

#[test]
fn lengths_around_a_piece_are_read_by_each_recipient() {
    let to = [key(1).recipient(), key(2).recipient()];
    for bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 3 * PIECE_BYTES + 7] {
        let plain = content(bytes);
        let file = encrypt(&plain, &to);
        for keys in [vec![key(1)], vec![key(2)], vec![key(3), key(2)]] {
            assert!(decrypt(&file, &keys) == (plain.clone(), None), "{bytes}");
        }
        assert_eq!(decrypt(&file, &[key(3)]), (Vec::new(), Some(AgeError::NotOurs { recipients: 2 })));
        assert_eq!(decrypt(&file, &[]), (Vec::new(), Some(AgeError::NoKey { recipients: 2 })));
    }
}

#[test]
fn what_is_cut_gives_the_pieces_before_and_says_so() {
    let plain = content(2 * PIECE_BYTES + 100);
    let file = encrypt(&plain, &[key(1).recipient()]);
    let begins_at = Payload::open(&file, &[key(1)]).unwrap().begins_at() as usize;
    for (bytes, whole, error) in [
        (file.len() - 1, 2, AgeError::Changed { piece: 2 }),
        (begins_at + 2 * SEALED_PIECE_BYTES, 1, AgeError::Cut { piece: 1 }),
        (begins_at + SEALED_PIECE_BYTES + 5, 1, AgeError::Cut { piece: 1 }),
        (begins_at, 0, AgeError::Cut { piece: 0 }),
        (begins_at - 1, 0, AgeError::Cut { piece: 0 }),
        (begins_at - 20, 0, AgeError::Header { what: "it does not end" }),
        (20, 0, AgeError::Header { what: "its first line" }),
    ] {
        let (read, said) = decrypt(&file[..bytes], &[key(1)]);
        assert_eq!((read.len(), said), (whole * PIECE_BYTES, Some(error)), "{bytes}");
    }
    let longer = [&file[..], b"more"].concat();
    assert_eq!(decrypt(&longer, &[key(1)]).1, Some(AgeError::Changed { piece: 2 }));
}

#[test]
fn what_other_programs_put_into_a_header_is_read_over() {
    // A stanza of another kind changes the MAC: only its place is tried here.
    let file = encrypt(b"plain", &[key(1).recipient()]);
    let odd = [INTRO.as_bytes(), b"-> odd-grease a b\nAAAA\n", &file[INTRO.len()..]].concat();
    assert_eq!(decrypt(&odd, &[key(1)]).1, Some(AgeError::HeaderChanged));
    for (body, what) in [("\u{e9}\n", "a stanza's body"), ("AAA=\n", "a stanza's body"), ("AAB\n", "a stanza's body")] {
        let odd = [INTRO.as_bytes(), b"-> odd\n", body.as_bytes(), &file[INTRO.len()..]].concat();
        assert_eq!(decrypt(&odd, &[key(1)]).1, Some(AgeError::Header { what }), "{body}");
    }
    assert!(Encrypt::new(Vec::new(), &[]).is_err());
    // A point of low order: what is encrypted to it anybody reads.
    assert!(Encrypt::new(Vec::new(), &[Recipient([0; 32])]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decrypting_undoes_encrypting(plain: Vec<u8>, times in 1usize..600, cut in 1usize..70_000, secret: [u8; 32]) {
        let plain = plain.repeat(times);
        let identity = Identity::from_bytes(secret);
        let mut file = Encrypt::new(Vec::new(), &[key(1).recipient(), identity.recipient()]).unwrap();
        plain.chunks(cut).for_each(|piece| file.write_all(piece).unwrap());
        prop_assert!(decrypt(&file.finish().unwrap(), &[identity]) == (plain, None));
    }

    #[test]
    fn a_byte_that_was_changed_is_seen(at: prop::sample::Index, bit in 0u8..8) {
        let plain = content(PIECE_BYTES + 50);
        let mut file = encrypt(&plain, &[key(1).recipient()]);
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        let (read, error) = decrypt(&file, &[key(1)]);
        prop_assert!(error.is_some());
        prop_assert!(plain.starts_with(&read));
    }
}
