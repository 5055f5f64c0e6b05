//! Log lines on standard error: a fixed message and fields; text on a terminal, else JSON. Never called for a query.
//!
//! A message that comes too often is held back and its number told later, so that a fault cannot fill a disk. There is no logging crate
//! here because there is nothing to configure: control reads these lines and has levels and formats of its own.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often one message may be told within `WINDOW`: enough to see a pattern, too little to do harm.
const LINES_IN_WINDOW: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    const fn text(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A field of a line.
pub type Field<'a> = (&'static str, &'a dyn Display);

/// Something happened that an operator may want to know.
pub fn info(message: &'static str, fields: &[Field<'_>]) {
    log(Level::Info, message, fields);
}

/// Something is not as it should be, and service goes on.
pub fn warning(message: &'static str, fields: &[Field<'_>]) {
    log(Level::Warning, message, fields);
}

/// Something is broken, and service goes on as far as it can.
pub fn error(message: &'static str, fields: &[Field<'_>]) {
    log(Level::Error, message, fields);
}

fn log(level: Level, message: &'static str, fields: &[Field<'_>]) {
    let Some(held_back) = admit(message, Instant::now()) else { return };
    let mut fields = fields.to_vec();
    if held_back > 0 {
        fields.push(("held_back", &held_back));
    }
    let mut stderr = std::io::stderr().lock();
    let line = if stderr.is_terminal() { text_line(level, message, &fields) } else { json_line(level, message, &fields) };
    // Nobody to tell when standard error is gone.
    let _ = stderr.write_all(line.as_bytes());
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    lines: u32,
    held_back: u32,
}

/// Whether a line with `message` may be written now, and how many were held back before it.
fn admit(message: &'static str, now: Instant) -> Option<u32> {
    static SEEN: OnceLock<Mutex<HashMap<&'static str, Seen>>> = OnceLock::new();
    let mut seen = SEEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let entry = seen.entry(message).or_insert(Seen { since: now, lines: 0, held_back: 0 });
    if now.duration_since(entry.since) >= WINDOW {
        let held_back = entry.held_back;
        *entry = Seen { since: now, lines: 1, held_back: 0 };
        return Some(held_back);
    }
    if entry.lines < LINES_IN_WINDOW {
        entry.lines += 1;
        return Some(0);
    }
    entry.held_back += 1;
    None
}

fn text_line(level: Level, message: &str, fields: &[Field<'_>]) -> String {
    let mut line = format!("{} {:7} {message}", timestamp(SystemTime::now()), level.text());
    for (key, value) in fields {
        let value = value.to_string();
        // Writing to a String cannot fail.
        let _ = if value.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"') {
            write!(line, " {key}={value:?}")
        } else {
            write!(line, " {key}={value}")
        };
    }
    line.push('\n');
    line
}

fn json_line(level: Level, message: &str, fields: &[Field<'_>]) -> String {
    let mut object = serde_json::Map::new();
    object.insert("timestamp".into(), timestamp(SystemTime::now()).into());
    object.insert("level".into(), level.text().into());
    object.insert("message".into(), message.into());
    for (key, value) in fields {
        let text = value.to_string();
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        object.insert((*key).into(), number.map_or_else(|| text.into(), Into::into));
    }
    let mut line = serde_json::Value::Object(object).to_string();
    line.push('\n');
    line
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Year, month and day of a day counted from 1970-01-01; years begin in March inside, so that the leap day is the last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    const DAYS_FROM_0000_03_01: u64 = 719_468;
    let days = days + DAYS_FROM_0000_03_01;
    let era = days / DAYS_IN_400_YEARS;
    let day_of_era = days % DAYS_IN_400_YEARS;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_line_is_json_whatever_its_fields_hold() {
        let line = json_line(Level::Error, "broken", &[("reason", &"a \"quoted\"\nline"), ("zones", &3), ("tag", &"007")]);
        assert_eq!(line.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["level"], &read["message"], &read["reason"]), (&"error".into(), &"broken".into(), &"a \"quoted\"\nline".into()));
        assert_eq!((&read["zones"], &read["tag"]), (&3.into(), &"007".into()));
    }

    #[test]
    fn a_message_that_comes_too_often_is_held_back_and_counted() {
        let start = Instant::now();
        let told = (0..100).filter(|_| admit("often", start).is_some()).count();
        assert_eq!(told, usize::try_from(LINES_IN_WINDOW).unwrap());
        assert_eq!(admit("often", start + WINDOW), Some(100 - LINES_IN_WINDOW));
        assert_eq!(admit("seldom", start), Some(0));
    }
}
