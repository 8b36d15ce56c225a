//! Change over time: objects that are replaced, go, move, come again, come late or are still being written. Each changes
//! the partitions that it should and no others, and the marts are those of a clean rebuild.

use bazgasht::plan::Action;
use bazgasht::run::Outcome;

use super::{built, order, published, shop_with, version};
use crate::support::{Shop, tree};

const AS_OF: &str = "2024-03-15";
const MONTHS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];

/// Two customers' orders in each of three months, a file a month.
fn monthly(on_removed: &str) -> Shop {
    let shop = shop_with(on_removed);
    for month in MONTHS {
        let orders =
            ["c1", "c2"].map(|customer| order(&format!("{month}-{customer}"), customer, &format!("{month}-10"), "10"));
        shop.write(&format!("raw/{month}.ndjson"), orders.concat());
    }
    shop
}

/// The staging partitions that the plan builds for certain: what the change itself touches.
fn certain(shop: &Shop) -> Vec<String> {
    let plan = shop.plan(AS_OF);
    let steps = plan.open().filter(|step| matches!(step.action, Action::Build(_)));
    steps.map(|step| format!("{} {}", step.slot.model, step.slot.partition)).collect()
}

/// The months of which anything is built.
fn months_built(shop: &Shop) -> Vec<String> {
    let mut months: Vec<String> =
        built(shop, AS_OF).iter().filter_map(|step| step.split(' ').nth(1)).map(str::to_owned).collect();
    months.retain(|partition| partition != "all");
    months.sort();
    months.dedup();
    months
}

/// What is published now is what a new project makes of the raw files that are there.
fn assert_as_rebuilt(shop: &Shop) {
    let clean = Shop { dir: tempfile::tempdir().expect("a folder"), toml: shop.toml.clone() };
    for folder in ["raw", "sql"] {
        for (path, bytes) in tree(&shop.path(folder)) {
            clean.write(&format!("{folder}/{path}"), bytes);
        }
    }
    clean.publish(AS_OF);
    assert!(published(&clean) == published(shop));
}

#[test]
fn an_object_replaced_in_place_changes_its_months() {
    let shop = monthly("");
    shop.publish(AS_OF);
    let content = order("2024-02-c1", "c1", "2024-02-11", "12");
    shop.write("raw/2024-02.ndjson", &content);
    assert_eq!(certain(&shop), ["stg_orders 2024-02"]);
    // March's ledger isn't touched, its running total is.
    assert_eq!(months_built(&shop), ["2024-02", "2024-03"]);
    assert_as_rebuilt(&shop);
    // Written again with the same bytes, at another time: it is read, and nothing is built.
    shop.write("raw/2024-02.ndjson", &content);
    let file = std::fs::File::options().write(true).open(shop.path("raw/2024-02.ndjson")).expect("opened");
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).expect("set");
    assert_eq!(certain(&shop), Vec::<String>::new());
    assert_eq!(months_built(&shop), Vec::<String>::new());
}

#[test]
fn an_object_replaced_by_one_of_another_month_changes_both() {
    let shop = monthly("");
    shop.publish(AS_OF);
    shop.write("raw/2024-02.ndjson", order("x", "c1", "2024-03-11", "12"));
    assert_eq!(certain(&shop), ["stg_orders 2024-02", "stg_orders 2024-03"]);
    shop.publish(AS_OF);
    assert_as_rebuilt(&shop);
}

#[test]
fn a_deleted_object_blocks_or_goes_or_stays() {
    let blocking = monthly("");
    blocking.publish(AS_OF);
    let before = published(&blocking);
    blocking.remove("raw/2024-02.ndjson");
    let error = blocking.run(AS_OF).err().expect("refused");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("2024-02.ndjson"), "{error}");
    assert!(published(&blocking) == before);

    let forgetting = monthly("on_removed = \"forget\"");
    forgetting.publish(AS_OF);
    forgetting.remove("raw/2024-02.ndjson");
    assert_eq!(certain(&forgetting), ["stg_orders 2024-02"]);
    assert_eq!(months_built(&forgetting), ["2024-02", "2024-03"]);
    assert_as_rebuilt(&forgetting);

    let keeping = monthly("on_removed = \"keep\"");
    keeping.publish(AS_OF);
    let before = published(&keeping);
    keeping.remove("raw/2024-02.ndjson");
    assert_eq!(certain(&keeping), Vec::<String>::new());
    keeping.publish(AS_OF);
    assert!(published(&keeping) == before);
}

#[test]
fn a_renamed_object_changes_nothing() {
    for (on_removed, copies) in [("on_removed = \"forget\"", 1), ("on_removed = \"keep\"", 2)] {
        let shop = monthly(on_removed);
        shop.publish(AS_OF);
        let rows = shop.mart("customers");
        std::fs::rename(shop.path("raw/2024-02.ndjson"), shop.path("raw/2024-02-b.ndjson")).expect("renamed");
        let snapshot = shop.publish(AS_OF);
        assert_eq!(shop.mart("customers"), rows);
        // Kept, the old name is a delivery that brought the same rows before.
        let state = &snapshot.sources["orders"];
        assert_eq!((state.objects.len(), state.extracts.len()), (2 + copies, 3));
        if copies == 1 {
            assert_as_rebuilt(&shop);
        }
    }
}

#[test]
fn the_same_content_under_another_name_counts_once() {
    let shop = monthly("");
    shop.publish(AS_OF);
    let rows = shop.mart("customers");
    let february = std::fs::read(shop.path("raw/2024-02.ndjson")).expect("there");
    shop.write("raw/again/2024-02.ndjson", february);
    assert_eq!(certain(&shop), ["stg_orders 2024-02"]);
    // Its rows come out as they were, so nothing beyond is built.
    assert_eq!(months_built(&shop), ["2024-02"]);
    assert_eq!(shop.mart("customers"), rows);
    assert_as_rebuilt(&shop);
}

#[test]
fn a_late_file_for_closed_months_changes_these() {
    let shop = monthly("");
    shop.publish(AS_OF);
    shop.write("raw/late.ndjson", order("l1", "c1", "2024-01-31", "3") + &order("l2", "c3", "2024-02-01", "4"));
    assert_eq!(certain(&shop), ["stg_orders 2024-01", "stg_orders 2024-02"]);
    assert_eq!(months_built(&shop), MONTHS, "and what is carried on from them");
    assert_as_rebuilt(&shop);
}

#[test]
fn a_file_of_many_months_is_a_row_in_each() {
    let shop = monthly("");
    shop.publish(AS_OF);
    let months = ["2023-10", "2023-11", "2023-12", "2024-01", "2024-02"];
    let long: String = months.iter().map(|month| order(month, "c4", &format!("{month}-28"), "1")).collect();
    shop.write("raw/export.ndjson", long);
    let staged: Vec<String> = certain(&shop).into_iter().filter(|step| step.starts_with("stg_orders ")).collect();
    assert_eq!(staged, months.map(|month| format!("stg_orders {month}")));
    shop.publish(AS_OF);
    assert_as_rebuilt(&shop);
}

#[test]
fn two_overlapping_yearly_exports_count_each_order_once() {
    let shop = shop_with("");
    let export = |days: &[&str]| -> String { days.iter().map(|day| order(day, "c1", day, "10")).collect() };
    shop.write("raw/2022-2023.ndjson", export(&["2023-11-15", "2023-12-15", "2023-12-31"]));
    shop.publish(AS_OF);
    // The next export has most of 2023 again, one order of it dated anew across the year's end.
    let moved = order("2023-12-31", "c1", "2024-01-01", "10");
    shop.write("raw/2023-2024.ndjson", export(&["2023-12-15", "2024-02-01"]) + &moved);
    let staged: Vec<String> = certain(&shop).into_iter().filter(|step| step.starts_with("stg_orders ")).collect();
    assert_eq!(staged, ["2023-12", "2024-01", "2024-02"].map(|month| format!("stg_orders {month}")));
    shop.publish(AS_OF);
    let customers = shop.mart("customers");
    assert_eq!((customers[0]["orders"].as_str(), customers[0]["revenue"].as_str()), ("4", "40.0000"));
    assert_as_rebuilt(&shop);
}

#[test]
fn days_and_months_without_a_file_are_empty() {
    let shop = shop_with("");
    shop.write("raw/2023-11-05.ndjson", order("a", "c1", "2023-11-05", "10"));
    shop.write("raw/2024-02-01.ndjson", order("b", "c1", "2024-02-01", "20"));
    let snapshot = shop.publish(AS_OF);
    let rows: Vec<u64> = snapshot.partitions["ledger"].values().map(|record| record.file.rows).collect();
    assert_eq!(rows, [1, 0, 0, 1, 0]);
    let totals = snapshot.partitions["state"].values().map(|record| record.file.rows);
    assert_eq!(totals.collect::<Vec<_>>(), [1; 5], "what was carried on isn't lost in an empty month");
    // The day's file comes after all.
    shop.write("raw/2023-12-24.ndjson", order("c", "c2", "2023-12-24", "5"));
    assert_eq!(certain(&shop), ["stg_orders 2023-12"]);
    shop.publish(AS_OF);
    assert_as_rebuilt(&shop);
    // A day's file without a row is one more object, and no change.
    shop.write("raw/2023-12-25.ndjson", "\n");
    assert_eq!(certain(&shop), Vec::<String>::new());
}

#[test]
fn an_order_that_moves_takes_its_month_along() {
    let shop = monthly("");
    shop.publish(AS_OF);
    shop.write("raw/update.ndjson", version("2024-01-c1", "2024-02-02", "10", "2024-03-01"));
    assert_eq!(certain(&shop), ["stg_orders 2024-01", "stg_orders 2024-02"]);
    shop.publish(AS_OF);
    assert_as_rebuilt(&shop);
}

/// An object that grows between its listing and its end is not read as if it were whole.
#[test]
fn an_object_still_being_written_is_refused_and_read_when_it_is_complete() {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let shop = monthly("");
    shop.publish(AS_OF);
    let before = published(&shop);
    let path = shop.path("raw/growing.ndjson");
    let line = order("g", "c1", "2024-03-12", "1");
    // A log that a shop's program appends to all the time.
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (done, path) = (Arc::clone(&done), path.clone());
        let mut file = std::fs::File::create(&path).expect("created");
        file.write_all(line.as_bytes()).expect("written");
        std::thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                file.write_all(b"\n").expect("written");
            }
        })
    };
    let outcome = shop.run(AS_OF);
    done.store(true, Ordering::SeqCst);
    writer.join().expect("it wrote");
    match outcome {
        Err(e) => {
            assert_eq!(e.exit_code(), 3, "{e}");
            assert!(e.to_string().contains("growing.ndjson"), "{e}");
            assert!(published(&shop) == before);
        }
        // Listed and read between two writes.
        Ok(outcome) => assert!(matches!(outcome, Outcome::Published(..))),
    }
    std::fs::write(&path, line).expect("complete");
    shop.publish(AS_OF);
    assert_eq!(shop.mart("customers")[0]["revenue"], "31.0000");
    assert_as_rebuilt(&shop);
}
