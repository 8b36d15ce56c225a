//! A store that fails as real ones do, in front of one that doesn't.
//!
//! Which call fails is a function of the seed and of the call itself (operation, path, how often it came), not of the
//! order in which threads arrive: a seed fails the same way again.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bazgasht::storage::Storage;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What can go wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused; nothing happened.
    Error,
    /// Refused for the moment, as 429 and 503 are.
    Throttle,
    /// It happened, and the answer was lost.
    TimeOut,
    /// The body breaks off with an error.
    Reset,
    /// The body ends early, without one.
    Short,
    /// A bit of the body is wrong.
    Corrupt,
    /// A listing from before the run.
    Stale,
    Slow,
}

pub const ALL: [Fault; 8] = [
    Fault::Error,
    Fault::Throttle,
    Fault::TimeOut,
    Fault::Reset,
    Fault::Short,
    Fault::Corrupt,
    Fault::Stale,
    Fault::Slow,
];

/// When calls fail.
#[derive(Debug, Clone)]
pub enum Script {
    Never,
    /// So many of a thousand calls, with any of these faults.
    Random {
        seed: u64,
        per_mille: u64,
        faults: Vec<Fault>,
    },
    /// The n-th call, from 0, and every one after it: the store is gone.
    From(u64, Fault),
    /// The n-th call, from 0, alone.
    Nth(u64, Fault),
}

/// A store with faults. What lies in it is in `inner`, unharmed but by the calls themselves.
pub struct Faulty {
    name: &'static str,
    inner: Arc<InMemory>,
    script: Script,
    calls: Mutex<(u64, BTreeMap<String, u64>)>,
    /// As it was when the run began.
    earlier: Vec<ObjectMeta>,
    /// What went wrong, in order.
    pub log: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.name)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.name)
    }
}

fn broken(what: &str) -> Error {
    Error::Generic { store: "Faulty", source: what.to_owned().into() }
}

impl Faulty {
    pub fn storage(
        name: &'static str,
        inner: &Arc<InMemory>,
        earlier: Vec<ObjectMeta>,
        script: Script,
        log: &Arc<Mutex<Vec<String>>>,
    ) -> Storage {
        let faulty =
            Self { name, inner: Arc::clone(inner), script, calls: Mutex::default(), earlier, log: Arc::clone(log) };
        Storage::from_store(Arc::new(faulty), name)
    }

    /// What befalls this call.
    fn fault(&self, operation: &str, path: &str, possible: &[Fault]) -> Option<Fault> {
        let call = format!("{operation} {path}");
        let (number, times) = {
            let mut calls = self.calls.lock().expect("no panic before");
            let number = calls.0;
            calls.0 += 1;
            let times = calls.1.entry(call.clone()).or_default();
            *times += 1;
            (number, *times)
        };
        let fault = match &self.script {
            Script::Never => None,
            Script::From(from, fault) => (number >= *from).then_some(*fault),
            Script::Nth(n, fault) => (number == *n).then_some(*fault),
            Script::Random { seed, per_mille, faults } => {
                let mut hasher = DefaultHasher::new();
                (seed, self.name, &call, times).hash(&mut hasher);
                let drawn = hasher.finish();
                let fits: Vec<Fault> = faults.iter().filter(|f| possible.contains(f)).copied().collect();
                (drawn % 1000 < *per_mille && !fits.is_empty())
                    .then(|| fits[usize::try_from(drawn / 1000 % fits.len() as u64).expect("small")])
            }
        };
        let fault = fault.filter(|fault| possible.contains(fault))?;
        self.log.lock().expect("no panic before").push(format!("{}: {fault:?} at call {number}: {call}", self.name));
        Some(fault)
    }

    /// Before a call that either happens or doesn't. `true`: it happens, and fails all the same.
    async fn before(&self, operation: &str, path: &Path) -> Result<bool> {
        match self.fault(operation, path.as_ref(), &[Fault::Error, Fault::Throttle, Fault::TimeOut, Fault::Slow]) {
            Some(Fault::Error) => Err(broken("500 Internal Server Error")),
            Some(Fault::Throttle) => Err(broken("503 Slow Down")),
            Some(Fault::TimeOut) => Ok(true),
            Some(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

/// After a call that happened.
fn answered<T>(lost: bool, answer: Result<T>) -> Result<T> {
    if lost { Err(broken("operation timed out")) } else { answer }
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x04;
    }
    bytes.into()
}

const BODY: [Fault; 7] =
    [Fault::Error, Fault::Throttle, Fault::TimeOut, Fault::Reset, Fault::Short, Fault::Corrupt, Fault::Slow];

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let lost = self.before("put", at).await?;
        answered(lost, self.inner.put_opts(at, payload, options).await)
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let lost = self.before("put", at).await?;
        answered(lost, self.inner.put_multipart_opts(at, options).await)
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let lost = self.before("head", at).await?;
            return answered(lost, self.inner.get_opts(at, options).await);
        }
        let fault = self.fault("get", at.as_ref(), &BODY);
        if let Some(Fault::Error | Fault::Throttle | Fault::TimeOut) = fault {
            return Err(broken("503 Slow Down"));
        }
        let found = self.inner.get_opts(at, options).await?;
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let bytes = found.bytes().await?;
        let half = bytes.slice(..bytes.len() / 2);
        let body = match fault {
            Some(Fault::Reset) => vec![Ok(half), Err(broken("connection reset by peer"))],
            Some(Fault::Short) => vec![Ok(half)],
            Some(Fault::Corrupt) => vec![Ok(flipped(&bytes))],
            _ => vec![Ok(bytes)],
        };
        let payload = GetResultPayload::Stream(futures::stream::iter(body).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fault = self.fault("ranges", at.as_ref(), &BODY);
        if let Some(Fault::Error | Fault::Throttle | Fault::TimeOut | Fault::Reset) = fault {
            return Err(broken("connection reset by peer"));
        }
        let mut found = self.inner.get_ranges(at, ranges).await?;
        if let Some(last) = found.last_mut() {
            match fault {
                Some(Fault::Short) => *last = last.slice(..last.len() / 2),
                Some(Fault::Corrupt) => *last = flipped(last),
                _ => {}
            }
        }
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fault("delete", "", &[Fault::Error, Fault::Throttle]) {
            Some(_) => futures::stream::iter([Err(broken("503 Slow Down"))]).boxed(),
            None => self.inner.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let name = prefix.map(ToString::to_string).unwrap_or_default();
        let possible = [Fault::Error, Fault::Throttle, Fault::Reset, Fault::Stale];
        match self.fault("list", &name, &possible) {
            None => self.inner.list(prefix),
            Some(Fault::Stale) => {
                let under = |path: &Path| prefix.is_none_or(|prefix| path.prefix_matches(prefix));
                let earlier: Vec<_> = self.earlier.iter().filter(|m| under(&m.location)).cloned().map(Ok).collect();
                futures::stream::iter(earlier).boxed()
            }
            Some(Fault::Reset) => {
                let first = self.inner.list(prefix).take(1);
                first.chain(futures::stream::iter([Err(broken("connection reset by peer"))])).boxed()
            }
            Some(_) => futures::stream::iter([Err(broken("503 Slow Down"))]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let lost = self.before("copy", to).await?;
        answered(lost, self.inner.copy_opts(from, to, options).await)
    }
}

/// What a healthy listing says now.
pub async fn listing(store: &InMemory) -> Vec<ObjectMeta> {
    store.list(None).try_collect().await.expect("listed")
}

/// Every object with its bytes.
pub async fn contents(store: &InMemory) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    for meta in listing(store).await {
        let bytes = store.get(&meta.location).await.expect("there").bytes().await.expect("read");
        found.insert(meta.location.to_string(), bytes);
    }
    found
}
