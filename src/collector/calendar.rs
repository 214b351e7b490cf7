//! The calendar of the time zone in `TZ`: when today and this month have begun.
//!
//! A name means a file of the host's time zone database. It is read once, before the sandbox is set.

use crate::model::periods::ByPeriod;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// The folders in which systems have their time zones.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];

/// The largest file of a time zone that is read, bytes: the longest ones have some 3 KB.
const LARGEST: u64 = 1 << 20;

/// A calendar, and the day that it has found last.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    zone: TimeZone,
    /// The beginning and the end of the day, since 1970.
    day: [Duration; 2],
}

impl Calendar {
    /// Returns the calendar of UTC.
    pub(crate) fn utc() -> Calendar {
        Calendar::of(TimeZone::UTC)
    }

    fn of(zone: TimeZone) -> Calendar {
        Calendar { zone, day: [Duration::ZERO; 2] }
    }

    /// Returns the calendar of a value of `TZ`: a name, a path, or a time zone as POSIX writes it; each after
    /// a colon or not. UTC, with a warning, if it is none of these.
    pub(crate) fn open(tz: Option<&str>) -> Calendar {
        let Some(tz) = tz else { return Calendar::utc() };
        Calendar::read(tz).unwrap_or_else(|| {
            tracing::warn!(
                "TZ={tz:?} is not a time zone that can be read here: totals of today and of this month are \
                 those of UTC (a name needs the host's time zone database in {}; \"CET-1CEST,M3.5.0,M10.5.0/3\" \
                 needs none)",
                FOLDERS[0]
            );
            Calendar::utc()
        })
    }

    fn read(tz: &str) -> Option<Calendar> {
        let name = tz.strip_prefix(':').unwrap_or(tz);
        let files = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
        let zone = files.filter(|_| !name.is_empty()).find_map(|file| read_file(&file));
        zone.or_else(|| TimeZone::posix(name).ok()).map(Calendar::of)
    }

    /// Returns when the periods of `now` have begun, all since 1970; `None` as long as the day is the same.
    pub(super) fn begun(&mut self, now: Duration) -> Option<ByPeriod<Duration>> {
        if (self.day[0]..self.day[1]).contains(&now) {
            return None;
        }
        let time = Timestamp::from_second(now.as_secs().try_into().ok()?).ok()?;
        let today = self.zone.to_datetime(time);
        let begin = |day: jiff::civil::Date| {
            let begin = day.to_zoned_datetime(self.zone.clone()).ok()?.timestamp();
            Duration::try_from(begin.as_duration()).ok()
        };
        let date = today.date();
        let starts = ByPeriod { today: begin(date)?, month: begin(date.first_of_month())? };
        self.day = [starts.today, begin(date.tomorrow().ok()?)?];
        Some(starts)
    }
}

fn read_file(path: &Path) -> Option<TimeZone> {
    // A file that is none would block.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif(path.to_str()?, &bytes).ok()
}

#[cfg(test)]
mod tests;
