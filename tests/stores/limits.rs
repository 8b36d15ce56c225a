//! Many objects: what a night asks of its stores, and what it holds in memory, grows little with what is known already.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bazgasht::compact::Shared;
use bazgasht::lake::{self, Digest, FORMAT, Fingerprint, from_json, to_json};
use bazgasht::run::Outcome;
use bazgasht::snapshot::{ExtractRecord, Homes, ObjectRecord, PartitionId, Snapshot, SourceState};
use bazgasht::storage::Storage;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::laws;
use crate::s3::{MODELS, order, write_models};
use crate::support::{Shop, day, run_project};

/// An in-memory store that counts the calls that it gets, those that read a single object's keys or rows, and those that
/// write what tells of keys in several months.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    calls: AtomicUsize,
    key_files_read: AtomicUsize,
    row_files_read: AtomicUsize,
    homes_written: AtomicUsize,
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

impl Counting {
    fn called(&self) -> &InMemory {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }

    fn read(&self, at: &Path) {
        let at = at.as_ref();
        let count = match () {
            () if at.ends_with(".keys") => &self.key_files_read,
            () if at.starts_with("extracted/") && at.ends_with(".parquet") => &self.row_files_read,
            () => return,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if at.as_ref().starts_with("homes/") {
            self.homes_written.fetch_add(1, Ordering::SeqCst);
        }
        self.called().put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.called().put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if !options.head {
            self.read(at);
        }
        self.called().get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read(at);
        self.called().get_ranges(at, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.called().delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.called().list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.called().list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.called().copy_opts(from, to, options).await
    }
}

/// A night with its lake and its marts on such stores.
fn run_on(shop: &Shop, stores: &[Arc<Counting>; 2]) -> bazgasht::error::Result<Outcome> {
    let [lake, marts] = stores.clone().map(|store| Storage::from_store(store as Arc<dyn ObjectStore>, "counting"));
    run_project(&shop.open_on(lake, marts), "2024-03-31")
}

/// The calls on lake and marts of a night that finds so many objects, all of them known.
fn calls_of_a_quiet_night(objects: usize) -> [usize; 2] {
    let sources = "[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./raw/**/*.ndjson\"\n";
    let shop = Shop::new("timezone = \"Europe/London\"\ncurrency = \"GBP\"", sources);
    write_models(&shop, &MODELS);
    for n in 0..objects {
        let day = format!("2024-{:02}-{:02}", n % 3 + 1, n % 28 + 1);
        shop.write(&format!("raw/{day}/{n}.ndjson"), order(&format!("o{n}"), &format!("c{}", n % 7), &day, 10));
    }
    let stores = <[Arc<Counting>; 2]>::default();
    let run = || {
        let outcome = run_on(&shop, &stores);
        let calls = [&stores[0], &stores[1]].map(|store| store.calls.swap(0, Ordering::SeqCst));
        (outcome.unwrap_or_else(|e| panic!("{e}")), calls)
    };
    assert!(matches!(run().0, Outcome::Published(..)));
    let (outcome, calls) = run();
    assert!(matches!(outcome, Outcome::NothingToDo(_)));
    calls
}

#[test]
fn a_quiet_night_asks_as_much_of_few_objects_as_of_many() {
    let (few, many) = (calls_of_a_quiet_night(6), calls_of_a_quiet_night(60));
    assert_eq!(few, many);
    assert!(few.iter().all(|calls| (1..20).contains(calls)), "{few:?}");
}

/// So many objects of orders, and as many of their lines; then one more of each. How many files of a single object's keys
/// the second night reads.
fn key_files_read_for_news(objects: usize) -> usize {
    let shop = laws::shop_of(
        "[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"ndjson\"\n\
         [sources.order_items]\nlocation = \"./raw/lines\"\nformat = \"csv\"\n",
    );
    let deliver = |n: usize| {
        let (id, day) = (format!("o{n}"), format!("2024-{:02}-{:02}", n % 3 + 1, n % 28 + 1));
        shop.write(&format!("raw/orders/{n}.ndjson"), laws::order(&id, "c1", &day, "10"));
        shop.write(&format!("raw/lines/{n}.csv"), format!("order_id,product_id,quantity,unit_price\n{id},p,1,10\n"));
    };
    (0..objects).for_each(deliver);
    let stores = <[Arc<Counting>; 2]>::default();
    let run = || {
        let outcome = run_on(&shop, &stores);
        assert!(matches!(outcome, Ok(Outcome::Published(..))), "{:?}", outcome.err());
        stores[0].key_files_read.swap(0, Ordering::SeqCst)
    };
    assert!(run() >= 2 * objects, "each is read once, to be merged");
    deliver(objects);
    run()
}

#[test]
fn news_open_no_keys_of_old_objects() {
    // The two new ones' own, to be merged.
    assert_eq!([6, 45].map(key_files_read_for_news), [2, 2]);
}

/// So many orders that moved into the month before by their second version; then an order of the month after. How many
/// objects' rows the second night reads, and how many files on homes it writes.
fn work_on_moved_orders_for_news(moved: usize) -> [usize; 2] {
    let shop = laws::shop_of("[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"ndjson\"\n");
    for n in 0..moved {
        let id = format!("o{n}");
        shop.write(&format!("raw/orders/{n}-first.ndjson"), laws::order(&id, "c1", "2024-02-11", "10"));
        shop.write(&format!("raw/orders/{n}-second.ndjson"), laws::order(&id, "c1", "2024-01-11", "10"));
    }
    let stores = <[Arc<Counting>; 2]>::default();
    let run = || {
        let outcome = run_on(&shop, &stores);
        assert!(matches!(outcome, Ok(Outcome::Published(..))), "{:?}", outcome.err());
        [&stores[0].row_files_read, &stores[0].homes_written].map(|count| count.swap(0, Ordering::SeqCst))
    };
    assert!(run()[0] >= 2 * moved, "each is read once at least");
    shop.write("raw/orders/new.ndjson", laws::order("new", "c1", "2024-03-11", "10"));
    run()
}

#[test]
fn news_read_no_rows_that_moved_before() {
    let few = work_on_moved_orders_for_news(2);
    assert_eq!(few, work_on_moved_orders_for_news(40));
    assert!(few[0] > 0, "the new one's own");
}

/// A snapshot that knows so many objects.
#[cfg(target_os = "linux")]
fn snapshot_of(objects: u32) -> Snapshot {
    let mut state = SourceState::default();
    for n in 0..objects {
        let [key, sighting] = ["key", "sighting"].map(|what| Digest::of(format!("{what} {n}").as_bytes()));
        let month = PartitionId::Month(format!("20{:02}-{:02}", n % 5 + 20, n % 12 + 1).parse().expect("a month"));
        let dir = lake::extract_dir("orders", &key);
        let file =
            |extension: &str| Fingerprint::of(&n.to_le_bytes()).at(format!("{dir}/{month}.{extension}"), u64::from(n));
        let extract = ExtractRecord {
            key: key.clone(),
            read: 1,
            skipped: BTreeMap::new().into(),
            rejected: BTreeMap::from([("negative_amount".to_owned(), 1)]).into(),
            rows: BTreeMap::from([(month, file("parquet"))]).into(),
            keys: BTreeMap::from([(month, file("keys"))]).into(),
            rejects: None,
            absent: Box::new([]),
            broken: None,
            newest_at: Some(crate::support::now()),
            warnings: BTreeMap::new().into(),
        };
        let object = ObjectRecord {
            size_bytes: 100,
            version: format!("{n:x}-660df10011f72-5b").into(),
            sighting,
            extract: key.clone(),
        };
        state.objects.insert(format!("0/2024-01-01/{n:07}.ndjson"), Shared::new(object));
        state.extracts.insert(key, Shared::new(extract));
    }
    Snapshot {
        format: FORMAT,
        number: 1,
        run_id: String::new(),
        as_of: day("2024-01-01"),
        engine: lake::ENGINE.to_owned(),
        sources: BTreeMap::from([("orders".to_owned(), SourceState { homes: Homes::default(), ..state })]),
        partitions: BTreeMap::new(),
        eve: BTreeMap::new(),
        marts: BTreeMap::new(),
        run_log: vec![],
    }
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("readable");
    let kib =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.expect("a size") * 1024
}

#[cfg(target_os = "linux")]
const WEIGHED: u32 = 50_000;

#[test]
#[cfg(target_os = "linux")]
#[ignore = "run by the next one, in a process of its own"]
fn weigh_a_snapshot() {
    let path = std::env::var("BAZGASHT_WEIGHED").expect("set by the next test");
    let before = resident_bytes();
    let snapshot: Snapshot = from_json(&std::fs::read(path).expect("readable")).expect("a snapshot");
    let first = resident_bytes();
    let again = snapshot.sources["orders"].clone();
    let second = resident_bytes();
    assert_eq!(again.objects.len(), WEIGHED as usize);
    let each = |bytes: u64| bytes / u64::from(WEIGHED);
    println!("bytes per object: {} and {}", each(first - before), each(second - first));
    assert!(each(first - before) < 1536, "{} bytes per object", each(first - before));
    assert!(each(second - first) < 256, "{} bytes per object held once more", each(second - first));
}

#[test]
#[cfg(target_os = "linux")]
fn a_known_object_takes_little_memory() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), to_json(&snapshot_of(WEIGHED)).expect("JSON")).expect("written");
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(["--exact", "stores::limits::weigh_a_snapshot", "--ignored", "--nocapture"]);
    let output = command.env("BAZGASHT_WEIGHED", file.path()).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("bytes per object: "), "{told}");
    print!("{told}");
}
