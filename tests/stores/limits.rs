//! Many objects: what a night asks of its stores doesn't grow with what is known already.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bazgasht::run::Outcome;
use bazgasht::storage::Storage;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use crate::s3::{MODELS, order, write_models};
use crate::support::{Shop, run_project};

/// An in-memory store that counts the calls that it gets.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    calls: AtomicUsize,
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
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.called().put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.called().put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.called().get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
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

/// The calls on lake and marts of a night that finds so many objects, all of them known.
fn calls_of_a_quiet_night(objects: usize) -> [usize; 2] {
    let sources = "[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./raw/**/*.ndjson\"\n";
    let shop = Shop::new("timezone = \"Europe/London\"\ncurrency = \"GBP\"", sources);
    write_models(&shop, &MODELS);
    for n in 0..objects {
        let day = format!("2024-{:02}-{:02}", n % 3 + 1, n % 28 + 1);
        shop.write(&format!("raw/{day}/{n}.ndjson"), order(&format!("o{n}"), &format!("c{}", n % 7), &day, 10));
    }
    let stores = [Arc::new(Counting::default()), Arc::new(Counting::default())];
    let storage = |store: &Arc<Counting>| Storage::from_store(Arc::clone(store) as Arc<dyn ObjectStore>, "counting");
    let run = || {
        let outcome = run_project(&shop.open_on(storage(&stores[0]), storage(&stores[1])), "2024-03-31");
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
