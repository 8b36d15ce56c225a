//! What a run leaves of itself, in the lake and beside the marts.

use std::path::Path;

use bazgasht::account::{self, RunResults, Status};
use bazgasht::interrupt::Interrupt;
use bazgasht::report::Silent;
use bazgasht::run::{Request, Surroundings};
use bazgasht::{archive, gc, rollback};
use serde_json::Value;

use crate::support::json_schema::assert_valid;
use crate::support::{Shop, block_on, day, now, tree};

const MODEL: &str = "/*---\ndescription = \"Orders\"\ngrain = [\"order_id\"]\npartition = \"month\"\n[columns]\n\
    order_id = { type = \"text\", doc = \"The order.\", checks = [\"not_null\"] }\n\
    amount = { type = \"decimal(18,4)\", doc = \"Its amount.\", unit = \"currency\" }\n\
    [checks]\nno_huge_amounts = \"select * from this where amount > 1000\"\n---*/\n\
    select order_id, amount from stg_orders order by order_id";

/// A shop of one mart, one row of January and one of February.
pub fn small_shop(config: &str) -> Shop {
    let shop = Shop::new(
        "name = \"small\"\ntimezone = \"Asia/Tehran\"\ncurrency = \"EUR\"",
        &format!("[models]\npath = \"./sql\"\n{config}\n[sources.orders]\nlocation = \"./raw/*.csv\"\n"),
    );
    for name in ["stg_orders", "stg_identities"] {
        let staging = format!("sql/staging/{name}.sql");
        let shipped = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&staging));
        shop.write(&staging, shipped.expect("shipped staging"));
    }
    shop.write("sql/marts/ids.sql", MODEL);
    shop.write("raw/a.csv", "order_id,customer_id,ordered_at,amount\n1,x,2024-01-05,10\n2,x,2024-02-05,10\n");
    shop
}

pub fn run_with(shop: &Shop, as_of: &str, interrupt: &Interrupt) -> RunResults {
    let request = Request { as_of: Some(day(as_of)), ..Request::default() };
    let around = Surroundings { now: &now, interrupt, progress: &Silent };
    block_on(account::run(&shop.open(), &request, &around)).0
}

pub fn run(shop: &Shop, as_of: &str) -> RunResults {
    run_with(shop, as_of, &Interrupt::default())
}

fn beside(shop: &Shop, number: u64) -> [Option<Vec<u8>>; 2] {
    archive::published_paths(number).map(|path| std::fs::read(shop.path(&format!("marts/{path}"))).ok())
}

fn in_lake(shop: &Shop, results: &RunResults) -> [Option<Vec<u8>>; 2] {
    let manifest = archive::manifest_path(results.manifest.as_ref().expect("kept"));
    [archive::path(&results.run_id), manifest].map(|path| std::fs::read(shop.path(&format!("lake/{path}"))).ok())
}

fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn account_and_manifest_lie_beside_the_marts_and_are_put_there_again() {
    let shop = small_shop("");
    let first = run(&shop, "2024-02-10");
    assert_eq!(first.status, Status::Published, "{:?}", first.error);
    let [Some(results), Some(manifest)] = beside(&shop, 1) else { panic!("not beside the marts") };
    assert_eq!(in_lake(&shop, &first), [Some(results.clone()), Some(manifest.clone())]);
    assert_valid("run_results", &[document(&results)]);
    assert_valid("manifest", &[document(&manifest)]);

    let settled = tree(&shop.path("marts"));
    let again = run(&shop, "2024-02-10");
    assert_eq!(again.status, Status::NothingToDo);
    assert!(settled == tree(&shop.path("marts")), "nothing to do, and something was written");
    assert_eq!(in_lake(&shop, &again)[1].as_ref(), Some(&manifest), "an unchanged project has one manifest");

    // Killed between its commit and this: the next run makes good for it, whether it publishes or not.
    for as_of in ["2024-02-10", "2024-02-11"] {
        archive::published_paths(1).iter().for_each(|path| shop.remove(&format!("marts/{path}")));
        run(&shop, as_of);
        assert_eq!(beside(&shop, 1), [Some(results.clone()), Some(manifest.clone())], "as of {as_of}");
    }

    shop.write("sql/marts/ids.sql", MODEL.replace("no_huge_amounts", "none_at_all").replace("> 1000", "> 1"));
    let failed = run(&shop, "2024-02-12");
    assert_eq!(failed.status, Status::Failed);
    let [Some(_), Some(other)] = in_lake(&shop, &failed) else { panic!("a failed run leaves both") };
    assert_ne!(other, manifest);
    assert_eq!(beside(&shop, 3), [None, None], "it published nothing");
}

#[test]
fn a_rollback_has_the_manifest_of_what_it_went_back_to_and_gc_keeps_both_while_a_snapshot_is() {
    let shop = small_shop("");
    run(&shop, "2024-02-10");
    let [_, first] = beside(&shop, 1);
    shop.write("sql/marts/ids.sql", MODEL.replace("Its amount.", "What was ordered."));
    run(&shop, "2024-02-11");
    let project = shop.open();
    block_on(rollback::rollback(&project, 1, now())).expect("rolled back");
    assert_eq!(beside(&shop, 3), [None, first], "a rollback is no run, and its models are the first one's");

    let later = chrono::Utc::now() + chrono::Duration::days(100);
    block_on(gc::collect(&project, 30, 1, later)).expect("swept");
    assert_eq!(beside(&shop, 2), [None, None]);
    assert!(beside(&shop, 3)[1].is_some());
    assert!(tree(&shop.path("lake/runs")).is_empty());
    assert_eq!(tree(&shop.path("lake/manifests")).len(), 1);
}
