//! Days and moments that are relative to now: `yesterday`, `-7d`, `-2h`.

use chrono::{
    DateTime, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    Utc,
};
use chrono_tz::Tz;

/// Largest count of a relative value.
const LARGEST_COUNT: u32 = 100_000;

/// What a relative value is relative to: a moment, and the zone whose calendar counts its days.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) moment: DateTime<Utc>,
    pub(super) zone: Tz,
}

impl Now {
    fn today(self) -> NaiveDate {
        self.moment.with_timezone(&self.zone).date_naive()
    }

    /// `today`, `yesterday`, `tomorrow`, or an offset in days, weeks, months or years: `-7d`, `+2w`, `-1mo`, `-1y`.
    pub(super) fn day(self, text: &str) -> Option<NaiveDate> {
        let today = self.today();
        match text {
            "today" => Some(today),
            "yesterday" => today.checked_sub_days(Days::new(1)),
            "tomorrow" => today.checked_add_days(Days::new(1)),
            _ => {
                let (back, count, unit) = offset(text)?;
                let (days, months) = match unit {
                    "d" => (u64::from(count), 0),
                    "w" => (u64::from(count) * 7, 0),
                    "mo" => (0, count),
                    "y" => (0, count.checked_mul(12)?),
                    _ => return None,
                };
                let (days, months) = (Days::new(days), Months::new(months));
                if back {
                    today.checked_sub_days(days)?.checked_sub_months(months)
                } else {
                    today.checked_add_days(days)?.checked_add_months(months)
                }
            }
        }
    }

    /// `now`, an offset from it in minutes or hours (`-30min`, `-12h`), or the beginning of a relative day.
    pub(super) fn moment(self, text: &str) -> Option<DateTime<Utc>> {
        if text == "now" {
            return Some(self.moment);
        }
        if let Some((back, count, unit @ ("h" | "min"))) = offset(text) {
            let minutes = i64::from(count) * if unit == "h" { 60 } else { 1 };
            let delta = TimeDelta::try_minutes(if back { -minutes } else { minutes })?;
            return self.moment.checked_add_signed(delta);
        }
        self.start_of(self.day(text)?)
    }

    /// The first moment of a day; where the clock is put forward at midnight, the first one after the gap.
    fn start_of(self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let midnight = day.and_time(NaiveTime::MIN);
        (0..24 * 4).find_map(|quarters| {
            first(
                self.zone
                    .from_local_datetime(&(midnight + TimeDelta::minutes(15 * quarters))),
            )
        })
    }

    /// The moment that a clock on the wall of the zone shows; when it shows it twice, the first time.
    pub(super) fn wall_clock(self, time: NaiveDateTime) -> Option<DateTime<Utc>> {
        first(self.zone.from_local_datetime(&time))
    }
}

fn first(found: LocalResult<DateTime<Tz>>) -> Option<DateTime<Utc>> {
    found.earliest().map(|moment| moment.to_utc())
}

/// `-7d` as (back, 7, "d").
fn offset(text: &str) -> Option<(bool, u32, &str)> {
    let (back, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => return None,
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let count = rest[..digits].parse().ok()?;
    (count <= LARGEST_COUNT).then_some((back, count, &rest[digits..]))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use chrono_tz::Tz;

    use super::Now;

    fn at(moment: &str, zone: Tz) -> Now {
        Now {
            moment: moment.parse::<DateTime<Utc>>().unwrap(),
            zone,
        }
    }

    #[test]
    fn a_day_is_the_zones_day() {
        let late = "2026-03-31T22:30:00Z";
        let day = |zone, text| at(late, zone).day(text).map(|day| day.to_string());
        assert_eq!(day(Tz::UTC, "today").as_deref(), Some("2026-03-31"));
        assert_eq!(
            day(Tz::Europe__Berlin, "today").as_deref(),
            Some("2026-04-01")
        );
        assert_eq!(day(Tz::UTC, "yesterday").as_deref(), Some("2026-03-30"));
        assert_eq!(day(Tz::UTC, "-7d").as_deref(), Some("2026-03-24"));
        assert_eq!(day(Tz::UTC, "+2w").as_deref(), Some("2026-04-14"));
        assert_eq!(day(Tz::UTC, "-1mo").as_deref(), Some("2026-02-28"));
        assert_eq!(day(Tz::UTC, "-1y").as_deref(), Some("2025-03-31"));
        for wrong in [
            "",
            "-",
            "-d",
            "-7",
            "7d",
            "-7x",
            "-7 d",
            "-9999999999d",
            "-999999y",
            "--1d",
            "-1é",
        ] {
            assert_eq!(day(Tz::UTC, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_count_hours_across_a_change_of_the_clock() {
        // In Berlin the clock went from 02:00 to 03:00 that night; in Cairo it goes forward at midnight of 2026-04-24.
        let now = at("2026-03-29T10:00:00Z", Tz::Europe__Berlin);
        let moment = |text| now.moment(text).unwrap().to_rfc3339();
        assert_eq!(moment("now"), "2026-03-29T10:00:00+00:00");
        assert_eq!(moment("-12h"), "2026-03-28T22:00:00+00:00");
        assert_eq!(moment("today"), "2026-03-28T23:00:00+00:00");
        assert_eq!(moment("tomorrow"), "2026-03-29T22:00:00+00:00");
        let cairo = at("2026-04-24T12:00:00Z", Tz::Africa__Cairo);
        assert_eq!(
            cairo.moment("today").unwrap().to_rfc3339(),
            "2026-04-23T22:00:00+00:00"
        );
    }
}
