//! Sources, models and marts as datasets: namespaced by the store that they lie in, as OpenLineage's naming has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::events::facet;
use crate::account::SourceResult;
use crate::config::{self, StoreKind, StoreOptions, StoreRoot};
use crate::contract::SourceName;
use crate::engine::Use;
use crate::manifest::{Manifest, ModelColumn, ModelNode, Origin, SourceNode};
use crate::project::Project;
use crate::snapshot::MartRecord;

/// A dataset's name, and the namespace that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    namespace: String,
    name: String,
}

impl Name {
    fn json(&self) -> Map<String, Value> {
        let fields = [("namespace", &self.namespace), ("name", &self.name)];
        fields.into_iter().map(|(key, value)| (key.to_owned(), value.as_str().into())).collect()
    }
}

/// What was written to a dataset.
#[derive(Debug, Clone, Copy, Default)]
pub struct Statistics {
    rows: u64,
    size_bytes: u64,
    files: u64,
}

impl Statistics {
    pub fn and(self, rows: u64, size_bytes: u64) -> Self {
        Self { rows: self.rows + rows, size_bytes: self.size_bytes + size_bytes, files: self.files + 1 }
    }

    fn facets(self) -> Value {
        let fields = json!({ "rowCount": self.rows, "size": self.size_bytes, "fileCount": self.files });
        match self.files {
            0 => json!({}),
            _ => json!({ "outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet", fields) }),
        }
    }
}

/// The datasets of a project.
pub struct Datasets<'a> {
    manifest: &'a Manifest,
    lake: Name,
    marts: Name,
    /// Where each source's objects lie: by store, the folder that holds them all.
    sources: BTreeMap<&'a str, Vec<Name>>,
}

impl<'a> Datasets<'a> {
    pub fn new(project: &Project, manifest: &'a Manifest) -> Self {
        let storage = &project.config.storage;
        let sources = manifest.sources.keys().map(|name| {
            let config = name.parse::<SourceName>().ok().and_then(|name| project.config.sources.get(&name));
            (name.as_str(), config.map(source_names).unwrap_or_default())
        });
        Self {
            manifest,
            lake: root_name(&storage.lake, &storage.options),
            marts: root_name(&storage.marts, &storage.options),
            sources: sources.collect(),
        }
    }

    /// The raw objects that the run is made from. Sources that lie in one place are one dataset.
    pub fn sources(&self, results: &[SourceResult]) -> Vec<Value> {
        let mut by_name: BTreeMap<&Name, Vec<&str>> = BTreeMap::new();
        for (source, names) in &self.sources {
            names.iter().for_each(|name| by_name.entry(name).or_default().push(source));
        }
        let inputs = by_name.into_iter().map(|(name, sources)| {
            let of_run = || results.iter().filter(|result| sources.contains(&result.source.as_str()));
            let mut dataset = name.json();
            dataset.insert("facets".to_owned(), json!({ "schema": self.raw_schema(&sources) }));
            // What several stores or sources share can't be told apart.
            let is_alone = sources.iter().all(|source| self.sources.get(source).is_some_and(|names| names.len() == 1));
            if is_alone && of_run().next().is_some() {
                let rows: u64 = of_run().map(|result| result.rows_read).max().unwrap_or_default();
                let files: u64 = of_run().map(|result| result.objects_read).max().unwrap_or_default();
                let read = json!({ "rowCount": rows, "fileCount": files });
                let read = facet("1-0-0/InputStatisticsInputDatasetFacet", read);
                dataset.insert("inputFacets".to_owned(), json!({ "inputStatistics": read }));
            }
            Value::Object(dataset)
        });
        inputs.collect()
    }

    /// A published mart. Nothing written, no statistics.
    pub fn mart(&self, name: &str, mart: &MartRecord, version: u64, written: Statistics) -> Value {
        let node = self.manifest.models.get(name);
        let own = |column: &str| node.and_then(|node| node.columns.iter().find(|c| c.name == column));
        let doc = |column: &str| mart.column_metadata.get(column).and_then(|about| about.get("doc"));
        let fields = mart.schema.iter().map(|(column, arrow_type)| {
            let declared = own(column).map(|c| c.type_name.as_str()).filter(|declared| !declared.is_empty());
            field(column, Some(declared.unwrap_or(arrow_type)), doc(column).map(String::as_str))
        });
        let mut facets = json!({
            "schema": schema(fields.collect()),
            "version": facet("1-0-1/DatasetVersionDatasetFacet", json!({ "datasetVersion": version.to_string() })),
        });
        if let Some(node) = node {
            facets["documentation"] = documentation(node);
            // What decides about rows is nearly all of a business's columns, for every mart: with it, a run of the shipped
            // models is an event of a megabyte, which many a receiver refuses. The models' own events have it, step by step.
            let lineage = self.lineage(&node.columns, |column| column.origins.as_deref(), &[]);
            lineage.into_iter().for_each(|lineage| facets["columnLineage"] = lineage);
        }
        self.output(&self.published(name), facets, written)
    }

    /// A model of which partitions were built: in the lake, or where it is published.
    pub fn model(&self, name: &str, node: &ModelNode, is_published: bool, written: Statistics) -> Value {
        let fields = node.columns.iter().map(|c| field(&c.name, Some(&c.type_name), Some(&c.doc)));
        let mut facets = json!({ "schema": schema(fields.collect()), "documentation": documentation(node) });
        let lineage = self.lineage(&node.columns, |column| column.from.as_deref(), &node.rows_from);
        lineage.into_iter().for_each(|lineage| facets["columnLineage"] = lineage);
        self.output(&self.place(name, is_published), facets, written)
    }

    /// What a model reads.
    pub fn read_by(&self, node: &ModelNode) -> Vec<Value> {
        let names: BTreeSet<Name> = node.depends_on.iter().flat_map(|read| self.tables(&read.table)).collect();
        names.iter().map(|name| Value::Object(name.json())).collect()
    }

    /// A model that was checked.
    pub fn checked(&self, name: &str, is_published: bool, assertions: Vec<Value>) -> Value {
        let assertions = facet("1-1-0/DataQualityAssertionsDatasetFacet", json!({ "assertions": assertions }));
        let mut dataset = self.place(name, is_published).json();
        dataset.insert("inputFacets".to_owned(), json!({ "dataQualityAssertions": assertions }));
        Value::Object(dataset)
    }

    fn output(&self, name: &Name, facets: Value, written: Statistics) -> Value {
        let mut dataset = name.json();
        dataset.insert("facets".to_owned(), facets);
        dataset.insert("outputFacets".to_owned(), written.facets());
        Value::Object(dataset)
    }

    fn place(&self, model: &str, is_published: bool) -> Name {
        let is_mart = self.manifest.models.get(model).is_some_and(|node| node.layer == crate::model::Layer::Mart);
        if is_mart && is_published { self.published(model) } else { under(&self.lake, &format!("models/{model}")) }
    }

    /// Under the stable path: a file, or a folder of months.
    fn published(&self, mart: &str) -> Name {
        let is_monthly = self.manifest.models.get(mart).is_some_and(|node| node.monthly);
        let ending = if is_monthly { "" } else { ".parquet" };
        under(&self.marts, &format!("current/{mart}{ending}"))
    }

    /// A table of the manifest: a source's raw objects, or a model.
    fn tables(&self, table: &str) -> Vec<Name> {
        match table.strip_prefix("source.") {
            Some(source) => self.sources.get(source).cloned().unwrap_or_default(),
            None => vec![under(&self.lake, &format!("models/{table}"))],
        }
    }

    /// The raw columns that sources read, without types: they are what the files say.
    fn raw_schema(&self, sources: &[&str]) -> Value {
        let mut columns: BTreeMap<&str, &str> = BTreeMap::new();
        for column in sources.iter().filter_map(|name| self.manifest.sources.get(*name)).flat_map(|s| &s.columns) {
            for raw in &column.raw_columns {
                columns.entry(raw).or_insert(&column.doc);
            }
        }
        schema(columns.into_iter().map(|(name, doc)| field(name, None, Some(doc))).collect())
    }

    /// `None` where no column's way is known.
    fn lineage<'c>(
        &self,
        columns: &'c [ModelColumn],
        origins: impl Fn(&'c ModelColumn) -> Option<&'c [Origin]>,
        rows: &[Origin],
    ) -> Option<Value> {
        let known = columns.iter().filter_map(|column| Some((column, origins(column)?)));
        let fields: Map<String, Value> = known
            .map(|(column, origins)| (column.name.clone(), self.input_fields(origins)))
            .filter(|(_, fields)| fields.as_array().is_some_and(|fields| !fields.is_empty()))
            .map(|(column, fields)| (column, json!({ "inputFields": fields })))
            .collect();
        let lineage = json!({ "fields": fields, "dataset": self.input_fields(rows) });
        (!fields.is_empty()).then(|| facet("1-2-0/ColumnLineageDatasetFacet", lineage))
    }

    fn input_fields(&self, origins: &[Origin]) -> Value {
        let mut fields: BTreeMap<(Name, String), BTreeSet<Use>> = BTreeMap::new();
        for origin in origins {
            let source = origin.table.strip_prefix("source.").and_then(|name| self.manifest.sources.get(name));
            let columns = source.map_or(vec![origin.column.as_str()], |source| raw_columns(source, &origin.column));
            for name in self.tables(&origin.table) {
                for column in &columns {
                    fields.entry((name.clone(), (*column).to_owned())).or_default().extend(&origin.uses);
                }
            }
        }
        let field = |((name, column), uses): ((Name, String), BTreeSet<Use>)| {
            let mut field = name.json();
            field.insert("field".to_owned(), column.into());
            let transformations: Vec<Value> = uses.into_iter().map(transformation).collect();
            field.insert("transformations".to_owned(), transformations.into());
            Value::Object(field)
        };
        fields.into_iter().map(field).collect()
    }
}

/// What extraction adds of its own, `delivery` and the like, is in no raw file.
fn raw_columns<'s>(source: &'s SourceNode, column: &str) -> Vec<&'s str> {
    let found = source.columns.iter().find(|c| c.name == column);
    found.into_iter().flat_map(|c| &c.raw_columns).map(String::as_str).collect()
}

fn transformation(how: Use) -> Value {
    let subtype = match how {
        Use::Identity => "IDENTITY",
        Use::Transformation => "TRANSFORMATION",
        Use::Aggregation => "AGGREGATION",
        Use::Conditional => "CONDITIONAL",
        Use::Window => "WINDOW",
        Use::Sort => "SORT",
        Use::Filter => "FILTER",
        Use::Join => "JOIN",
        Use::GroupBy => "GROUP_BY",
    };
    json!({ "type": if how.is_direct() { "DIRECT" } else { "INDIRECT" }, "subtype": subtype })
}

fn schema(fields: Vec<Value>) -> Value {
    facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields }))
}

fn field(name: &str, type_name: Option<&str>, doc: Option<&str>) -> Value {
    let optional = [("type", type_name), ("description", doc)];
    let optional = optional.into_iter().filter_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)));
    let fields = std::iter::once(("name", name)).chain(optional);
    Value::Object(fields.map(|(key, text)| (key.to_owned(), text.into())).collect())
}

fn documentation(node: &ModelNode) -> Value {
    facet("1-1-0/DocumentationDatasetFacet", json!({ "description": node.description }))
}

fn under(root: &Name, path: &str) -> Name {
    let name = if root.name.is_empty() { path.to_owned() } else { format!("{}/{path}", root.name) };
    Name { name, ..root.clone() }
}

fn root_name(root: &StoreRoot, options: &StoreOptions) -> Name {
    match root {
        StoreRoot::Local(dir) => Name { namespace: "file".to_owned(), name: dir.display().to_string() },
        StoreRoot::Remote(remote) => {
            let container = remote.base.strip_prefix("az://").filter(|_| remote.kind == StoreKind::Azure);
            let namespace = match container.zip(azure_account(options)) {
                Some((container, account)) => format!("abfss://{container}@{account}.dfs.core.windows.net"),
                None => remote.base.clone(),
            };
            Name { namespace, name: remote.prefix.clone() }
        }
    }
}

/// An account's name is no secret, but its options are read as if they were.
fn azure_account(options: &StoreOptions) -> Option<String> {
    let mut options = options.expose();
    ["azure_storage_account_name", "account_name"].into_iter().find_map(|key| options.remove(key))
}

/// By store, the folder that holds all of a source's objects, or its one object.
fn source_names(source: &config::Source) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for location in &source.locations {
        let root = root_name(&location.root, &source.options);
        let name = location.name().map_or(root.clone(), |name| under(&root, name));
        match names.iter_mut().find(|other| other.namespace == name.namespace) {
            Some(other) => other.name = common_folder(&other.name, &name.name),
            None => names.push(name),
        }
    }
    names
}

fn common_folder(one: &str, other: &str) -> String {
    let shared = Path::new(one).components().zip(Path::new(other).components()).take_while(|(a, b)| a == b);
    shared.map(|(part, _)| part).collect::<std::path::PathBuf>().display().to_string()
}
