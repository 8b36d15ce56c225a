//! Paths that must stay inside a folder, wherever symbolic links lead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Whether `path` is a file that, with every link followed, lies in `folder`.
pub fn is_file_inside(folder: &Path, path: &Path) -> bool {
    let (Ok(folder), Ok(real)) = (folder.canonicalize(), path.canonicalize()) else { return false };
    real.is_file() && real.starts_with(folder)
}

/// Tells of many files in one folder whether they stay in it: each folder on the way is resolved once.
pub struct Inside {
    folder: PathBuf,
    parents: BTreeMap<PathBuf, bool>,
}

impl Inside {
    /// `folder` without links, as `canonicalize` returns it.
    pub fn new(folder: &Path) -> Self {
        Inside { folder: folder.to_owned(), parents: BTreeMap::new() }
    }

    /// Whether the file at `relative` stays in the folder. One that is gone does.
    pub fn holds(&mut self, relative: &str) -> bool {
        let path = self.folder.join(relative);
        let parent = path.parent().unwrap_or(&self.folder).to_owned();
        let folder = &self.folder;
        let stays = |path: &Path| path.canonicalize().map_or(true, |real| real.starts_with(folder));
        let parent_stays = *self.parents.entry(parent).or_insert_with_key(|parent| stays(parent));
        parent_stays && (!path.is_symlink() || stays(&path))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_wherever_they_stand() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.csv"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("in")).unwrap();
        std::fs::write(folder.join("in/a.csv"), "x").unwrap();
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
        link(&folder.join("in/a.csv"), "alias.csv");
        link(&outside.path().join("secret.csv"), "out.csv");
        link(outside.path(), "folder");
        let mut inside = Inside::new(&folder);
        let held = ["in/a.csv", "alias.csv", "out.csv", "folder/secret.csv"].map(|path| inside.holds(path));
        assert_eq!(held, [true, true, false, false]);
        assert!(
            is_file_inside(&folder, &folder.join("alias.csv")) && !is_file_inside(&folder, &folder.join("out.csv"))
        );
        assert!(!is_file_inside(&folder, &folder.join("in")), "a folder is no file");
    }
}
