//! One key, one row, in one month: where keys belong that occur in the files of several months.
//!
//! Extraction leaves the sorted hashes of each object's keys; those of small objects are merged. Planning probes only
//! the new objects' hashes against the others, reads the few rows whose keys are contested, and moves all rows of such a
//! key into the month of its winning version. The outcome is a pure function of the source's objects: an incremental
//! night and a full rebuild agree to the byte.

mod index;
mod keyed;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::extract::put_bytes;
use crate::lake::Digest;
use crate::snapshot::{ExtractRecord, Homes, PartitionId, SourceState};
use crate::sources::Source;
use crate::storage::Storage;

pub use index::{encode_keys, hash_key, read_keys};
pub use keyed::merge_keys;

use keyed::Keyed;

/// What changed between two states of a source.
struct Change<'a> {
    fresh: Keyed<'a>,
    old: Keyed<'a>,
    /// Something went away, or there was nothing before.
    removed: bool,
}

impl<'a> Change<'a> {
    fn between(prior: Option<&SourceState>, now: &'a SourceState) -> Self {
        let known = |key: &Digest| prior.is_some_and(|p| p.extracts.contains_key(key));
        let extracts = now.extracts.values().map(|extract| &**extract);
        let (old, fresh): (Vec<&ExtractRecord>, _) = extracts.partition(|extract| known(&extract.key));
        let removed = prior.is_none_or(|p| p.extracts.keys().any(|key| !now.extracts.contains_key(key)));
        Self { fresh: Keyed::some(now, fresh), old: Keyed::some(now, old), removed }
    }
}

/// Settles the homes of a source whose rows have a business day of their own.
///
/// `prior` is the state that the last snapshot knew; `source.state` has the objects and extracts of now.
pub async fn settle(lake: &Storage, source: &Source, prior: Option<&SourceState>) -> Result<Homes> {
    if let Some(prior) = prior.filter(|p| p.objects == source.state.objects && p.by_folder == source.by_folder) {
        return Ok(prior.homes.clone());
    }
    let change = Change::between(prior, &source.state);
    let mut contested = match prior.and_then(|p| p.homes.contested.as_ref()) {
        Some(file) => rows::read(lake, file).await?,
        None => vec![],
    };
    // An object that went away cannot make a key contested; keys that it alone made so are dropped below.
    contested.retain(|row| source.state.extracts.contains_key(&row.extract));
    let known: BTreeSet<u64> = contested.iter().map(|row| hash_key(&row.key)).collect();
    let hits = index::shared_keys(lake, &change.fresh, &change.old).await?;
    let wanted: BTreeSet<u64> = known.iter().chain(hits.keys()).copied().collect();
    if wanted.is_empty() {
        return Ok(Homes::default());
    }
    for extract in change.fresh.extracts() {
        contested.extend(rows::find(lake, source, extract, &wanted).await?);
    }
    let newly: BTreeSet<u64> = hits.keys().filter(|hash| !known.contains(hash)).copied().collect();
    let holders: BTreeSet<&Digest> = newly.iter().flat_map(|hash| &hits[hash]).collect();
    for extract in change.old.extracts().iter().filter(|e| holders.contains(&e.key)) {
        contested.extend(rows::find(lake, source, extract, &newly).await?);
    }
    rows::keep_contested(&mut contested);
    rows::resolve(lake, source, contested, prior).await
}

/// Finds the months of the orders whose lines have no day of their own.
///
/// `orders` and `lines` are the sources as they are now; the priors, as the last snapshot knew them.
pub async fn follow_orders(
    lake: &Storage,
    lines: &Source,
    orders: &Source,
    prior_lines: Option<&SourceState>,
    prior_orders: Option<&SourceState>,
) -> Result<Homes> {
    let new_orders = Change::between(prior_orders, &orders.state);
    // Without an order that was there, a month may no longer be touched: that is found out by starting anew.
    let prior_lines = prior_lines.filter(|_| !new_orders.removed);
    let new_lines = Change::between(prior_lines, &lines.state);
    let mut homes = prior_lines.map(|p| p.homes.clone()).unwrap_or_default();
    homes.touched.retain(|extract, _| lines.state.extracts.contains_key(extract));
    homes.orphans.retain(|extract, _| lines.state.extracts.contains_key(extract));
    let open = if new_orders.fresh.is_empty() { BTreeMap::new() } else { std::mem::take(&mut homes.orphans) };
    for (extract, file) in open {
        let left = index::without(lake, index::read_keys(lake, &file).await?, &new_orders.fresh).await?;
        if left.len() as u64 == file.rows {
            homes.orphans.insert(extract, file);
        } else {
            put_orphans(lake, lines, &mut homes, extract, &left).await?;
        }
    }
    merge(&mut homes.touched, index::followers(lake, &new_orders.fresh, &new_lines.old).await?);
    let followed = index::follow(lake, &new_lines.fresh, &Keyed::all(&orders.state)).await?;
    merge(&mut homes.touched, followed.months);
    for (extract, hashes) in followed.orphans {
        put_orphans(lake, lines, &mut homes, extract, &hashes).await?;
    }
    Ok(homes)
}

async fn put_orphans(lake: &Storage, lines: &Source, homes: &mut Homes, extract: Digest, hashes: &[u64]) -> Result<()> {
    if !hashes.is_empty() {
        let dir = format!("homes/{}", lines.contract.source);
        let file = put_bytes(lake, &dir, "keys", encode_keys(hashes), hashes.len() as u64).await?;
        homes.orphans.insert(extract, file);
    }
    Ok(())
}

fn merge(into: &mut BTreeMap<Digest, BTreeSet<PartitionId>>, found: BTreeMap<Digest, BTreeSet<PartitionId>>) {
    for (extract, months) in found {
        into.entry(extract).or_default().extend(months);
    }
}
