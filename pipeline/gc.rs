//! Garbage collection: what no kept snapshot mentions goes, after a grace period.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use crate::archive;
use crate::error::{Error, Result};
use crate::lake::{self, record_path};
use crate::project::Project;
use crate::publish;
use crate::snapshot::{Snapshot, numbers};
use crate::storage::Storage;

/// What was deleted and kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub snapshots: u64,
    pub objects: u64,
    pub bytes: u64,
    pub kept: u64,
}

/// Deletes snapshots older than `keep_days` (the newest always stays), accounts of runs as old, and every object that no kept snapshot
/// mentions and that is older than `grace_hours`.
///
/// # Errors
/// Storage errors; what was deleted by then is gone, what is kept is whole.
pub async fn collect(project: &Project, keep_days: u32, grace_hours: u32, now: DateTime<Utc>) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut kept = Kept::default();
    let all = numbers(&project.lake).await?;
    let newest = all.last().copied();
    let oldest_kept = now - Duration::days(i64::from(keep_days));
    for number in all {
        let snapshot = Snapshot::read(&project.lake, number).await?;
        let committed_at = snapshot.run_log.last().map(|row| row.committed_at);
        if Some(number) == newest || committed_at.is_some_and(|at| at >= oldest_kept) {
            kept.add(&snapshot);
            swept.kept += 1;
        } else {
            // The copy first: a copy alone is taken for a snapshot whose own object was lost.
            project.lake.delete(&lake::snapshot_copy_path(number)).await?;
            project.lake.delete(&lake::snapshot_path(number)).await?;
            swept.snapshots += 1;
        }
    }
    let youngest = now - Duration::hours(i64::from(grace_hours));
    // Accounts of runs are kept as long as snapshots are; that of a kept snapshot, as long as it.
    sweep(&project.lake, archive::DIR, &kept.accounts, oldest_kept.min(youngest), &mut swept).await?;
    // What points at files goes before the files do, so that an interrupted sweep leaves nothing that points nowhere.
    for prefix in ["seen", "models", "sql", "extracted", "homes", "rejected"] {
        sweep(&project.lake, prefix, &kept.lake, youngest, &mut swept).await?;
    }
    sweep(&project.lake, archive::MANIFESTS, &kept.manifests, oldest_kept.min(youngest), &mut swept).await?;
    kept.marts.extend(archive::published_paths(publish::current_number(&project.marts).await));
    kept.marts.extend(publish::current_paths(&project.marts).await?);
    sweep(&project.marts, "snapshots", &kept.marts, youngest, &mut swept).await?;
    Ok(swept)
}

/// The paths that kept snapshots mention. The snapshots themselves are looked at one by one: each may know a hundred
/// thousand objects, mostly those that the next one knows.
#[derive(Default)]
struct Kept {
    lake: BTreeSet<String>,
    accounts: BTreeSet<String>,
    /// A run that needs one that went makes it again.
    manifests: BTreeSet<String>,
    marts: BTreeSet<String>,
}

impl Kept {
    fn add(&mut self, snapshot: &Snapshot) {
        self.lake.extend(lake_paths(snapshot));
        self.accounts.insert(archive::path(&snapshot.run_id));
        let manifest = snapshot.run_log.last().and_then(|row| row.manifest.as_ref());
        self.manifests.extend(manifest.map(archive::manifest_path));
        self.marts.extend(snapshot.marts.values().flat_map(|mart| &mart.files).map(|file| file.path.clone()));
        self.marts.extend(archive::published_paths(snapshot.number));
    }
}

async fn sweep(
    store: &Storage,
    prefix: &str,
    mentioned: &BTreeSet<String>,
    youngest: DateTime<Utc>,
    swept: &mut Swept,
) -> Result<()> {
    let mut found = store.list(prefix).await?;
    found.sort_by_key(|meta| !meta.location.as_ref().ends_with(".json"));
    for meta in found {
        let path = meta.location.to_string();
        if meta.last_modified < youngest && !mentioned.contains(&path) {
            store.delete(&path).await.map_err(|e: Error| e.at("gc"))?;
            swept.objects += 1;
            swept.bytes += meta.size;
        }
    }
    Ok(())
}

/// Every object of the lake that a snapshot stands on.
fn lake_paths(snapshot: &Snapshot) -> Vec<String> {
    let mut paths = Vec::new();
    for (name, source) in &snapshot.sources {
        for object in source.objects.values() {
            paths.push(format!("seen/{name}/{}.json", object.sighting));
        }
        for extract in source.extracts.values() {
            paths.push(format!("{}/extract.json", lake::extract_dir(name, &extract.key)));
        }
    }
    for record in snapshot.partitions.values().chain(snapshot.eve.values()).flat_map(|p| p.values()) {
        paths.push(record_path(&record.file.path));
        paths.push(lake::sql_path(&record.parts.sql));
    }
    paths.extend(snapshot.files().map(|file| file.path.clone()));
    paths
}
