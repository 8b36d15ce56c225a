//! `[publish] history`: a file of each night of the small marts.

use std::collections::BTreeMap;

use bazgasht::backfill::{self, Span};
use bazgasht::config::Config;
use bazgasht::gc;
use bazgasht::interrupt::Interrupt;
use bazgasht::project::Blueprint;
use bazgasht::report::Silent;
use bazgasht::run::Surroundings;

use crate::laws::{order, shop_with};
use crate::support::{Shop, block_on, day, now, tree};

fn shop(history: &str) -> Shop {
    let mut shop = shop_with("");
    shop.toml = shop.toml.replace("[models]", &format!("[publish]\nhistory = [{history}]\n[models]"));
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10") + &order("b", "c2", "2024-01-13", "20"));
    shop
}

fn kept(shop: &Shop) -> BTreeMap<String, Vec<u8>> {
    tree(&shop.path("marts/history"))
}

fn published(shop: &Shop) -> Vec<u8> {
    std::fs::read(shop.path("marts/current/customers.parquet")).expect("published")
}

#[test]
fn each_day_has_its_file_with_the_bytes_as_published() {
    let shop = shop("\"customers\"");
    shop.publish("2024-01-11");
    let first = published(&shop);
    shop.publish("2024-01-14");
    let around = Surroundings { now: &now, interrupt: &Interrupt::default(), progress: &Silent };
    let span = Span { from: day("2024-01-12"), to: day("2024-01-14") };
    block_on(backfill::run(&shop.open(), span, false, &around, &mut |_| {})).expect("filled");
    let kept = kept(&shop);
    let days = ["11", "12", "13", "14"].map(|day| format!("customers/as_of=2024-01-{day}.parquet"));
    assert_eq!(kept.keys().collect::<Vec<_>>(), days.iter().collect::<Vec<_>>());
    assert!(kept[&days[0]] == first && kept[&days[3]] == published(&shop));
}

#[test]
fn the_file_of_the_day_is_healed_and_gc_keeps_all() {
    let shop = shop("\"customers\"");
    shop.publish("2024-01-11");
    shop.publish("2024-01-14");
    let before = kept(&shop);
    let of_day = "marts/history/customers/as_of=2024-01-14.parquet";
    shop.remove(of_day);
    shop.publish("2024-01-14");
    assert!(before == kept(&shop));
    // Another file in its place: on a local disk, its bytes are those of the immutable file, too.
    shop.remove(of_day);
    shop.write(of_day, "not what was published");
    shop.publish("2024-01-14");
    assert!(before == kept(&shop));
    let far = chrono::Utc::now() + chrono::Duration::days(400);
    block_on(gc::collect(&shop.open(), 30, 24, far)).expect("swept");
    assert!(before == kept(&shop));
}

#[test]
fn a_mart_that_is_added_to_it_begins_with_what_is_current() {
    let mut shop = shop("");
    shop.publish("2024-01-14");
    assert!(kept(&shop).is_empty());
    shop.toml = shop.toml.replace("history = []", "history = [\"customers\"]");
    shop.publish("2024-01-14");
    assert_eq!(kept(&shop).keys().collect::<Vec<_>>(), ["customers/as_of=2024-01-14.parquet"]);
}

#[test]
fn only_marts_without_months_have_history() {
    let refused = |history: &str| {
        let shop = shop(history);
        let config = Config::parse("bazgasht.toml", shop.dir.path(), &shop.toml, &|_| None).expect("a config");
        Blueprint::draw(config).err().expect("refused").to_string()
    };
    assert!(refused("\"customer\"").contains("did you mean `customers`?"));
    assert!(refused("\"monthly_sales\"").contains("partitioned by month"));
}
