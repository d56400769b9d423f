//! Ids as FF1 sees them: numerals of 7 digits in radix 62, kept in one integer. `fpe`'s own numeral strings are vectors of
//! digits over big integers; 7 digits need neither.

use fpe::ff1::{NumeralString, Operations};

pub(super) const RADIX: u32 = 62;

/// Digits of a numeral, and of the two halves that FF1 mixes (its u and v).
const DIGITS: usize = 7;
const FRONT_DIGITS: usize = DIGITS / 2;
const BACK_DIGITS: usize = DIGITS - FRONT_DIGITS;

/// A numeral of 7 digits: a number below 62^7.
pub(super) struct Numeral(pub(super) u64);

impl NumeralString for Numeral {
    type Ops = Half;

    fn is_valid(&self, radix: u32) -> bool {
        self.0 < power(radix, DIGITS)
    }

    fn numeral_count(&self) -> usize {
        DIGITS
    }

    fn split(&self) -> (Half, Half) {
        let back = power(RADIX, BACK_DIGITS);
        (Half { value: self.0 / back, digits: FRONT_DIGITS }, Half { value: self.0 % back, digits: BACK_DIGITS })
    }

    fn concat(a: Half, b: Half) -> Self {
        Numeral(a.value * power(RADIX, b.digits) + b.value)
    }
}

/// One half of a numeral: a number below 62^digits.
pub(super) struct Half {
    value: u64,
    digits: usize,
}

impl Operations for Half {
    type Bytes = BigEndian;

    fn numeral_count(&self) -> usize {
        self.digits
    }

    fn to_be_bytes(&self, _radix: u32, b: usize) -> BigEndian {
        BigEndian { bytes: self.value.to_be_bytes(), len: b }
    }

    fn add_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = power(radix, m);
        Half { value: (self.value % modulus + number(other) % modulus) % modulus, digits: m }
    }

    fn sub_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = power(radix, m);
        Half { value: (self.value % modulus + modulus - number(other) % modulus) % modulus, digits: m }
    }
}

/// The last `len` bytes of a big-endian number.
pub(super) struct BigEndian {
    bytes: [u8; 8],
    len: usize,
}

impl AsRef<[u8]> for BigEndian {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.len..]
    }
}

/// NUM(S) of the specification. For 7 digits in radix 62, S has 8 bytes.
fn number(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn power(radix: u32, exponent: usize) -> u64 {
    u64::from(radix).pow(exponent as u32)
}

#[cfg(test)]
mod tests {
    use aes::Aes256;
    use fpe::ff1::{FF1, FlexibleNumeralString};
    use proptest::prelude::*;

    use super::*;

    /// The digits of a number, as `fpe`'s own numeral string takes them.
    fn digits(mut number: u64) -> FlexibleNumeralString {
        let mut digits = vec![0; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = (number % 62) as u16;
            number /= 62;
        }
        digits.into()
    }

    fn number_of(digits: FlexibleNumeralString) -> u64 {
        Vec::<u16>::from(digits).into_iter().fold(0, |number, digit| number * 62 + u64::from(digit))
    }

    proptest! {
        /// Seen to fail when the halves are split at 4 and 3 digits.
        #[test]
        fn both_numeral_types_give_the_same(key: [u8; 32], number in 0..62u64.pow(7)) {
            let ff1 = FF1::<Aes256>::new(&key, RADIX).unwrap();
            let ours = ff1.encrypt(&[], &Numeral(number)).unwrap().0;
            prop_assert_eq!(ours, number_of(ff1.encrypt(&[], &digits(number)).unwrap()));
            let ours = ff1.decrypt(&[], &Numeral(number)).unwrap().0;
            prop_assert_eq!(ours, number_of(ff1.decrypt(&[], &digits(number)).unwrap()));
        }
    }
}
