//! Codes: the 7 base62 characters made from an id.
//!
//! An id becomes a code by FF1 format-preserving encryption (NIST SP 800-38G, section 5.1) over radix 62 and length 7, with
//! AES-256 under the id space's key and an empty tweak: a permutation of `[0, 62^7)`, so codes look random and no two ids
//! share one. The digits are `0-9`, `A-Z`, `a-z`, in this order, which is ASCII's.
//!
//! Nothing here may ever change for an id space that is in use: the same id would get another code.

mod numeral;

use std::{fmt, str};

use aes::Aes256;
use fpe::ff1::FF1;
use token_service::{ID_COUNT, IdSpace};

use numeral::{Numeral, RADIX};

/// Characters in a code.
pub const CODE_LEN: usize = 7;

/// The code of a link: 7 base62 characters with at least one upper-case letter, which no alias has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; CODE_LEN]);

impl Code {
    /// Reads a code as people write it, or `None` if this is no code: another length, another character, or no upper-case
    /// letter. Whether a link has it is for the store to say.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let bytes: [u8; CODE_LEN] = text.as_ref().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(bytes).and_then(Self::of_digits)
    }

    /// A code of base62 digits, if one of them is an upper-case letter.
    fn of_digits(digits: [u8; CODE_LEN]) -> Option<Self> {
        digits.iter().any(u8::is_ascii_uppercase).then_some(Self(digits))
    }

    /// The characters as bytes, unchecked for being text, as a redirect looks them up.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("base62 digits are ASCII")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// Turns ids into codes and back, for one id space.
pub struct Codec {
    ff1: FF1<Aes256>,
}

impl Codec {
    pub fn new(id_space: &IdSpace) -> Self {
        Self { ff1: FF1::new(id_space.key(), RADIX).expect("62 is a radix that FF1 takes") }
    }

    /// The code of an id, or `None` if it would have no upper-case letter: 36^7 of the 62^7 ids (2.2%) have no code, and are
    /// never given to a link with a generated key. `None`, too, for what is no id: not in `[0, 62^7)`.
    pub fn encode(&self, id: u64) -> Option<Code> {
        self.encode_any(id).and_then(Code::of_digits)
    }

    /// The id that a code was made from, under this id space's key.
    pub fn decode(&self, code: Code) -> u64 {
        self.decode_any(code.0).expect("a code is base62 digits")
    }

    /// The 7 characters of any id, also of one that has no code: what a link is called in the API instead of its id.
    /// `None` for what is no id: not in `[0, 62^7)`.
    pub fn encode_any(&self, id: u64) -> Option<[u8; CODE_LEN]> {
        if id >= ID_COUNT {
            return None;
        }
        let image = self.ff1.encrypt(&[], &Numeral(id)).expect("a numeral of 7 digits is long enough for FF1");
        Some(digits(image.0))
    }

    /// The id behind what [`Codec::encode_any`] gave, or `None` if it is not 7 base62 characters.
    pub fn decode_any(&self, text: impl AsRef<[u8]>) -> Option<u64> {
        let text = text.as_ref();
        if text.len() != CODE_LEN {
            return None;
        }
        let image = u64::try_from(base62::decode(text).ok()?).ok()?;
        let id = self.ff1.decrypt(&[], &Numeral(image)).expect("a numeral of 7 digits is long enough for FF1");
        Some(id.0)
    }
}

/// A number below 62^7 in exactly 7 digits.
fn digits(number: u64) -> [u8; CODE_LEN] {
    let mut shortest = [0; CODE_LEN];
    let len = base62::encode_bytes(number, &mut shortest).expect("numbers below 62^7 have at most 7 digits");
    let mut padded = [b'0'; CODE_LEN];
    padded[CODE_LEN - len..].copy_from_slice(&shortest[..len]);
    padded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codec(seed: u8) -> Codec {
        Codec::new(&IdSpace::new([seed; 32]))
    }

    /// Any change here changes the meaning of every short link that exists. `fpe`'s own numeral type gives the same values
    /// (`numeral` has the test).
    ///
    /// Seen to fail when the digits of base62 are taken in another order, and with a tweak.
    #[test]
    fn the_format_of_codes_is_fixed() {
        let codec = codec(7);
        let made = [0, 1, 2, 4095, 4096, 1 << 40, ID_COUNT - 1]
            .map(|id| String::from_utf8(codec.encode_any(id).unwrap().into()).unwrap());
        assert_eq!(made, ["z01nKhA", "AWyhqV4", "vUwpemA", "MIkuNcG", "3xhA0Ef", "YevB40p", "R3Iiw76"]);
    }

    #[test]
    fn neighbouring_ids_have_codes_far_apart() {
        let codec = codec(1);
        let firsts: std::collections::HashSet<_> = (0..1000).map(|id| codec.encode_any(id).unwrap()[0]).collect();
        assert!(firsts.len() > 50, "the first characters of 1,000 neighbours: {}", firsts.len());
    }

    /// 36^7 / 62^7 is 2.225%; 20,000 ids, six standard deviations.
    #[test]
    fn about_one_id_in_45_has_no_code() {
        let codec = codec(2);
        let without = (0..20_000).filter(|id| codec.encode(*id).is_none()).count();
        assert!((320..=570).contains(&without), "{without}");
    }

    #[test]
    fn what_is_not_a_code_is_refused() {
        for text in ["", "abcdeF", "abcdefGh", "abc-deF", "abcdef1", "1234567", "abcdéF", "abcde F", "abcdeF\0"] {
            assert_eq!(Code::parse(text), None, "{text:?}");
        }
        assert_eq!(Code::parse("aBcdef1").unwrap().as_str(), "aBcdef1");
    }

    /// Seen to fail when such a number is enciphered: FF1 panics at it.
    #[test]
    fn beyond_the_last_id_there_is_no_code() {
        let codec = codec(0);
        for id in [ID_COUNT, ID_COUNT + 1, i64::MAX as u64, u64::MAX] {
            assert_eq!((codec.encode_any(id), codec.encode(id)), (None, None), "{id}");
        }
    }

    /// Ids over the whole range, its edges among them.
    fn ids() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0..ID_COUNT, 1 => 0..5000u64, 1 => ID_COUNT - 5000..ID_COUNT, 1 => Just(0), 1 => Just(ID_COUNT - 1)]
    }

    proptest! {
        /// With the next one this is a bijection: no two ids share a code, and every code has an id.
        #[test]
        fn an_id_comes_back_from_its_code(id in ids(), seed: u8) {
            let codec = codec(seed);
            prop_assert_eq!(codec.encode_any(id).and_then(|text| codec.decode_any(text)), Some(id));
            if let Some(code) = codec.encode(id) {
                prop_assert_eq!(codec.decode(code), id);
                prop_assert_eq!(Code::parse(code.as_str()), Some(code));
            }
        }

        #[test]
        fn a_code_comes_back_from_its_id(text in "[0-9A-Za-z]{7}", seed: u8) {
            let codec = codec(seed);
            let id = codec.decode_any(&text).unwrap();
            prop_assert!(id < ID_COUNT);
            prop_assert_eq!(&codec.encode_any(id).unwrap()[..], text.as_bytes());
            prop_assert_eq!(codec.encode(id), Code::parse(&text));
        }

        /// Seen to fail when `of_digits` takes any digits.
        #[test]
        fn no_code_is_without_an_upper_case_letter(id in ids(), seed: u8) {
            let codec = codec(seed);
            let upper = codec.encode_any(id).unwrap().iter().any(u8::is_ascii_uppercase);
            prop_assert_eq!(codec.encode(id).is_some(), upper);
        }

        #[test]
        fn keys_give_permutations_of_their_own(id in ids(), seed in 0..255u8) {
            let (one, other) = (codec(seed), codec(seed + 1));
            let differing = (0..4).filter(|n| {
                let id = (id + n) % ID_COUNT;
                one.encode_any(id) != other.encode_any(id)
            });
            prop_assert!(differing.count() >= 3);
        }

        /// Whatever arrives from outside, parsing answers.
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let parsed = Code::parse(&bytes);
            prop_assert!(parsed.is_none_or(|code| code.as_str().as_bytes() == bytes));
            codec(3).decode_any(&bytes);
        }
    }
}
