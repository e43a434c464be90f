//! Ids: sixteen opaque bytes each.

use std::fmt;
use std::str::FromStr;

/// Text or bytes that are no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadId {
    /// An id has exactly 16 bytes; this one had so many.
    Length(usize),
    /// Not 32 hexadecimal digits, with or without the dashes of a UUID.
    Text(String),
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "an id is exactly 16 bytes, this one has {n}"),
            Self::Text(s) => write!(f, "{s:?} is no UUID: expected 32 hexadecimal digits, dashes allowed"),
        }
    }
}

impl std::error::Error for BadId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes, as they travel on the wire.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The bytes as two big-endian words, for places that hold words.
            #[must_use]
            pub const fn to_words(self) -> (u64, u64) {
                let n = u128::from_be_bytes(self.0);
                #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart on purpose")]
                {
                    ((n >> 64) as u64, n as u64)
                }
            }

            /// The inverse of [`Self::to_words`].
            #[must_use]
            pub const fn from_words(high: u64, low: u64) -> Self {
                Self((((high as u128) << 64) | low as u128).to_be_bytes())
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadId;

            fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
                bytes.try_into().map(Self).map_err(|_| BadId::Length(bytes.len()))
            }
        }

        impl fmt::Display for $name {
            /// Lower-case hexadecimal in the 8-4-4-4-12 form of a UUID.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&to_hex(&self.0)).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self).ok_or_else(|| BadId::Text(text.to_owned()))
            }
        }
    };
}

id!(
    /// Names a payload, for ever: a UUIDv7 made by the daemon.
    PayloadId
);
id!(
    /// Names one lease. Opaque to its holder.
    LeaseId
);
id!(
    /// Names one daemon's belongings: its catalog, its folder, its shared pages.
    InstanceId
);

/// At once, because a start says tens of thousands of names with ids in them.
pub(crate) fn to_hex(bytes: &[u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let places = (0..36).filter(|at| !matches!(at, 8 | 13 | 18 | 23));
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (place, digit) in places.zip(digits) {
        if let (Some(place), Some(digit)) = (text.get_mut(place), DIGITS.get(usize::from(digit))) {
            *place = *digit;
        }
    }
    text
}

/// 32 hexadecimal digits, dashes only where a UUID has them or nowhere.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let dashed = text.len() == 36;
    if !dashed && text.len() != 32 {
        return None;
    }
    let mut out = [0u8; 16];
    let mut digits = 0usize;
    for (at, c) in text.bytes().enumerate() {
        if dashed && matches!(at, 8 | 13 | 18 | 23) {
            if c != b'-' {
                return None;
            }
            continue;
        }
        let value = u8::try_from(char::from(c).to_digit(16)?).ok()?;
        let byte = out.get_mut(digits / 2)?;
        *byte = (*byte << 4) | value;
        digits += 1;
    }
    (digits == 32).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_its_words() {
        let id = PayloadId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string(), "30313233-3435-3637-3839-616263646566");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().replace('-', "").parse(), Ok(id));
        let (high, low) = id.to_words();
        assert_eq!(PayloadId::from_words(high, low), id);
    }

    #[test]
    fn what_is_not_sixteen_bytes_is_no_id() {
        for n in [0usize, 15, 17] {
            assert_eq!(PayloadId::try_from(vec![0u8; n].as_slice()), Err(BadId::Length(n)));
        }
        for text in ["", "30", "30313233_3435-3637-3839-616263646566", "3031323334353637383961626364656g"] {
            assert!(text.parse::<PayloadId>().is_err(), "{text:?}");
        }
    }
}
