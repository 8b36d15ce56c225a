//! Object stores, each rooted at one location: a local folder or a bucket's prefix.
//!
//! Everything past this module speaks in paths relative to such a root.

mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Error as StoreError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    WriteMultipart,
};
use tokio::io::AsyncReadExt;
use url::Url;

use crate::error::{Error, Result};

/// Files up to this size go up in one PUT; larger ones in parts of this size, which bounds the memory.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// One store, rooted. Cloning is cheap.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    location: String,
    local: Option<PathBuf>,
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
        Ok(Self { store: Arc::new(store), location: dir.display().to_string(), local: Some(dir) })
    }

    /// A bucket's prefix. Options are object_store's own keys; the environment's (`AWS_…`) stand behind them.
    /// `location` is how messages call it: a URL would percent-encode Persian names.
    pub fn open_url(url: &Url, location: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let all = environment_options().into_iter().chain(options.clone());
        let (store, path) = object_store::parse_url_opts(url, all)
            .map_err(|e| Error::config(format!("cannot open {location}: {e}")))?;
        let store: Arc<dyn ObjectStore> = Arc::from(store);
        Ok(Self { store: Arc::new(PrefixStore::new(store, path)), location: location.to_owned(), local: None })
    }

    /// Any store at all, for tests that count, delay or break its calls.
    pub fn from_store(store: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self { store, location: location.to_owned(), local: None }
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

    fn fail(&self, verb: &str, path: &str, error: impl fmt::Display) -> Error {
        Error::world(format!("cannot {verb} {}/{path}", self.location.trim_end_matches('/')), error)
    }

    /// The object's bytes, or `None` if there is no such object.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        match whole::get(self.store.as_ref(), &key(path)?).await {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("read", path, e)),
        }
    }

    /// Stretches of the object's bytes, as many as the object has of each; `None` if there is no such object.
    pub async fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Option<Vec<Bytes>>> {
        match self.store.get_ranges(&key(path)?, ranges).await {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("read", path, e)),
        }
    }

    /// The object's bytes; its absence is an error.
    pub async fn require(&self, path: &str) -> Result<Bytes> {
        self.get(path).await?.ok_or_else(|| self.fail("read", path, "no such object"))
    }

    /// Copies an object into a local file, a chunk at a time.
    pub async fn fetch(&self, path: &str, file: std::fs::File) -> Result<std::fs::File> {
        let found = self.store.get(&key(path)?).await.map_err(|e| self.fail("read", path, e))?;
        let mut chunks = found.into_stream();
        let mut file = tokio::fs::File::from_std(file);
        while let Some(chunk) = chunks.try_next().await.map_err(|e| self.fail("read", path, e))? {
            tokio::io::AsyncWriteExt::write_all(&mut file, &chunk).await?;
        }
        tokio::io::AsyncWriteExt::flush(&mut file).await?;
        Ok(file.into_std().await)
    }

    /// Reads one version of an object: if it was replaced since it was listed, that is an error.
    pub async fn get_pinned(&self, meta: &ObjectMeta) -> Result<object_store::GetResult> {
        let options = GetOptions { if_match: meta.e_tag.clone(), ..GetOptions::default() };
        self.store.get_opts(&meta.location, options).await.map_err(|e| self.fail("read", meta.location.as_ref(), e))
    }

    pub async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        match self.store.head(&key(path)?).await {
            Ok(meta) => Ok(Some(meta)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.fail("look up", path, e)),
        }
    }

    /// Replaces the object, whole. Returns its ETag, where the store has such.
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Result<Option<String>> {
        let payload = PutPayload::from_bytes(bytes.into());
        let put = self.store.put(&key(path)?, payload).await.map_err(|e| self.fail("write", path, e))?;
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
            Err(e) => Err(self.fail("create", path, e)),
        }
    }

    /// Uploads a local file; memory stays within a few parts.
    pub async fn put_file(&self, path: &str, file: &FsPath) -> Result<()> {
        let fail = |e: &dyn fmt::Display| self.fail("write", path, e);
        let size = tokio::fs::metadata(file).await.map_err(|e| fail(&e))?.len();
        if size <= PART_BYTES as u64 {
            let bytes = tokio::fs::read(file).await.map_err(|e| fail(&e))?;
            self.put(path, bytes).await?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&key(path)?).await.map_err(|e| fail(&e))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut input = tokio::fs::File::open(file).await.map_err(|e| fail(&e))?;
        loop {
            let mut part = vec![0; PART_BYTES];
            let read = read_full(&mut input, &mut part).await.map_err(|e| fail(&e))?;
            if read == 0 {
                break;
            }
            part.truncate(read);
            writer.wait_for_capacity(4).await.map_err(|e| fail(&e))?;
            writer.put(Bytes::from(part));
        }
        writer.finish().await.map_err(|e| fail(&e))?;
        Ok(())
    }

    /// Copies within the store; the target appears whole.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.store.copy(&key(from)?, &key(to)?).await.map_err(|e| self.fail("write", to, e))
    }

    /// Removes the object; one that isn't there is no error.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&key(path)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.fail("delete", path, e)),
        }
    }

    /// All objects under a prefix (a whole path segment), in lexical order of their paths.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix_path = if prefix.is_empty() { None } else { Some(key(prefix)?) };
        let mut found: Vec<ObjectMeta> =
            self.store.list(prefix_path.as_ref()).try_collect().await.map_err(|e| self.fail("list", prefix, e))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Makes everything written so far survive a power cut, where the store itself doesn't promise that.
    pub async fn sync(&self) -> Result<()> {
        let Some(dir) = self.local.clone() else { return Ok(()) };
        tokio::task::spawn_blocking(move || sync_filesystem(&dir))
            .await
            .map_err(Error::bug)?
            .map_err(|e| self.fail("sync", "", e))
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

/// object_store's own variables, as it knows them (`AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID`…).
fn environment_options() -> Vec<(String, String)> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("AWS_"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}
