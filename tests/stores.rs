//! One list of laws, kept by every store: what the pipeline relies on, wherever its logs, lake and marts are.
//!
//! In memory and in local folders; SeaweedFS for S3 and Azurite for Azure, the real programs where they are installed; a small
//! stand-in for Google Cloud Storage. And web servers, which are only read.

mod azurite;
mod gcs;
mod http;
mod limits;
mod web;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bazgasht::config::{DEFAULT_RETRY_FOR, StoreRoot};
use bazgasht::error::{Error, Result};
use bazgasht::run::Outcome;
use bazgasht::storage::Storage;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

use crate::s3::server::{BUCKET, shared};
use crate::s3::{MODELS, order, write_models};
use crate::support::{Shop, block_on, published, tree};

/// Names that people and programs give; each is a key as it stands.
const ODD_NAMES: [&str; 8] = [
    "سفارش\u{200c}های دی/۱ بهمن.ndjson",
    "dt=2024-01-01/part 0.csv",
    "a+b.csv",
    "100%.csv",
    "a%20b.csv",
    "a&b;c=d,e.csv",
    "it's (1) [2] {3}!~.csv",
    "q?r#s.csv",
];

/// Opens a prefix of a store.
type Open<'a> = &'a dyn Fn(&str) -> Storage;

/// How many objects it takes for a second page of a listing, and then some.
const MORE_THAN_A_PAGE: usize = 1_100;

fn keeps_the_laws(open: Open<'_>, many: usize) {
    let kept = async {
        one_creator_wins(&open("create")).await?;
        put_replaces_the_whole(&open("replace")).await?;
        what_is_missing_is_no_error(&open("missing")).await?;
        listings_are_complete_and_in_order(&open("many"), many).await?;
        odd_names_survive(&open("odd names/۱")).await?;
        large_files_go_up_and_come_down_whole(&open("large")).await?;
        copies_replace_what_is_there(&open("copy")).await?;
        deleting_takes_one_object(&open("delete")).await?;
        a_pinned_read_is_of_that_version(&open("pinned")).await?;
        ranges_are_exact(&open("ranges")).await?;
        a_version_has_one_name(&open("versions")).await
    };
    block_on(kept).unwrap_or_else(|e: Error| panic!("{e}"));
}

async fn one_creator_wins(store: &Storage) -> Result<()> {
    let path = "snapshots/0000000001.json";
    let tries = (0..16).map(|n| store.create(path, Bytes::from(format!("{n}"))));
    let created = futures::future::try_join_all(tries).await?;
    let winners: Vec<usize> = (0..created.len()).filter(|&n| created[n]).collect();
    assert_eq!(winners.len(), 1, "{created:?}");
    assert_eq!(store.require(path).await?, winners[0].to_string());
    assert!(!store.create(path, Bytes::from_static(b"late")).await?);
    Ok(())
}

async fn put_replaces_the_whole(store: &Storage) -> Result<()> {
    let first = store.put("a/b.txt", "something long").await?;
    let second = store.put("a/b.txt", "short").await?;
    assert_eq!(store.require("a/b.txt").await?, "short");
    assert!(first.is_some() && first != second, "{first:?} {second:?}");
    store.put("a/empty", "").await?;
    assert_eq!(store.require("a/empty").await?, "");
    Ok(())
}

async fn what_is_missing_is_no_error(store: &Storage) -> Result<()> {
    assert!(store.get("no/such").await?.is_none() && store.head("no/such").await?.is_none());
    assert!(store.list("no").await?.is_empty());
    store.delete("no/such").await?;
    let absent = store.require("no/such").await;
    assert!(matches!(&absent, Err(e @ Error::World { .. }) if e.to_string().contains("no/such: no such object")));
    Ok(())
}

async fn listings_are_complete_and_in_order(store: &Storage, many: usize) -> Result<()> {
    let name = |n: usize| match n % 3 {
        0 => format!("months/{n:05}/part.json"),
        1 => format!("months/{n:05}.json"),
        _ => format!("months/ماه {n:05}"),
    };
    stream::iter(0..many).map(|n| store.put_owned(name(n))).buffer_unordered(16).try_collect::<Vec<_>>().await?;
    // Beside the prefix, not under it.
    store.put("months-of-old", "x").await?;
    store.put("monthsy/x", "x").await?;
    let mut expected: Vec<String> = (0..many).map(name).collect();
    expected.sort();
    let listed = store.list("months").await?;
    let paths: Vec<String> = listed.iter().map(|meta| meta.location.to_string()).collect();
    assert!(paths == expected, "{} of {} are listed, or in another order", paths.len(), expected.len());
    assert!(listed.iter().all(|meta| meta.size == 1));
    assert_eq!(store.list("").await?.len(), many + 2);
    let level = store.list_level().await?;
    assert_eq!(level.iter().map(|meta| meta.location.as_ref()).collect::<Vec<_>>(), ["months-of-old"]);
    Ok(())
}

async fn odd_names_survive(store: &Storage) -> Result<()> {
    for name in ODD_NAMES {
        store.put(name, name).await?;
    }
    for name in ODD_NAMES {
        assert_eq!(store.require(name).await?, name);
        assert_eq!(store.head(name).await?.map(|meta| meta.location.to_string()).as_deref(), Some(name));
        store.copy(name, &format!("copies/{name}")).await?;
        assert_eq!(store.require(&format!("copies/{name}")).await?, name);
        store.delete(&format!("copies/{name}")).await?;
    }
    let mut expected = ODD_NAMES;
    expected.sort_unstable();
    let listed = store.list("").await?;
    assert_eq!(listed.iter().map(|meta| meta.location.as_ref()).collect::<Vec<_>>(), expected);
    Ok(())
}

/// In parts, and by ranges: larger than one of either.
async fn large_files_go_up_and_come_down_whole(store: &Storage) -> Result<()> {
    let bytes: Vec<u8> = (0..36_000_003_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), &bytes)?;
    store.put("parts.bin", "what was there before").await?;
    store.put_file("parts.bin", file.path()).await?;
    let meta = store.head("parts.bin").await?.expect("it is there");
    assert_eq!(meta.size, bytes.len() as u64);
    let mut back = Vec::new();
    let mut chunks = store.read_pinned(&meta).await?;
    while let Some(chunk) = chunks.try_next().await? {
        back.extend_from_slice(&chunk);
    }
    assert!(back == bytes);
    let fetched = store.fetch("parts.bin", tempfile::tempfile()?).await?;
    assert_eq!(fetched.metadata()?.len(), bytes.len() as u64);
    Ok(())
}

async fn copies_replace_what_is_there(store: &Storage) -> Result<()> {
    store.put("from", "first").await?;
    store.copy("from", "to/x").await?;
    store.put("from", "second").await?;
    store.copy("from", "to/x").await?;
    assert_eq!(store.require("to/x").await?, "second");
    assert_eq!(store.require("from").await?, "second");
    assert!(store.copy("nothing", "to/x").await.is_err());
    assert_eq!(store.require("to/x").await?, "second");
    Ok(())
}

async fn deleting_takes_one_object(store: &Storage) -> Result<()> {
    for path in ["a", "a.b", "a-b/c", "ab"] {
        store.put(path, "x").await?;
    }
    store.delete("a").await?;
    store.delete("a").await?;
    let left = store.list("").await?;
    assert_eq!(left.iter().map(|meta| meta.location.as_ref()).collect::<Vec<_>>(), ["a-b/c", "a.b", "ab"]);
    Ok(())
}

async fn a_pinned_read_is_of_that_version(store: &Storage) -> Result<()> {
    let read = async |meta: &object_store::ObjectMeta| -> Result<Vec<Bytes>> {
        Ok(store.read_pinned(meta).await?.try_collect().await?)
    };
    store.put("x.csv", "one").await?;
    let listed = store.list("").await?;
    assert_eq!(read(&listed[0]).await?.concat(), b"one");
    store.put("x.csv", "two").await?;
    let error = read(&listed[0]).await.expect_err("replaced");
    assert!(matches!(error, Error::World { .. }) && error.to_string().contains("replaced"), "{error}");
    store.delete("x.csv").await?;
    assert!(read(&listed[0]).await.is_err());
    Ok(())
}

async fn ranges_are_exact(store: &Storage) -> Result<()> {
    store.put("digits", "0123456789").await?;
    for (range, expected) in [(0..1, "0"), (2..6, "2345"), (9..10, "9"), (0..10, "0123456789")] {
        assert_eq!(store.get_range("digits", range).await?, expected);
    }
    Ok(())
}

/// Whoever tells it: the listing, the look-up, the writing.
async fn a_version_has_one_name(store: &Storage) -> Result<()> {
    let put = store.put("x", "one").await?;
    let head = store.head("x").await?.and_then(|meta| meta.e_tag);
    let listed = store.list("").await?.remove(0).e_tag;
    assert!(put.is_some() && put == head && head == listed, "{put:?} {head:?} {listed:?}");
    Ok(())
}

/// What the laws need of a store beside what it has.
trait PutOwned {
    async fn put_owned(&self, path: String) -> Result<()>;
}

impl PutOwned for Storage {
    async fn put_owned(&self, path: String) -> Result<()> {
        self.put(&path, "x").await.map(|_| ())
    }
}

/// A prefix of a remote store, as a project opens it.
fn remote(base: &str, options: &BTreeMap<String, String>, prefix: &str) -> Storage {
    let Ok(StoreRoot::Remote(root)) = StoreRoot::parse(&format!("{base}/{prefix}"), std::path::Path::new("/")) else {
        panic!("{base} is not remote")
    };
    Storage::open_remote(&root, options, DEFAULT_RETRY_FOR).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn memory_keeps_the_laws() {
    let memory = Arc::new(InMemory::new());
    let open = |prefix: &str| {
        let prefix = Path::parse(prefix).expect("a prefix");
        Storage::from_store(Arc::new(PrefixStore::new(Arc::clone(&memory), prefix)), "memory")
    };
    keeps_the_laws(&open, MORE_THAN_A_PAGE);
}

#[test]
fn local_folders_keep_the_laws() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = |prefix: &str| Storage::create_local(&dir.path().join(prefix)).unwrap_or_else(|e| panic!("{e}"));
    keeps_the_laws(&open, MORE_THAN_A_PAGE);
}

#[test]
fn s3_keeps_the_laws() {
    let Some(server) = shared() else { return };
    keeps_the_laws(&|prefix| server.storage(&format!("laws/{prefix}")), MORE_THAN_A_PAGE);
}

#[test]
fn azure_keeps_the_laws() {
    let Some(server) = azurite::shared() else { return };
    let (base, options) = (format!("az://{}", azurite::CONTAINER), server.options());
    // Its pages are of five thousand.
    keeps_the_laws(&|prefix| remote(&base, &options, &format!("laws/{prefix}")), 5_100);
}

#[test]
fn google_cloud_storage_keeps_the_laws() {
    let options = gcs::start();
    keeps_the_laws(&|prefix| remote(&format!("gs://{}", gcs::BUCKET), &options, prefix), MORE_THAN_A_PAGE);
}

/// Logs in Azure, the lake in S3, marts at Google's: three stores in one project.
#[test]
fn logs_lake_and_marts_lie_in_three_stores() {
    let (Some(s3), Some(azure)) = (shared(), azurite::shared()) else { return };
    let logs = remote(&format!("az://{}", azurite::CONTAINER), &azure.options(), "three/raw");
    let google = gcs::start();
    let sources = |location: &str| {
        format!("[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"{location}\"\nformat = \"ndjson\"\n")
    };
    let project = "timezone = \"Europe/London\"\ncurrency = \"GBP\"";
    let local = Shop::new(project, &sources("./raw"));
    let mut spread = Shop::new(project, &sources(&format!("az://{}/three/raw", azurite::CONTAINER)));
    spread.toml = spread.toml.replace("./lake", &format!("s3://{BUCKET}/three/lake"));
    spread.toml = spread.toml.replace("./marts", &format!("gs://{}/three/marts", gcs::BUCKET));
    spread.toml.push_str(&table("sources.orders.options", &azure.options()));
    spread.toml.push_str(&table("storage.options", &s3.options().into_iter().chain(google.clone()).collect()));
    for shop in [&local, &spread] {
        write_models(shop, &MODELS);
    }
    let write = |path: &str, content: &str| {
        local.write(&format!("raw/{path}"), content);
        block_on(logs.put(path, content.to_owned())).unwrap_or_else(|e| panic!("{e}"));
    };
    let publish = || {
        for shop in [&local, &spread] {
            shop.publish("2024-02-15");
        }
    };
    let same = || {
        let marts = remote(&format!("gs://{}", gcs::BUCKET), &google, "three/marts/current");
        let mut found = block_on(objects(&marts)).unwrap_or_else(|e| panic!("{e}"));
        found.remove("run_log.parquet");
        assert!(!found.is_empty() && found == published(&local), "other bytes than in a folder");
    };
    write("2024-01.ndjson", &(order("a", "c1", "2024-01-10", 10) + &order("b", "c2", "2024-01-31", 20)));
    write("2024-02.ndjson", &order("c", "c1", "2024-02-10", 30));
    publish();
    same();
    let again = spread.run("2024-02-15");
    assert!(matches!(again, Ok(Outcome::NothingToDo(_))), "{:?}", again.err());
    // Over what is published.
    write("late.ndjson", &order("d", "c3", "2024-01-20", 5));
    publish();
    same();
    assert!(tree(&spread.path("lake")).is_empty() && tree(&spread.path("marts")).is_empty());
}

fn table(name: &str, options: &BTreeMap<String, String>) -> String {
    let mut text = format!("\n[{name}]\n");
    for (key, value) in options {
        writeln!(text, "{key} = '{value}'").expect("a text grows");
    }
    text
}

async fn objects(store: &Storage) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for meta in store.list("").await? {
        let path = meta.location.to_string();
        found.insert(path.clone(), store.require(&path).await?.to_vec());
    }
    Ok(found)
}

/// Each store's own word for it, in ours, and who must act.
#[test]
fn errors_of_stores_are_told_in_our_words() {
    let Some(azure) = azurite::shared() else { return };
    let said = |base: &str, options: &BTreeMap<String, String>| {
        let error = block_on(remote(base, options, "raw").list("")).expect_err("no such store");
        assert_eq!(error.exit_code(), 3, "{error}");
        error.to_string()
    };
    let mut wrong_key = azure.options();
    wrong_key.insert("azure_storage_account_key".to_owned(), "c3dvcmRmaXNo".to_owned());
    let text = said(&format!("az://{}", azurite::CONTAINER), &wrong_key);
    assert!(text.contains("(403") && text.contains("\n  hint: ") && !text.contains("c3dvcmRmaXNo"), "{text}");
    let text = said("az://no-such-container", &azure.options());
    assert!(text.contains("ContainerNotFound: ") && text.contains("hint: create the bucket or container"), "{text}");
    let text = said("gs://no-such-bucket", &gcs::start());
    assert!(text.contains("NoSuchBucket: The specified bucket does not exist (404"), "{text}");
    let root = StoreRoot::parse("az://logs/raw", std::path::Path::new("/")).expect("a root");
    let StoreRoot::Remote(root) = root else { panic!("{root} is remote") };
    let error = Storage::open_remote(&root, &BTreeMap::new(), Duration::from_secs(1)).expect_err("no account");
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains("Account must be specified"), "{error}");
}
