//! Storage as it really fails: whatever befalls a run, it publishes the right bytes or exits with the right code and
//! leaves what was published; and the next run that nothing befalls converges to the same bytes.
//!
//! BAZGASHT_FAULTS says how many random runs (24); `just soak` tries thousands. What is guaranteed:
//!
//! - In the lake, any damage is noticed when it is read, and mended or refused.
//! - Of a raw object, one that ends early or changes while it is read is refused (its size is known). A flipped bit
//!   that leaves it readable can't be told from what the shop wrote: no store keeps a checksum that we could ask for.
//! - A listing that leaves out the newest raw objects is a night without them; one that leaves out known ones is refused.

mod damage;
mod real;
pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bazgasht::contract::SourceName;
use bazgasht::error::Error;
use bazgasht::lake::{Digest, from_json};
use bazgasht::publish::Current;
use bazgasht::run::Outcome;
use bazgasht::snapshot::Snapshot;
use bazgasht::storage::Storage;
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use self::store::{ALL, Fault, Faulty, Script, contents, listing};
use crate::laws::{order, shop_with, version};
use crate::support::{Shop, block_on, run_project};

type Files = BTreeMap<String, Bytes>;

const FIRST_NIGHT: &str = "2024-02-14";
const SECOND_NIGHT: &str = "2024-02-15";

/// The three stores of a project after its first night, with news for the second.
struct World {
    shop: Shop,
    raw: InMemory,
    lake: InMemory,
    marts: InMemory,
    /// As it was listed before the news came.
    raw_before: Vec<ObjectMeta>,
    /// What the second night must publish, with the news and without.
    expected: [Files; 2],
}

/// The stores that one run works on, copies of a world's.
struct Stores {
    raw: Arc<InMemory>,
    lake: Arc<InMemory>,
    marts: Arc<InMemory>,
}

impl World {
    fn new() -> Self {
        let shop = shop_with("");
        let (raw, lake, marts) = (InMemory::new(), InMemory::new(), InMemory::new());
        put(
            &raw,
            "2024-01.ndjson",
            order("a", "c1", "2024-01-10", "10") + &version("b", "2024-01-31", "20", "2024-01-31"),
        );
        put(&raw, "2024-02.ndjson", order("c", "c1", "2024-02-10", "30"));
        let world = Self { shop, raw, lake, marts, raw_before: vec![], expected: [Files::new(), Files::new()] };
        let first = world.stores();
        first.run(&world.shop, FIRST_NIGHT).expect("the first night");
        let raw_before = block_on(listing(&first.raw));
        let without_news = first.fork();
        without_news.run(&world.shop, SECOND_NIGHT).expect("a night without news");
        put(
            &first.raw,
            "late.ndjson",
            version("b", "2024-02-01", "25", "2024-02-02") + &order("d", "c2", "2024-02-15", "5"),
        );
        // A clean rebuild of all of it.
        let clean = Stores { raw: Arc::new(first.raw.fork()), lake: Arc::default(), marts: Arc::default() };
        clean.run(&world.shop, SECOND_NIGHT).expect("a clean rebuild");
        let expected = [clean.published(), without_news.published()];
        let Stores { raw, lake, marts } = first.fork();
        let own = |store: Arc<InMemory>| Arc::into_inner(store).expect("nobody else has it");
        Self { raw: own(raw), lake: own(lake), marts: own(marts), raw_before, expected, ..world }
    }

    fn stores(&self) -> Stores {
        let fork = |store: &InMemory| Arc::new(store.fork());
        Stores { raw: fork(&self.raw), lake: fork(&self.lake), marts: fork(&self.marts) }
    }

    /// One night with faults and one without. `may_miss_news`: a stale listing of the raw store is no fault of ours.
    fn survives(&self, scripts: [Script; 3], about: &str) -> bool {
        let stores = self.stores();
        let log = Arc::new(Mutex::new(Vec::new()));
        let [raw, lake, marts] = scripts;
        let [lake_before, marts_before] = [block_on(listing(&stores.lake)), block_on(listing(&stores.marts))];
        let faulty = [
            Faulty::storage("raw", &stores.raw, self.raw_before.clone(), raw, &log),
            Faulty::storage("lake", &stores.lake, lake_before, lake, &log),
            Faulty::storage("marts", &stores.marts, marts_before, marts, &log),
        ];
        let outcome = run_on(&self.shop, faulty, SECOND_NIGHT);
        let log = log.lock().expect("no panic before").join("\n  ");
        let told = format!("{about}\n  {log}\n");
        let published = match &outcome {
            Ok(_) => {
                let published = stores.published();
                let blind = log.contains("raw: Stale");
                let right = published == self.expected[0] || (blind && published == self.expected[1]);
                assert!(right, "{told}wrong bytes were published: {:?}", differing(&published, &self.expected[0]));
                true
            }
            Err(e) => {
                assert_eq!(e.exit_code(), 3, "{told}{e}");
                false
            }
        };
        stores.assert_current(&told);
        stores.run(&self.shop, SECOND_NIGHT).unwrap_or_else(|e| panic!("{told}then, with nothing in its way: {e}"));
        let healed = stores.published();
        assert!(healed == self.expected[0], "{told}other bytes: {:?}", differing(&healed, &self.expected[0]));
        stores.assert_current(&told);
        published
    }
}

impl Stores {
    fn fork(&self) -> Self {
        let fork = |store: &InMemory| Arc::new(store.fork());
        Self { raw: fork(&self.raw), lake: fork(&self.lake), marts: fork(&self.marts) }
    }

    /// A run that nothing befalls.
    fn run(&self, shop: &Shop, as_of: &str) -> Result<Outcome, Error> {
        let healthy = [("raw", &self.raw), ("lake", &self.lake), ("marts", &self.marts)]
            .map(|(name, store)| Storage::from_store(Arc::clone(store) as Arc<dyn ObjectStore>, name));
        run_on(shop, healthy, as_of)
    }

    /// The stable paths but for the run log, which tells of the runs themselves.
    fn published(&self) -> Files {
        let mut files = block_on(contents(&self.marts));
        files.retain(|path, _| path.starts_with("current/") && !path.ends_with("run_log.parquet"));
        files
    }

    /// What `current.json` names is there, whole, and all of one committed run.
    fn assert_current(&self, told: &str) {
        let marts = block_on(contents(&self.marts));
        let current: Current = from_json(&marts["current.json"]).unwrap_or_else(|e| panic!("{told}current.json: {e}"));
        let lake = Storage::from_store(Arc::clone(&self.lake) as Arc<dyn ObjectStore>, "lake");
        let snapshot = block_on(Snapshot::read(&lake, current.snapshot)).unwrap_or_else(|e| panic!("{told}{e}"));
        assert_eq!(snapshot.run_id, current.run_id, "{told}");
        assert_eq!(snapshot.marts.len(), current.marts.len(), "{told}");
        for (name, mart) in &current.marts {
            assert_eq!(mart.files.len(), snapshot.marts[name].files.len(), "{told}{name}");
            for (file, known) in mart.files.iter().zip(&snapshot.marts[name].files) {
                assert_eq!((&file.path, &file.digest), (&known.path, &known.digest), "{told}");
                let bytes = marts.get(&file.path).unwrap_or_else(|| panic!("{told}{} is gone", file.path));
                assert_eq!(Digest::of(bytes), file.digest, "{told}{}", file.path);
            }
        }
    }
}

fn run_on(shop: &Shop, [raw, lake, marts]: [Storage; 3], as_of: &str) -> Result<Outcome, Error> {
    let mut project = shop.open_on(lake, marts);
    project.sources.get_mut(&SourceName::Orders).expect("orders").stores = vec![raw];
    run_project(&project, as_of)
}

fn put(store: &InMemory, path: &str, content: String) {
    block_on(store.put(&Path::from(path), content.into())).expect("put");
}

fn differing(found: &Files, expected: &Files) -> Vec<String> {
    let paths = found.keys().chain(expected.keys());
    let mut paths: Vec<String> = paths.filter(|path| found.get(*path) != expected.get(*path)).cloned().collect();
    paths.dedup();
    paths
}

fn runs() -> u64 {
    std::env::var("BAZGASHT_FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

/// Of a raw object nothing but its size is known: see the guarantees above.
fn but_corrupt(faults: &[Fault]) -> Vec<Fault> {
    faults.iter().filter(|fault| **fault != Fault::Corrupt).copied().collect()
}

#[test]
fn whatever_fails_at_random_nothing_wrong_is_published() {
    let world = World::new();
    let first = std::env::var("BAZGASHT_FAULT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut published = 0;
    for seed in first..first + runs() {
        // From a rare hiccup to a store that is hardly there.
        let per_mille = [5, 20, 60, 200][usize::try_from(seed % 4).expect("small")];
        let random = |faults: Vec<Fault>| Script::Random { seed, per_mille, faults };
        let scripts = [random(but_corrupt(&ALL)), random(ALL.to_vec()), random(ALL.to_vec())];
        published += u64::from(world.survives(scripts, &format!("BAZGASHT_FAULT_SEED={seed}")));
    }
    assert!(published > 0, "some of {} runs get through", runs());
    assert!(published < runs(), "some of {} runs fail", runs());
}

#[test]
fn whatever_one_call_meets_nothing_wrong_is_published() {
    let world = World::new();
    let calls = runs().div_ceil(24);
    for (at, fault) in (0..).zip(ALL) {
        for store in 0..3 {
            for step in 0..calls {
                // Spread over the calls of a run, elsewhere for each fault and store.
                let n = (step * 17 + at * 5 + store as u64 * 3) % 90;
                let mut scripts = [Script::Never, Script::Never, Script::Never];
                if store == 0 && fault == Fault::Corrupt {
                    continue;
                }
                scripts[store] = Script::Nth(n, fault);
                world.survives(scripts, &format!("{fault:?} at call {n} of store {store}"));
            }
        }
    }
}

#[test]
fn a_store_that_goes_away_in_the_middle_is_survived() {
    let world = World::new();
    let step = if std::env::var_os("BAZGASHT_SOAK").is_some() { 1 } else { 25 };
    for store in 0..3 {
        for n in (0..100).step_by(step) {
            let mut scripts = [Script::Never, Script::Never, Script::Never];
            scripts[store] = Script::From(n, Fault::Error);
            world.survives(scripts, &format!("store {store} is gone from call {n} on"));
        }
    }
}

#[test]
fn a_flipped_bit_in_a_raw_object_is_a_row_or_a_reject_but_never_a_crash() {
    let world = World::new();
    let corrupt = Script::From(0, Fault::Corrupt);
    let stores = world.stores();
    let raw = Faulty::storage("raw", &stores.raw, vec![], corrupt, &Arc::default());
    let [lake, marts] = [("lake", &stores.lake), ("marts", &stores.marts)]
        .map(|(name, store)| Storage::from_store(Arc::clone(store) as Arc<dyn ObjectStore>, name));
    if let Err(e) = run_on(&world.shop, [raw, lake, marts], SECOND_NIGHT) {
        assert!([1, 3].contains(&e.exit_code()), "{e}");
    }
    stores.assert_current("");
}
