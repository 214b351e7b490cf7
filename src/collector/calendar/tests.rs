use super::*;

/// Returns a time of UTC since 1970.
fn utc(text: &str) -> Duration {
    let time: Timestamp = text.parse().unwrap();
    Duration::try_from(time.as_duration()).unwrap()
}

fn text(time: Duration) -> String {
    Timestamp::from_second(time.as_secs() as i64).unwrap().to_string()
}

#[test]
fn today_and_this_month_begin_when_the_time_zone_s_calendar_says() {
    // The rules of time zones as POSIX writes them, so that no database of the host matters.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
    /// Clocks are put forward at midnight, which that day does not have, and back at midnight.
    const SANTIAGO: &str = "<-04>4<-03>,M9.1.6/24,M4.1.6/24";
    // The zone, a time, the beginnings of its day and month, and the end of the day; all of UTC.
    let table = [
        ("", "2026-11-28T16:00:00Z", "2026-11-28T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-29T00:00:00Z"),
        (
            "UTC0",
            "2026-11-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
            "2026-11-02T00:00:00Z",
        ),
        (
            "UTC0",
            "2026-10-31T23:59:59Z",
            "2026-10-31T00:00:00Z",
            "2026-10-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
        ),
        // A leap day, and the first of March after it.
        (
            "UTC0",
            "2028-02-29T12:00:00Z",
            "2028-02-29T00:00:00Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
        (
            "UTC0",
            "2027-02-28T12:00:00Z",
            "2027-02-28T00:00:00Z",
            "2027-02-01T00:00:00Z",
            "2027-03-01T00:00:00Z",
        ),
        // The turn of a year.
        (
            BERLIN,
            "2026-12-31T23:30:00Z",
            "2026-12-31T23:00:00Z",
            "2026-12-31T23:00:00Z",
            "2027-01-01T23:00:00Z",
        ),
        // 23 and 25 hours; the month has begun in the other half of the year's rule.
        (
            BERLIN,
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-02-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            BERLIN,
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-09-30T22:00:00Z",
            "2026-10-25T23:00:00Z",
        ),
        (
            NEW_YORK,
            "2026-11-01T05:30:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        ),
        (
            NEW_YORK,
            "2026-11-01T03:59:59Z",
            "2026-10-31T04:00:00Z",
            "2026-10-01T04:00:00Z",
            "2026-11-01T04:00:00Z",
        ),
        (
            SANTIAGO,
            "2026-09-06T12:00:00Z",
            "2026-09-06T04:00:00Z",
            "2026-09-01T04:00:00Z",
            "2026-09-07T03:00:00Z",
        ),
        (
            SANTIAGO,
            "2026-04-05T03:30:00Z",
            "2026-04-04T03:00:00Z",
            "2026-04-01T03:00:00Z",
            "2026-04-05T04:00:00Z",
        ),
        // Offsets that are no whole hours.
        (
            "<+0545>-5:45",
            "2026-11-28T18:15:00Z",
            "2026-11-28T18:15:00Z",
            "2026-10-31T18:15:00Z",
            "2026-11-29T18:15:00Z",
        ),
        (
            "XXX-1:02:03",
            "2026-11-28T22:57:57Z",
            "2026-11-28T22:57:57Z",
            "2026-10-31T22:57:57Z",
            "2026-11-29T22:57:57Z",
        ),
        (
            "XXX-1:02:03",
            "2026-11-28T22:57:56Z",
            "2026-11-27T22:57:57Z",
            "2026-10-31T22:57:57Z",
            "2026-11-28T22:57:57Z",
        ),
    ];
    for (zone, now, today, month, end) in table {
        let mut calendar = Calendar::open(Some(zone).filter(|zone| !zone.is_empty()));
        let starts = calendar.begun(utc(now)).unwrap();
        assert_eq!([text(starts.today), text(starts.month)], [today, month], "{zone} at {now}");
        assert_eq!(text(calendar.day[1]), end, "{zone} at {now}: the end of the day");
        // Nothing until the day is over; then another day.
        assert_eq!(calendar.begun(utc(end) - Duration::from_nanos(1)), None, "{zone}");
        assert_eq!(text(calendar.begun(utc(end)).unwrap().today), end, "{zone}");
        // The clock is set back before the day.
        assert_eq!(text(calendar.begun(utc(now)).unwrap().today), today, "{zone}");
    }
}

#[test]
fn a_zone_has_a_name_a_path_or_rules() {
    let noon = utc("2026-07-01T12:00:00Z");
    let begin = |tz: &str| Calendar::read(tz).map(|mut calendar| text(calendar.begun(noon).unwrap().today));
    for tz in ["CET-1CEST,M3.5.0,M10.5.0/3", ":CET-1CEST,M3.5.0,M10.5.0/3"] {
        assert_eq!(begin(tz).as_deref(), Some("2026-06-30T22:00:00Z"), "{tz}");
    }
    if Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        for tz in
            ["Asia/Tokyo", ":Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo", ":/usr/share/zoneinfo/Asia/Tokyo"]
        {
            assert_eq!(begin(tz).as_deref(), Some("2026-06-30T15:00:00Z"), "{tz}");
        }
    }
    // A name that no host has, a folder, a device, a file that is no zone, nothing.
    for tz in [
        "Mars/Olympus",
        "/usr/share",
        ":/dev/zero",
        "/proc/self/status",
        ":",
        "\u{202e}x",
        "../../../etc/passwd",
    ] {
        assert_eq!(begin(tz), None, "{tz}");
        assert_eq!(text(Calendar::open(Some(tz)).begun(noon).unwrap().today), "2026-07-01T00:00:00Z", "{tz}");
    }
}

#[test]
fn a_clock_beyond_the_calendar_is_no_day() {
    let mut calendar = Calendar::utc();
    assert_eq!(calendar.begun(Duration::from_secs(u64::MAX)), None);
    assert_eq!(calendar.begun(Duration::ZERO), Some(ByPeriod::default()));
}
