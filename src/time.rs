//! Dates as text: RFC 3339 out and in, and the HTTP date of a `Retry-After`. Pure: nothing here
//! reads a clock; who needs one is given a [`Clock`].
//!
//! Deliberately absent: time zones other than a numeric offset, leap seconds (`:60` is read as the
//! next second), years outside 1970 to 9999.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Tells the time. `main` has the real one, tests have one that they turn themselves.
pub trait Clock {
    /// For deadlines.
    fn now(&self) -> Instant;
    /// For dates.
    fn wall(&self) -> SystemTime;
}

/// `2026-02-01T10:00:00.123456789Z`; the fraction is left out when it is zero. A time before 1970
/// is written as 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil_from_days(since.as_secs() / DAY_SECONDS);
    let second = since.as_secs() % DAY_SECONDS;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if since.subsec_nanos() != 0 {
        let fraction = format!("{:09}", since.subsec_nanos());
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Reads any RFC 3339 date and time from 1970 on; `None` for everything else.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let separators = bytes.len() >= 20
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !separators {
        return None;
    }
    let days =
        days_from_civil(digits(&bytes[0..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?)?;
    let (hour, minute) = (digits(&bytes[11..13])?, digits(&bytes[14..16])?);
    let second = digits(&bytes[17..19])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(&bytes[19..])?;
    let local = days * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    let utc = i64::try_from(local).ok()?.checked_sub(offset_seconds(zone)?)?;
    let since = Duration::new(u64::try_from(utc).ok()?, nanos);
    UNIX_EPOCH.checked_add(since)
}

/// Reads the preferred HTTP date form, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub fn parse_http_date(text: &str) -> Option<SystemTime> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = digits(words.next()?.as_bytes())?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = digits(words.next()?.as_bytes())?;
    let mut clock = words.next()?.split(':').map(|part| digits(part.as_bytes()));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_from_civil(year, month, day)? * DAY_SECONDS + hour * 3600 + minute * 60;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds + second))
}

/// Seconds since 1970, for file stamps and comparisons; 0 for earlier times.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The optional `.123` and what follows it.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    if rest.first() != Some(&b'.') {
        return Some((0, rest));
    }
    let length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let mut nanos = 0;
    for place in 0..9 {
        let digit = rest[1..=length].get(place).map_or(0, |byte| u32::from(byte - b'0'));
        nanos = nanos * 10 + digit;
    }
    Some((nanos, &rest[1 + length..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// Days since 1970 of a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in 0..146_097 {
            let time = at(day * DAY_SECONDS + 86_399, 0);
            assert_eq!(parse_rfc3339(&rfc3339(time)), Some(time), "day {day}");
        }
    }

    #[test]
    fn known_texts() {
        let cases = [
            ("2026-02-01T10:00:00.123456789+01:00", Some(at(1_769_936_400, 123_456_789))),
            ("1970-01-01T00:00:00Z", Some(at(0, 0))),
            ("2000-02-29t23:59:60.5z", Some(at(951_868_800, 500_000_000))),
            ("2001-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+00:01", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rfc3339(text), expected, "{text}");
        }
        assert_eq!(rfc3339(at(1_769_936_400, 120_000_000)), "2026-02-01T09:00:00.12Z");
    }

    #[test]
    fn http_dates() {
        let cases = [
            ("Fri, 06 Nov 1998 08:49:37 GMT", Some(at(910_342_177, 0))),
            ("Fri, 06 Nov 1998 08:49:37 CET", None),
            ("06 Nov 1998 08:49:37 GMT", None),
            ("Fri, 06 Foo 1998 08:49:37 GMT", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_http_date(text), expected, "{text}");
        }
    }
}
