//! Lake objects that aren't what was written, and what a run does about them.
//!
//! Nothing damaged is deleted: a checksum can fail on the way too, and an object whose input is gone would be lost. It
//! is taken for absent, made again from its inputs, and put in the same place.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::LakeFile;
use crate::error::Result;
use crate::storage::Storage;

/// A lake object that is gone, or has other bytes than were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub path: String,
    pub what: String,
}

impl Damage {
    pub fn new(path: &str, what: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), what: what.to_string() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the lake is damaged: {}", self.path, self.what)
    }
}

/// What one run found damaged. Each object is made again once: one that is damaged a second time tells of a disk or a
/// store that can't be trusted, which no run can mend.
#[derive(Debug, Default)]
pub struct Damages(Mutex<BTreeMap<String, Mending>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mending {
    Open,
    Done,
}

impl Damages {
    /// Notes a damage; `false` when it was noted before.
    pub fn note(&self, damage: &Damage) -> bool {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !found.contains_key(&damage.path);
        if is_new {
            tracing::warn!("{damage}; it is made again from its inputs");
            found.insert(damage.path.clone(), Mending::Open);
        }
        is_new
    }

    /// Whether a file is to be taken for absent.
    pub fn has(&self, file: &LakeFile) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&file.path) == Some(&Mending::Open)
    }

    pub fn any<'a>(&self, files: impl IntoIterator<Item = &'a LakeFile>) -> bool {
        !self.is_empty() && files.into_iter().any(|file| self.has(file))
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Files have been made again.
    pub fn mended<'a>(&self, files: impl IntoIterator<Item = &'a LakeFile>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            if let Some(state) = found.get_mut(&file.path) {
                *state = Mending::Done;
            }
        }
    }
}

/// Those of some files that are gone or cut short, by one listing per folder: losses seldom come alone, and reading
/// would meet them one by one.
pub async fn missing<'a>(lake: &Storage, files: impl IntoIterator<Item = &'a LakeFile>) -> Result<Vec<Damage>> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for folder in ["models", "extracted", "homes", "rejected"] {
        let listed = lake.list(folder).await?;
        sizes.extend(listed.into_iter().map(|meta| (meta.location.to_string(), meta.size)));
    }
    let lost = files.into_iter().filter_map(|file| match sizes.get(&file.path) {
        Some(size) if *size == file.size_bytes => None,
        Some(size) => Some(Damage::new(&file.path, format!("it has {size} of {} bytes", file.size_bytes))),
        None => Some(Damage::new(&file.path, "it is gone")),
    });
    Ok(lost.collect())
}
