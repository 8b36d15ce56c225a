//! What a run leaves of itself: its account and the manifest of the project. In the lake for every run, however it
//! ended (a manifest once for all runs of an unchanged project); and beside the marts of each snapshot, for those who
//! see only the marts.

use crate::error::Result;
use crate::lake::{self, Digest};
use crate::publish::snapshot_path;
use crate::snapshot::Snapshot;
use crate::storage::Storage;

/// What a run did.
pub const RUN_RESULTS: &str = "run_results.json";
/// What the project was made of.
pub const MANIFEST: &str = "manifest.json";

/// Where accounts lie in the lake, by run.
pub const DIR: &str = "runs";

/// Where manifests lie in the lake.
pub const MANIFESTS: &str = "manifests";

/// Where a run's account lies in the lake.
pub fn path(run_id: &str) -> String {
    format!("{DIR}/{run_id}/{RUN_RESULTS}")
}

/// Where a manifest lies in the lake.
pub fn manifest_path(digest: &Digest) -> String {
    format!("{MANIFESTS}/{digest}.json")
}

/// Where they lie in the marts' store.
pub fn published_paths(number: u64) -> [String; 2] {
    [RUN_RESULTS, MANIFEST].map(|name| snapshot_path(number, name))
}

/// Sees to it that they lie beside the marts of a committed snapshot and of the one before it, as far as the lake has
/// them: a run that died after its commit is made good for by the next. What is there is left as it is.
///
/// `run_id` is what the snapshot's own run is called in the lake.
///
/// # Errors
/// Storage errors; damage in the lake.
pub async fn publish(lake: &Storage, marts: &Storage, snapshot: &Snapshot, run_id: &str) -> Result<()> {
    for (age, row) in snapshot.run_log.iter().rev().take(2).enumerate() {
        let run_id = if age == 0 { run_id } else { &row.run_id };
        place(lake, &path(run_id), marts, &snapshot_path(row.snapshot, RUN_RESULTS)).await?;
        if let Some(digest) = &row.manifest {
            place(lake, &manifest_path(digest), marts, &snapshot_path(row.snapshot, MANIFEST)).await?;
        }
    }
    Ok(())
}

async fn place(lake: &Storage, kept: &str, marts: &Storage, published: &str) -> Result<()> {
    // Read as what it is, so that no damaged byte is passed on.
    if marts.head(published).await?.is_none()
        && lake::read_json::<serde_json::Value>(lake, kept).await?.is_some()
        && let Some(bytes) = lake.get(kept).await?
    {
        marts.put(published, bytes).await?;
    }
    Ok(())
}
