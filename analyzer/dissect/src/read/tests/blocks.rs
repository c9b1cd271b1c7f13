//! Blocks of pcapng.

use super::*;
use formats::pcapng::option;

/// Frames of a capture of that many, with `between` behind the first.
fn with_block_between(frames: usize, between: &[u8]) -> Vec<u8> {
    let frames: Vec<_> = (0..frames).map(|at| vec![at as u8; 10_000]).collect();
    let (first, all) = (pcapng_writer(&frames[..1]), pcapng_writer(&frames));
    [&first, between, &all[first.len()..]].concat()
}

#[test]
fn a_long_block_is_believed_where_its_length_stands_behind_it() {
    let names = vec![0x20; BLOCK_BYTES_MAX + 4000];
    let cut = with_block_between(1, &block(kind::NAME_RESOLUTION, &names, None)[..names.len()]);
    for (name, capture, want) in [
        ("as it says", with_block_between(900, &block(kind::NAME_RESOLUTION, &names, None)), (900, vec![])),
        (
            "past the end",
            with_block_between(900, &block(4, &[0; 8], Some(0x7fff_fff0))),
            (900, vec!["record_too_long"]),
        ),
        ("past others", with_block_between(900, &block(4, &[0; 8], Some(5 << 20))), (900, vec!["record_too_long"])),
        (
            "longer than it is",
            with_block_between(900, &block(4, &names, Some(6 << 20))),
            (900, vec!["record_too_long"]),
        ),
        (
            "shorter than it is",
            with_block_between(900, &block(4, &names, Some(4_194_400))),
            (900, vec!["block_bad", "record_too_long"]),
        ),
        ("cut", cut, (1, vec!["record_cut"])),
    ] {
        let (frames, damage) = read_bytes(&capture);
        assert_eq!((frames.len(), damage), want, "{name}");
        is_accounted_for(&capture);
    }
    // Where little more than its head is in the stretch that it begins in.
    for before in [STRETCH_BYTES - 80, STRETCH_BYTES - 8] {
        let first = pcapng_writer(&[]);
        let secrets = block(kind::DECRYPTION_SECRETS, &vec![0; before - first.len() - 12], None);
        let whole = block(kind::NAME_RESOLUTION, &names, None);
        let behind = &with_block_between(9, &[])[first.len()..];
        let capture = [&first[..], &secrets, &whole, behind].concat();
        assert_eq!((read_bytes(&capture).0.len(), summary(&capture).damage.len()), (9, 0));
        is_accounted_for(&capture);
    }
    // Where nothing is left of the input to wait for.
    let small = with_block_between(9, &block(4, &[0; 8], Some(1 << 20)));
    assert_eq!(read_bytes(&small).0.len(), 9);
}

#[test]
fn packets_without_a_time_have_that_of_their_neighbours() {
    let simple = block(kind::SIMPLE_PACKET, &[&4_u32.to_le_bytes()[..], b"data"].concat(), None);
    let at = |us: u32| {
        let head = [0, 0, us, 4, 4].map(u32::to_le_bytes).concat();
        block(kind::ENHANCED_PACKET, &[&head[..], b"data"].concat(), None)
    };
    let capture = [pcapng_writer(&[]), simple.clone(), at(7), simple.clone(), at(9), simple].concat();
    let times: Vec<_> = read_bytes(&capture).0.into_iter().map(|(ts_ns, _)| ts_ns).collect();
    assert_eq!(times, [7000, 7000, 7000, 9000, 9000]);
}

#[test]
fn what_a_block_holds_is_not_looked_through_for_others() {
    let inner = block(kind::ENHANCED_PACKET, &[0, 1, 2, 0, 0].map(u32::to_le_bytes).concat(), None);
    let packet = |interface: u32, bytes: usize| {
        let length = bytes as u32;
        block(
            kind::ENHANCED_PACKET,
            &[&[interface, 0, 0, length, length].map(u32::to_le_bytes).concat(), &inner[..]].concat(),
            None,
        )
    };
    for (name, wrong) in
        [("of an interface nobody described", packet(7, inner.len())), ("longer than its block", packet(0, 4000))]
    {
        let capture = with_block_between(2, &wrong);
        let lost: Vec<_> = summary(&capture).damage.iter().map(|damage| (damage.kind, damage.bytes)).collect();
        assert_eq!((read_bytes(&capture).0.len(), lost), (2, vec![("block_bad", wrong.len() as u64)]), "{name}");
    }
}

#[test]
fn counts_and_times_of_a_capture_stay_in_their_range() {
    let text = |code: u16, value: &[u8]| [&code.to_le_bytes(), &(value.len() as u16).to_le_bytes(), value].concat();
    let section =
        || block(kind::SECTION_HEADER, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat(), None);
    let interface = |offset_s: i64| {
        let offset = text(option::IF_TSOFFSET, &offset_s.to_le_bytes());
        block(kind::INTERFACE, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], &offset, &[0; 4]].concat(), None)
    };
    let packet = |interface: u32, ticks: u32| {
        let drops = text(option::EPB_DROPCOUNT, &[0xff; 8]);
        let head = [interface, ticks, 0, 4, 4].map(u32::to_le_bytes).concat();
        block(kind::ENHANCED_PACKET, &[&head[..], b"data", &drops, &[0; 4]].concat(), None)
    };
    let statistics = block(kind::INTERFACE_STATISTICS, &[0xff; 12], None);
    let capture = [
        section(),
        interface(i64::MIN),
        interface(i64::MAX),
        packet(0, 0),
        packet(1, u32::MAX),
        section(),
        interface(0),
        statistics,
    ];
    let summary = summary(&capture.concat());
    assert_eq!((summary.packets, summary.dropped, summary.damage.len()), (2, Some(u64::MAX), 0));
    assert!(summary.last_ns.unwrap().checked_sub(summary.first_ns.unwrap()).is_some());
    // Half a count says nothing.
    let drops = text(option::EPB_DROPCOUNT, &[0xff; 4]);
    let packet = block(kind::ENHANCED_PACKET, &[&[0; 20][..], &drops, &[0; 4]].concat(), None);
    assert_eq!(self::summary(&[section(), interface(0), packet].concat()).dropped, None);
}
