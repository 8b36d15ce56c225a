//! Every kind of object in the lake, damaged in every way: noticed when it is read, made again, and nothing wrong published.

use std::collections::BTreeMap;

use bazgasht::engine::Task;
use bazgasht::error::Error;
use bazgasht::lake::{Digest, PIECE_BYTES};
use bazgasht::run::{Outcome, Request};
use bazgasht::snapshot::Snapshot;

use crate::laws::{order, shop_of, shop_with, version};
use crate::support::{Shop, block_on, day, now, published, tree};

const SOURCES: &str = "[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"ndjson\"\nmax_rejected = 1.0\n\
                       [sources.order_items]\nlocation = \"./raw/lines\"\nformat = \"csv\"\nmax_rejected = 1.0\n";
const LINES: &str = "order_id,product_id,quantity,unit_price\n";

#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip,
    Cut,
    Delete,
}

const HARMS: [Harm; 3] = [Harm::Flip, Harm::Cut, Harm::Delete];

fn harm(shop: &Shop, path: &str, how: Harm) {
    let file = shop.path(path);
    let mut bytes = std::fs::read(&file).expect("there");
    let middle = bytes.len() / 2;
    match how {
        Harm::Flip => bytes[middle] ^= 0x10,
        Harm::Cut => bytes.truncate(middle),
        Harm::Delete => return std::fs::remove_file(file).expect("removed"),
    }
    std::fs::write(file, bytes).expect("written");
}

/// Two months of orders with one that moved, one that is rejected, their lines, and a line whose order is nowhere.
fn shop() -> Shop {
    let shop = shop_of(SOURCES);
    shop.write(
        "raw/orders/1.ndjson",
        order("a", "c1", "2024-01-10", "10") + &version("b", "2024-01-31", "20", "2024-01-31"),
    );
    shop.write(
        "raw/orders/2.ndjson",
        version("b", "2024-02-01", "21", "2024-02-02") + &order("c", "c2", "2024-02-03", "-1"),
    );
    shop.write("raw/lines/1.csv", format!("{LINES}a,p,1,10\nb,p,1,20\nnobody,p,1,9\n"));
    shop
}

/// What the next night finds: something for each month, and for each key that is contested.
fn deliver_news(shop: &Shop) {
    shop.write(
        "raw/orders/3.ndjson",
        version("b", "2024-02-04", "22", "2024-02-05")
            + &order("e", "c1", "2024-01-20", "5")
            + &order("f", "c2", "2024-02-14", "6"),
    );
    shop.write("raw/lines/2.csv", format!("{LINES}e,q,1,5\nf,q,1,6\n"));
}

/// The same shop once more, files and all.
fn again(shop: &Shop) -> Shop {
    let copy = Shop { dir: tempfile::tempdir().expect("a folder"), toml: shop.toml.clone() };
    for folder in ["raw", "sql", "lake", "marts"] {
        for (path, bytes) in tree(&shop.path(folder)) {
            copy.write(&format!("{folder}/{path}"), bytes);
        }
    }
    // A copied file has another time, which is its version here.
    for (path, _) in tree(&shop.path("raw")) {
        let path = format!("raw/{path}");
        let modified = std::fs::metadata(shop.path(&path)).and_then(|meta| meta.modified()).expect("a time");
        std::fs::File::options()
            .write(true)
            .open(copy.path(&path))
            .and_then(|f| f.set_modified(modified))
            .expect("set");
    }
    copy
}

/// The shop after its first night, and what a clean rebuild publishes on the second.
fn two_nights() -> (Shop, BTreeMap<String, Vec<u8>>) {
    let base = shop();
    base.publish("2024-02-13");
    let clean = again(&base);
    std::fs::remove_dir_all(clean.path("lake")).expect("removed");
    std::fs::remove_dir_all(clean.path("marts")).expect("removed");
    deliver_news(&clean);
    clean.publish("2024-02-14");
    let expected = published(&clean);
    (base, expected)
}

/// Which object of the lake this is, whatever its hashes.
fn kind(path: &str) -> String {
    let hash = |part: &&str| part.len() < 32;
    path.split(['/', '.']).filter(hash).collect::<Vec<_>>().join("/")
}

fn newest(shop: &Shop) -> Snapshot {
    block_on(Snapshot::newest(&shop.open().lake)).expect("readable").expect("there")
}

/// Everything that the newest snapshot stands on and that models read is whole.
fn assert_whole(shop: &Shop, told: &str) {
    let snapshot = newest(shop);
    for file in snapshot.files().filter(|f| !f.path.ends_with(".keys") && !f.path.starts_with("rejected/")) {
        let bytes = std::fs::read(shop.path(&format!("lake/{}", file.path))).unwrap_or_default();
        assert_eq!(Digest::of(&bytes), file.digest, "{told}: {}", file.path);
    }
}

fn rebuild(shop: &Shop, as_of: &str) {
    let request = Request { as_of: Some(day(as_of)), rebuild: true, ..Request::default() };
    let interrupt = bazgasht::interrupt::Interrupt::default();
    let around = bazgasht::run::Surroundings { now: &now, interrupt: &interrupt, progress: &bazgasht::report::Silent };
    let outcome = block_on(bazgasht::run::run(&shop.open(), &request, &around));
    assert!(matches!(outcome, Ok(Outcome::Published(..) | Outcome::NothingToDo(_))), "{:?}", outcome.err());
}

#[test]
fn each_object_of_the_lake_may_be_damaged() {
    let (base, expected) = two_nights();
    // In CI one object of each kind, some at once; `just soak` harms each object, in each way, alone.
    let every = std::env::var_os("BAZGASHT_SOAK").is_some();
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Both copies of a snapshot at once are another test's matter.
    for path in tree(&base.path("lake")).into_keys().filter(|path| !path.ends_with(".copy.json")) {
        kinds.entry(kind(&path)).or_default().push(path);
    }
    let objects: Vec<&String> =
        kinds.values().flat_map(|all| all.iter().take(if every { usize::MAX } else { 1 })).collect();
    for (number, together) in objects.chunks(if every { 1 } else { 6 }).enumerate() {
        for round in 0..if every { HARMS.len() } else { 1 } {
            let shop = again(&base);
            let harmed = together.iter().enumerate().map(|(i, path)| (HARMS[(number + round + i) % HARMS.len()], path));
            let harmed: Vec<_> = harmed.inspect(|(how, path)| harm(&shop, &format!("lake/{path}"), *how)).collect();
            deliver_news(&shop);
            match shop.run("2024-02-14") {
                Ok(Outcome::Published(..)) => {}
                Ok(_) => panic!("{harmed:?}: there was something to publish"),
                Err(e) => panic!("{harmed:?}: {e}"),
            }
            assert!(published(&shop) == expected, "{harmed:?}: other bytes");
            if every || number == 1 {
                rebuild(&shop, "2024-02-14");
                assert_whole(&shop, &format!("{harmed:?}"));
                assert!(published(&shop) == expected, "{harmed:?}: other bytes after a rebuild");
            }
        }
    }
    for wanted in [
        "models/stg_orders/2024-01/parquet",
        "homes/orders/parquet",
        "homes/order_items/keys",
        "extracted/orders/2024-01/keys",
    ] {
        assert!(kinds.contains_key(wanted), "{wanted} was among {:?}", kinds.keys());
    }
}

#[test]
fn a_lost_folder_is_made_again() {
    let (base, expected) = two_nights();
    for folder in ["models", "extracted", "homes", "seen"] {
        let shop = again(&base);
        std::fs::remove_dir_all(shop.path(&format!("lake/{folder}"))).expect("removed");
        deliver_news(&shop);
        shop.publish("2024-02-14");
        assert!(published(&shop) == expected, "{folder}");
    }
}

#[test]
fn damage_in_any_piece_of_a_large_file_is_found() {
    let shop = shop_with("");
    let noise = |i: u64| Digest::of(&i.to_le_bytes()).to_string();
    let many: String = (0..24_000).map(|i| order(&noise(i), &noise(i + 1_000_000), "2024-01-10", "1")).collect();
    shop.write("raw/a.ndjson", &many);
    let snapshot = shop.publish("2024-01-31");
    let expected = published(&shop);
    let staged = snapshot.partitions["stg_orders"].values().next().expect("a month").file.clone();
    assert!(staged.size_bytes > 2 * PIECE_BYTES && !staged.sums.is_empty(), "{} bytes", staged.size_bytes);
    let path = shop.path(&format!("lake/{}", staged.path));
    let whole = std::fs::read(&path).expect("there");
    for at in [10, PIECE_BYTES as usize + 10, whole.len() - 10] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let project = shop.open();
        let all = Task {
            label: "all".to_owned(),
            sql: "select * from stg_orders".to_owned(),
            parameters: BTreeMap::new(),
            tables: vec![snapshot.table(project.catalog.get("stg_orders").expect("a model"))],
        };
        let error = block_on(project.engine.collect(&all)).expect_err("noticed");
        assert!(matches!(&error, Error::Damaged(damage) if damage.path == staged.path), "byte {at}: {error}");
    }
    // The ledger is made anew, and so reads what is damaged at its end, where the footer is.
    let ledger = std::fs::read_to_string(shop.path("sql/intermediate/ledger.sql")).expect("a model");
    shop.write("sql/intermediate/ledger.sql", ledger.replace("count(*) as orders", "count(1) as orders"));
    shop.publish("2024-01-31");
    assert!(std::fs::read(&path).expect("there") == whole, "it was mended");
    assert!(published(&shop) == expected);
}

#[test]
fn what_cannot_be_made_again_is_named() {
    let shop = shop_with("on_removed = \"keep\"");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.write("raw/b.ndjson", order("b", "c1", "2024-01-11", "5"));
    shop.publish("2024-01-15");
    let before = published(&shop);
    let snapshot = newest(&shop);
    let object =
        snapshot.sources["orders"].objects.iter().find(|(path, _)| path.ends_with("a.ndjson")).expect("known").1;
    let rows = snapshot.sources["orders"].extracts[&object.extract].rows.values().next().expect("rows");
    harm(&shop, &format!("lake/{}", rows.path), Harm::Flip);
    shop.remove("raw/a.ndjson");
    shop.write("raw/c.ndjson", order("c", "c2", "2024-01-12", "7"));
    let error = shop.run("2024-01-15").err().expect("refused");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("a.ndjson is gone"), "{error}");
    assert!(published(&shop) == before);
    // Brought back, its rows are there again.
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    assert_eq!(shop.mart("customers")[0]["revenue"], "15.0000");
}

#[test]
fn a_snapshot_lives_as_long_as_one_of_its_two_copies() {
    for own in [true, false] {
        for how in HARMS {
            let shop = shop_with("");
            shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
            shop.publish("2024-01-15");
            let path = if own { "lake/snapshots/0000000001.json" } else { "lake/snapshots/0000000001.copy.json" };
            let whole = std::fs::read(shop.path(path)).expect("there");
            harm(&shop, path, how);
            assert!(matches!(shop.run("2024-01-15"), Ok(Outcome::NothingToDo(_))), "{how:?} of {path}");
            let flipped_copy = !own && matches!(how, Harm::Flip);
            assert!(
                flipped_copy || std::fs::read(shop.path(path)).is_ok_and(|found| found == whole),
                "{how:?} of {path}"
            );
            assert_eq!(shop.publish("2024-01-16").number, 2);
        }
    }
}

#[test]
fn a_snapshot_without_a_whole_copy_never_rolls_the_marts_back() {
    let shop = shop_with("on_removed = \"keep\"");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    shop.write("raw/b.ndjson", order("b", "c1", "2024-01-11", "5"));
    shop.publish("2024-01-15");
    shop.remove("raw/b.ndjson");
    let before = tree(&shop.path("marts"));
    let paths = ["lake/snapshots/0000000002.json", "lake/snapshots/0000000002.copy.json"];
    for path in paths {
        harm(&shop, path, Harm::Flip);
    }
    let error = shop.run("2024-01-16").err().expect("refused");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("snapshot 2") && error.to_string().contains("move"), "{error}");
    assert!(before == tree(&shop.path("marts")));
    // What the message says: moved away, the run goes on from the snapshot before.
    paths.iter().for_each(|path| shop.remove(path));
    shop.publish("2024-01-16");
    assert_eq!(shop.mart("customers")[0]["revenue"], "10.0000");
}

#[test]
fn a_rollback_past_a_kept_object_is_no_loss_for_good() {
    let shop = shop_with("on_removed = \"keep\"");
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.publish("2024-01-15");
    shop.write("raw/b.ndjson", order("b", "c1", "2024-01-11", "5"));
    shop.publish("2024-01-15");
    shop.remove("raw/b.ndjson");
    shop.publish("2024-01-15");
    let project = shop.open();
    let [older, newer] = [1, 2].map(|n| block_on(Snapshot::read(&project.lake, n)).expect("a snapshot"));
    let told = block_on(bazgasht::listing::forgotten(&project, &newer, &older)).expect("listed");
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("orders") && told[0].contains("b.ndjson"), "{told:?}");
    block_on(bazgasht::rollback::rollback(&project, 1, now())).expect("rolled back");
    shop.publish("2024-01-15");
    assert_eq!(shop.mart("customers")[0]["revenue"], "10.0000", "b is gone, as was said");
    block_on(bazgasht::rollback::rollback(&project, 2, now())).expect("rolled back");
    shop.publish("2024-01-15");
    assert_eq!(shop.mart("customers")[0]["revenue"], "15.0000", "and the newer snapshot still has it");
}
