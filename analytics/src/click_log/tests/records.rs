//! Encoding and frames.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*};

use super::super::{
    frame::{self, FRAME_BYTES, Seed, Step},
    record::*,
};
use super::click;
use crate::click::LogId;

const LOG: LogId = LogId(7);

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..=40), vec(any::<u8>(), 0..=max + 20)]
}

fn framed(start: u64, click: &RawClick<'_>) -> Vec<u8> {
    let mut area = vec![0xEE; BODY_MAX_BYTES + 100];
    let length = frame::write(&mut area, start, Seed::of(LOG), click);
    area.truncate(length);
    area
}

proptest! {
    /// What is written is read, but for what is cut. Seen to fail with the lengths of two headers swapped in `decode`.
    #[test]
    fn a_record_is_read_as_it_was_written(
        at_ms: i64, link: u64, peer: IpAddr, start in 0..u64::MAX / 2,
        user_agent in bytes(USER_AGENT_MAX_BYTES), referer in bytes(REFERER_MAX_BYTES),
        forwarded_for in bytes(FORWARDED_FOR_MAX_BYTES), country in bytes(COUNTRY_MAX_BYTES),
    ) {
        let raw = RawClick {
            at_ms, link, peer,
            user_agent: &user_agent, referer: &referer, forwarded_for: &forwarded_for, country: &country,
        };
        let (cut, cuts) = raw.cut();
        let too_long = [
            user_agent.len() > USER_AGENT_MAX_BYTES, referer.len() > REFERER_MAX_BYTES,
            forwarded_for.len() > FORWARDED_FOR_MAX_BYTES, country.len() > COUNTRY_MAX_BYTES,
        ];
        prop_assert_eq!(cuts, too_long.iter().filter(|long| **long).count() as u64);
        prop_assert_eq!(cut.user_agent, &user_agent[..user_agent.len().min(USER_AGENT_MAX_BYTES)]);
        prop_assert_eq!(cut.country, &country[..country.len().min(COUNTRY_MAX_BYTES)]);
        prop_assert!(forwarded_for.ends_with(cut.forwarded_for));
        prop_assert!(too_long[2] || cut.forwarded_for == forwarded_for);
        prop_assert!(cut.encoded_bytes() <= BODY_MAX_BYTES);
        let frame = framed(start, &cut);
        prop_assert_eq!(frame::read(&frame, start, Seed::of(LOG)), Step::Record(cut, frame.len()));
    }

    /// However much a client writes before it, what the proxies added stands, entry by entry. Seen to fail when the header was cut at its
    /// end, and when the first entry that is left could be a part of one.
    #[test]
    fn a_long_list_of_proxies_keeps_its_last_entries(forged in vec("[0-9.]{0,15}", 100..200), added in vec("[0-9.]{7,15}", 1..4)) {
        let list = [&forged[..], &added[..]].concat();
        let header = list.join(", ");
        prop_assume!(header.len() > FORWARDED_FOR_MAX_BYTES);
        let (cut, cuts) = RawClick { forwarded_for: header.as_bytes(), ..click(1, b"agent") }.cut();
        let kept = std::str::from_utf8(cut.forwarded_for).unwrap();
        prop_assert!(kept.len() <= FORWARDED_FOR_MAX_BYTES && kept.len() + 20 > FORWARDED_FOR_MAX_BYTES);
        let kept: Vec<_> = kept.split(',').map(str::trim).collect();
        prop_assert_eq!(&kept[..], &list[list.len() - kept.len()..]);
        prop_assert_eq!(cuts, 1);
    }

    /// Whatever lies there, reading it does not panic, and nothing passes for a record.
    #[test]
    fn noise_is_not_a_record(noise in vec(any::<u8>(), 0..300), length in 0..300u32) {
        let mut with_length = length.to_le_bytes().to_vec();
        with_length.extend(&noise);
        for area in [&noise, &with_length] {
            prop_assert!(!matches!(frame::read(area, 64, Seed::of(LOG)), Step::Record(..)));
        }
    }
}

/// Seen to fail when the checksum began at zero instead of the log's seed, and when it left out the offset.
#[test]
fn a_record_of_another_log_or_place_is_stale() {
    let frame = framed(4096, &click(1, b"agent"));
    assert!(matches!(frame::read(&frame, 4096, Seed::of(LOG)), Step::Record(..)));
    assert_eq!(frame::read(&frame, 4096, Seed::of(LogId(8))), Step::Torn);
    assert_eq!(frame::read(&frame, 8192, Seed::of(LOG)), Step::Torn);
}

/// Seen to fail (a panic) when the length was trusted.
#[test]
fn a_record_with_any_bit_flipped_or_cut_anywhere_is_torn() {
    let frame = framed(64, &click(1, b"agent"));
    for bit in 0..frame.len() * 8 {
        let mut broken = frame.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(frame::read(&broken, 64, Seed::of(LOG)), Step::Torn, "bit {bit}");
    }
    for length in 0..frame.len() {
        let expected = if length < FRAME_BYTES { Step::End } else { Step::Torn };
        assert_eq!(frame::read(&frame[..length], 64, Seed::of(LOG)), expected, "cut to {length}");
    }
}

/// The end is clean whatever lay in the file before. Seen to fail without the zeros in `frame::write`.
#[test]
fn what_follows_a_record_is_a_clean_end() {
    let mut area = vec![0xEE; 4096];
    let length = frame::write(&mut area, 64, Seed::of(LOG), &click(1, b"agent"));
    assert_eq!(frame::read(&area[length..], 64 + length as u64, Seed::of(LOG)), Step::End);
}
