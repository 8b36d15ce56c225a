//! What is generated and committed is what the code gives: the config's JSON Schema and the marts' documentation.

fn is_committed(file: &str, fresh: &str, recipe: &str) {
    let path = format!("{}/docs/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, fresh).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == fresh, "docs/{file} is out of date: `just {recipe}` writes it anew");
}

#[test]
fn the_committed_schema_is_the_types_own() {
    is_committed("bazgasht.schema.json", &bazgasht::config::json_schema(), "docs");
}

#[test]
fn the_committed_docs_are_the_models_own() {
    is_committed("marts.md", &bazgasht::docs::embedded().expect("the shipped models"), "docs");
}

#[test]
fn the_committed_schema_of_run_results_is_the_types_own() {
    is_committed("run_results.schema.json", &bazgasht::account::json_schema(), "docs");
}

#[test]
fn the_committed_schema_of_messages_is_the_types_own() {
    is_committed("webhook.schema.json", &bazgasht::observe::webhook::json_schema(), "docs");
}

#[test]
fn the_committed_schema_of_manifests_is_the_types_own() {
    is_committed("manifest.schema.json", &bazgasht::manifest::json_schema(), "docs");
}

#[test]
fn the_committed_rules_for_rejects_are_the_codes_own() {
    is_committed("rejects.md", &bazgasht::docs::rejects(), "docs");
}
