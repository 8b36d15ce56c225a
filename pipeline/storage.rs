//! Object stores, each rooted at one location: a local folder or a prefix in some store.
//!
//! Everything past this module speaks in paths relative to such a root.

mod remote;
mod retries;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use futures::{TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyMode, CopyOptions, Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, WriteMultipart,
};
use tokio::io::AsyncReadExt;

use crate::config::{Remote, StoreKind};
use crate::error::{Error, Result, in_words};

pub use retries::Retries;

/// Files up to this size go up in one PUT; larger ones in parts of this size, which bounds the memory.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Larger objects of remote stores are read in ranges of this size, each a request of its own: a client's time-out
/// and a store's retry budget are for one request, and a whole large object would outlast both.
const RANGE_BYTES: u64 = 32 * 1024 * 1024;

/// One store, rooted. Cloning is cheap.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    location: String,
    local: Option<PathBuf>,
    kind: Option<StoreKind>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({})", self.location)
    }
}

impl Storage {
    /// A local folder, made if it isn't there.
    pub fn create_local(dir: &FsPath) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| Error::world(format!("cannot create {}", dir.display()), e))?;
        Self::open_local(dir)
    }

    /// A local folder that must exist.
    pub fn open_local(dir: &FsPath) -> Result<Self> {
        let dir = dir.canonicalize().map_err(|e| Error::world(format!("cannot open {}", dir.display()), e))?;
        let store = LocalFileSystem::new_with_prefix(&dir)
            .map_err(|e| Error::world(format!("cannot open {}", dir.display()), e))?;
        Ok(Self { store: Arc::new(store), location: dir.display().to_string(), local: Some(dir), kind: None })
    }

    /// A prefix in a store. Options are object_store's own keys, of which each store takes those that are its own;
    /// the environment's variables for that kind of store (`AWS_…`, `AZURE_…`, `GOOGLE_…`) stand behind them. A call
    /// that fails for no lasting reason is tried again for `retry_for`.
    ///
    /// # Errors
    /// [`Error::Config`] where the options don't make a store. Nothing is asked of it yet.
    pub fn open_remote(remote: &Remote, options: &BTreeMap<String, String>, retry_for: Duration) -> Result<Self> {
        let location = remote.to_string();
        let cannot = |e: StoreError| Error::config(format!("cannot open {location}: {}", in_words(&e)));
        let store = remote::open(remote, options, retry_for).map_err(cannot)?;
        let store = Arc::new(PrefixStore::new(store, key(&remote.prefix)?));
        Ok(Self { store, location, local: None, kind: Some(remote.kind) })
    }

    /// Any store at all, for tests that count, delay or break its calls.
    pub fn from_store(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self { store, location: location.to_owned(), local: None, kind: None }
    }

    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Where this is, for messages.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The local folder behind it, if it is one.
    pub fn local_dir(&self) -> Option<&FsPath> {
        self.local.as_deref()
    }

    /// Whether what lies under a prefix can be asked for; a web server knows only objects that are named.
    pub fn lists(&self) -> bool {
        self.kind != Some(StoreKind::Web)
    }

    fn fail(&self, verb: &str, path: &str, error: &StoreError) -> Error {
        self.cannot(verb, path, in_words(error))
    }

    fn cannot(&self, verb: &str, path: &str, cause: impl fmt::Display) -> Error {
        Error::world(format!("cannot {verb} {}/{path}", self.location.trim_end_matches('/')), cause)
    }

    /// The object's bytes, or `None` if there is no such object.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        match whole::get(self.store.as_ref(), &key(path)?).await {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("read", path, &e)),
        }
    }

    /// Stretches of the object's bytes, as many as the object has of each; `None` if there is no such object.
    pub async fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Option<Vec<Bytes>>> {
        match self.store.get_ranges(&key(path)?, ranges).await {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("read", path, &e)),
        }
    }

    /// The object's bytes; its absence is an error.
    pub async fn require(&self, path: &str) -> Result<Bytes> {
        self.get(path).await?.ok_or_else(|| self.cannot("read", path, "no such object"))
    }

    /// Copies an object into a local file, a chunk at a time.
    pub async fn fetch(&self, path: &str, file: std::fs::File) -> Result<std::fs::File> {
        let meta = self.head(path).await?.ok_or_else(|| self.cannot("read", path, "no such object"))?;
        let mut chunks = self.read_pinned(&meta).await?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(chunk) = chunks.try_next().await.map_err(|e| self.cannot("read", path, e))? {
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk).await?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await?;
        Ok(file.into_std().await)
    }

    /// Reads one version of an object: if it was replaced since it was listed, that is an error, at once or on the
    /// way. Errors on the way come in our words.
    pub async fn read_pinned(&self, meta: &ObjectMeta) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        let strong = meta.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        if self.kind.is_some() && self.lists() && strong.is_some() && meta.size > RANGE_BYTES {
            return Ok(in_ranges(Arc::clone(&self.store), meta.clone(), strong));
        }
        let options = GetOptions { if_match: strong, ..GetOptions::default() };
        let path = meta.location.as_ref();
        let opened = self.store.get_opts(&meta.location, options).await.map_err(|e| self.fail("read", path, &e))?;
        // Where a condition can't be sent with the request, what comes back tells.
        let is_other = opened.meta.size != meta.size
            || opened.meta.e_tag.is_some() && meta.e_tag.is_some() && opened.meta.e_tag != meta.e_tag
            || meta.e_tag.is_none() && opened.meta.last_modified != meta.last_modified;
        if is_other {
            return Err(self.cannot("read", path, REPLACED));
        }
        Ok(opened.into_stream().map_err(|e| io::Error::other(in_words(&e))).boxed())
    }

    /// A part of an object.
    pub async fn get_range(&self, path: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.store.get_range(&key(path)?, range).await.map_err(|e| self.fail("read", path, &e))
    }

    pub async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let location = key(path)?;
        match self.store.head(&location).await {
            // object_store 0.13 forgets here what the path is relative to.
            Ok(meta) => Ok(Some(ObjectMeta { location, ..meta })),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("look up", path, &e)),
        }
    }

    /// Replaces the object, whole. Returns its ETag, where the store has such.
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<Option<String>> {
        let payload = PutPayload::from_bytes(bytes.into());
        let put = self.store.put(&key(path)?, payload).await.map_err(|e| self.fail("write", path, &e))?;
        Ok(put.e_tag)
    }

    /// Creates the object if nothing is there. `Ok(false)`: something was.
    ///
    /// Some stores answer a conflict though nothing landed, and a time-out tells nothing:
    /// a caller that must know reads the object back.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&key(path)?, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(e) => Err(self.fail("create", path, &e)),
        }
    }

    /// Uploads a local file; memory stays within a few parts. Where the store is a folder of the same file system, the file is moved there
    /// instead: it may be gone afterwards.
    pub async fn put_file(&self, path: &str, file: &FsPath) -> Result<()> {
        let local = |e: io::Error| self.cannot("write", path, e);
        if let Some(dir) = &self.local
            && moved(file, &dir.join(path)).await.is_ok()
        {
            return Ok(());
        }
        let fail = |e: StoreError| self.fail("write", path, &e);
        let size = tokio::fs::metadata(file).await.map_err(local)?.len();
        if size <= PART_BYTES as u64 {
            let bytes = tokio::fs::read(file).await.map_err(local)?;
            self.put(path, bytes).await?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&key(path)?).await.map_err(fail)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut input = tokio::fs::File::open(file).await.map_err(local)?;
        loop {
            let mut part = vec![0; PART_BYTES];
            let read = read_full(&mut input, &mut part).await.map_err(local)?;
            if read == 0 {
                break;
            }
            part.truncate(read);
            writer.wait_for_capacity(4).await.map_err(fail)?;
            writer.put(Bytes::from(part));
        }
        writer.finish().await.map_err(fail)?;
        Ok(())
    }

    /// Copies within the store, over what is there; the target appears whole.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (key(from)?, key(to)?);
        let copied = match self.store.copy(&source, &target).await {
            // object_store 0.13 has the two modes the wrong way round for Google: it copies over nothing at first, and
            // over what is there when asked to create.
            Err(StoreError::AlreadyExists { .. }) if self.kind == Some(StoreKind::Gcs) => {
                self.store.copy_opts(&source, &target, CopyOptions::new().with_mode(CopyMode::Create)).await
            }
            copied => copied,
        };
        copied.map_err(|e| self.fail("write", to, &e))
    }

    /// Removes the object; one that isn't there is no error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&key(path)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.fail("delete", path, &e)),
        }
    }

    /// All objects under a prefix (a whole path segment), in lexical order of their paths.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix_path = if prefix.is_empty() { None } else { Some(key(prefix)?) };
        let found = self.store.list(prefix_path.as_ref()).try_collect().await;
        Ok(self.in_order(found.map_err(|e| self.fail("list", prefix, &e))?))
    }

    /// The objects of the root's own level, in lexical order; folders under it aren't entered.
    pub async fn list_level(&self) -> Result<Vec<ObjectMeta>> {
        let level = self.store.list_with_delimiter(None).await.map_err(|e| self.fail("list", "", &e))?;
        Ok(self.in_order(level.objects))
    }

    fn in_order(&self, mut found: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
        if self.kind == Some(StoreKind::Azure) {
            found.iter_mut().for_each(quote_etag);
        }
        found.sort_by(|a, b| a.location.cmp(&b.location));
        found
    }

    /// Makes everything written so far survive a power cut, where the store itself doesn't promise that.
    pub async fn sync(&self) -> Result<()> {
        let Some(dir) = self.local.clone() else { return Ok(()) };
        tokio::task::spawn_blocking(move || sync_filesystem(&dir))
            .await
            .map_err(Error::bug)?
            .map_err(|e| self.cannot("sync", "", e))
    }
}

/// One call for the file system instead of thousands for its files.
#[cfg(target_os = "linux")]
fn sync_filesystem(dir: &FsPath) -> std::io::Result<()> {
    let handle = std::fs::File::open(dir)?;
    rustix::fs::syncfs(&handle).map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn sync_filesystem(dir: &FsPath) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { sync_filesystem(&path)? } else { std::fs::File::open(&path)?.sync_all()? }
    }
    Ok(())
}

const REPLACED: &str = "it was replaced since it was listed; run again when its delivery is complete";

/// Azure lists ETags without the quotes that it gives them everywhere else: one version would have two names.
fn quote_etag(meta: &mut ObjectMeta) {
    if let Some(tag) = meta.e_tag.as_mut().filter(|tag| !tag.ends_with('"')) {
        *tag = format!("\"{tag}\"");
    }
}

/// An object's bytes by one request after the other, all of the same version.
fn in_ranges(
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    if_match: Option<String>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let starts = (0..meta.size).step_by(usize::try_from(RANGE_BYTES).unwrap_or(usize::MAX));
    stream::iter(starts)
        .then(move |start| {
            let (store, location) = (Arc::clone(&store), meta.location.clone());
            let range = GetRange::Bounded(start..(start + RANGE_BYTES).min(meta.size));
            let options = GetOptions { if_match: if_match.clone(), range: Some(range), ..GetOptions::default() };
            async move {
                let opened = store.get_opts(&location, options).await.map_err(|e| io::Error::other(in_words(&e)))?;
                Ok::<_, io::Error>(opened.into_stream().map_err(|e| io::Error::other(in_words(&e))))
            }
        })
        .try_flatten()
        .boxed()
}

/// Moves a file to its place within a file system, where it appears whole, with the rights that new files have there.
async fn moved(file: &FsPath, target: &FsPath) -> io::Result<()> {
    use tokio::fs;
    // A name that the store takes for an upload that isn't done.
    let mut staged = target.as_os_str().to_owned();
    staged.push("#1");
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).await?;
    }
    let rights = fs::File::create(&staged).await?.metadata().await?.permissions();
    fs::remove_file(&staged).await?;
    fs::set_permissions(file, rights).await?;
    fs::rename(file, target).await
}

async fn read_full(input: &mut tokio::fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]).await? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// `Path::parse` keeps Persian names as they are; `Path::from` would percent-encode them.
fn key(path: &str) -> Result<Path> {
    Path::parse(path).map_err(|e| Error::config(format!("`{path}` is not a path in an object store: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_on_the_same_disk_is_moved_and_has_a_new_files_rights() {
        let folder = tempfile::tempdir().unwrap();
        let store = Storage::create_local(&folder.path().join("lake")).unwrap();
        store.put("models/x.parquet", "what was there before").await.unwrap();
        store.put("beside", "made by the store").await.unwrap();
        // Nobody else may read a temporary file.
        let made = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        std::fs::write(made.path(), "made in scratch").unwrap();
        store.put_file("models/x.parquet", made.path()).await.unwrap();
        assert_eq!(store.require("models/x.parquet").await.unwrap(), "made in scratch");
        assert!(!made.path().exists());
        let rights = |path: &str| folder.path().join("lake").join(path).metadata().unwrap().permissions();
        assert_eq!(rights("models/x.parquet"), rights("beside"));
        assert_eq!(store.list("").await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_is_not_there_to_be_put_is_an_error_that_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Storage::create_local(&folder.path().join("lake")).unwrap();
        store.put("x", "what was there before").await.unwrap();
        assert!(store.put_file("x", &folder.path().join("nothing")).await.is_err());
        assert_eq!(store.require("x").await.unwrap(), "what was there before");
        assert_eq!(store.list("").await.unwrap().len(), 1);
    }
}
