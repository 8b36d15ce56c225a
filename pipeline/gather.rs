//! Sources, gathered: every object that isn't known is extracted, and each key has its home.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};

use crate::compact::Shared;
use crate::contract::SourceName;
use crate::decode::Format;
use crate::error::{Error, Result};
use crate::extract::{Sightings, extract};
use crate::homes;
use crate::lake::{self, Damages};
use crate::listing::{Listed, ListedSource, tells_version, version};
use crate::project::{OpenSource, Project};
use crate::report::SourceRead;
use crate::run::Surroundings;
use crate::snapshot::{ExtractRecord, ObjectRecord, Snapshot, SourceState};
use crate::sources::Sources;

/// The sources as they are now, every object extracted.
pub struct Extracted {
    pub sources: Sources,
    pub objects_read: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
}

/// Extracts every object whose content isn't known, and settles where contested keys live.
///
/// # Errors
/// A mapping's error, an object that is gone and whose rows can't be kept, storage errors.
pub(crate) async fn gather(
    project: &Project,
    listed: &Listed,
    prior: Option<&Snapshot>,
    around: &Surroundings<'_>,
    damages: &Damages,
) -> Result<Extracted> {
    let mut states = BTreeMap::new();
    let (mut objects_read, mut rows_read, mut rows_rejected) = (0, 0, 0);
    for (name, source) in &project.sources {
        let before = prior.and_then(|p| p.sources.get(name.as_str()));
        let fresh = unknown(source, &listed.0[name], before, damages)?;
        around.progress.begin(&format!("extract {name}"), fresh.len() as u64);
        let found = extract_all(project, source, &fresh, around, damages).await?;
        let state = state(source, &listed.0[name], before, &found, damages)?;
        let read = SourceRead {
            name: name.as_str(),
            objects: state.objects.len() as u64,
            objects_read: found.len() as u64,
            rows_read: found.values().map(|e| e.read).sum(),
            rows_rejected: found.values().flat_map(|e| e.rejected.values()).sum(),
            newest_at: state.newest_at(),
        };
        around.progress.source(&read);
        around.progress.end();
        objects_read += read.objects_read;
        rows_read += read.rows_read;
        rows_rejected += read.rows_rejected;
        named_columns_exist(source, &state)?;
        states.insert(*name, state);
    }
    let mut sources = project.sources_with(states);
    around.progress.begin("settle keys", 0);
    settle_homes(project, &mut sources, prior, damages).await?;
    around.progress.end();
    Ok(Extracted { sources, objects_read, rows_read, rows_rejected })
}

/// A raw column that the config names and no object has is a typo, or a column that is gone for good.
///
/// NDJSON leaves out what has no value, so there it is only worth a warning.
fn named_columns_exist(source: &OpenSource, state: &SourceState) -> Result<()> {
    let with_rows = || state.extracts.values().filter(|extract| extract.extracted_rows() > 0);
    let Some(first) = with_rows().next() else { return Ok(()) };
    for column in first.absent.iter().filter(|column| with_rows().all(|e| e.absent.contains(column))) {
        let name = source.config.name;
        let sparse = state.objects.keys().any(|path| matches!(source.decoding.format_of(path), Ok(Format::Ndjson)));
        if !sparse {
            return Err(Error::config(format!(
                "source {name}: the config names the raw column \"{column}\", which no object has\n  hint: correct it under \
                 [sources.{name}.columns] or [sources.{name}.skip]"
            )));
        }
        tracing::warn!(source = %name, "the config names \"{column}\", which no object has");
    }
    Ok(())
}

/// Objects that the last snapshot doesn't know in this version, decoded like this, or whose rows are damaged.
fn unknown<'a>(
    source: &OpenSource,
    listed: &'a ListedSource,
    before: Option<&SourceState>,
    damages: &Damages,
) -> Result<Vec<(&'a String, &'a (usize, object_store::ObjectMeta))>> {
    let mut fresh = Vec::new();
    let mut sightings = Sightings::new(&source.decoding);
    for (path, object) in &listed.objects {
        let sighting = sightings.of(path, object.1.size, &version(&object.1))?;
        let known = before.and_then(|b| b.objects.get(path)).filter(|record| record.sighting == sighting);
        let extract = known.and_then(|record| before?.extracts.get(&record.extract));
        let is_whole = extract.is_none_or(|extract| !damages.any(extract.files()));
        if known.is_none() || !is_whole || !tells_version(&object.1) {
            fresh.push((path, object));
        }
    }
    Ok(fresh)
}

async fn extract_all(
    project: &Project,
    source: &OpenSource,
    fresh: &[(&String, &(usize, object_store::ObjectMeta))],
    around: &Surroundings<'_>,
    damages: &Damages,
) -> Result<BTreeMap<String, Shared<ExtractRecord>>> {
    futures::stream::iter(fresh.iter().copied())
        .map(|(path, (store, meta))| async move {
            around.interrupt.check()?;
            let record = extract_one(project, source, path, *store, meta, damages).await?;
            around.progress.step(path);
            Ok::<_, Error>((path.clone(), Shared::new(record)))
        })
        .buffer_unordered(project.engine.threads())
        .try_collect()
        .await
}

/// Extracts one object, or finds what an earlier, unfinished run made of it.
async fn extract_one(
    project: &Project,
    source: &OpenSource,
    path: &str,
    store: usize,
    meta: &object_store::ObjectMeta,
    damages: &Damages,
) -> Result<ExtractRecord> {
    let sighting = source.decoding.sighting(path, meta.size, &version(meta))?;
    let seen = format!("seen/{}/{sighting}.json", source.config.name);
    if tells_version(meta)
        && let Some(record) = lake::read_record(&project.lake, &seen, ExtractRecord::files, damages).await?
    {
        return Ok(record);
    }
    let (raw, scratch) = (&source.stores[store], project.engine.scratch());
    let record = extract(raw, meta, &project.lake, &source.decoding, scratch, damages).await?;
    project.lake.put(&seen, lake::to_json(&record)?).await?;
    Ok(record)
}

fn state(
    source: &OpenSource,
    listed: &ListedSource,
    before: Option<&SourceState>,
    found: &BTreeMap<String, Shared<ExtractRecord>>,
    damages: &Damages,
) -> Result<SourceState> {
    let mut state = SourceState { by_folder: source.by_folder(), ..SourceState::default() };
    let mut sightings = Sightings::new(&source.decoding);
    for (path, (_, meta)) in &listed.objects {
        let record = match found.get(path) {
            Some(extract) => {
                state.extracts.insert(extract.key.clone(), extract.clone());
                let (version, extract) = (version(meta), extract.key.clone());
                let sighting = sightings.of(path, meta.size, &version)?;
                Shared::new(ObjectRecord { size_bytes: meta.size, version: version.into(), sighting, extract })
            }
            None => match before.and_then(|b| b.objects.get(path)) {
                Some(known) => known.clone(),
                None => continue,
            },
        };
        state.objects.insert(path.clone(), record);
    }
    for (path, kept) in &listed.kept {
        if sightings.of(path, kept.size_bytes, &kept.version)? != kept.sighting {
            return Err(Error::config(format!(
                "source {}: {path} is gone and was decoded under another mapping, calendar or version; bring it back, \
                 or set on_removed = \"forget\"",
                source.config.name
            )));
        }
        state.objects.insert(path.clone(), kept.clone());
    }
    for (path, object) in &state.objects {
        let Some(known) = before.and_then(|b| b.extracts.get(&object.extract)) else { continue };
        if damages.any(known.files()) {
            return Err(Error::world(
                format!("source {}: {path} is gone, and what the lake kept of it is damaged", source.config.name),
                "bring it back, or set on_removed = \"forget\" to go on without its rows",
            ));
        }
        state.extracts.entry(object.extract.clone()).or_insert_with(|| known.clone());
    }
    Ok(state)
}

async fn settle_homes(
    project: &Project,
    sources: &mut Sources,
    prior: Option<&Snapshot>,
    damages: &Damages,
) -> Result<()> {
    let before = |name: &str| prior.and_then(|p| p.sources.get(name)).filter(|s| !damages.any(s.homes.files()));
    for (name, source) in &mut sources.0 {
        if source.follows_orders() || source.contract.time.is_some() {
            let before = prior.and_then(|prior| prior.sources.get(name));
            source.state.merged = homes::merge_keys(&project.lake, name, &source.state, before, damages).await?;
        }
    }
    let names: Vec<String> = sources.0.keys().cloned().collect();
    let mut homes = BTreeMap::new();
    for name in &names {
        let source = &sources.0[name];
        let found = if source.follows_orders() {
            let orders = &sources.0[SourceName::Orders.as_str()];
            homes::follow_orders(&project.lake, source, orders, before(name), before(SourceName::Orders.as_str()))
                .await?
        } else if source.contract.time.is_some() {
            homes::settle(&project.lake, source, before(name)).await?
        } else {
            continue;
        };
        homes.insert(name.clone(), found);
    }
    for (name, found) in homes {
        if let Some(source) = sources.0.get_mut(&name) {
            source.state.homes = found;
        }
    }
    Ok(())
}
