//! What hosts do, week after week.

use bazgasht::error::Error;
use bazgasht::schedule::{Stage, Verdict};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::world::{Deed, Fate, World, moment};
use crate::faults::store::{Fault, Script};
use crate::support::{block_on, day};

const NIGHTLY: &str = "publish = \"30 2 * * *\"";

fn days(from: &str, count: u64) -> Vec<String> {
    (0..count).map(|n| (day(from) + Days::new(n)).to_string()).collect()
}

fn local(zone: &str, moment: DateTime<Utc>) -> String {
    moment.with_timezone(&zone.parse::<chrono_tz::Tz>().expect("a zone")).format("%m-%d %H:%M").to_string()
}

fn away() -> Error {
    Error::world("the store", "is away")
}

/// No two jobs at a time.
fn assert_apart(deeds: &[Deed]) {
    let mut spans: Vec<_> = deeds.iter().map(|deed| (deed.began, deed.ended.expect("it ended"))).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
}

/// Clocks that change both ways, month ends, a leap day and Nowruz: each day is published once, in its night.
#[test]
fn a_year_of_nights_publishes_each_day_once() {
    for (zone, from, first, line) in [
        ("Europe/London", "2026-01-01T12:00:00Z", "2026-01-01", "30 1 * * *"),
        ("America/New_York", "2024-01-01T17:00:00Z", "2024-01-01", "0,30 2 * * *"),
        // New clocks at midnight, on 2 Farvardin and 30 Shahrivar.
        ("Asia/Tehran", "2021-01-01T08:30:00Z", "2021-01-01", "15 0 * * *"),
    ] {
        let schedule = format!("publish = \"{line}\"\nextract = \"0 */3 * * *\"\ngc = \"0 5 * * FRI\"");
        let world = World::new(zone, from, &schedule);
        let until = (moment(from) + TimeDelta::days(366)).to_rfc3339();
        world.until(&until, vec![Fate::lives("a")]);
        let mut published = world.published();
        if line.starts_with("0,30") {
            // Twice a night, but for the one whose 02:00 and 02:30 are one moment.
            assert_eq!(published.len(), 366 * 2 - 1);
            assert_eq!(published.iter().filter(|day| *day == "2024-03-09").count(), 1);
            published.dedup();
        }
        assert_eq!(published, days(first, 366), "{zone}");
        for deed in world.deeds(Stage::Publish) {
            let here = deed.began.with_timezone(&zone.parse::<chrono_tz::Tz>().expect("a zone"));
            assert_eq!(here.date_naive(), deed.as_of() + Days::new(1), "{zone}");
        }
        assert!((52..=53).contains(&world.deeds(Stage::Gc).len()), "{zone}");
        assert!((366 * 8 - 2..=366 * 8).contains(&world.deeds(Stage::Extract).len()), "{zone}");
    }
}

#[test]
fn ticks_that_pass_during_a_run_are_one() {
    let world = World::new("UTC", "2026-01-01T00:30:00Z", "publish = \"0 * * * *\"\nextract = \"*/10 * * * *\"")
        .that(|job, _| (TimeDelta::minutes(if job.stage == Stage::Publish { 150 } else { 25 }), Ok(())));
    world.until("2026-01-02T00:00:00Z", vec![Fate::lives("a")]);
    let published = world.deeds(Stage::Publish);
    let begun: Vec<(String, String)> =
        published.iter().take(3).map(|deed| (local("UTC", deed.began), local("UTC", deed.job.tick))).collect();
    let expected = [("01-01 01:05", "01-01 01:00"), ("01-01 03:35", "01-01 03:00"), ("01-01 06:05", "01-01 06:00")];
    assert_eq!(begun, expected.map(|(began, tick)| (began.to_owned(), tick.to_owned())));
    let mut all = [published, world.deeds(Stage::Extract)].concat();
    all.retain(|deed| deed.ended.is_some());
    assert_apart(&all);
}

#[test]
fn missed_nights_are_caught_up_with_as_the_config_says() {
    for (policy, expected) in [
        // The scheduler is away from the 4th at noon to the 8th at noon.
        ("none", &["2026-03-02", "2026-03-03", "2026-03-08", "2026-03-09"][..]),
        ("latest", &["2026-03-02", "2026-03-03", "2026-03-07", "2026-03-08", "2026-03-09"]),
        (
            "all",
            &[
                "2026-03-02",
                "2026-03-03",
                "2026-03-04",
                "2026-03-05",
                "2026-03-06",
                "2026-03-07",
                "2026-03-08",
                "2026-03-09",
            ],
        ),
    ] {
        let schedule = format!("{NIGHTLY}\nextract = \"0 * * * *\"\ncatch_up = \"{policy}\"");
        let world = World::new("Europe/London", "2026-03-02T12:00:00Z", &schedule);
        world.until("2026-03-08T12:00:00Z", vec![Fate::dies("a", "2026-03-04T12:00:00Z")]);
        world.until("2026-03-10T12:00:00Z", vec![Fate::lives("a")]);
        assert_eq!(world.published(), expected, "{policy}");
    }
}

/// A host is started and dies before its first tick: the night was missed all the same.
#[test]
fn a_schedule_counts_from_its_first_start() {
    let world = World::new("UTC", "2026-03-02T12:00:00Z", NIGHTLY);
    world.until("2026-03-03T12:00:00Z", vec![Fate::dies("a", "2026-03-02T13:00:00Z")]);
    assert!(world.published().is_empty());
    world.until("2026-03-03T13:00:00Z", vec![Fate::lives("b")]);
    assert_eq!(world.published(), ["2026-03-02"]);
}

#[test]
fn each_night_is_one_hosts() {
    let world = World::new("Asia/Tehran", "2026-03-01T12:00:00Z", &format!("{NIGHTLY}\njitter = \"20m\""));
    let late = Fate { ahead: TimeDelta::minutes(-7), ..Fate::lives("late") };
    world.until("2026-04-30T12:00:00Z", vec![Fate::lives("a"), late, Fate::lives("b")]);
    assert_eq!(world.published(), days("2026-03-01", 60));
    let deeds = world.deeds(Stage::Publish);
    assert_eq!(deeds.len(), 60, "nobody did another's work");
    for host in ["a", "b", "late"] {
        assert!(deeds.iter().any(|deed| deed.host == host), "{host} had none in sixty nights");
    }
}

#[test]
fn jitter_is_bounded_and_the_same_for_a_host_and_a_tick() {
    let begun = |host: &'static str| {
        let world = World::new("UTC", "2026-01-01T12:00:00Z", &format!("{NIGHTLY}\njitter = \"1h\""));
        world.until("2026-02-01T12:00:00Z", vec![Fate::lives(host)]);
        world.deeds(Stage::Publish).iter().map(|deed| deed.began - deed.job.tick).collect::<Vec<_>>()
    };
    let a = begun("a");
    assert_eq!(a, begun("a"));
    assert_ne!(a, begun("b"));
    assert!(a.iter().all(|late| (TimeDelta::zero()..TimeDelta::hours(1)).contains(late)));
    let (least, most) = (a.iter().min().expect("some"), a.iter().max().expect("some"));
    assert!(*most - *least > TimeDelta::minutes(30), "it spreads: {least} to {most}");
}

/// Longer than the time between two ticks, it would put off one after the other for ever.
#[test]
fn jitter_ends_before_the_next_tick() {
    let world = World::new("UTC", "2026-01-01T12:00:00Z", "extract = \"*/5 * * * *\"\njitter = \"2h\"")
        .that(|_, _| (TimeDelta::seconds(1), Ok(())));
    world.until("2026-01-02T12:00:00Z", vec![Fate::lives("a")]);
    assert!(world.deeds(Stage::Extract).len() > 24 * 11, "{}", world.deeds(Stage::Extract).len());
}

#[test]
fn a_dead_hosts_night_is_done_by_another_when_its_lease_is_over() {
    let world = World::new("UTC", "2026-05-01T12:00:00Z", &format!("{NIGHTLY}\njitter = \"1m\"\ncatch_up = \"none\""))
        .that(|_, _| (TimeDelta::minutes(30), Ok(())));
    // Whoever is first dies at 02:45; by the wall, the other is a quarter of an hour behind.
    let other = Fate { ahead: TimeDelta::minutes(-15), ..Fate::lives("b") };
    world.until("2026-05-03T12:00:00Z", vec![Fate::dies("a", "2026-05-02T02:50:00Z"), other]);
    let deeds = world.deeds(Stage::Publish);
    let (first, second) = (&deeds[0], &deeds[1]);
    assert_eq!((first.host.as_str(), first.verdict), ("a", None));
    assert_eq!((second.host.as_str(), second.verdict), ("b", Some(Verdict::Done)));
    assert_eq!(first.job, second.job, "the same tick, the same date");
    let waited = second.began - moment("2026-05-02T02:50:00Z");
    assert!(waited > TimeDelta::minutes(3) && waited < TimeDelta::minutes(6), "{waited}");
    assert_eq!(world.published(), ["2026-05-01", "2026-05-02"]);
}

/// Cut off from the lake, whenever that is, a host stops its work by the time at which another may begin it.
#[test]
fn a_host_that_is_cut_off_stops_before_another_begins() {
    let mut lost = 0;
    for call in 0..60 {
        let world = World::new("UTC", "2026-05-01T12:00:00Z", NIGHTLY).that(|_, _| (TimeDelta::hours(2), Ok(())));
        let cut_off = Fate { way: Script::From(call, Fault::Error), ..Fate::lives("a") };
        let other = Fate { ahead: TimeDelta::seconds(-20), ..Fate::lives("b") };
        world.until("2026-05-02T12:00:00Z", vec![cut_off, other]);
        let deeds = world.deeds(Stage::Publish);
        assert_apart(&deeds);
        assert!(deeds.iter().all(|deed| deed.job == deeds[0].job), "the same tick, the same date");
        assert!(deeds.iter().any(|deed| deed.verdict == Some(Verdict::Done)), "cut off at call {call}");
        if let [first, second] = &deeds[..] {
            assert_eq!((first.verdict, second.host.as_str()), (Some(Verdict::Lost), "b"));
            lost += 1;
        }
    }
    assert!(lost > 10, "{lost}");
}

/// Calls that fail, and calls that succeed while their answer is lost: each night is published all the same, in order,
/// and never by two at once.
#[test]
fn a_way_that_fails_now_and_then_loses_no_night() {
    for seed in 0..20 {
        let world = World::new("UTC", "2026-05-01T12:00:00Z", &format!("{NIGHTLY}\njitter = \"5m\""))
            .that(|_, _| (TimeDelta::minutes(30), Ok(())));
        let way = |seed| Script::Random { seed, per_mille: 60, faults: vec![Fault::Error, Fault::TimeOut] };
        let fate = |name, seed| Fate { way: way(seed), ..Fate::lives(name) };
        let fates = vec![fate("a", seed), fate("b", seed + 100), fate("c", seed + 200)];
        world.until("2026-05-31T12:00:00Z", fates);
        let mut published = world.published();
        // Done, while saying so failed: another one finds it to do, which in the pipeline is nothing to do.
        published.dedup();
        assert_eq!(published, days("2026-05-01", 30), "seed {seed}");
        assert_apart(&world.deeds(Stage::Publish));
    }
}

#[test]
fn a_retry_keeps_its_date_across_midnight() {
    let schedule = "publish = \"50 23 * * *\"\nretry_after = \"15m\"\nretries = 3";
    let world = World::new("Europe/London", "2026-07-01T12:00:00Z", schedule).that(|_, deeds| {
        let failures = deeds.iter().filter(|deed| deed.verdict.is_some()).count();
        (TimeDelta::minutes(1), if failures < 2 { Err(away()) } else { Ok(()) })
    });
    // The first host dies between its tries.
    world.until("2026-07-03T12:00:00Z", vec![Fate::dies("a", "2026-07-01T22:55:00Z"), Fate::lives("b")]);
    let deeds = world.deeds(Stage::Publish);
    let tries: Vec<_> = deeds.iter().map(|d| (local("Europe/London", d.began), d.job.attempt, d.as_of())).collect();
    assert_eq!(
        tries,
        [
            ("07-01 23:50".to_owned(), 1, day("2026-06-30")),
            ("07-02 00:06".to_owned(), 2, day("2026-06-30")),
            ("07-02 00:22".to_owned(), 3, day("2026-06-30")),
            ("07-02 23:50".to_owned(), 1, day("2026-07-01")),
        ]
    );
}

#[test]
fn what_another_try_would_not_mend_is_left_to_people() {
    for (error, tries) in [
        (Error::Check("a check".to_owned()), 1),
        (Error::config("a model"), 1),
        (Error::bug("ours"), 1),
        (Error::Lost(3), 3),
        (away(), 3),
    ] {
        let world = World::new("UTC", "2026-07-01T12:00:00Z", &format!("{NIGHTLY}\nretries = 2"));
        let world = world.that(move |_, _| (TimeDelta::minutes(1), Err(error.clone())));
        world.until("2026-07-03T12:00:00Z", vec![Fate::lives("a")]);
        let as_ofs: Vec<NaiveDate> = world.deeds(Stage::Publish).iter().map(Deed::as_of).collect();
        let expected = [vec![day("2026-07-01"); tries], vec![day("2026-07-02"); tries]].concat();
        assert_eq!(as_ofs, expected, "the next night is another");
    }
}

/// With `all`, a night that is tried again is not overtaken by the next.
#[test]
fn nights_stay_in_order() {
    let schedule = format!("{NIGHTLY}\ncatch_up = \"all\"\nretry_after = \"20h\"\nretries = 5");
    let world = World::new("UTC", "2026-07-01T12:00:00Z", &schedule).that(|job, deeds| {
        let first_night = job.as_of == day("2026-07-01") && deeds.len() < 3;
        (TimeDelta::minutes(1), if first_night { Err(away()) } else { Ok(()) })
    });
    world.until("2026-07-05T12:00:00Z", vec![Fate::lives("a")]);
    assert_eq!(world.published(), days("2026-07-01", 4));
}

#[test]
fn asked_to_stop_it_stops_and_gives_the_lease_back() {
    let world = World::new("UTC", "2026-05-01T12:00:00Z", NIGHTLY).that(|_, _| (TimeDelta::minutes(30), Ok(())));
    let ended = world.until("2026-05-02T02:41:00Z", vec![Fate::stops("a", "2026-05-02T02:40:00Z")]);
    assert!(matches!(ended[0], Some(Err(Error::Interrupted(15)))));
    assert_eq!(world.deeds(Stage::Publish)[0].verdict, Some(Verdict::Stopped));
    // At once: nobody waits for a lease that was given back.
    world.until("2026-05-02T12:00:00Z", vec![Fate::lives("b")]);
    let again = &world.deeds(Stage::Publish)[1];
    assert_eq!((again.began, again.as_of()), (moment("2026-05-02T02:41:00Z"), day("2026-05-01")));
}

#[test]
fn once_does_what_is_due_and_ends_as_it_ended() {
    let schedule = format!("{NIGHTLY}\nextract = \"0 * * * *\"\ngc = \"0 5 * * *\"");
    let mut world = World::new("UTC", "2026-05-01T12:10:00Z", &schedule);
    let jobs = |world: &World| Stage::ALL.map(|stage| world.deeds(stage).len());
    let once = |world: &World, until: &str| world.until(until, vec![Fate::once("a")]).remove(0).expect("it ended");

    // A new lake: each stage; publishing has extracted.
    assert!(once(&world, "2026-05-01T13:30:00Z").is_ok());
    assert_eq!((jobs(&world), world.published()), ([1, 0, 1], vec!["2026-04-30".to_owned()]));
    // Nothing is due.
    assert!(once(&world, "2026-05-01T12:59:00Z").is_ok());
    assert_eq!(jobs(&world), [1, 0, 1]);
    // The hour has passed meanwhile.
    world.until("2026-05-01T13:10:00Z", vec![]);
    assert!(once(&world, "2026-05-01T13:30:00Z").is_ok());
    assert_eq!(jobs(&world), [1, 1, 1]);
    // Its exit code is the run's, and the rest is done nevertheless. Called again, it tries again.
    world.until("2026-05-02T06:00:00Z", vec![]);
    world = world.that(|job, _| {
        let result = if job.stage == Stage::Publish { Err(away()) } else { Ok(()) };
        (TimeDelta::minutes(1), result)
    });
    for tries in [2, 3] {
        let ended = once(&world, "2026-05-02T06:30:00Z").map_err(|e| e.exit_code());
        assert_eq!(ended, Err(3));
        assert_eq!(jobs(&world), [tries, 2, 2]);
    }
}

/// Whoever comes while another is at it waits, and finds it done.
#[test]
fn once_waits_for_what_another_is_doing() {
    let world = World::new("UTC", "2026-05-02T06:00:00Z", NIGHTLY).that(|_, _| (TimeDelta::minutes(20), Ok(())));
    let ended = world.until("2026-05-02T07:00:00Z", vec![Fate::once("a"), Fate::once("b")]);
    assert!(ended.iter().all(|ended| matches!(ended, Some(Ok(())))));
    assert_eq!(world.deeds(Stage::Publish).len(), 1);
}

#[test]
fn old_numbers_are_swept() {
    let world = World::new("UTC", "2026-05-01T00:00:00Z", "extract = \"*/10 * * * *\"");
    world.until("2026-05-03T00:00:00Z", vec![Fate::lives("a"), Fate::lives("b")]);
    let left = block_on(world.lake.list("schedule")).expect("listed");
    assert!(left.len() <= 16, "{}", left.len());
    assert!(world.deeds(Stage::Extract).len() >= 280);
}
