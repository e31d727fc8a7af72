//! What text is a value of a type, and which value: one function for each type.
//!
//! Types of columns are found with these functions, and columns are read with them. So whatever told a type is a value of it,
//! and what is no value of a type is never made one: no digit, fraction or zone is lost.

use std::{fmt::Write as _, str::FromStr as _};

use chrono::{DateTime, TimeZone as _};
use datafusion::arrow::{
    array::{ArrowNativeTypeOp, ArrowPrimitiveType, timezone::Tz},
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
        Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};

use crate::ColumnType;

/// Integers below this are kept by a float of 64 bits.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;
/// Digits that 64 bits always keep.
const SAFE_DIGITS: usize = 18;
const SECONDS_OF_DAY: i64 = 86_400;

/// Builds something of a type's native values, once their function is known.
pub(crate) trait Build {
    type Built;

    fn primitive<T: ArrowPrimitiveType>(
        self,
        read: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Self::Built;

    fn boolean(self) -> Self::Built;

    /// Of a type whose values are texts, or are read as the engine casts text.
    fn other(self) -> Self::Built;
}

/// Chooses the function that reads values of a type.
pub(crate) fn build<B: Build>(kind: &ColumnType, builder: B) -> B::Built {
    match &kind.kind {
        DataType::Int8 => builder.primitive::<Int8Type>(narrow),
        DataType::Int16 => builder.primitive::<Int16Type>(narrow),
        DataType::Int32 => builder.primitive::<Int32Type>(narrow),
        DataType::Int64 => builder.primitive::<Int64Type>(integer),
        DataType::UInt8 => builder.primitive::<UInt8Type>(narrow),
        DataType::UInt16 => builder.primitive::<UInt16Type>(narrow),
        DataType::UInt32 => builder.primitive::<UInt32Type>(narrow),
        DataType::UInt64 => builder.primitive::<UInt64Type>(|text| {
            let value: i128 = decimal(text, 38, 0).filter(|_| is_whole(text))?;
            u64::try_from(value).ok()
        }),
        DataType::Float32 => builder.primitive::<Float32Type>(float32),
        DataType::Float64 => builder.primitive::<Float64Type>(float),
        DataType::Decimal32(precision, scale) => builder.primitive::<Decimal32Type>(|text| {
            i32::try_from(decimal::<i128>(text, *precision, *scale)?).ok()
        }),
        DataType::Decimal64(precision, scale) => builder.primitive::<Decimal64Type>(|text| {
            i64::try_from(decimal::<i128>(text, *precision, *scale)?).ok()
        }),
        DataType::Decimal128(precision, scale) => {
            builder.primitive::<Decimal128Type>(|text| decimal(text, *precision, *scale))
        }
        DataType::Decimal256(precision, scale) => {
            builder.primitive::<Decimal256Type>(|text| decimal(text, *precision, *scale))
        }
        DataType::Boolean => builder.boolean(),
        DataType::Date32 => builder.primitive::<Date32Type>(date),
        DataType::Date64 => builder
            .primitive::<Date64Type>(|text| Some(i64::from(date(text)?) * SECONDS_OF_DAY * 1000)),
        DataType::Time32(TimeUnit::Second) => {
            builder.primitive::<Time32SecondType>(|text| of_day(text, TimeUnit::Second))
        }
        DataType::Time32(_) => {
            builder.primitive::<Time32MillisecondType>(|text| of_day(text, TimeUnit::Millisecond))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            builder.primitive::<Time64NanosecondType>(|text| of_day(text, TimeUnit::Nanosecond))
        }
        DataType::Time64(_) => {
            builder.primitive::<Time64MicrosecondType>(|text| of_day(text, TimeUnit::Microsecond))
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, epoch, zone) = (*unit, kind.epoch, Zone::new(zone.as_deref()));
            let read = |text: &[u8]| match epoch {
                Some(epoch) => since_epoch(text, epoch, unit),
                None => zone.instant(moment(text)?)?.in_unit(unit),
            };
            match unit {
                TimeUnit::Second => builder.primitive::<TimestampSecondType>(read),
                TimeUnit::Millisecond => builder.primitive::<TimestampMillisecondType>(read),
                TimeUnit::Microsecond => builder.primitive::<TimestampMicrosecondType>(read),
                TimeUnit::Nanosecond => builder.primitive::<TimestampNanosecondType>(read),
            }
        }
        _ => builder.other(),
    }
}

/// Digits, with a minus before them or not. A zero before other digits belongs to a code, not to a number.
fn is_whole(text: &[u8]) -> bool {
    match digits(text) {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn digits(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").unwrap_or(text)
}

/// An integer of 64 bits.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = digits(text);
    if digits.len() > SAFE_DIGITS {
        let text = std::str::from_utf8(text).ok();
        return text.filter(|text| is_whole(text.as_bytes()))?.parse().ok();
    }
    if matches!(digits, [] | [b'0', _, ..]) {
        return None;
    }
    let mut sum = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + i64::from(digit);
    }
    Some(if digits.len() < text.len() { -sum } else { sum })
}

fn narrow<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    T::try_from(integer(text)?).ok()
}

/// A number of 64 bits. Its fraction is rounded as those of all floats are; an integer that would lose digits is none.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let Some(number) = number(text) else {
        return no_number(text);
    };
    let value: f64 = number.parse().ok()?;
    let ordinary = value != 0.0 && value.abs() < EXACT_INTEGERS;
    // Of a zero it takes the sign: see `floats`.
    (ordinary || value.is_finite() && keeps_digits(text, value)).then_some(value + 0.0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is no number is none in any width"
)]
fn float32(text: &[u8]) -> Option<f32> {
    let Some(number) = number(text) else {
        return no_number(text).map(|value| value as f32);
    };
    let value: f32 = number.parse().ok()?;
    let wide = f64::from(value);
    let ordinary = value != 0.0 && wide.abs() < 16_777_216.0;
    (ordinary || value.is_finite() && keeps_digits(text, wide)).then_some(value + 0.0)
}

/// The text, if it begins as a number does.
fn number(text: &[u8]) -> Option<&str> {
    let begins = matches!(
        digits(text),
        [b'0'] | [b'0', b'.', ..] | [b'1'..=b'9' | b'.', ..]
    );
    std::str::from_utf8(text).ok().filter(|_| begins)
}

/// What floats have beside numbers, as programs write it.
fn no_number(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" | b"nan" => Some(f64::NAN),
        b"inf" | b"Infinity" => Some(f64::INFINITY),
        b"-inf" | b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Whether a float that is zero or very large is what its text says.
fn keeps_digits(text: &[u8], value: f64) -> bool {
    let exponent = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let digits = digits(&text[..exponent.unwrap_or(text.len())]);
    if value == 0.0 {
        return digits.iter().all(|&byte| matches!(byte, b'0' | b'.'));
    }
    if exponent.is_some() {
        return true;
    }
    let point = digits.iter().position(|&byte| byte == b'.');
    let whole = &digits[..point.unwrap_or(digits.len())];
    // All its digits, or as many as tell it from other floats and then zeros: both are how programs write it.
    let mut written = String::new();
    let is_written = |written: &str| written.as_bytes() == whole;
    if write!(written, "{:.0}", value.abs()).is_ok() && is_written(&written) {
        return true;
    }
    written.clear();
    write!(written, "{}", value.abs()).is_ok() && is_written(&written)
}

/// A decimal number, as an integer of the scale's units.
#[expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a record is no longer than 64 MiB, and what is negative is looked at first"
)]
pub(crate) fn decimal<T: ArrowNativeTypeOp>(text: &[u8], precision: u8, scale: i8) -> Option<T> {
    let parts = DecimalParts::of(text)?;
    let digits = || parts.whole.iter().chain(parts.fraction);
    let length = parts.whole.len() + parts.fraction.len();
    // Digits up to the last of the scale; what comes after them must be zeros.
    let kept = parts.whole.len() as i64 + parts.exponent + i64::from(scale);
    let taken = kept.clamp(0, length as i64) as usize;
    if digits().skip(taken).any(|&digit| digit != b'0') {
        return None;
    }
    let ten = T::usize_as(10);
    let mut value = T::ZERO;
    for &digit in digits().take(taken) {
        let digit = T::usize_as(usize::from(digit - b'0'));
        value = value.mul_checked(ten).ok()?.add_checked(digit).ok()?;
    }
    if !value.is_zero() && kept > length as i64 {
        let missing = u32::try_from(kept - length as i64).ok()?;
        value = value.mul_checked(ten.pow_checked(missing).ok()?).ok()?;
    }
    let most = ten.pow_checked(u32::from(precision)).ok()?;
    if !value.is_lt(most) {
        return None;
    }
    if parts.negative {
        value.neg_checked().ok()
    } else {
        Some(value)
    }
}

/// Digits before and after the point of a decimal number, if it is written with these alone.
pub(crate) fn decimal_digits(text: &[u8]) -> Option<(usize, usize)> {
    let parts = DecimalParts::of(text)?;
    let plain = !parts.has_exponent && text.last() != Some(&b'.');
    plain.then_some((parts.whole.len(), parts.fraction.len()))
}

struct DecimalParts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    has_exponent: bool,
    exponent: i64,
}

impl<'a> DecimalParts<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let all = digits(text);
        let end = |from: usize| {
            let digits = all[from..].iter().take_while(|byte| byte.is_ascii_digit());
            from + digits.count()
        };
        let point = end(0);
        let whole = &all[..point];
        let (fraction, at) = match all.get(point) {
            Some(b'.') => {
                let at = end(point + 1);
                (&all[point + 1..at], at)
            }
            _ => (&all[point..point], point),
        };
        if whole.is_empty() && fraction.is_empty() || whole.len() > 1 && whole[0] == b'0' {
            return None;
        }
        let rest = &all[at..];
        let exponent = match rest {
            [] => 0,
            // A zero and an exponent is more likely a code: it is no float either.
            [b'e' | b'E', exponent @ ..] if all[..at] != *b"0" => {
                let exponent: i32 = std::str::from_utf8(exponent).ok()?.parse().ok()?;
                i64::from(exponent)
            }
            _ => return None,
        };
        Some(Self {
            negative,
            whole,
            fraction,
            has_exponent: !rest.is_empty(),
            exponent,
        })
    }
}

pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// A day of the calendar, `2026-01-05`, in days since 1970.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else {
        return None;
    };
    let year = 100 * pair(a, b)? + pair(c, d)?;
    let (month, day) = (pair(e, f)?, pair(g, h)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(leap),
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    // Days since a first of March, whose leap day is the last of its year (Hinnant, "chrono-Compatible Low-Level Date
    // Algorithms").
    let year = year - i32::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn pair(tens: u8, ones: u8) -> Option<i32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i32::from(tens) * 10 + i32::from(ones))
}

/// A date, or a date with a time of day and perhaps a distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Seconds since 1970: of UTC where a zone is written, else of the clock on the wall.
    seconds: i64,
    nanoseconds: u32,
    has_zone: bool,
}

/// Reads `2026-01-05`, or `2026-01-05T10:00:00.987+01:00`: with a blank for the `T`, without seconds, fraction or zone, the
/// zone as `Z`, `UTC`, `+01`, `+0100` or `+01:00`.
pub(crate) fn moment(text: &[u8]) -> Option<Moment> {
    let (day, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(date(day)?) * SECONDS_OF_DAY;
    let mut moment = Moment {
        seconds: midnight,
        nanoseconds: 0,
        has_zone: false,
    };
    let &[b'T' | b't' | b' ', a, b, b':', c, d, ref rest @ ..] = rest else {
        return rest.is_empty().then_some(moment);
    };
    let (hour, minute) = (pair(a, b)?, pair(c, d)?);
    let (second, rest) = match rest {
        &[b':', a, b, ref rest @ ..] => (pair(a, b)?, rest),
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = match rest {
        [b'.', fraction @ ..] => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit());
            let (digits, rest) = fraction.split_at(length.count());
            let (kept, beyond) = digits.split_at(digits.len().min(9));
            if kept.is_empty() || beyond.iter().any(|&digit| digit != b'0') {
                return None;
            }
            let value = kept
                .iter()
                .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
            moment.nanoseconds = value * 10_u32.pow(9 - u32::try_from(kept.len()).ok()?);
            rest
        }
        rest => rest,
    };
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    let offset = match rest.strip_prefix(b" ").unwrap_or(rest) {
        [] if rest.is_empty() => None,
        b"Z" | b"z" | b"UTC" => Some(0),
        &[sign @ (b'+' | b'-'), a, b, ref minutes @ ..] => {
            let minutes = match *minutes {
                [] => 0,
                [a, b] | [b':', a, b] => pair(a, b)?,
                _ => return None,
            };
            let hours = pair(a, b)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = i64::from(hours * 3600 + minutes * 60);
            Some(if sign == b'-' { -offset } else { offset })
        }
        _ => return None,
    };
    moment.has_zone = offset.is_some();
    moment.seconds += of_day - offset.unwrap_or(0);
    Some(moment)
}

/// The time of a day, `10:00:00.987`, in units since midnight.
fn of_day<T: TryFrom<i64>>(text: &[u8], unit: TimeUnit) -> Option<T> {
    let moment = moment(&[b"1970-01-01T", text].concat()).filter(|moment| !moment.has_zone)?;
    T::try_from(moment.in_unit(unit)?).ok()
}

impl Moment {
    /// The units since 1970; `None` if there are too many, or a part of one is left.
    pub(crate) fn in_unit(self, unit: TimeUnit) -> Option<i64> {
        let (units, nanoseconds) = match unit {
            TimeUnit::Second => (1, 1_000_000_000),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        if !self.nanoseconds.is_multiple_of(nanoseconds) {
            return None;
        }
        // Of a moment before 1970, the product alone may be too small.
        let all = i128::from(self.seconds) * i128::from(units);
        i64::try_from(all + i128::from(self.nanoseconds / nanoseconds)).ok()
    }
}

/// Where texts without a zone were written.
enum Zone {
    /// In UTC, or it does not matter.
    Utc,
    Of(Tz),
    Unknown,
}

impl Zone {
    fn new(name: Option<&str>) -> Self {
        match name {
            None | Some("+00:00" | "UTC" | "Z") => Self::Utc,
            Some(name) => Tz::from_str(name).map_or(Self::Unknown, Self::Of),
        }
    }

    /// `None` for an hour that the zone's clocks show twice or never.
    fn instant(&self, moment: Moment) -> Option<Moment> {
        match self {
            Self::Utc => Some(moment),
            Self::Unknown => None,
            Self::Of(_) if moment.has_zone => Some(moment),
            Self::Of(zone) => {
                let local = DateTime::from_timestamp(moment.seconds, 0)?.naive_utc();
                let seconds = zone.from_local_datetime(&local).single()?.timestamp();
                Some(Moment { seconds, ..moment })
            }
        }
    }
}

/// A number of seconds, milliseconds, … since 1970, as a number of another unit.
fn since_epoch(text: &[u8], from: TimeUnit, to: TimeUnit) -> Option<i64> {
    let digits = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    i64::try_from(decimal::<i128>(text, 38, digits(to) - digits(from))?).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{TimeUnit, i256};

    use super::{
        Zone, boolean, date, decimal, float, float32, integer, moment, narrow, of_day, since_epoch,
    };

    #[test]
    fn integers_keep_all_that_is_written() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("4930901820", Some(4_930_901_820)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("0071", None),
            ("-01", None),
            ("+4930901820", None),
            ("1.0", None),
            ("1e3", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("--1", None),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
        assert_eq!(narrow::<i8>(b"-128"), Some(-128));
        assert_eq!(narrow::<i8>(b"128"), None);
        assert_eq!(narrow::<u16>(b"-1"), None);
    }

    #[test]
    fn floats_lose_no_digits_of_integers() {
        for (text, value) in [
            ("1.5", Some(1.5)),
            ("-0.1", Some(-0.1)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1E+3", Some(1000.0)),
            ("0", Some(0.0)),
            ("0.000", Some(0.0)),
            ("9007199254740993", None),
            ("9007199254740993.0", None),
            ("-9007199254740993", None),
            ("9007199254740994", Some(9_007_199_254_740_994.0)),
            ("1152921504606846976", Some(1_152_921_504_606_846_976.0)),
            ("1152921504606847000", Some(1_152_921_504_606_846_976.0)),
            ("1152921504606846977", None),
            ("1e23", Some(1e23)),
            ("1e400", None),
            ("1e-400", None),
            ("00.5", None),
            ("0e5", None),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("INF", None),
            ("+1.5", None),
            ("1.2.3", None),
            (".", None),
            ("-", None),
        ] {
            assert_eq!(float(text.as_bytes()), value, "{text}");
        }
        assert!(float(b"NaN").is_some_and(f64::is_nan));
        assert_eq!(float32(b"16777217"), None);
        assert_eq!(float32(b"16777216"), Some(16_777_216.0));
        assert_eq!(float32(b"0.1"), Some(0.1));
        assert_eq!(float(b"-0.0").map(f64::to_bits), Some(0));
        assert_eq!(float32(b"-0.0").map(f32::to_bits), Some(0));
    }

    #[test]
    fn times_of_day_keep_their_fractions() {
        for (text, unit, value) in [
            ("10:00:00", TimeUnit::Second, Some(36_000)),
            ("10:00", TimeUnit::Second, Some(36_000)),
            ("10:00:00.987", TimeUnit::Second, None),
            ("10:00:00.987", TimeUnit::Millisecond, Some(36_000_987)),
            ("24:00:00", TimeUnit::Second, None),
            ("10:00:00Z", TimeUnit::Second, None),
            ("", TimeUnit::Second, None),
        ] {
            assert_eq!(of_day::<i32>(text.as_bytes(), unit), value, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, precision, scale, value) in [
            ("1.25", 10, 2, Some(125)),
            ("1.255", 10, 2, None),
            ("1.250", 10, 2, Some(125)),
            ("-0.01", 10, 2, Some(-1)),
            ("7", 10, 2, Some(700)),
            ("99999999.99", 10, 2, Some(9_999_999_999)),
            ("100000000.00", 10, 2, None),
            ("1.5e2", 10, 2, Some(15_000)),
            ("15e-1", 10, 2, Some(150)),
            ("15e-3", 10, 2, None),
            ("1e2147483647", 10, 2, None),
            ("0.0e2147483647", 10, 2, Some(0)),
            ("00.5", 10, 2, None),
            ("0e5", 10, 2, None),
            (".", 10, 2, None),
            ("1.2.3", 10, 2, None),
            ("1e", 10, 2, None),
            ("1200", 10, -2, Some(12)),
            ("1234", 10, -2, None),
            (
                "99999999999999999999999999999999999999",
                38,
                0,
                Some(10_i128.pow(38) - 1),
            ),
            ("100000000000000000000000000000000000000", 38, 0, None),
            (
                "0.00000000000000000000000000000000000000000",
                38,
                0,
                Some(0),
            ),
        ] {
            assert_eq!(decimal(text.as_bytes(), precision, scale), value, "{text}");
            let wide: Option<i256> = decimal(text.as_bytes(), precision, scale);
            assert_eq!(wide, value.map(i256::from_i128), "{text}");
        }
    }

    #[test]
    fn dates_are_of_the_calendar() {
        for day in (-800_000..3_000_000).step_by(61) {
            let text = chrono::NaiveDate::from_epoch_days(day);
            if let Some(text) = text.map(|date| date.to_string())
                && text.len() == 10
            {
                assert_eq!(date(text.as_bytes()), Some(day), "{text}");
            }
        }
        for (text, value) in [
            ("1970-01-01", Some(0)),
            ("2024-02-29", Some(19_782)),
            ("9999-12-31", Some(2_932_896)),
            ("2026-02-29", None),
            ("1900-02-29", None),
            ("0000-00-00", None),
            ("2026-13-45", None),
            ("2026-1-5", None),
            ("20260105", None),
            ("2026-01-05T23:30:00-05:00", None),
        ] {
            assert_eq!(date(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn moments_keep_fraction_and_zone() {
        let micros = |text: &str| moment(text.as_bytes())?.in_unit(TimeUnit::Microsecond);
        let ten = 1_767_607_200_000_000;
        for (text, value) in [
            ("2026-01-05T10:00:00", Some(ten)),
            ("2026-01-05 10:00", Some(ten)),
            ("2026-01-05t10:00:00z", Some(ten)),
            ("2026-01-05 10:00:00 UTC", Some(ten)),
            ("2026-01-05T11:00:00+01:00", Some(ten)),
            ("2026-01-05 11:00:00+01", Some(ten)),
            ("2026-01-05 04:30:00 -0530", Some(ten)),
            ("2026-01-05T10:00:00.987", Some(ten + 987_000)),
            ("2026-01-05T10:00:00.987654000", Some(ten + 987_654)),
            ("2026-01-05T10:00:00.9876540000000", Some(ten + 987_654)),
            ("2026-01-05T10:00:00.9876541", None),
            ("2026-01-05", Some(ten - 36_000_000_000)),
            ("1969-12-31T23:59:59.5", Some(-500_000)),
            ("9999-12-31T23:59:59.999999", Some(253_402_300_799_999_999)),
            ("0000-00-00 00:00:00", None),
            ("2026-01-05T24:00:00", None),
            ("2026-01-05T10:60:00", None),
            ("2026-01-05T23:59:60", None),
            ("2026-01-05T10:00:00.", None),
            ("2026-01-05T10:00:00 ", None),
            ("2026-01-05T10:00:00+1", None),
            ("2026-01-05T10:00:00+99:00", None),
            ("2026-01-05T", None),
            ("2026-01-05T10", None),
            ("2026-01-05 soon", None),
        ] {
            assert_eq!(micros(text), value, "{text}");
        }
        let far = moment(b"9999-12-31").unwrap();
        assert_eq!(far.in_unit(TimeUnit::Nanosecond), None);
        let half = moment(b"2026-01-05T10:00:00.5").unwrap();
        assert_eq!(half.in_unit(TimeUnit::Second), None);
        assert_eq!(half.in_unit(TimeUnit::Millisecond), Some(ten / 1000 + 500));
    }

    #[test]
    fn a_zone_tells_what_a_clock_showed() {
        let berlin = Zone::new(Some("Europe/Berlin"));
        let seconds = |text: &str| {
            let instant = berlin.instant(moment(text.as_bytes())?)?;
            instant.in_unit(TimeUnit::Second)
        };
        assert_eq!(seconds("2026-01-05T11:00:00"), Some(1_767_607_200));
        assert_eq!(seconds("2026-01-05T11:00:00Z"), Some(1_767_610_800));
        assert_eq!(seconds("2026-03-29T02:30:00"), None);
        assert_eq!(seconds("2026-10-25T02:30:00"), None);
    }

    #[test]
    fn numbers_since_1970_are_exact() {
        use TimeUnit::{Microsecond, Millisecond, Second};
        for (text, from, to, value) in [
            (
                "1767605400000",
                Millisecond,
                Microsecond,
                Some(1_767_605_400_000_000),
            ),
            (
                "1767605400.123",
                Second,
                Microsecond,
                Some(1_767_605_400_123_000),
            ),
            ("1767605400.1234567", Second, Microsecond, None),
            ("-1", Second, Microsecond, Some(-1_000_000)),
            ("1500", Millisecond, Second, None),
            ("99999999999999999", Second, Microsecond, None),
            ("2026-01-05", Second, Microsecond, None),
        ] {
            assert_eq!(since_epoch(text.as_bytes(), from, to), value, "{text}");
        }
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!(boolean(b"True"), Some(true));
        assert_eq!(boolean(b"FALSE"), Some(false));
        for text in ["no", "yes", "t", "0", "1", "on", ""] {
            assert_eq!(boolean(text.as_bytes()), None, "{text}");
        }
    }
}
