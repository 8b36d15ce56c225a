//! Listing: the source objects of now against what the last snapshot knew.

use std::collections::BTreeMap;

use chrono::DateTime;
use object_store::ObjectMeta;

use crate::compact::Shared;
use crate::config::{Location, Mode, OnRemoved};
use crate::confine::Inside;
use crate::contract::SourceName;
use crate::error::{Error, Result};
use crate::project::{OpenSource, Project};
use crate::snapshot::{ObjectRecord, Snapshot};
use crate::storage::Storage;

/// One source's objects.
pub struct ListedSource {
    /// Objects of now, by the number of their location and their path in it: which store, and its listing.
    pub objects: BTreeMap<String, (usize, ObjectMeta)>,
    /// Objects that are gone and kept all the same.
    pub kept: BTreeMap<String, Shared<ObjectRecord>>,
}

/// All sources' objects.
pub struct Listed(pub BTreeMap<SourceName, ListedSource>);

/// Lists every source.
///
/// # Errors
/// [`Error::World`] when a store cannot be listed, and when an object that was known is missing, unless the
/// source says what to do then: an empty listing must never publish empty marts.
pub async fn list(project: &Project, prior: Option<&Snapshot>) -> Result<Listed> {
    let mut listed = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, source) in &project.sources {
        let (objects, absent) = objects(source).await.map_err(|e| e.at(format!("source {name}")))?;
        let known = prior.and_then(|p| p.sources.get(name.as_str())).map(|s| &s.objects);
        let newest = newest_dumps(source, &objects);
        let gone = known.into_iter().flatten();
        let gone = gone.filter(|(path, _)| !objects.contains_key(*path) && !is_replaced(source, newest.as_ref(), path));
        let gone: BTreeMap<String, Shared<ObjectRecord>> =
            gone.map(|(path, object)| (path.clone(), object.clone())).collect();
        let kept = match source.config.on_removed {
            OnRemoved::Forget => BTreeMap::new(),
            OnRemoved::Keep => gone,
            OnRemoved::Block => {
                missing.extend(complaint(*name, source, &gone));
                BTreeMap::new()
            }
        };
        let unknown = |path: &String| known.is_none_or(|known| !known.contains_key(path));
        if source.config.on_removed == OnRemoved::Block {
            missing.extend(absent.iter().filter(|path| unknown(path)).map(|path| never_there(*name, source, path)));
        }
        if objects.is_empty() && kept.is_empty() && known.is_none_or(BTreeMap::is_empty) {
            let required = matches!(name, SourceName::Orders)
                || (*name == SourceName::OrderItems && !project.sources.contains_key(&SourceName::Orders));
            if required {
                missing.push(format!("source {name}: no objects found under {}", locations(source)));
            }
            tracing::warn!(source = %name, "no objects found under {}", locations(source));
        }
        listed.insert(*name, ListedSource { objects, kept });
    }
    if missing.is_empty() { Ok(Listed(listed)) } else { Err(Error::world("sources", missing.join("\n"))) }
}

fn locations(source: &OpenSource) -> String {
    source.config.locations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An object as a person finds it. Its path begins with the number of its location.
pub fn shown(source: &OpenSource, path: &str) -> String {
    let Some((store, relative)) = path.split_once('/') else { return path.to_owned() };
    let location =
        store.parse().ok().and_then(|index: usize| source.stores.get(index)).map_or("", |store| store.location());
    format!("{}/{relative}", location.trim_end_matches('/'))
}

fn complaint(name: SourceName, source: &OpenSource, gone: &BTreeMap<String, Shared<ObjectRecord>>) -> Option<String> {
    let first = shown(source, gone.keys().next()?);
    Some(format!(
        "source {name}: {} known objects are missing, the first is {first}\n  hint: bring them back, or set on_removed = \
         \"keep\" (their rows stay) or \"forget\" (their rows go) for this source",
        gone.len()
    ))
}

/// A named object that was never seen: on a web server nobody would notice its absence.
fn never_there(name: SourceName, source: &OpenSource, path: &str) -> String {
    let location = path.split('/').next().and_then(|index| source.config.locations.get(index.parse::<usize>().ok()?));
    let location = location.map_or_else(|| path.to_owned(), ToString::to_string);
    format!(
        "source {name}: {location} isn't there, or the server doesn't answer HEAD requests for it\n  hint: correct it, or \
         take it out of `location`"
    )
}

/// A source's objects, and what was named on a web server and isn't there.
async fn objects(source: &OpenSource) -> Result<(BTreeMap<String, (usize, ObjectMeta)>, Vec<String>)> {
    let mut objects = BTreeMap::new();
    let mut absent = Vec::new();
    for (index, (store, location)) in source.stores.iter().zip(&source.config.locations).enumerate() {
        let mut inside = store.local_dir().map(Inside::new);
        let found = found(store, location).await?;
        if let (true, false, Some(name)) = (found.is_empty(), store.lists(), location.name()) {
            absent.push(format!("{index}/{name}"));
        }
        for meta in found {
            if meta.size > 0 && location.selects(meta.location.as_ref()) {
                // The config may name a link itself.
                let is_named = location.pattern() == Some(meta.location.as_ref());
                if !is_named && inside.as_mut().is_some_and(|inside| !inside.holds(meta.location.as_ref())) {
                    return Err(leads_out(&meta, location));
                }
                objects.insert(format!("{index}/{}", meta.location), (index, meta));
            }
        }
    }
    if source.config.mode == Mode::Snapshot {
        keep_newest(source, &mut objects);
    }
    Ok((objects, absent))
}

/// What a location may select, without looking at what lies beside it.
async fn found(store: &Storage, location: &Location) -> Result<Vec<ObjectMeta>> {
    if let Some(name) = location.name() {
        return match store.head(name).await? {
            Some(object) => Ok(vec![object]),
            None if store.lists() => store.list(name).await,
            None => Ok(vec![]),
        };
    }
    if location.is_level() { store.list_level().await } else { store.list("").await }
}

/// Whoever delivers files must not choose what else is read.
fn leads_out(meta: &ObjectMeta, location: &Location) -> Error {
    Error::config(format!(
        "{} is a link, or behind one, that leads out of {location}\n  hint: put the file itself there, or add the \
         folder that holds it to `location`",
        meta.location
    ))
}

/// Of full dumps only the newest delivery in each location counts; the older ones need not even be read.
fn keep_newest(source: &OpenSource, objects: &mut BTreeMap<String, (usize, ObjectMeta)>) {
    let mut newest: BTreeMap<usize, String> = BTreeMap::new();
    for (path, (location, _)) in objects.iter() {
        let delivery = source.delivery(path).to_owned();
        let slot = newest.entry(*location).or_default();
        *slot = delivery.max(std::mem::take(slot));
    }
    objects.retain(|path, (location, _)| newest.get(location).is_some_and(|newest| newest == source.delivery(path)));
}

/// The newest delivery of full dumps by location: what stands in the place of the older ones. `None`: they aren't dumps.
fn newest_dumps(
    source: &OpenSource,
    objects: &BTreeMap<String, (usize, ObjectMeta)>,
) -> Option<BTreeMap<String, String>> {
    if source.config.mode != Mode::Snapshot {
        return None;
    }
    // Only the newest deliveries are left of them.
    let delivery = |path: &String| Some((path.split('/').next()?.to_owned(), source.delivery(path).to_owned()));
    Some(objects.keys().filter_map(delivery).collect())
}

/// Whether a newer full dump stands in the place of a known object.
fn is_replaced(source: &OpenSource, newest: Option<&BTreeMap<String, String>>, path: &str) -> bool {
    let of_location = newest.zip(path.split('/').next()).and_then(|(newest, location)| newest.get(location));
    of_location.is_some_and(|newest| newest.as_str() > source.delivery(path))
}

/// What going back from one snapshot to an older one would forget, a line per source: objects that only the newer one
/// knows and that are gone from their place. What still lies there is simply read again.
///
/// # Errors
/// [`Error::World`] when a store cannot be listed.
pub async fn forgotten(project: &Project, newer: &Snapshot, older: &Snapshot) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, source) in project.sources.iter().filter(|(_, s)| s.config.on_removed != OnRemoved::Forget) {
        let objects_of = |snapshot: &Snapshot| snapshot.sources.get(name.as_str()).map(|s| s.objects.clone());
        let before = objects_of(older).unwrap_or_default();
        let mut only_newer = objects_of(newer).unwrap_or_default();
        only_newer.retain(|path, _| !before.contains_key(path));
        if only_newer.is_empty() {
            continue;
        }
        let (there, _) = objects(source).await.map_err(|e| e.at(format!("source {name}")))?;
        let newest = newest_dumps(source, &there);
        only_newer.retain(|path, _| !there.contains_key(path) && !is_replaced(source, newest.as_ref(), path));
        if let Some(first) = only_newer.keys().next() {
            lines.push(format!("source {name}: {} objects, the first is {}", only_newer.len(), shown(source, first)));
        }
    }
    Ok(lines)
}

/// The version of a listed object: its ETag, or the time that the store gives for it.
pub fn version(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => tag.clone(),
        None if tells_version(meta) => meta.last_modified.to_rfc3339(),
        None => "unknown".to_owned(),
    }
}

/// Whether the store tells one version of the object from the next. A web server need not: what it has is read again
/// every night, and its content decides.
pub fn tells_version(meta: &ObjectMeta) -> bool {
    meta.e_tag.is_some() || meta.last_modified != DateTime::UNIX_EPOCH
}
