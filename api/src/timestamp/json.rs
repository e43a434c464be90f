//! A timestamp as protobuf JSON writes it: RFC 3339 in UTC, with 0, 3, 6 or 9 digits of fraction. Reads any offset.
//!
//! The calendar is the proleptic Gregorian one, years 1 to 9999, no leap seconds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::Timestamp;

const DAY: i64 = 86_400;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = payload_manager_types::Timestamp::try_from(*self).map_err(ser::Error::custom)?;
        serializer.collect_str(&Text(time))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom(format_args!("{text:?} is no time in the form of RFC 3339")))
    }
}

/// Writes a valid time.
struct Text(payload_manager_types::Timestamp);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.seconds.div_euclid(DAY), self.0.seconds.rem_euclid(DAY));
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.0.nanos {
            0 => {}
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000)?,
            n if n % 1000 == 0 => write!(f, ".{:06}", n / 1000)?,
            n => write!(f, ".{n:09}")?,
        }
        f.write_str("Z")
    }
}

/// The inverse of [`Text`], for any offset from UTC.
fn parse(text: &str) -> Option<Timestamp> {
    let (clock, rest) = text.split_at_checked(19)?;
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuation.iter().any(|(at, c)| clock.as_bytes().get(*at) != Some(c)) {
        return None;
    }
    let field = |from: usize, to: usize, low: i64, high: i64| {
        clock.get(from..to).and_then(digits).filter(|n| (low..=high).contains(n))
    };
    let (year, month, day) = (field(0, 4, 1, 9999)?, field(5, 7, 1, 12)?, field(8, 10, 1, 31)?);
    let (hour, minute, second) = (field(11, 13, 0, 23)?, field(14, 16, 0, 59)?, field(17, 19, 0, 59)?);
    let days = days(year, month, day);
    if date(days) != (year, month, day) {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset(rest)?;
    let time = Timestamp { seconds, nanos };
    payload_manager_types::Timestamp::try_from(time).is_ok().then_some(time)
}

/// Nanoseconds of an optional `.digits`, and what follows it.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(after) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (fraction, rest) = after.split_at_checked(end)?;
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    Some((format!("{fraction:0<9}").parse().ok()?, rest))
}

/// Seconds east of UTC, of `Z` or `+hh:mm`.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A number of ASCII digits alone.
fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Days from 1970-01-01 to a date. Years start in March here, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days`]: year, month, day.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(seconds: i64, nanos: i32) -> String {
        serde_json::to_string(&Timestamp { seconds, nanos }).unwrap()
    }

    fn read(text: &str) -> Option<(i64, i32)> {
        serde_json::from_str::<Timestamp>(&format!("{text:?}")).ok().map(|t| (t.seconds, t.nanos))
    }

    #[test]
    fn json_is_canonical() {
        assert_eq!(json(0, 0), r#""1970-01-01T00:00:00Z""#);
        assert_eq!(json(1_709_210_096, 7_000_000), r#""2024-02-29T12:34:56.007Z""#);
        assert_eq!(json(-1, 1000), r#""1969-12-31T23:59:59.000001Z""#);
        assert_eq!(json(253_402_300_799, 999_999_999), r#""9999-12-31T23:59:59.999999999Z""#);
        assert_eq!(json(-62_135_596_800, 0), r#""0001-01-01T00:00:00Z""#);
        assert!(serde_json::to_string(&Timestamp { seconds: i64::MAX, nanos: 0 }).is_err());
    }

    #[test]
    fn every_day_of_ten_thousand_years_survives() {
        for day in (-719_162..=2_932_896).step_by(13) {
            let (year, month, dom) = date(day);
            assert_eq!(days(year, month, dom), day);
            assert_eq!(read(&json(day * DAY, 0).replace('"', "")), Some((day * DAY, 0)));
        }
    }

    #[test]
    fn offsets_and_short_fractions_are_read_and_rubbish_is_not() {
        assert_eq!(read("2024-02-29T14:34:56.5+02:00"), Some((1_709_210_096, 500_000_000)));
        assert_eq!(read("1969-12-31T19:00:00-05:00"), Some((0, 0)));
        for rubbish in [
            "",
            "2024-02-29",
            "2023-02-29T00:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T00:00:00",
            "2024-02-29T00:00:00.Z",
            "2024-02-29T00:00:00.1234567891Z",
            "+024-02-29T00:00:00Z",
            "2024-02-29T00:00:00+25:00",
            "2024-02-29T00:00:00+1:00",
            "0001-01-01T00:00:00+01:00",
            "2024-02-29T00:00:00ZZ",
            "ä024-02-29T00:00:00Z",
        ] {
            assert_eq!(read(rubbish), None, "{rubbish:?}");
        }
    }
}
