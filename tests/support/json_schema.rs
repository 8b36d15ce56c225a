//! Documents against the schemas in docs/, by Python's validator: a Rust one would give DataFusion's dependencies other
//! features than the program has, and everything would be compiled twice.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::outside::absent;

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
    let Ok(python) = std::env::var("BAZGASHT_TEST_PYTHON") else {
        absent("BAZGASHT_TEST_PYTHON", "set it to a Python that has what .ci/requirements.txt names");
        return;
    };
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.schema.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(committed).expect("it is committed")).expect("JSON");
    let with_a_wrong_one: Vec<Value> = documents.iter().cloned().chain([json!({ "format": "one" })]).collect();
    let mut validator = Command::new(python)
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let task = json!({ "schema": schema, "documents": with_a_wrong_one }).to_string();
    validator.stdin.take().expect("a pipe").write_all(task.as_bytes()).expect("written");
    let output = validator.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator failed");
    let mut complaints: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(complaints.pop().is_some_and(|wrong| !wrong.is_empty()), "a schema that takes anything");
    assert!(complaints.iter().all(Vec::is_empty), "{complaints:#?}");
}
