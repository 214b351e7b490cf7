use super::super::ledger::Flow;
use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const DAY: u64 = 86_400;

/// The beginning of a month of days that have each number of seconds since its beginning.
const MONTH: u64 = 1_000 * DAY;

fn starts(today: u64) -> ByPeriod<Duration> {
    ByPeriod { today: seconds(today), month: seconds(MONTH) }
}

/// Returns the starts and the times from which is counted, of today and of this month.
fn shown(periods: &Periods) -> [(u64, u64); 2] {
    let ByPeriod { today, month } = periods.present().unwrap();
    [today, month].map(|period| (period.start.as_secs(), period.since.as_secs()))
}

const BOTH: ByPeriod<bool> = ByPeriod { today: true, month: true };
const TODAY: ByPeriod<bool> = ByPeriod { today: true, month: false };
const NONE: ByPeriod<bool> = ByPeriod { today: false, month: false };

/// A calendar that is taken: today's start, this month's, the time; what is new; from when is counted.
type Taken = ([u64; 3], ByPeriod<bool>, [u64; 2]);

#[test]
fn a_period_is_counted_from_its_beginning_unless_it_was_there_before() {
    let (day, next) = (MONTH + 10 * DAY, MONTH + 11 * DAY);
    let month = MONTH + 30 * DAY;
    let hour = 3600;
    let table: &[(&str, &[Taken])] = &[
        (
            "an exporter that runs across a day and a month",
            &[
                ([day, MONTH, day + hour], BOTH, [day, MONTH]),
                ([next, MONTH, next], TODAY, [next, MONTH]),
                ([month, month, month + 1], BOTH, [month, month]),
            ],
        ),
        (
            "the same day again",
            &[
                ([day, MONTH, day + hour], BOTH, [day, MONTH]),
                ([day, MONTH, day + 2 * hour], NONE, [day, MONTH]),
            ],
        ),
        (
            "a computer that slept for three days",
            &[
                ([day, MONTH, day + hour], BOTH, [day, MONTH]),
                ([day + 3 * DAY, MONTH, day + 3 * DAY + hour], TODAY, [day + 3 * DAY, MONTH]),
            ],
        ),
        (
            "a clock that is set back to the day before, and goes on",
            &[
                ([next, MONTH, next + hour], BOTH, [next, MONTH]),
                ([day, MONTH, next - hour], TODAY, [next - hour, MONTH]),
                ([next, MONTH, next], TODAY, [next, MONTH]),
            ],
        ),
        (
            "a clock that is set back and right again in the middle of the day",
            &[
                ([next, MONTH, next + hour], BOTH, [next, MONTH]),
                ([day, MONTH, day + 7], TODAY, [day + 7, MONTH]),
                ([next, MONTH, next + 2 * hour], TODAY, [next + 2 * hour, MONTH]),
            ],
        ),
        (
            "a clock that was in the next month",
            &[
                ([month, month, month + hour], BOTH, [month, month]),
                ([day, MONTH, day + hour], BOTH, [day + hour, day + hour]),
                ([next, MONTH, next + 1], TODAY, [next + 1, day + hour]),
            ],
        ),
        (
            "a day of 23 hours, as the clocks are put forward, and a day of 25",
            &[
                ([day, MONTH, day + hour], BOTH, [day, MONTH]),
                ([next - hour, MONTH, next - hour], TODAY, [next - hour, MONTH]),
                ([next + DAY, MONTH, next + DAY], TODAY, [next + DAY, MONTH]),
            ],
        ),
    ];
    for (what, taken) in table {
        let mut periods = Periods::default();
        for ([today, month, now], new, since) in *taken {
            let starts = ByPeriod { today: seconds(*today), month: seconds(*month) };
            assert_eq!(periods.begin(starts, seconds(*now)), *new, "{what}: new at {now}");
            assert_eq!(shown(&periods), [(*today, since[0]), (*month, since[1])], "{what}: at {now}");
        }
    }
}

#[test]
fn what_an_earlier_run_knew_of_a_period_holds_if_it_is_the_same_period() {
    let (day, next) = (MONTH + 10 * DAY, MONTH + 11 * DAY);
    let noon = next + DAY / 2;
    let saved = |today: (u64, u64), month: (u64, u64)| {
        let period = |(start, since)| Period { start: seconds(start), since: seconds(since) };
        Some(ByPeriod { today: period(today), month: period(month) })
    };
    // Saved periods and the time of the last totals; what is new, and from when is counted at noon.
    type Restored = (&'static str, Option<ByPeriod<Period>>, u64, ByPeriod<bool>, [u64; 2]);
    let table: &[Restored] = &[
        ("a restart within the day", saved((next, next), (MONTH, MONTH)), noon - 60, NONE, [next, MONTH]),
        (
            "a restart within the day, of which a part was known",
            saved((next, next + 5), (MONTH, day + 6)),
            noon - 60,
            NONE,
            [next + 5, day + 6],
        ),
        ("a restart across one day", saved((day, day), (MONTH, MONTH)), next - 60, TODAY, [next, MONTH]),
        (
            "a restart across two days",
            saved((day - DAY, day - DAY), (MONTH, MONTH)),
            day - 60,
            TODAY,
            [next, MONTH],
        ),
        (
            "a restart across a month and more",
            saved((MONTH - 40 * DAY, MONTH - 40 * DAY), (MONTH - 60 * DAY, MONTH - 50 * DAY)),
            MONTH - 39 * DAY,
            BOTH,
            [next, MONTH],
        ),
        (
            "a day that began while the exporter ran, and is not in the file yet",
            saved((day, day), (MONTH, MONTH)),
            next - 1,
            TODAY,
            [next, MONTH],
        ),
        ("a file without periods of this day", None, noon - 60, BOTH, [noon - 60, noon - 60]),
        ("a file without periods of another day", None, next - 60, BOTH, [next, next - 60]),
        ("a file without periods of another month", None, MONTH - 60, BOTH, [next, MONTH]),
        (
            "another time zone, whose day began earlier",
            saved((next + 3600, next + 3600), (MONTH + 3600, MONTH + 3600)),
            noon - 60,
            BOTH,
            [noon - 60, noon - 60],
        ),
        (
            "a clock that was set back to the day before",
            saved((next + DAY, next + DAY), (MONTH, MONTH)),
            next + DAY + 60,
            TODAY,
            [noon, MONTH],
        ),
    ];
    for (what, saved, taken, new, since) in table {
        let mut periods = Periods::default();
        periods.begin(starts(next), seconds(noon));
        assert_eq!(periods.restore(*saved, seconds(*taken)), *new, "{what}");
        assert_eq!(shown(&periods), [(next, since[0]), (MONTH, since[1])], "{what}");
        // The next day is counted from its beginning, unless the clock has been there already.
        let after = next + DAY;
        let since = if *taken > after { after + 2 } else { after };
        assert!(periods.begin(starts(after), seconds(after + 2)).today, "{what}");
        assert_eq!(shown(&periods)[0], (after, since), "{what}: the next day");
    }
}

#[test]
fn before_the_first_calendar_no_period_is_present_and_then_all_are_new() {
    let mut periods = Periods::default();
    let saved = ByPeriod::<Period>::default();
    assert_eq!(periods.restore(Some(saved), seconds(5)), NONE);
    assert_eq!(periods.present(), None);
    assert_eq!(periods.begin(starts(MONTH), seconds(MONTH)), BOTH);
}

fn traffic(receive: u64, transmit: u64) -> Traffic {
    let flow = |bytes| Flow { bytes, ..Flow::default() };
    Traffic { receive: flow(receive), transmit: flow(transmit) }
}

#[test]
fn what_passed_in_a_period_is_what_was_added_since_it_began() {
    let mut bases = PeriodBases::default();
    let now = traffic(100, 10);
    // A total that begins inside a period has all of its bytes in it.
    assert_eq!(bases.today.until(&now), ByteSums { receive: 100, transmit: 10 });
    bases.begin(&now, TODAY);
    assert_eq!(bases.today.until(&now), ByteSums::default());
    assert_eq!(bases.month.until(&now), ByteSums { receive: 100, transmit: 10 });
    let later = traffic(150, 11);
    assert_eq!(bases.today.until(&later), ByteSums { receive: 50, transmit: 1 });
    bases.begin(&later, NONE);
    assert_eq!(bases.today.until(&later), ByteSums { receive: 50, transmit: 1 });
    bases.begin(&later, BOTH);
    assert_eq!(bases.month.until(&traffic(151, 20)), ByteSums { receive: 1, transmit: 9 });
    // Two totals that are summed from now on.
    let mut sum = bases;
    sum.add(bases);
    assert_eq!(sum.month.until(&traffic(302, 40)), ByteSums { receive: 2, transmit: 18 });
    // A base in a file that is above its total is no reason for a huge number.
    assert_eq!(sum.month.until(&traffic(1, 1)), ByteSums::default());
}
