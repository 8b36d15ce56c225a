//! `${VAR}` in string values, resolved from the environment; `$${` stands for a literal `${`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Looks a variable up; passed in, so that tests need not touch the process's environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A placeholder that could not be resolved.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The variable is not set (or not UTF-8).
    Missing { name: String },
    /// `${` without `}`, or with something else than a variable's name between them.
    Malformed { written: String },
}

/// A fault and the value that it stands in.
#[derive(Debug)]
pub struct FaultyValue {
    pub span: Range<usize>,
    pub fault: Fault,
}

/// Resolves every string value under `table` in place; keys are left alone.
/// Values with a fault stay as they were, and each fault is returned.
pub fn substitute(table: &mut DeTable<'_>, environment: Environment<'_>) -> Vec<FaultyValue> {
    let mut faults = Vec::new();
    for (_, value) in table.iter_mut() {
        substitute_value(value, environment, &mut faults);
    }
    faults
}

fn substitute_value(value: &mut Spanned<DeValue<'_>>, environment: Environment<'_>, faults: &mut Vec<FaultyValue>) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => match resolve(text, environment) {
            Ok(resolved) if resolved == *text => {}
            Ok(resolved) => *text = resolved.into(),
            Err(found) => faults.extend(found.into_iter().map(|fault| FaultyValue { span: span.clone(), fault })),
        },
        DeValue::Array(items) => items.iter_mut().for_each(|item| substitute_value(item, environment, faults)),
        DeValue::Table(table) => faults.extend(substitute(table, environment)),
        _ => {}
    }
}

/// The text with its placeholders resolved.
///
/// # Errors
/// Every placeholder that could not be.
pub fn resolve(text: &str, environment: Environment<'_>) -> Result<String, Vec<Fault>> {
    let mut resolved = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            resolved.push_str(before);
            resolved.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        resolved.push_str(&rest[..at]);
        let (value, after) = placeholder(&rest[at..], environment);
        match value {
            Ok(value) => resolved.push_str(&value),
            Err(fault) => faults.push(fault),
        }
        rest = after;
    }
    resolved.push_str(rest);
    if faults.is_empty() { Ok(resolved) } else { Err(faults) }
}

/// The value of the placeholder that `text` starts with, and the text after it.
fn placeholder<'t>(text: &'t str, environment: Environment<'_>) -> (Result<String, Fault>, &'t str) {
    let Some(end) = text.find('}') else {
        return (Err(Fault::Malformed { written: text.to_owned() }), "");
    };
    let name = &text[2..end];
    let value = if is_variable_name(name) {
        environment(name).ok_or_else(|| Fault::Missing { name: name.to_owned() })
    } else {
        Err(Fault::Malformed { written: text[..=end].to_owned() })
    };
    (value, &text[end + 1..])
}

fn is_variable_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| word(c) && !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "BUCKET").then(|| "${not again}".to_owned())
    }

    fn resolved(text: &str) -> Result<String, Vec<Fault>> {
        resolve(text, &environment)
    }

    #[test]
    fn a_variable_is_resolved_once_and_its_value_is_not_read_again() {
        assert_eq!(resolved("s3://${BUCKET}/raw"), Ok("s3://${not again}/raw".to_owned()));
    }

    #[test]
    fn doubled_dollars_are_literal_and_a_lone_dollar_is_nothing_special() {
        assert_eq!(resolved("$${BUCKET} costs 5$ or $x"), Ok("${BUCKET} costs 5$ or $x".to_owned()));
    }

    #[test]
    fn every_fault_is_told() {
        let missing = |name: &str| Fault::Missing { name: name.to_owned() };
        let malformed = |written: &str| Fault::Malformed { written: written.to_owned() };
        assert_eq!(resolved("${A}${B-x}${C"), Err(vec![missing("A"), malformed("${B-x}"), malformed("${C")]));
    }
}
