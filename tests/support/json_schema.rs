//! Documents against the schemas in docs/, by Python's validator: a Rust one would give DataFusion's dependencies other
//! features than the program has, and everything would be compiled twice.

use std::path::Path;

use serde_json::{Value, json};

use crate::outside::ask_python;

const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
task = json.load(sys.stdin)
Draft202012Validator.check_schema(task['schema'])
validator = Draft202012Validator(task['schema'])
print(json.dumps([[e.message + ' at ' + e.json_path for e in validator.iter_errors(d)] for d in task['documents']]))
";

/// Sees to it that documents are what `docs/<name>.schema.json` says, and that it doesn't take everything. Without Python,
/// nothing.
pub fn assert_valid(name: &str, documents: &[Value]) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.schema.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(committed).expect("it is committed")).expect("JSON");
    let with_a_wrong_one: Vec<Value> = documents.iter().cloned().chain([json!({ "format": "one" })]).collect();
    let task = json!({ "schema": schema, "documents": with_a_wrong_one }).to_string();
    let complaints: Option<Vec<Vec<String>>> = ask_python(VALIDATE, task.as_bytes());
    let Some(mut complaints) = complaints else { return };
    assert!(complaints.pop().is_some_and(|wrong| !wrong.is_empty()), "a schema that takes anything");
    assert!(complaints.iter().all(Vec::is_empty), "{complaints:#?}");
}
