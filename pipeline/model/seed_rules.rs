//! What must hold of the seed tables that ship, so that a slip of the business's hand is met at `check` and not by a
//! number that is silently missing: no unknown rule, no gap or overlap in steps, no missing translation.

use std::collections::{BTreeMap, BTreeSet};

use super::seed::{Cells, read};
use crate::error::Result;

/// What is asked of one seed, by its columns. The shipped file says which words there are.
struct Rules {
    seed: &'static str,
    /// No two rows are equal in these.
    key: &'static [&'static str],
    /// Words of the shipped file only: SQL knows no others.
    closed: &'static [&'static str],
    /// Every combination of the shipped file must be there.
    complete: &'static [&'static str],
    steps: Option<Steps>,
}

/// Rows that are steps: ordered by `by` within `within`, `rises` must go one way, without a tie.
struct Steps {
    within: &'static [&'static str],
    by: &'static str,
    rises: &'static str,
    /// The lowest step begins here, or some customers are on none.
    lowest: Option<f64>,
}

const NONE: Rules = Rules { seed: "", key: &[], closed: &[], complete: &[], steps: None };

const RULES: [Rules; 13] = [
    Rules { seed: "attribution_windows", key: &["channel", "kind"], ..NONE },
    Rules { seed: "campaign_kpis", key: &["kpi"], closed: &["kpi"], ..NONE },
    Rules { seed: "churn_risk_weights", key: &["flag"], closed: &["flag"], complete: &["flag"], ..NONE },
    Rules { seed: "feedback_kinds", key: &["kind"], ..NONE },
    Rules { seed: "interaction_kinds", key: &["kind"], closed: &["made_by", "counts_as_activity"], ..NONE },
    Rules { seed: "labels", key: &["group", "code"], complete: &["group", "code"], ..NONE },
    Rules {
        seed: "ranking_classes",
        key: &["class"],
        steps: Some(Steps { within: &[], by: "min_points", rises: "min_points", lowest: Some(0.0) }),
        ..NONE
    },
    Rules {
        seed: "ranking_points",
        key: &["rule", "applies_to", "bound"],
        closed: &["rule"],
        steps: Some(Steps { within: &["rule", "applies_to"], by: "bound", rises: "points", lowest: None }),
        ..NONE
    },
    Rules { seed: "rfm_grid", key: &["r", "f"], closed: &["r", "f"], complete: &["r", "f"], ..NONE },
    Rules {
        seed: "rfm_thresholds",
        key: &["metric", "score"],
        closed: &["metric", "score"],
        complete: &["metric", "score"],
        steps: Some(Steps { within: &["metric"], by: "score", rises: "bound", lowest: None }),
    },
    Rules { seed: "sales_channels", key: &["channel"], closed: &["place"], ..NONE },
    Rules { seed: "trigger_rules", key: &["rule", "since", "step"], closed: &["since", "action"], ..NONE },
    Rules { seed: "segment_content", key: &["list"], ..NONE },
];

/// What is wrong with a seed file, a complaint each, with file and line. `shipped` is the program's own of that name.
pub fn faults(file: &str, name: &str, text: &str, shipped: Option<&str>) -> Result<Vec<String>> {
    let table = Seed { file, cells: read(text)? };
    let mut faults = table.missing_translations();
    let Some(shipped) = shipped.filter(|_| faults.is_empty()) else { return Ok(faults) };
    let shipped = Seed { file, cells: read(shipped)? };
    faults.extend(table.missing_columns(&shipped));
    if let Some(rules) = RULES.iter().find(|rules| rules.seed == name).filter(|_| faults.is_empty()) {
        faults.extend(table.repeated(rules.key));
        faults.extend(rules.closed.iter().flat_map(|column| table.unknown(column, &shipped)));
        faults.extend(table.gaps(rules.complete, &shipped));
        faults.extend(rules.steps.iter().flat_map(|steps| table.broken_steps(steps)));
    }
    Ok(faults)
}

struct Seed<'a> {
    file: &'a str,
    cells: Cells,
}

/// A row's line in the file, and its cells.
type Row<'s> = (u64, &'s csv::StringRecord);

impl Seed<'_> {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.rows.iter().map(|row| (row.position().map_or(0, csv::Position::line), row))
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.cells.names.iter().position(|column| column == name)
    }

    fn values<'r>(&self, row: &'r csv::StringRecord, columns: &[&str]) -> Vec<&'r str> {
        columns.iter().map(|column| self.column(column).and_then(|i| row.get(i)).unwrap_or_default()).collect()
    }

    fn complaint(&self, line: u64, message: &str) -> String {
        format!("{}:{line}: {message}", self.file)
    }

    fn missing_translations(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let english = self.cells.names.iter().filter_map(|name| name.strip_suffix("_en"));
        for stem in english.filter(|stem| self.column(&format!("{stem}_fa")).is_some()) {
            let (en, fa) = (format!("{stem}_en"), format!("{stem}_fa"));
            for (line, row) in self.rows() {
                let texts = self.values(row, &[&en, &fa]);
                if texts[0].is_empty() != texts[1].is_empty() {
                    let missing = if texts[0].is_empty() { &en } else { &fa };
                    faults.push(self.complaint(line, &format!("`{missing}` is missing beside the other language")));
                }
            }
        }
        faults
    }

    fn missing_columns(&self, shipped: &Seed<'_>) -> Vec<String> {
        let missing = shipped.cells.names.iter().filter(|name| self.column(name).is_none());
        missing.map(|name| self.complaint(1, &format!("the column `{name}` is missing"))).collect()
    }

    fn repeated(&self, key: &[&str]) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let mut faults = Vec::new();
        for (line, row) in self.rows().filter(|_| !key.is_empty()) {
            if let Some(first) = seen.insert(self.values(row, key), line) {
                let what = self.values(row, key).join(", ");
                faults.push(self.complaint(line, &format!("{} {what} is on line {first} too", key.join(", "))));
            }
        }
        faults
    }

    fn unknown(&self, column: &str, shipped: &Seed<'_>) -> Vec<String> {
        let known: BTreeSet<&str> = shipped.rows().map(|(_, row)| shipped.values(row, &[column])[0]).collect();
        let mut faults = Vec::new();
        for (line, row) in self.rows() {
            let value = self.values(row, &[column])[0];
            if !known.contains(value) {
                let nearest = crate::config::nearest(value, known.iter().copied());
                let hint = nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                faults.push(self.complaint(line, &format!("there is no {column} `{value}`{hint}")));
            }
        }
        faults
    }

    fn gaps(&self, columns: &[&str], shipped: &Seed<'_>) -> Vec<String> {
        let present: BTreeSet<Vec<&str>> = self.rows().map(|(_, row)| self.values(row, columns)).collect();
        let end = self.rows().last().map_or(1, |(line, _)| line);
        let wanted = shipped.rows().map(|(_, row)| shipped.values(row, columns));
        let missing = wanted.filter(|values| !columns.is_empty() && !present.contains(values));
        missing
            .map(|values| {
                self.complaint(end, &format!("there is no row for {} {}", columns.join(", "), values.join(", ")))
            })
            .collect()
    }

    fn broken_steps(&self, steps: &Steps) -> Vec<String> {
        let mut groups: BTreeMap<Vec<&str>, Vec<(f64, f64, u64)>> = BTreeMap::new();
        for (line, row) in self.rows() {
            let numbers = self.values(row, &[steps.by, steps.rises]);
            if let (Ok(by), Ok(rises)) = (numbers[0].parse(), numbers[1].parse()) {
                groups.entry(self.values(row, steps.within)).or_default().push((by, rises, line));
            }
        }
        let mut faults = Vec::new();
        for mut group in groups.into_values() {
            group.sort_by(|a, b| a.0.total_cmp(&b.0));
            let falls = group.len() > 1 && group[0].1 > group[group.len() - 1].1;
            for pair in group.windows(2) {
                if pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1 || (pair[0].1 > pair[1].1) != falls {
                    let message = format!("its step overlaps that of line {}: see `{}`", pair[0].2, steps.rises);
                    faults.push(self.complaint(pair[1].2, &message));
                }
            }
            if let Some(lowest) = steps.lowest.filter(|lowest| group[0].0 > *lowest) {
                let message = format!("the lowest `{}` must be {lowest}, or there is a gap below it", steps.by);
                faults.push(self.complaint(group[0].2, &message));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> String {
        let path = format!("{}/sql/seeds/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("a shipped seed")
    }

    /// The complaints after one change of a shipped seed.
    fn after(name: &str, old: &str, new: &str) -> Vec<String> {
        let text = shipped(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        faults(&format!("seeds/{name}.csv"), name, &text.replacen(old, new, 1), Some(&text)).expect("readable")
    }

    #[test]
    fn the_shipped_seeds_are_sound_and_known() {
        for rules in &RULES {
            let text = shipped(rules.seed);
            assert_eq!(faults(rules.seed, rules.seed, &text, Some(&text)).expect("readable"), Vec::<String>::new());
        }
    }

    #[test]
    fn each_slip_is_met_with_file_and_line() {
        let slips = [
            ("ranking_points", "login,,,1", "logins,,,1", "there is no rule `logins`; did you mean `login`?"),
            ("ranking_points", "volume,,250,20", "volume,,250,10", "its step overlaps"),
            ("ranking_points", "volume,,250,20", "volume,,100,20", "is on line 2 too"),
            ("ranking_classes", "d,0,", "d,5,", "there is a gap below it"),
            ("ranking_classes", "خدمات عادی,24", ",24", "`treatment_fa` is missing"),
            ("rfm_thresholds", "f,3,3", "f,3,9", "its step overlaps"),
            ("churn_risk_weights", "overdue,2,6\n", "", "there is no row for flag overdue"),
            ("rfm_grid", "1,1,", "1,2,", "is on line 2 too"),
        ];
        for (name, old, new, expected) in slips {
            let found = after(name, old, new);
            assert!(
                found.iter().any(|f| f.starts_with(&format!("seeds/{name}.csv:")) && f.contains(expected)),
                "{found:?}"
            );
        }
    }
}
