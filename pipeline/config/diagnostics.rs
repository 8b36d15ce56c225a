//! Complaints about the user's files: what is wrong, where, and what to do about it.
//!
//! Complaints are collected and shown together, so that a person mends a file in one go instead of five.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Longer source lines are cut around the caret.
const SNIPPET_COLUMNS: usize = 100;
/// Messages and hints are wrapped here, leaving room for what stands before them.
const TEXT_COLUMNS: usize = 80;

/// A file of the user's, as complaints quote it.
pub struct TextFile {
    path: String,
    text: String,
}

impl TextFile {
    /// `path` is shown as it is given.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(TextFile { path: path.into(), text: text.into() })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The path alone: the text may hold what nobody should read in a log.
impl fmt::Debug for TextFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextFile({})", self.path)
    }
}

/// A stretch of a file, in bytes.
#[derive(Clone)]
pub struct Place {
    file: Arc<TextFile>,
    span: Range<usize>,
}

impl Place {
    /// A span that the file does not have is cut to what it has.
    pub fn new(file: &Arc<TextFile>, span: Range<usize>) -> Self {
        let end = char_floor(&file.text, span.end);
        let start = char_floor(&file.text, span.start).min(end);
        Place { file: Arc::clone(file), span: start..end }
    }

    pub fn file(&self) -> &Arc<TextFile> {
        &self.file
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is written there.
    pub fn text(&self) -> &str {
        &self.file.text[self.span.clone()]
    }

    /// Line and column (in characters) of its start, counted from one.
    pub fn line_and_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

fn char_floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// `path:line:column`, as editors and terminals make it clickable.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing that is wrong. Messages quote keys and what the file says, never a resolved `${VAR}`.
#[derive(Debug, Clone)]
pub struct Complaint {
    message: String,
    place: Option<Place>,
    file: Option<Arc<TextFile>>,
    hint: Option<String>,
}

impl Complaint {
    pub fn new(message: impl Into<String>) -> Self {
        Complaint { message: message.into(), place: None, file: None, hint: None }
    }

    /// Points a caret at the place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Names the file alone, for what is missing from it.
    pub fn in_file(mut self, file: &Arc<TextFile>) -> Self {
        self.file = Some(Arc::clone(file));
        self
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The complaint with its quoted line, in at most a hundred columns.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let message = wrap(&self.message);
        let hint = self.hint.as_deref().map(wrap);
        renderer.term_width(SNIPPET_COLUMNS).render(&[self.group(&message, hint.as_deref())])
    }

    fn group<'a>(&'a self, message: &'a str, hint: Option<&'a str>) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(message));
        if let Some(place) = &self.place {
            group = group.element(snippet(place));
        } else if let Some(file) = &self.file {
            group = group.element(Origin::path(&file.path));
        }
        match hint {
            Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
            None => group,
        }
    }

    fn order(&self) -> (&str, usize) {
        match &self.place {
            Some(place) => (&place.file.path, place.span.start),
            None => (self.file.as_ref().map_or("", |file| &file.path), 0),
        }
    }
}

fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(place.file.text.as_str())
        .path(place.file.path.as_str())
        .annotation(AnnotationKind::Primary.span(place.span.clone()))
}

fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let columns = word.chars().count();
        if column > 0 && column + 1 + columns > TEXT_COLUMNS {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += columns;
    }
    wrapped
}

/// Everything that is wrong, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Complaints {
    list: Vec<Complaint>,
}

impl Complaints {
    pub fn push(&mut self, complaint: Complaint) {
        self.list.push(complaint);
    }

    pub fn extend(&mut self, others: Complaints) {
        self.list.extend(others.list);
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order of files and places.
    pub fn iter(&self) -> impl Iterator<Item = &Complaint> {
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by(|a, b| a.order().cmp(&b.order()));
        sorted.into_iter()
    }

    /// All complaints, a blank line between them, without a newline at the end.
    pub fn render(&self, color: bool) -> String {
        self.iter().map(|complaint| complaint.render(color)).collect::<Vec<_>>().join("\n\n")
    }
}

impl From<Complaint> for Complaints {
    fn from(complaint: Complaint) -> Self {
        Complaints { list: vec![complaint] }
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Complaints {}

/// The name among `known` that `text` was most likely meant to be, if any comes near.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(text);
    // A third of the letters may be wrong; beyond that a suggestion is noise.
    let limit = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &fold(name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace(['-', ' '], "_")
}

/// The hint that goes with [`nearest`].
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// `a`, `b` or `c`, for messages.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
