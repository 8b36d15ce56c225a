//! Selectors: which models `--select` asks for.
//!
//! A selection is a union, and whatever it asks for is built with everything that this reads.

use std::collections::BTreeSet;

use crate::config::nearest;
use crate::error::{Error, Result};
use crate::model::{Catalog, Model, Table};

/// The word for [`Selector::Changed`].
const CHANGED: &str = "changed";
/// What goes before a tag's name.
const TAG: &str = "tag:";

/// One part of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Selector {
    /// `rfm` or `+rfm`: the model. `rfm+` or `+rfm+`: also what stands on it.
    Model { name: String, with_dependants: bool },
    /// `tag:daily`: the models that have it among their `tags`, or among their `features`.
    Tag(String),
    /// The models that the plan has open.
    Changed,
}

/// What `--select` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<Selector>);

impl Selection {
    /// Reads selectors, each of which must mean at least one model.
    ///
    /// # Errors
    /// [`Error::Config`] for a name or a tag that no model has, with the nearest one.
    pub fn parse(selectors: &[String], catalog: &Catalog) -> Result<Self> {
        selectors.iter().map(|text| Selector::parse(text.trim(), catalog)).collect::<Result<_>>().map(Self)
    }

    /// Whether [`Self::models`] has to be told what has changed.
    pub fn asks_for_changed(&self) -> bool {
        self.0.contains(&Selector::Changed)
    }

    /// The models asked for, with everything that they read. `changed` are those that the plan has open.
    pub fn models(&self, catalog: &Catalog, changed: &BTreeSet<String>) -> BTreeSet<String> {
        let asked = catalog.in_order().filter(|model| self.0.iter().any(|s| s.means(model, catalog, changed)));
        asked.flat_map(|model| below(model, catalog).chain([model.name.clone()])).collect()
    }
}

impl Selector {
    fn parse(text: &str, catalog: &Catalog) -> Result<Self> {
        if text == CHANGED {
            return Ok(Selector::Changed);
        }
        if let Some(tag) = text.strip_prefix(TAG) {
            let known: BTreeSet<&str> = catalog.in_order().flat_map(tags).collect();
            return match known.contains(tag) {
                true => Ok(Selector::Tag(tag.to_owned())),
                false => Err(unknown("no model has the tag", tag, TAG, known)),
            };
        }
        let plain = text.strip_prefix('+').unwrap_or(text);
        let name = plain.strip_suffix('+').unwrap_or(plain);
        match catalog.get(name) {
            Some(_) => Ok(Selector::Model { name: name.to_owned(), with_dependants: plain.ends_with('+') }),
            None => Err(unknown("there is no model", name, "", catalog.names().chain([CHANGED]))),
        }
    }

    fn means(&self, model: &Model, catalog: &Catalog, changed: &BTreeSet<String>) -> bool {
        match self {
            Selector::Model { name, with_dependants } => {
                model.name == *name || (*with_dependants && below(model, catalog).any(|below| below == *name))
            }
            Selector::Tag(tag) => tags(model).any(|own| own == tag),
            Selector::Changed => changed.contains(&model.name),
        }
    }
}

/// Every table that a model stands on, as plans name them.
fn below(model: &Model, catalog: &Catalog) -> impl Iterator<Item = String> {
    catalog.stands_on(model).into_iter().map(|table: Table| table.to_string())
}

fn tags(model: &Model) -> impl Iterator<Item = &str> {
    model.tags.iter().chain(&model.features).map(String::as_str)
}

fn unknown<'a>(what: &str, name: &str, prefix: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let hint = nearest(name, known).map_or(String::new(), |n| format!("; did you mean `{prefix}{n}`?"));
    Error::config(format!(
        "--select: {what} `{name}`{hint}\n  hint: a selector is a model (`rfm`), a model and what stands on it (`rfm+`), \
         `tag:NAME` or `changed`; several are separated by commas"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    /// `a` → `b` → `c`, and `d` beside them; `c` is tagged, `d` has a feature.
    fn catalog() -> Catalog {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("marts")).expect("created");
        std::fs::create_dir_all(dir.path().join("seeds")).expect("created");
        let model = |head: &str, table: &str| {
            format!(
                "/*---\ndescription = \"x\"\ngrain = [\"x\"]\n{head}[columns]\nx = {{ type = \"text\", doc = \"x\" }}\n---*/\n\
                 select x from {table} order by x"
            )
        };
        for (name, text) in [
            ("seeds/a.csv", "x\n1\n".to_owned()),
            ("marts/b.sql", model("", "a")),
            ("marts/c.sql", model("tags = [\"daily\"]\n", "b")),
            ("marts/d.sql", model("features = [\"F041\"]\n", "a")),
        ] {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        Catalog::load(&Origin::Folder(dir.path().to_owned()), None, &BTreeSet::new()).expect("a catalog")
    }

    fn selected(selectors: &str) -> String {
        let catalog = catalog();
        let parts: Vec<String> = selectors.split(',').map(str::to_owned).collect();
        let selection = Selection::parse(&parts, &catalog).expect("a selection");
        let changed = BTreeSet::from(["d".to_owned()]);
        selection.models(&catalog, &changed).into_iter().collect::<Vec<_>>().join(" ")
    }

    fn refused(selector: &str) -> String {
        Selection::parse(&[selector.to_owned()], &catalog()).expect_err("refused").to_string()
    }

    #[test]
    fn a_model_comes_with_what_it_reads() {
        assert_eq!(selected("b"), "a b");
        assert_eq!(selected("+b"), "a b");
    }

    #[test]
    fn a_plus_behind_adds_what_stands_on_it_with_what_that_reads() {
        assert_eq!(selected("b+"), "a b c");
        assert_eq!(selected("+b+"), "a b c");
        assert_eq!(selected("a+"), "a b c d");
    }

    #[test]
    fn features_are_tags_too() {
        assert_eq!(selected("tag:daily"), "a b c");
        assert_eq!(selected("tag:F041"), "a d");
    }

    #[test]
    fn commas_unite() {
        assert_eq!(selected("changed"), "a d");
        assert_eq!(selected("changed, b"), "a b d");
    }

    #[test]
    fn wrong_names_are_met_with_the_nearest() {
        assert!(refused("tag:dayly").contains("did you mean `tag:daily`?"));
        assert!(refused("chnged").contains("did you mean `changed`?"));
        assert!(refused("+e+").contains("there is no model `e`"));
        assert!(refused("").contains("a selector is a model"));
    }
}
