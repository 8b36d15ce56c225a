//! All models of a project, checked against each other and put in the order in which they are built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use include_dir::{Dir, DirEntry, include_dir};

use super::front_matter::{FrontMatter, PartitionBy};
use super::guard::Fault;
use super::{Body, Check, Column, Form, Layer, Model, Read, Table, seed, seed_rules, sql};
use crate::calendar;
use crate::confine;
use crate::error::{Error, Result};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sql");

/// Where models come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Those that ship inside the binary.
    Embedded,
    /// A project's own folder, as `bazgasht init` writes it.
    Folder(PathBuf),
}

/// The models of a project by name, and their build order.
#[derive(Debug, Clone)]
pub struct Catalog {
    models: BTreeMap<String, Model>,
    order: Vec<String>,
}

struct SourceFile {
    /// Relative to the models' folder: what decides which file replaces which.
    path: String,
    /// Where it lies, for messages.
    place: String,
    text: String,
}

impl Catalog {
    /// Loads and checks every model. All complaints come in one error, a paragraph each.
    ///
    /// `added` is a folder whose files come to the others, or replace those of the same layer and name. `sources` are
    /// the configured sources; they decide between the variants of a model.
    pub fn load(origin: &Origin, added: Option<&Path>, sources: &BTreeSet<String>) -> Result<Catalog> {
        let mut files = match origin {
            Origin::Embedded => embedded_files(),
            Origin::Folder(dir) => folder_files(dir)?,
        };
        if let Some(dir) = added {
            let own = folder_files(dir)?;
            files.retain(|shipped| own.iter().all(|file| file.path != shipped.path));
            files.extend(own);
        }
        let mut complaints = Vec::new();
        let mut models = BTreeMap::new();
        let parser = Parser::new(sources);
        for file in &files {
            match parser.parse_file(file) {
                Ok(Some(model)) => {
                    if let Some(twin) = models.insert(model.name.clone(), model) {
                        complaints.push(format!("{}: another file declares the model `{}` too", file.path, twin.name));
                    }
                }
                Ok(None) => {}
                Err(fault) => complaints.push(fault.in_file(&file.place)),
            }
        }
        complaints.extend(files.iter().filter(|file| file.path.starts_with("seeds/")).flat_map(seed_faults));
        for model in calendar_models()? {
            models.insert(model.name.clone(), model);
        }
        complaints.extend(models.values().flat_map(|model| relations(model, &models)));
        let order = build_order(&models).unwrap_or_else(|e| {
            complaints.push(e.to_string());
            vec![]
        });
        if complaints.is_empty() { Ok(Catalog { models, order }) } else { Err(Error::Config(complaints.join("\n\n"))) }
    }

    pub fn get(&self, name: &str) -> Option<&Model> {
        self.models.get(name)
    }

    /// All models, each after everything it reads.
    pub fn in_order(&self) -> impl Iterator<Item = &Model> {
        self.order.iter().map(|name| &self.models[name])
    }

    pub fn marts(&self) -> impl Iterator<Item = &Model> {
        self.models.values().filter(|m| m.is_published())
    }

    /// Every table that a model reads, and those that they read.
    pub fn stands_on(&self, model: &Model) -> BTreeSet<Table> {
        let mut found = BTreeSet::new();
        let mut queue: Vec<&Read> = model.reads.iter().collect();
        while let Some(read) = queue.pop() {
            if found.insert(read.table.clone()) {
                let next = read.model_name().and_then(|name| self.get(name));
                queue.extend(next.into_iter().flat_map(|model| &model.reads));
            }
        }
        found
    }

    /// Whether some model reads this one's rows up to the as-of date only.
    pub fn is_read_until(&self, name: &str) -> bool {
        let mut reads = self.models.values().flat_map(|model| &model.reads);
        reads.any(|read| read.until_as_of && read.model_name() == Some(name))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }
}

/// The embedded files, for `bazgasht init` to copy: path under `sql/` and text.
pub(crate) fn embedded() -> Vec<(String, String)> {
    embedded_files().into_iter().map(|f| (f.path, f.text)).collect()
}

fn embedded_files() -> Vec<SourceFile> {
    fn walk(dir: &Dir<'_>, found: &mut Vec<SourceFile>) {
        for entry in dir.entries() {
            match entry {
                DirEntry::Dir(inner) => walk(inner, found),
                DirEntry::File(file) => {
                    if let Some(text) = file.contents_utf8() {
                        let path = file.path().display().to_string();
                        found.push(SourceFile { place: path.clone(), path, text: text.to_owned() });
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&EMBEDDED, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn folder_files(dir: &Path) -> Result<Vec<SourceFile>> {
    let mut found = Vec::new();
    for layer in ["intermediate", "marts", "seeds", "staging"] {
        let Ok(entries) = std::fs::read_dir(dir.join(layer)) else { continue };
        for entry in entries {
            let path = entry?.path();
            if !matches!(path.extension().and_then(|e| e.to_str()), Some("sql" | "csv")) {
                continue;
            }
            if !confine::is_file_inside(dir, &path) {
                return Err(Error::config(format!(
                    "{}: not a file, or a link that leads out of {}",
                    path.display(),
                    dir.display()
                )));
            }
            let text = std::fs::read_to_string(&path).map_err(|e| Error::config(format!("{}: {e}", path.display())))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            found.push(SourceFile { path: format!("{layer}/{name}"), place: path.display().to_string(), text });
        }
    }
    if found.is_empty() {
        return Err(Error::config(format!(
            "{}: no models there; they lie in its folders staging, intermediate, marts and seeds",
            dir.display()
        )));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Parses models one by one, each as if it stood alone.
pub struct Parser {
    state: SessionState,
    sources: BTreeSet<String>,
}

impl Parser {
    /// `sources` are the configured ones.
    pub fn new(sources: &BTreeSet<String>) -> Self {
        Parser { state: SessionContext::new().state(), sources: sources.clone() }
    }

    /// A model or seed by its path (`marts/rfm.sql`); `None` for a variant that the sources don't ask for.
    ///
    /// # Errors
    /// What is wrong with it, after path and line.
    pub fn parse(&self, path: &str, text: &str) -> Result<Option<Model>, String> {
        let file = SourceFile { path: path.to_owned(), place: path.to_owned(), text: text.to_owned() };
        self.parse_file(&file).map_err(|fault| fault.in_file(path))
    }

    fn parse_file(&self, file: &SourceFile) -> Result<Option<Model>, Fault> {
        parse_file(&self.state, file, &self.sources)
    }
}

fn parse_file(state: &SessionState, file: &SourceFile, sources: &BTreeSet<String>) -> Result<Option<Model>, Fault> {
    let path = Path::new(&file.path);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let layer = match path.parent().and_then(|p| p.to_str()) {
        Some("seeds") => {
            return require_name(&stem).and_then(|()| seed_model(file, stem)).map(Some).map_err(Fault::from);
        }
        Some("staging") => Layer::Staging,
        Some("intermediate") => Layer::Intermediate,
        Some("marts") => Layer::Mart,
        _ => return Err(Fault::new(None, "models live in staging/, intermediate/, marts/ or seeds/")),
    };
    let (front, body) = FrontMatter::split(&file.text)?;
    let fits = front.requires.iter().all(|s| sources.contains(s)) && !front.without.iter().any(|s| sources.contains(s));
    if !fits {
        return Ok(None);
    }
    let name = front.name.clone().unwrap_or(stem);
    require_name(&name)?;
    if let Some(tag) = front.tags.iter().find(|tag| !is_word(tag)) {
        let what = format!("`{}` cannot be a tag: use letters, digits, `_` and `-`", tag.escape_debug());
        return Err(Fault::new(None, what));
    }
    let columns = front.columns()?;
    for key in &front.grain {
        if !columns.iter().any(|c| &c.name == key) {
            return Err(Fault::new(None, format!("the grain's column `{key}` is not among [columns]")));
        }
    }
    for column in &front.compare {
        if !columns.iter().any(|c| &c.name == column) || front.grain.contains(column) {
            return Err(Fault::new(None, format!("`compare` names `{column}`, which is no column beside the grain")));
        }
    }
    if !front.compare.is_empty() && front.partition.is_some() {
        return Err(Fault::new(None, "`compare` is for marts that aren't partitioned by month".to_owned()));
    }
    let parsed = sql::parse(state, &body)?;
    let (checks, warnings) = front.checks()?;
    let mut parameters = parsed.parameters.clone();
    for check in checks.iter().chain(&warnings) {
        parameters.extend(check_parameters(state, check, &parsed.tables)?);
    }
    require_order(&front.grain, &parsed.order)?;
    let reads = reads(&name, &front, &parsed.tables)?;
    let is_read = |along: &String| reads.iter().any(|read| read.table == super::Table::Model(along.clone()));
    if let Some(along) = front.along.iter().find(|along| !is_read(along)) {
        return Err(Fault::new(None, format!("`along` names `{along}`, which is no model that it reads")));
    }
    for read in &reads {
        if let Form::Last(super::Span::Parameter(p)) = &read.form {
            parameters.insert(p.clone());
        }
    }
    Ok(Some(Model {
        name,
        layer,
        file: file.path.clone(),
        description: front.description.clone(),
        grain: front.grain.clone(),
        monthly: front.partition == Some(PartitionBy::Month),
        features: front.features.clone(),
        tags: front.tags.clone(),
        compare: front.compare.clone(),
        volatile: front.volatile,
        along: front.along.clone(),
        columns,
        checks,
        warnings,
        body: Body::Sql(body),
        reads,
        parameters,
    }))
}

/// A tag is written on a command line, among others: `--select tag:daily,rfm+`.
fn is_word(tag: &str) -> bool {
    !tag.is_empty() && tag.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// A model's name stands in the lake's paths and in SQL, and none may pass for a table that is none of the models.
fn require_name(name: &str) -> Result<()> {
    const TAKEN: [&str; 6] = ["calendar", "calendar_periods", "data_quality", "run_log", "source", "this"];
    if TAKEN.contains(&name) {
        return Err(Error::config(format!("`{name}` is the name of a table of the program's own")));
    }
    if !sql::is_plain_name(name) {
        return Err(Error::config(format!(
            "`{}` cannot name a model: use lower-case letters, digits and `_`, a letter first",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// The parameters that a check names. It reads the model itself, as `this`, and what that reads.
fn check_parameters(state: &SessionState, check: &Check, tables: &BTreeSet<Table>) -> Result<BTreeSet<String>, Fault> {
    let at = |fault: Fault| {
        let fault = fault.after(check.line);
        Fault { error: fault.error.at(format!("check `{}`", check.name)), ..fault }
    };
    let parsed = sql::parse(state, &check.sql).map_err(at)?;
    let this = Table::Model("this".to_owned());
    match parsed.tables.iter().find(|table| **table != this && !tables.contains(table)) {
        Some(other) => {
            Err(at(Fault::new(None, format!("`{other}` is neither `this` nor a table that the model itself reads"))))
        }
        None => Ok(parsed.parameters),
    }
}

/// Rows must come out in the order of their grain: so equal inputs give equal bytes, and its uniqueness is checked while
/// writing.
fn require_order(grain: &[String], order: &[String]) -> Result<()> {
    if grain.is_empty() || !order.starts_with(grain) {
        return Err(Error::config(format!(
            "the SELECT must end in an ORDER BY that begins with the grain's columns ({}), ascending, NULL last and in that order, so that equal \
             inputs give equal bytes",
            grain.join(", ")
        )));
    }
    Ok(())
}

fn reads(name: &str, front: &FrontMatter, tables: &BTreeSet<Table>) -> Result<Vec<Read>> {
    let asked = front.reads()?;
    for (table, _) in &asked {
        if !tables.contains(&Table::Model(table.clone())) {
            return Err(Error::config(format!("[reads] names `{table}`, which the SELECT does not read")));
        }
    }
    let read = |table: &Table| {
        let asked = asked.iter().find(|(named, _)| *table == Table::Model(named.clone())).map(|(_, asked)| asked);
        let form = match table {
            Table::Model(itself) if itself == name => Form::Fold,
            _ => asked.map_or(Form::Default, |asked| asked.form.clone()),
        };
        Read { table: table.clone(), form, until_as_of: asked.is_some_and(|asked| asked.until_as_of) }
    };
    Ok(tables.iter().map(read).collect())
}

fn seed_faults(file: &SourceFile) -> Vec<String> {
    let name = Path::new(&file.path).file_stem().unwrap_or_default().to_string_lossy();
    let shipped = EMBEDDED.get_file(&file.path).and_then(|shipped| shipped.contents_utf8());
    // A file that cannot be read as CSV is complained of as a model.
    seed_rules::faults(&file.place, &name, &file.text, shipped).unwrap_or_default()
}

fn seed_model(file: &SourceFile, name: String) -> Result<Model> {
    let columns = seed::seed_columns(&file.text)?;
    Ok(Model {
        name,
        layer: Layer::Seed,
        file: file.path.clone(),
        description: "A seed table, edited by the business.".to_owned(),
        grain: vec![],
        monthly: false,
        features: vec![],
        tags: vec![],
        compare: vec![],
        volatile: false,
        along: vec![],
        columns,
        checks: vec![],
        warnings: vec![],
        body: Body::Seed(file.text.clone()),
        reads: vec![],
        parameters: BTreeSet::new(),
    })
}

fn calendar_models() -> Result<Vec<Model>> {
    let model = |name: &str, layer, description: &str, grain: &[&str], columns, body| Model {
        name: name.to_owned(),
        layer,
        file: format!("{name} (built in)"),
        description: description.to_owned(),
        grain: grain.iter().map(|&g| g.to_owned()).collect(),
        monthly: false,
        features: vec![],
        tags: vec![],
        compare: vec![],
        volatile: false,
        along: vec![],
        columns,
        checks: vec![],
        warnings: vec![],
        body,
        reads: vec![],
        parameters: BTreeSet::new(),
    };
    Ok(vec![
        model(
            "calendar",
            Layer::Mart,
            "One row per day.",
            &["day"],
            documented(calendar::calendar_columns())?,
            Body::Calendar,
        ),
        model(
            "calendar_periods",
            Layer::Intermediate,
            "One row per day and grain (week, month, quarter, year) of the project's calendar.",
            &["day", "grain"],
            documented(calendar::calendar_periods_columns())?,
            Body::CalendarPeriods,
        ),
    ])
}

fn documented(columns: impl Iterator<Item = calendar::ColumnDoc>) -> Result<Vec<Column>> {
    columns.map(|c| Column::new(c.name, c.data_type, c.doc, c.checks)).collect()
}

/// What a model may read of the others, as complaints.
fn relations(model: &Model, models: &BTreeMap<String, Model>) -> Vec<String> {
    let complain = |message: String| format!("{}: {message}", model.file);
    let mut complaints = Vec::new();
    for read in &model.reads {
        let name = match &read.table {
            Table::Source(name) if model.layer != Layer::Staging => {
                complaints.push(complain(format!("only staging may read `source.{name}`; read `stg_{name}` instead")));
                continue;
            }
            Table::Source(_) => continue,
            Table::Model(name) => name,
        };
        match models.get(name) {
            None => complaints.push(complain(unknown_table(name, models))),
            Some(read_model) => complaints.extend(relation(model, read_model, read).map(complain)),
        }
    }
    complaints
}

fn unknown_table(name: &str, models: &BTreeMap<String, Model>) -> String {
    let nearest = models.keys().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let hint = nearest.map(|n| format!("; the nearest name is `{n}`")).unwrap_or_default();
    format!("there is no model `{name}`{hint}")
}

fn relation(reader: &Model, read: &Model, asked: &Read) -> Option<String> {
    let has_days = read.columns.iter().any(|column| column.name == "day" && column.data_type == DataType::Date32);
    if asked.until_as_of && !(read.monthly && has_days) {
        return Some(format!("[reads] {}: `until` is for monthly models with a date column `day`", read.name));
    }
    let timeless = read.layer == Layer::Seed || matches!(read.body, Body::Calendar | Body::CalendarPeriods);
    if read.layer > reader.layer && !timeless {
        return Some(format!("a {} model may not read the {} `{}`", reader.layer, read.layer, read.name));
    }
    match &asked.form {
        Form::Fold if !reader.monthly => Some("a model that names itself must have partition = \"month\"".to_owned()),
        Form::Latest if reader.monthly || !read.monthly => {
            Some(format!("[reads] {} = \"latest\": for an unpartitioned model that reads a monthly one", read.name))
        }
        Form::Reference if !reader.monthly || read.monthly || read.layer != Layer::Staging => {
            Some(format!("[reads] {} = \"reference\": for a monthly model that reads unpartitioned staging", read.name))
        }
        Form::Yesterday if reader.monthly => {
            Some(format!("[reads] {} = \"yesterday\": for an unpartitioned model", read.name))
        }
        Form::Yesterday if read.reads.iter().any(|r| r.form == Form::Yesterday) => {
            Some(format!("[reads] {} = \"yesterday\": it looks back a day itself", read.name))
        }
        Form::Last(_) if !read.monthly => Some(format!("[reads] {}: `last` is for monthly models", read.name)),
        Form::Default if reader.monthly && !read.monthly && !timeless => Some(format!(
            "a monthly model may not read `{}`, which is not monthly: every month would change whenever it does",
            read.name
        )),
        _ => None,
    }
}

fn build_order(models: &BTreeMap<String, Model>) -> Result<Vec<String>> {
    fn visit(
        name: &str,
        models: &BTreeMap<String, Model>,
        trail: &mut Vec<String>,
        done: &mut BTreeSet<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        let Some(model) = models.get(name) else { return Ok(()) };
        if done.contains(name) {
            return Ok(());
        }
        if trail.iter().any(|t| t == name) {
            return Err(Error::config(format!("models read each other in a circle: {} → {name}", trail.join(" → "))));
        }
        trail.push(name.to_owned());
        for read in &model.reads {
            if let (Table::Model(table), false) = (&read.table, read.form == Form::Fold) {
                visit(table, models, trail, done, order)?;
            }
        }
        trail.pop();
        done.insert(name.to_owned());
        order.push(name.to_owned());
        Ok(())
    }
    let (mut done, mut order) = (BTreeSet::new(), Vec::new());
    for name in models.keys() {
        visit(name, models, &mut Vec::new(), &mut done, &mut order)?;
    }
    Ok(order)
}
