//! How long ago something was: as it is typed, and as it is shown.

use std::time::Duration;

use crate::error::{Error, Result};

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 60 * MINUTE_SECONDS;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
const WEEK_SECONDS: u64 = 7 * DAY_SECONDS;

/// Reads `90m`, `12h`, `5d` or `2w`; none of either is no limit at all.
///
/// # Errors
/// For everything else, with a hint.
pub fn parse(text: &str) -> Result<Option<Duration>> {
    let units =
        [('m', MINUTE_SECONDS), ('h', HOUR_SECONDS), ('d', DAY_SECONDS), ('w', WEEK_SECONDS)];
    let seconds = units.iter().find_map(|(unit, seconds)| {
        let digits = text.strip_suffix(*unit)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // What is longer than time itself is no limit either.
        is_number.then(|| digits.parse().unwrap_or(u64::MAX).saturating_mul(*seconds))
    });
    match seconds {
        Some(0) => Ok(None),
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => Err(Error::new(format!("{text:?} is no age"))
            .with_hint("write 90m, 12h, 5d or 2w: minutes, hours, days or weeks")),
    }
}

/// `12s`, `3m`, `4h` or `5d`.
pub fn shown(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..MINUTE_SECONDS => format!("{seconds}s"),
        seconds @ 0..HOUR_SECONDS => format!("{}m", seconds / MINUTE_SECONDS),
        seconds @ 0..DAY_SECONDS => format!("{}h", seconds / HOUR_SECONDS),
        seconds => format!("{}d", seconds / DAY_SECONDS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_as_they_are_typed() {
        let cases = [
            ("90m", Some(Some(5400))),
            ("12h", Some(Some(43_200))),
            ("5d", Some(Some(432_000))),
            ("2w", Some(Some(1_209_600))),
            ("0d", Some(None)),
            ("99999999999999999999d", Some(Some(u64::MAX))),
            ("d", None),
            ("5", None),
            ("-5d", None),
            ("5 d", None),
            ("5y", None),
            ("+5d", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let seconds = parse(text).ok().map(|age| age.map(|age| age.as_secs()));
            assert_eq!(seconds, expected, "{text}");
        }
    }

    #[test]
    fn ages_as_they_are_shown() {
        let cases =
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h")];
        for (seconds, text) in cases.into_iter().chain([(86_400, "1d"), (34_560_000, "400d")]) {
            assert_eq!(shown(Duration::from_secs(seconds)), text);
        }
    }
}
