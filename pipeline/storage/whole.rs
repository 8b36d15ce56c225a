//! Whole objects, or none: a body that breaks off is asked for again.
//!
//! object_store repeats requests that a server refuses for the moment, and goes on with a body whose connection is
//! reset. It takes the end of a body for the end of the object, however many bytes were announced.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, Result};

/// Before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// All of an object, as long as the store says that it is.
pub(super) async fn get(store: &dyn ObjectStore, path: &Path) -> Result<Bytes> {
    for pause in PAUSES {
        match body(store, path).await? {
            Ok(bytes) => return Ok(bytes),
            Err(e) => tracing::warn!("{path}: {e}; reading it again"),
        }
        tokio::time::sleep(pause).await;
    }
    body(store, path).await?
}

/// The inner error is the body's: the request itself was granted.
async fn body(store: &dyn ObjectStore, path: &Path) -> Result<Result<Bytes>> {
    let found = store.get(path).await?;
    let size_bytes = found.meta.size;
    Ok(match found.bytes().await {
        Ok(bytes) if bytes.len() as u64 == size_bytes => Ok(bytes),
        Ok(bytes) => Err(Error::Generic {
            store: "object store",
            source: format!("the body ended after {} of {size_bytes} bytes", bytes.len()).into(),
        }),
        Err(e) => Err(e),
    })
}
