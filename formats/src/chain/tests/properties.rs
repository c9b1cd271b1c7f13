//! What holds for any change of any file.

use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_changed_byte_is_named(segments in 1u32..4, file: prop::sample::Index, byte: prop::sample::Index, flip in 1u8..) {
        let mut files = recording(&id("node-1"), segments);
        let (name, bytes) = file.get_mut(&mut files);
        *byte.get_mut(bytes) ^= flip;
        let name = name.clone();
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&name), "{} was changed, but: {}", name, fault);
    }

    #[test]
    fn any_removed_file_is_named(segments in 1u32..4, file: prop::sample::Index) {
        let mut files = recording(&id("node-1"), segments);
        let (name, _) = files.remove(file.index(files.len()));
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&format!("{name} is missing")), "{} was removed, but: {}", name, fault);
    }

    #[test]
    fn any_two_swapped_files_are_named(segments in 1u32..4, a: prop::sample::Index, b: prop::sample::Index) {
        let mut files = recording(&id("node-1"), segments);
        let (a, b) = (a.index(files.len()), b.index(files.len()));
        prop_assume!(a != b);
        let bytes = files[a].1.clone();
        files[a].1 = std::mem::replace(&mut files[b].1, bytes);
        let fault = check(&files).unwrap_err();
        prop_assert!(
            [a, b].iter().any(|&swapped| fault.starts_with(&files[swapped].0)),
            "{} and {} were swapped, but: {}", files[a].0, files[b].0, fault
        );
    }

    #[test]
    fn any_cut_or_longer_file_is_named(segments in 1u32..4, file: prop::sample::Index, cut: prop::sample::Index, more: Vec<u8>) {
        let mut files = recording(&id("node-1"), segments);
        let (name, bytes) = file.get_mut(&mut files);
        let name = name.clone();
        let before = bytes.clone();
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes.extend(more);
        prop_assume!(*bytes != before);
        let fault = check(&files).unwrap_err();
        prop_assert!(fault.starts_with(&name), "{} has another length, but: {}", name, fault);
    }

    #[test]
    fn hostile_bytes_are_refused_in_peace(data: Vec<u8>) {
        crate::seal::fuzz::fuzz_seal(&data);
    }
}
