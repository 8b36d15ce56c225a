//! Traps that a review or a bad night found, each with the story in its name.

use bazgasht::run::{Outcome, Request};

use super::{open_steps, order, shop_of, shop_with, three_months};
use crate::support::{Shop, day, now};

fn revenue(shop: &Shop) -> Vec<String> {
    shop.mart("customers").iter().map(|r| r["revenue"].clone()).collect()
}

#[test]
fn the_marts_of_a_lake_that_is_gone_are_not_taken_for_ours() {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    std::fs::remove_dir_all(shop.path("lake")).expect("gone");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "30"));
    shop.publish("2024-01-15");
    assert_eq!(revenue(&shop), ["30.0000"]);
}

#[test]
fn a_skipped_row_is_not_rejected_as_well() {
    let shop = shop_with("[sources.orders.skip]\nodd = \"amount = '0'\"\nlate = \"cast(status as int) < 0\"");
    let line = r#"{"order_id":"b","customer_id":"c","ordered_at":"2024-01-10T10:00:00Z","amount":0,"status":"none"}"#;
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10") + line + "\n");
    shop.publish("2024-01-31");
}

#[test]
fn a_selection_builds_without_publishing_whatever_else_is_configured() {
    let shop = shop_of(
        "[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"ndjson\"\n[sources.order_items]\nlocation = \"./raw/lines\"\nformat = \"csv\"\n",
    );
    shop.write("raw/orders/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.write("raw/lines/a.csv", "order_id,product_id,quantity,unit_price\na,p,1,10\n");
    let request =
        Request { as_of: Some(day("2024-01-31")), select: Some(vec!["customers".to_owned()]), ..Request::default() };
    let interrupt = bazgasht::interrupt::Interrupt::default();
    let around = bazgasht::run::Surroundings { now: &now, interrupt: &interrupt, progress: &bazgasht::report::Silent };
    let outcome = crate::support::block_on(bazgasht::run::run(&shop.open(), &request, &around));
    assert!(matches!(outcome, Ok(Outcome::Built(_))), "{:?}", outcome.err().map(|e| e.to_string()));
    assert!(!shop.path("marts/current.json").exists());
}

#[test]
fn editing_a_check_makes_it_run_and_editing_a_description_does_not_rebuild() {
    let shop = three_months();
    shop.publish("2024-03-15");
    let mart = std::fs::read_to_string(shop.path("sql/marts/customers.sql")).expect("the mart");
    shop.write("sql/marts/customers.sql", mart.replace("One row per customer as of", "A row for each customer as of"));
    assert_eq!(open_steps(&shop, "2024-03-15"), Vec::<String>::new());
    assert!(matches!(shop.run("2024-03-15"), Ok(Outcome::Published(..))), "docs are published all the same");
    shop.write("sql/marts/customers.sql", mart.replace("> 1000000", "> 35"));
    assert_eq!(shop.run("2024-03-15").err().map(|e| e.exit_code()), Some(1));
    shop.write("sql/marts/customers.sql", mart);
    shop.publish("2024-03-15");
}

#[test]
fn kept_rows_stay_and_are_never_decoded_two_ways() {
    let shop = shop_with("on_removed = \"keep\"");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.write("raw/b.ndjson", order("b", "c1", "2024-01-11", "5"));
    shop.publish("2024-01-15");
    shop.remove("raw/a.ndjson");
    shop.publish("2024-01-16");
    assert_eq!(revenue(&shop), ["15.0000"]);
    let toml = format!("{}\n[sources.orders.columns]\namount = \"cast(amount as decimal(18,4)) * 2\"", shop.toml);
    let shop = Shop { toml, ..shop };
    let error = shop.run("2024-01-17").err().expect("refused");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("is gone and was decoded"), "{error}");
}

#[test]
fn of_full_dumps_the_newest_counts_and_its_loss_is_noticed() {
    let shop = shop_with("mode = \"snapshot\"");
    shop.write("raw/2024-01-01.ndjson", order("a", "c1", "2024-01-01", "10"));
    shop.publish("2024-01-10");
    shop.write("raw/2024-01-02.ndjson", order("a", "c1", "2024-01-01", "11"));
    shop.publish("2024-01-10");
    assert_eq!(revenue(&shop), ["11.0000"]);
    shop.remove("raw/2024-01-02.ndjson");
    assert_eq!(shop.run("2024-01-10").err().map(|e| e.exit_code()), Some(3), "the older dump is not news");
}

#[test]
fn folders_are_ranked_by_their_names_everywhere() {
    // As paths, `2024-01-rerun/x` comes before `2024-01/x`; as folders, after it.
    let shop = shop_with("delivery = \"folder\"");
    shop.write("raw/2024-01/x.ndjson", order("a", "c1", "2024-01-31", "10"));
    shop.write("raw/2024-01-rerun/x.ndjson", order("a", "c1", "2024-02-01", "12"));
    shop.publish("2024-02-10");
    assert_eq!(revenue(&shop), ["12.0000"]);
}

#[test]
fn a_file_twice_in_one_folder_is_read_once() {
    let shop = shop_of("[sources.order_items]\nlocation = \"./raw\"\nformat = \"csv\"\ndelivery = \"folder\"\n");
    let lines = "order_id,customer_id,ordered_at,product_id,quantity,unit_price\na,c1,2024-01-31T10:00:00Z,p,1,10\n";
    shop.write("raw/day/part.csv", lines);
    shop.write("raw/day/part (1).csv", lines);
    shop.publish("2024-02-10");
    assert_eq!(revenue(&shop), ["10.0000"]);
}

#[test]
fn a_second_location_changes_nothing_of_the_first() {
    let shop = shop_with("");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    shop.write("more/b.ndjson", order("b", "c1", "2024-01-11", "5"));
    let toml = shop.toml.replace("location = \"./raw\"", "location = [\"./raw\", \"./more\"]");
    let shop = Shop { toml, ..shop };
    shop.publish("2024-01-15");
    assert_eq!(revenue(&shop), ["15.0000"]);
}

#[test]
fn a_record_that_a_power_cut_left_empty_is_no_obstacle() {
    let shop = three_months();
    let project = shop.open();
    drop(project);
    shop.plan("2024-03-15");
    for (path, _) in crate::support::tree(&shop.path("lake/seen")) {
        shop.write(&format!("lake/seen/{path}"), "");
    }
    for (path, _) in crate::support::tree(&shop.path("lake/extracted")) {
        if path.ends_with(".json") {
            shop.write(&format!("lake/extracted/{path}"), "{");
        }
    }
    shop.publish("2024-03-15");
}

#[test]
fn an_empty_project_publishes_empty_marts() {
    let shop = shop_with("");
    assert_eq!(shop.run("2024-03-15").err().map(|e| e.exit_code()), Some(3), "an empty listing is no empty shop");
    shop.write("raw/a.ndjson", "\n");
    shop.publish("2024-03-15");
    assert_eq!(shop.mart("customers").len(), 0);
}
