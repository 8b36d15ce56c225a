//! Death at every write: a store that stops working after so many of them, as seen from a machine that lost power.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bazgasht::storage::Storage;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::{published, three_months};
use crate::support::{block_on, run_project};

/// An in-memory store in which all writes fail after the first few.
#[derive(Debug)]
struct Mortal {
    inner: Arc<InMemory>,
    writes_left: AtomicI64,
}

impl fmt::Display for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mortal")
    }
}

impl Mortal {
    fn storage(inner: &Arc<InMemory>, writes: i64) -> Storage {
        let store = Self { inner: Arc::clone(inner), writes_left: AtomicI64::new(writes) };
        Storage::from_store(Arc::new(store), "mortal")
    }

    fn write(&self) -> Result<()> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        Err(object_store::Error::Generic { store: "Mortal", source: "the machine died".into() })
    }
}

#[async_trait]
impl ObjectStore for Mortal {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.write()?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.write()?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.write()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// Every object under a prefix of an in-memory store, with its bytes.
fn contents(store: &Arc<InMemory>, prefix: &str) -> Vec<(String, Bytes)> {
    let storage = Storage::from_store(Arc::clone(store) as Arc<dyn ObjectStore>, "memory");
    block_on(async {
        let mut found = Vec::new();
        for meta in storage.list(prefix).await.expect("listed") {
            let path = meta.location.to_string();
            if !path.ends_with("run_log.parquet") {
                let bytes = storage.require(&path).await.expect("read");
                found.push((path, bytes));
            }
        }
        found
    })
}

const FOREVER: i64 = i64::MAX;

/// Runs with stores that die after so many writes, then again with healthy ones, and compares with a run that
/// nothing befell. Returns whether the first run got to its end.
fn survives(lake_writes: i64, mart_writes: i64) -> bool {
    let shop = three_months();
    let (lake, marts) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    let first = {
        let project = shop.open_on(Mortal::storage(&lake, lake_writes), Mortal::storage(&marts, mart_writes));
        run_project(&project, "2024-03-15").is_ok()
    };
    let project = shop.open_on(Mortal::storage(&lake, FOREVER), Mortal::storage(&marts, FOREVER));
    run_project(&project, "2024-03-15").unwrap_or_else(|e| panic!("after {lake_writes}/{mart_writes} writes: {e}"));
    let healed = contents(&marts, "current");
    shop.publish("2024-03-15");
    let clean = published(&shop);
    assert_eq!(healed.len(), clean.len());
    for (path, bytes) in healed {
        let name = path.trim_start_matches("current/");
        assert!(
            clean.get(name).is_some_and(|b| b == &bytes),
            "{path} differs after {lake_writes}/{mart_writes} writes"
        );
    }
    first
}

#[test]
fn death_before_any_write_to_the_marts_is_healed() {
    let mut writes = 0;
    while !survives(FOREVER, writes) {
        writes += 1;
    }
    assert!(writes > 5, "it died at each of several writes");
}

#[test]
fn death_before_any_write_to_the_lake_is_survived() {
    let step = if std::env::var_os("BAZGASHT_SOAK").is_some() { 1 } else { 4 };
    let mut writes = 0;
    while !survives(writes, FOREVER) {
        writes += step;
    }
    assert!(writes > 20, "it died at many writes");
}
