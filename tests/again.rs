//! Backfills, retries, and what `gc` does with accounts.

use bazgasht::account::{self, RunResults, Status};
use bazgasht::backfill::{self, Span};
use bazgasht::gc;
use bazgasht::interrupt::Interrupt;
use bazgasht::report::{Progress, Silent};
use bazgasht::retry;
use bazgasht::run::{Request, Surroundings};
use bazgasht::snapshot::Snapshot;
use chrono::{DateTime, Duration, Utc};

use crate::laws::{order, shop_with};
use crate::support::{Shop, block_on, day, now};

fn shop() -> Shop {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10") + &order("b", "c2", "2024-01-13", "20"));
    shop
}

/// A backfill's runs, as `day: position: status`, and how it ended.
fn filled(shop: &Shop, from: &str, to: &str, interrupt: &Interrupt, progress: &dyn Progress) -> (Vec<String>, i32) {
    let around = Surroundings { now: &now, interrupt, progress };
    let span = Span { from: day(from), to: day(to) };
    let mut told = vec![];
    let mut tell = |run: &backfill::Told<'_>| {
        let position = run.position.map_or("again".to_owned(), |position| format!("{position} of {}", run.days));
        told.push(format!("{} {position} {:?}", run.results.as_of, run.results.status));
    };
    let ended = block_on(backfill::run(&shop.open(), span, false, &around, &mut tell));
    (told, ended.err().map_or(0, |e| e.exit_code()))
}

fn fill(shop: &Shop, from: &str, to: &str) -> (Vec<String>, i32) {
    filled(shop, from, to, &Interrupt::default(), &Silent)
}

fn newest(shop: &Shop) -> Snapshot {
    block_on(Snapshot::newest(&shop.open().lake)).expect("readable").expect("published")
}

fn run(shop: &Shop, request: &Request) -> RunResults {
    run_with(shop, request, &Silent)
}

fn run_with(shop: &Shop, request: &Request, progress: &dyn Progress) -> RunResults {
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress };
    block_on(account::run(&shop.open(), request, &around)).0
}

fn as_of(text: &str) -> Request {
    Request { as_of: Some(day(text)), ..Request::default() }
}

fn unsettled(shop: &Shop) -> Option<RunResults> {
    block_on(retry::unsettled(&shop.open())).expect("readable")
}

/// Asks to stop when so many runs have begun to build.
struct StopIn<'a>(&'a Interrupt, std::sync::atomic::AtomicUsize);

impl Progress for StopIn<'_> {
    fn begin(&self, stage: &str, _: u64) {
        if stage == "build" && self.1.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            self.0.raise(15);
        }
    }
    fn step(&self, _: &str) {}
    fn end(&self) {}
}

#[test]
fn a_backfill_publishes_the_missing_days_in_order_and_ends_at_the_newest() {
    let shop = shop();
    shop.publish("2024-01-12");
    shop.publish("2024-01-15");
    let (told, code) = fill(&shop, "2024-01-11", "2024-01-14");
    let expected = [
        "2024-01-11 1 of 3 Published",
        "2024-01-13 2 of 3 Published",
        "2024-01-14 3 of 3 Published",
        "2024-01-15 again Published",
    ];
    assert_eq!((told, code), (expected.map(str::to_owned).to_vec(), 0));
    let newest = newest(&shop);
    assert_eq!((newest.as_of, newest.number), (day("2024-01-15"), 6));
    assert_eq!(shop.mart("customers").len(), 2, "the dashboards are where they were");
    assert_eq!(fill(&shop, "2024-01-11", "2024-01-14"), (vec![], 0));
}

#[test]
fn what_a_past_day_gets_is_what_its_night_would_have_given() {
    let (shop, other) = (shop(), shop());
    shop.publish("2024-01-15");
    fill(&shop, "2024-01-11", "2024-01-12");
    let of_day = block_on(Snapshot::read(&shop.open().lake, 2)).expect("kept");
    let alone = other.publish("2024-01-11");
    assert_eq!(of_day.as_of, alone.as_of);
    let digests = |s: &Snapshot| s.marts["customers"].files.iter().map(|f| f.digest.clone()).collect::<Vec<_>>();
    assert_eq!(digests(&of_day), digests(&alone));
}

#[test]
fn an_interrupted_backfill_goes_on_where_it_stopped() {
    let shop = shop();
    let interrupt = Interrupt::default();
    let stop = StopIn(&interrupt, 2.into());
    let (told, code) = filled(&shop, "2024-01-11", "2024-01-13", &interrupt, &stop);
    assert_eq!(told, ["2024-01-11 1 of 3 Published", "2024-01-12 2 of 3 Interrupted"]);
    assert_eq!(code, 143);
    let failed = unsettled(&shop).expect("an interrupted run");
    assert_eq!(failed.backfill, Some(Span { from: day("2024-01-11"), to: day("2024-01-13") }));
    let (told, code) = fill(&shop, "2024-01-11", "2024-01-13");
    assert_eq!(told, ["2024-01-12 1 of 2 Published", "2024-01-13 2 of 2 Published"]);
    assert_eq!(code, 0);
    assert_eq!(unsettled(&shop), None);
}

#[test]
fn a_failing_day_stops_a_backfill_and_the_marts_return_to_the_newest() {
    let shop = shop();
    shop.publish("2024-01-09");
    shop.write("raw/b.ndjson", order("c", "c3", "2024-01-12", "2000000"));
    let (told, code) = fill(&shop, "2024-01-05", "2024-01-08");
    assert_eq!((told.len(), code), (5, 0));
    let (told, code) = fill(&shop, "2024-01-11", "2024-01-13");
    assert_eq!(told, ["2024-01-11 1 of 3 Published", "2024-01-12 2 of 3 Failed"]);
    assert_eq!((code, newest(&shop).as_of), (1, day("2024-01-11")));

    let shop = self::shop();
    shop.publish("2024-01-11");
    let rows = shop.mart("customers");
    shop.write("sql/marts/customers.sql", broken_on("2024-01-10"));
    let (told, code) = fill(&shop, "2024-01-09", "2024-01-10");
    assert_eq!(told, ["2024-01-09 1 of 2 Published", "2024-01-10 2 of 2 Failed", "2024-01-11 again Published"]);
    assert_eq!((code, newest(&shop).as_of), (1, day("2024-01-11")));
    assert_eq!(shop.mart("customers"), rows);
}

/// The customers' mart with a check that fails as of this day.
fn broken_on(day: &str) -> String {
    let sql = include_str!("laws/sql/marts/customers.sql");
    let check = format!("a_bad_day = \"select 1 as x where $as_of = date '{day}'\"\n---*/");
    sql.replace("---*/", &check)
}

#[test]
fn a_stretch_must_lie_in_the_past_and_have_a_length() {
    let shop = shop();
    assert_eq!(fill(&shop, "2024-01-12", "2024-01-11"), (vec![], 2));
    assert_eq!(fill(&shop, "2024-01-12", "2999-01-11"), (vec![], 2));
}

#[test]
fn a_retry_has_the_date_and_the_selection_of_what_failed() {
    let shop = shop();
    assert_eq!(unsettled(&shop), None, "no run at all");
    shop.write("raw/rich.ndjson", order("x", "c1", "2024-01-12", "2000000"));
    let select = Some(vec!["customers".to_owned()]);
    let failed = run(&shop, &Request { select: select.clone(), fail_fast: true, ..as_of("2024-01-15") });
    assert_eq!(failed.exit_code, 1);
    let found = unsettled(&shop).expect("a failed run");
    assert_eq!(found.run_id, failed.run_id);
    let request = retry::request(&found);
    assert_eq!((request.as_of, &request.select, request.fail_fast), (Some(day("2024-01-15")), &select, true));
    shop.write("raw/rich.ndjson", order("x", "c1", "2024-01-12", "20"));
    assert_eq!(run(&shop, &request).status, Status::Built);
    assert_eq!(unsettled(&shop), None);
}

#[test]
fn a_later_run_settles_a_failure_and_an_earlier_date_does_not() {
    let shop = shop();
    shop.publish("2024-01-10");
    let stored = std::fs::read(shop.path("raw/a.ndjson")).expect("readable");
    shop.remove("raw/a.ndjson");
    assert_eq!(run(&shop, &as_of("2024-01-15")).exit_code, 3);
    shop.write("raw/a.ndjson", stored);
    assert_eq!(run(&shop, &as_of("2024-01-14")).status, Status::Published);
    let failed = unsettled(&shop).expect("the 15th isn't published yet");
    assert_eq!(failed.as_of, day("2024-01-15"));
    assert_eq!(run(&shop, &as_of("2024-01-16")).status, Status::Published);
    assert_eq!(unsettled(&shop), None, "it would take the dashboards back");
}

#[test]
fn accounts_are_kept_as_long_as_snapshots() {
    let shop = shop();
    let published = run(&shop, &as_of("2024-01-15"));
    let settled = run(&shop, &as_of("2024-01-15"));
    assert_eq!(settled.status, Status::NothingToDo);
    let project = shop.open();
    let ids = || block_on(account::run_ids(&project.lake)).expect("listed");
    let sweep = |days_from_now| {
        let then: DateTime<Utc> = Utc::now() + Duration::days(days_from_now);
        block_on(gc::collect(&project, 30, 24, then)).expect("swept")
    };
    assert_eq!(ids(), [published.run_id.clone(), settled.run_id]);
    sweep(29);
    assert_eq!(ids().len(), 2);
    sweep(31);
    assert_eq!(ids(), [published.run_id], "that of a kept snapshot stays");
}
