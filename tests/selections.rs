//! `--select`, `--fail-fast`.

use bazgasht::account::{self, RunResults, Status};
use bazgasht::interrupt::Interrupt;
use bazgasht::report::Silent;
use bazgasht::run::{Request, Surroundings};

use crate::laws::{order, shop_with};
use crate::support::{Shop, block_on, day, now};

fn run(shop: &Shop, request: &Request) -> RunResults {
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    block_on(account::run(&shop.open(), request, &around)).0
}

fn selected(shop: &Shop, select: &[&str]) -> RunResults {
    let select = Some(select.iter().map(|&s| s.to_owned()).collect());
    run(shop, &Request { as_of: Some(day("2024-01-31")), select, ..Request::default() })
}

fn models(results: &RunResults) -> Vec<&str> {
    results.partitions.iter().map(|p| p.model.as_str()).collect()
}

fn shop(amount: &str) -> Shop {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", amount));
    shop
}

#[test]
fn a_selection_builds_what_it_asks_for_and_what_that_reads() {
    let shop = shop("10");
    let below = selected(&shop, &["ledger"]);
    assert_eq!((below.status, models(&below)), (Status::Built, vec!["stg_identities", "stg_orders", "ledger"]));
    let changed = selected(&shop, &["changed"]);
    let rest = models(&changed);
    assert!(rest.contains(&"customers") && !rest.contains(&"ledger"), "{rest:?}");
    assert_eq!(models(&selected(&shop, &["changed"])), Vec::<&str>::new());
}

#[test]
fn a_wrong_selector_stops_before_anything_is_listed() {
    let shop = shop("10");
    let results = selected(&shop, &["+ledgers+"]);
    assert_eq!((results.exit_code, results.stages.len()), (2, 0));
    assert!(results.error.expect("said").contains("did you mean `ledger`?"));
}

#[test]
fn fail_fast_stops_at_the_first_failed_check() {
    let shop = shop("2000000");
    let request = |fail_fast| Request { as_of: Some(day("2024-01-31")), fail_fast, ..Request::default() };
    let fast = run(&shop, &request(true));
    assert_eq!((fast.exit_code, models(&fast).last().copied()), (1, Some("customers")));
    let thorough = run(&shop, &request(false));
    assert_eq!(thorough.exit_code, 1);
    assert!(models(&thorough).contains(&"monthly_sales"), "the rest is built, and all failures are told together");
    assert!([fast.error, thorough.error].into_iter().all(|e| e.expect("said").contains("nobody_is_that_rich")));
}
