//! The guards before publishing: late sources, odd volumes, marts that move.

use std::collections::BTreeMap;

use bazgasht::account::{self, RunResults, Status};
use bazgasht::backfill::Span;
use bazgasht::config::Config;
use bazgasht::interrupt::Interrupt;
use bazgasht::project::Blueprint;
use bazgasht::report::{Guard, MartChange, Move, Silent, SourceVolume, VolumeBreach};
use bazgasht::run::{Request, Surroundings};

use crate::laws::{order, shop_with, version};
use crate::support::{Shop, block_on, day, now, tree};

fn as_of(text: &str) -> Request {
    Request { as_of: Some(day(text)), ..Request::default() }
}

fn accepting(text: &str, guard: Guard) -> Request {
    Request { accept: [guard].into(), ..as_of(text) }
}

fn run(shop: &Shop, request: &Request) -> RunResults {
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    block_on(account::run(&shop.open(), request, &around)).0
}

fn published(shop: &Shop, request: &Request) -> RunResults {
    let results = run(shop, request);
    assert_eq!(results.status, Status::Published, "{:?}", results.error);
    results
}

/// Runs and demands that it is refused with exit code 1, twice with the same facts, and that nothing readers see and no
/// snapshot changes.
fn refused(shop: &Shop, request: &Request) -> RunResults {
    let seen = || (tree(&shop.path("marts")), tree(&shop.path("lake/snapshots")));
    let before = seen();
    let (first, again) = (run(shop, request), run(shop, request));
    assert_eq!((first.status, first.exit_code), (Status::Failed, 1), "{:?}", first.error);
    assert!(seen() == before, "the marts of before stand");
    let facts = |run: &RunResults| (run.error.clone(), run.late.clone(), run.volumes.clone(), run.marts.clone());
    assert_eq!(facts(&first), facts(&again));
    first
}

fn said(results: &RunResults) -> &str {
    results.error.as_deref().unwrap_or_default()
}

/// So many orders of one day at noon, UTC, each of a customer of its own.
fn orders(day: &str, count: usize) -> String {
    (0..count).map(|n| order(&format!("{day}-{n}"), &format!("c{n}"), day, "10")).collect()
}

#[test]
fn a_late_source_blocks_and_nothing_is_built_until_it_comes() {
    let shop = shop_with("max_age = \"36h\"\non_late = \"block\"");
    shop.write("raw/a.ndjson", orders("2024-03-10", 2));
    assert_eq!(published(&shop, &as_of("2024-03-11")).late, [], "36 hours to the minute are not late");

    let late = refused(&shop, &as_of("2024-03-12"));
    let fact = &late.late[0];
    assert_eq!((fact.source.as_str(), fact.age_seconds, fact.blocks), ("orders", Some(60 * 3600), true));
    assert_eq!(fact.newest_at.map(|at| at.to_string()).as_deref(), Some("2024-03-10 12:00:00 UTC"));
    assert_eq!((late.partitions.len(), late.volumes.len(), late.marts.len()), (0, 0, 0), "nothing was built");
    let expected = "source orders is late: its newest row is of 2024-03-10 12:00 UTC, 2d 12h before the end of the as-of \
                    day; max_age is 1d 12h";
    assert!(
        said(&late).contains(expected) && said(&late).contains("--as-of 2024-03-12 --accept late"),
        "{}",
        said(&late)
    );

    let select = Some(vec!["customers".to_owned()]);
    assert_eq!(run(&shop, &Request { select, ..as_of("2024-03-12") }).status, Status::Built, "it publishes nothing");

    let accepted = published(&shop, &accepting("2024-03-12", Guard::Late));
    assert_eq!((accepted.late.len(), accepted.accepted), (1, [Guard::Late].into()));
    assert_eq!(run(&shop, &as_of("2024-03-12")).status, Status::NothingToDo, "what is published isn't refused later");

    refused(&shop, &accepting("2024-03-13", Guard::Marts));
    shop.write("raw/b.ndjson", orders("2024-03-13", 1));
    assert_eq!(published(&shop, &as_of("2024-03-13")).late, []);
}

#[test]
fn a_source_without_a_row_is_late_and_warns_by_default() {
    let shop = shop_with("max_age = \"20d\"");
    shop.write("raw/empty.ndjson", "\n");
    let empty = published(&shop, &as_of("2024-03-10"));
    assert_eq!((empty.late[0].newest_at, empty.late[0].blocks), (None, false));
    assert!(empty.warnings[0].contains("it has no rows at all"), "{:?}", empty.warnings);
    shop.write("raw/a.ndjson", orders("2024-03-10", 1));
    assert_eq!(published(&shop, &as_of("2024-03-10")).late, []);
}

#[test]
fn a_days_end_is_the_zones() {
    let shop = shop_with("max_age = \"11h\"");
    shop.write("raw/a.ndjson", orders("2024-03-30", 1) + &orders("2024-03-31", 1) + &orders("2024-10-27", 1));
    let age = |day| published(&shop, &as_of(day)).late.first().and_then(|late| late.age_seconds);
    // A day of 25 hours, which ends at midnight UTC.
    assert_eq!(age("2024-10-27"), Some(12 * 3600));
    shop.write("raw/a.ndjson", orders("2024-03-30", 1) + &orders("2024-03-31", 1));
    assert_eq!(age("2024-03-31"), None, "summer time has begun: the day ends at 23:00 UTC");
    shop.write("raw/a.ndjson", orders("2024-03-30", 1));
    assert_eq!(age("2024-03-30"), Some(12 * 3600));
}

const WATCHED: &str = "volume = { least = 0.5, most = 2, on_breach = \"block\" }";

fn volume(results: &RunResults) -> &SourceVolume {
    results.volumes.first().expect("watched")
}

/// Four Fridays and some other days.
fn with_fridays(shop: &Shop) {
    let fridays = ["2024-02-16", "2024-02-23", "2024-03-01", "2024-03-08"];
    let past: String = fridays.iter().map(|friday| orders(friday, 10)).collect();
    shop.write("raw/past.ndjson", past + &orders("2024-03-14", 90));
}

#[test]
fn a_day_with_few_rows_blocks_until_the_rest_comes() {
    let shop = shop_with(WATCHED);
    with_fridays(&shop);
    shop.write("raw/friday.ndjson", orders("2024-03-15", 4));
    let few = refused(&shop, &as_of("2024-03-15"));
    let expected = SourceVolume {
        source: "orders".to_owned(),
        rows: 4,
        days: 4,
        usual: Some(10.0),
        occasion: None,
        breach: Some(VolumeBreach::TooFew),
        blocks: true,
    };
    assert_eq!((volume(&few), few.partitions.len()), (&expected, 0));
    assert!(said(&few).contains("on a Friday it usually has 10 (median of 4)"), "{}", said(&few));

    // The rest comes late, with a newer version of an order that came already: it counts once.
    let rest: String = (3..9).map(|n| order(&format!("2024-03-15-{n}"), "c1", "2024-03-15", "11")).collect();
    shop.write("raw/rest.ndjson", rest);
    let whole = published(&shop, &as_of("2024-03-15"));
    assert_eq!((volume(&whole).rows, volume(&whole).breach), (9, None));

    let none = refused(&shop, &as_of("2024-03-22"));
    assert_eq!((volume(&none).rows, volume(&none).days, volume(&none).breach), (0, 5, Some(VolumeBreach::TooFew)));
    let accepted = published(&shop, &accepting("2024-03-22", Guard::Volume));
    assert_eq!((volume(&accepted).breach, accepted.warnings.len()), (Some(VolumeBreach::TooFew), 1));
    // Thursday has one day with rows: nothing is said.
    let thursday = published(&shop, &as_of("2024-03-28"));
    assert_eq!((volume(&thursday).usual, volume(&thursday).days, volume(&thursday).breach), (None, 1, None));
}

#[test]
fn what_is_odd_in_two_ways_is_told_and_accepted_at_once() {
    let shop = shop_with(&format!("max_age = \"5d\"\non_late = \"block\"\n{WATCHED}"));
    with_fridays(&shop);
    let odd = refused(&shop, &as_of("2024-03-22"));
    assert!(said(&odd).contains("is late") && said(&odd).contains("has 0 rows of 2024-03-22"), "{}", said(&odd));
    assert!(said(&odd).contains("`bazgasht run --as-of 2024-03-22 --accept late,volume`"), "{}", said(&odd));
    let late = refused(&shop, &accepting("2024-03-22", Guard::Volume));
    assert!(said(&late).contains("--accept late`") && !said(&late).contains("has 0 rows"), "{}", said(&late));
    published(&shop, &Request { accept: [Guard::Late, Guard::Volume].into(), ..as_of("2024-03-22") });
}

#[test]
fn a_day_with_many_rows_is_told_where_it_is_asked_for() {
    let shop = shop_with(&WATCHED.replace("block", "warn"));
    with_fridays(&shop);
    shop.write("raw/friday.ndjson", orders("2024-03-15", 21));
    let many = published(&shop, &as_of("2024-03-15"));
    assert_eq!((volume(&many).breach, volume(&many).blocks), (Some(VolumeBreach::TooMany), false));
    assert!(many.warnings[0].contains("more than is plausible"), "{:?}", many.warnings);
}

#[test]
fn an_occasion_is_neither_judged_nor_a_measure() {
    let shop = shop_with(&WATCHED.replace("most = 2", "weeks = 10"));
    for seed in ["occasions", "lunar_occasions"] {
        let text = std::fs::read(format!("{}/sql/seeds/{seed}.csv", env!("CARGO_MANIFEST_DIR"))).expect("shipped");
        shop.write(&format!("sql/seeds/{seed}.csv"), text);
    }
    // Wednesdays; 20 March 2024 is Nowruz.
    let plain = ["2024-01-17", "2024-01-24", "2024-01-31", "2024-02-07", "2024-02-21"].map(|day| orders(day, 10));
    // Valentine's day; and the 9th of Esfand, another occasion.
    let odd = ["2024-02-14", "2024-02-28"].map(|day| orders(day, 90));
    shop.write("raw/past.ndjson", plain.concat() + &odd.concat());
    let nowruz = published(&shop, &as_of("2024-03-20"));
    assert_eq!((volume(&nowruz).occasion.as_deref(), volume(&nowruz).breach), (Some("Nowruz"), None));
    shop.write("raw/nowruz.ndjson", orders("2024-03-20", 500) + &orders("2024-03-27", 10));
    let after = published(&shop, &as_of("2024-03-27"));
    assert_eq!((volume(&after).usual, volume(&after).days, volume(&after).breach), (Some(10.0), 5, None));
}

#[test]
fn a_volumes_day_is_the_business_day() {
    let shop = shop_with(WATCHED);
    let at = |time: &str, count: usize| -> String {
        let row = |n| {
            let (id, at) = (format!("{time}-{n}"), time);
            format!("{{\"order_id\":\"{id}\",\"customer_id\":\"c{n}\",\"ordered_at\":\"{at}Z\",\"amount\":1}}\n")
        };
        (0..count).map(row).collect()
    };
    // Sundays; summer time begins on 31 March, so 23:30 UTC on Saturday is Sunday from then on, and wasn't before.
    let sundays = ["2024-03-03", "2024-03-10", "2024-03-17", "2024-03-24"].map(|day| at(&format!("{day}T12:00:00"), 6));
    let edges = at("2024-03-30T23:30:00", 50) + &at("2024-03-31T00:30:00", 6) + &at("2024-04-06T23:30:00", 5);
    shop.write("raw/a.ndjson", sundays.concat() + &edges);
    let results = published(&shop, &as_of("2024-04-07"));
    assert_eq!((volume(&results).rows, volume(&results).usual, volume(&results).days), (5, Some(6.0), 5));
}

const BANDS: &str = r#"/*---
description = "One row per customer with the band of what it paid."
grain = ["customer_id"]
compare = ["band"]
[reads]
state = "latest"
[columns]
customer_id = { type = "text", doc = "The customer." }
band = { type = "text", doc = "high from 100, low from 1; NULL below." }
paid = { type = "decimal(28,4)", doc = "Net revenue to date.", unit = "currency" }
---*/
select customer_id, case when revenue >= 100 then 'high' when revenue >= 1 then 'low' end as band, revenue as paid
from state
order by customer_id
"#;

/// A shop with a limit on its marts, and so many customers on the day.
fn shop_of_bands(limits: &str, customers: usize) -> Shop {
    let shop = shop_with(&format!("on_removed = \"forget\"\n[publish.limits]\n{limits}"));
    shop.write("sql/marts/bands.sql", BANDS);
    shop.write("raw/a.ndjson", orders("2024-03-10", customers));
    shop
}

fn mart<'a>(results: &'a RunResults, name: &str) -> &'a MartChange {
    results.marts.iter().find(|mart| mart.mart == name).expect("told of")
}

#[test]
fn a_mart_that_lost_most_of_its_rows_is_not_published() {
    let shop = shop_of_bands("", 120);
    let first = published(&shop, &as_of("2024-03-10"));
    let customers = mart(&first, "customers");
    assert_eq!((customers.rows, customers.rows_before, customers.breaches.len()), (120, None, 0));
    assert_eq!((customers.sums[0].sum.as_str(), customers.sums[0].before.as_deref()), ("1200.0000", None));

    shop.write("raw/a.ndjson", orders("2024-03-10", 50));
    let moved = refused(&shop, &as_of("2024-03-11"));
    let customers = mart(&moved, "customers");
    assert_eq!((customers.rows, customers.rows_before), (50, Some(120)));
    assert_eq!(customers.sums[0].before.as_deref(), Some("1200.0000"));
    assert_eq!(customers.breaches, ["it had 120 rows and has 50, 58.3 % less where `rows_lost` allows 50.0 %"]);
    assert!(said(&moved).contains("customers moved: it had 120 rows"), "{}", said(&moved));
    assert!(said(&moved).contains("--as-of 2024-03-11 --accept marts"), "{}", said(&moved));
    refused(&shop, &accepting("2024-03-11", Guard::Late));

    let accepted = published(&shop, &accepting("2024-03-11", Guard::Marts));
    assert_eq!(accepted.accepted, [Guard::Marts].into());
    assert!(accepted.warnings.iter().any(|w| w.contains("accepted: customers moved")), "{:?}", accepted.warnings);
    let next = published(&shop, &as_of("2024-03-12"));
    assert_eq!((mart(&next, "customers").changed, mart(&next, "customers").sums.len()), (false, 0));
}

#[test]
fn what_a_person_changed_is_not_implausible() {
    let fewer = |shop: &Shop| shop.write("raw/a.ndjson", orders("2024-03-10", 50));
    // A past day; a day of a backfill; a small shop.
    let shop = shop_of_bands("", 120);
    published(&shop, &as_of("2024-03-10"));
    published(&shop, &as_of("2024-03-09"));
    let span = Some(Span { from: day("2024-03-10"), to: day("2024-03-11") });
    published(&shop, &as_of("2024-03-11"));
    fewer(&shop);
    published(&shop, &Request { backfill: span, ..as_of("2024-03-12") });
    // The first night after a long pause.
    let shop = shop_of_bands("", 120);
    published(&shop, &as_of("2024-03-10"));
    fewer(&shop);
    refused(&shop, &as_of("2024-03-17"));
    published(&shop, &as_of("2024-03-18"));
    let small = shop_of_bands("", 99);
    published(&small, &as_of("2024-03-10"));
    small.write("raw/a.ndjson", orders("2024-03-10", 1));
    published(&small, &as_of("2024-03-11"));
    // SQL below the mart.
    let shop = shop_of_bands("", 120);
    published(&shop, &as_of("2024-03-10"));
    let state = include_str!("laws/sql/intermediate/state.sql");
    shop.write("sql/intermediate/state.sql", state.replace("from both\n", "from both\nwhere customer_id < 'c2'\n"));
    shop.write("raw/b.ndjson", order("x", "c1", "2024-03-11", "1"));
    let remade = published(&shop, &as_of("2024-03-11"));
    assert!(mart(&remade, "customers").rows < 60);
    // A mart that says that its rows are the day's own, until the config names it.
    let volatile = |limits: &str| {
        let shop = shop_of_bands(limits, 120);
        shop.write("sql/marts/bands.sql", BANDS.replace("compare", "volatile = true\ncompare"));
        for plain in ["customers", "monthly_sales"] {
            shop.remove(&format!("sql/marts/{plain}.sql"));
        }
        published(&shop, &as_of("2024-03-10"));
        fewer(&shop);
        run(&shop, &as_of("2024-03-11")).status
    };
    assert_eq!(volatile("rows_lost = 0.1"), Status::Published);
    assert_eq!(volatile("[publish.limits.marts.bands]\nrows_lost = 0.1"), Status::Failed);
}

#[test]
fn a_closed_month_that_loses_rows_is_not_published() {
    let shop = shop_of_bands("", 300);
    shop.write("raw/b.ndjson", orders("2024-02-10", 110));
    published(&shop, &as_of("2024-03-10"));
    shop.write("raw/b.ndjson", orders("2024-02-10", 20));
    let moved = refused(&shop, &as_of("2024-03-11"));
    let sales = mart(&moved, "monthly_sales");
    assert_eq!((sales.rows_before, sales.rows), (Some(410), 320));
    assert_eq!(sales.breaches, ["2024-02: it had 110 rows and has 20, 81.8 % less where `rows_lost` allows 50.0 %"]);
}

#[test]
fn rows_with_another_value_are_counted_and_limited() {
    let shop = shop_of_bands("moved = 0.02\nsums = 0.5", 120);
    shop.write("raw/little.ndjson", order("little", "z", "2024-03-10", "0.5"));
    published(&shop, &as_of("2024-03-10"));
    let paid = |customer: &str, amount: &str| order(&format!("more {customer}"), customer, "2024-03-11", amount);
    shop.write("raw/b.ndjson", paid("c1", "95") + &paid("z", "5"));
    let bands = published(&shop, &as_of("2024-03-11"));
    let moves = &mart(&bands, "bands").moves[0];
    assert_eq!((moves.column.as_str(), moves.compared, moves.moved), ("band", 121, 2));
    let text = |value: &str| Some(value.to_owned());
    let expected =
        [Move { from: text("low"), to: text("high"), rows: 1 }, Move { from: None, to: text("low"), rows: 1 }];
    assert_eq!(moves.largest.len(), 2);
    assert!(expected.iter().all(|expected| moves.largest.contains(expected)), "{:?}", moves.largest);

    shop.write("raw/c.ndjson", ["c2", "c3", "c4"].map(|customer| paid(customer, "290")).concat());
    let moved = refused(&shop, &as_of("2024-03-12"));
    let breaches = &mart(&moved, "bands").breaches;
    assert_eq!(breaches.len(), 2, "{breaches:?}");
    assert!(breaches[0].starts_with("the sum of paid was 1300.5000 and is 2170.5000, 66.9 % off"), "{breaches:?}");
    assert!(breaches[1].starts_with("3 of 121 rows have another band, 2.5 %"), "{breaches:?}");
}

#[test]
fn the_same_inputs_give_the_same_facts() {
    let facts = || {
        let shop = shop_of_bands("", 120);
        published(&shop, &as_of("2024-03-10"));
        shop.write("raw/b.ndjson", version("v", "2024-03-11", "7", "2024-03-11"));
        published(&shop, &as_of("2024-03-11")).marts
    };
    let marts = facts();
    assert_eq!(marts, facts());
    let names: Vec<&str> = marts.iter().map(|mart| mart.mart.as_str()).collect();
    assert_eq!(names, ["bands", "calendar", "customers", "monthly_sales"]);
}

#[test]
fn what_an_earlier_version_or_a_damaged_lake_doesnt_tell_is_unknown() {
    let shop = shop_of_bands("sums = 0.1\nmoved = 0.01", 120);
    published(&shop, &as_of("2024-03-10"));
    let earlier: BTreeMap<String, Vec<u8>> = tree(&shop.path("lake/models/bands"));
    let (path, mut bytes) = earlier.into_iter().find(|(path, _)| path.ends_with(".parquet")).expect("built");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    shop.write(&format!("lake/models/bands/{path}"), bytes);
    shop.write(
        "raw/b.ndjson",
        (0..20).map(|n| order(&format!("b{n}"), &format!("c{n}"), "2024-03-11", "99")).collect::<String>(),
    );
    let results = refused(&shop, &as_of("2024-03-11"));
    let bands = mart(&results, "bands");
    assert_eq!((bands.moves.len(), bands.breaches.len()), (0, 1), "the sum is known, the moves are not");
    assert!(bands.breaches[0].starts_with("the sum of paid"), "{:?}", bands.breaches);
}

#[test]
fn limits_and_comparisons_must_name_what_there_is() {
    let complaint = |shop: &Shop| {
        let config = Config::parse("bazgasht.toml", shop.dir.path(), &shop.toml, &|_| None).expect("readable");
        Blueprint::draw(config).err().expect("refused").to_string()
    };
    let unknown = complaint(&shop_of_bands("[publish.limits.marts.band]\nmoved = 0.1", 1));
    assert!(unknown.contains("there is no mart `band`") && unknown.contains("`bands`"), "{unknown}");
    let comparing = |column: &str, more: &str| {
        let shop = shop_of_bands("", 1);
        let grain = "grain = [\"customer_id\"]\n";
        let bands = BANDS.replace("\"band\"", &format!("\"{column}\"")).replace(grain, &format!("{grain}{more}"));
        shop.write("sql/marts/bands.sql", bands);
        complaint(&shop)
    };
    assert!(comparing("bend", "").contains("marts/bands.sql"), "where");
    assert!(
        comparing("customer_id", "").contains("`compare` names `customer_id`, which is no column beside the grain")
    );
    assert!(comparing("band", "partition = \"month\"\n").contains("aren't partitioned by month"));
    let along = comparing("band", "along = [\"nothing\"]\n");
    assert!(along.contains("`along` names `nothing`, which is no model that it reads"), "{along}");
}
